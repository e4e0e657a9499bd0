//! Answers and revocations at the desk: written down, put in force, then told to those who wait.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::MutexGuard;
use uuid::Uuid;

use super::agreeing::{self, Agreed};
use super::answer::{self, Answered, ApprovalView, Lasting, Reply, Said};
use super::desk::HoldDesk;
use super::holds::{Question, Yes};
use super::news::{Closed, Closing, News};
use super::owed::Owed;
use super::short::typed;
use super::state::State;
use super::unanswered::{self, AnswerError, RevokeError};
use crate::egress::hold::Word;
use crate::egress::record::{self, Place, Record};
use crate::policy::approvals::{Approval, ApprovalId, Echo, Subject, Withdrawn};
use crate::policy::attempt::{AgentId, Attempt};

/// Who takes back a yes that could not be kept.
const NOBODY: &str = "exeat";

impl HoldDesk {
    /// Answers a question. The answer is written down, then takes effect, then those who wait are told.
    pub fn answer(&self, id: &str, reply: Reply, approver: &str, note: Option<&str>) -> Result<Answered, AnswerError> {
        let answer::Weighed { reply, note } = answer::weigh(reply, note)?;
        unanswered::within_floor(self.policy.load().floor(), &reply)?;
        let id = typed(id);
        let said = Said { approver: approver.into(), note, at: (self.clock)() };
        let mut state = self.state.lock();
        self.bury(&mut state, said.at);
        while state.holds.get(&id).is_some_and(|question| question.dies_at <= said.at) {
            MutexGuard::bump(&mut state);
            self.bury(&mut state, said.at);
        }
        let agent = self.whose_text(&state, &id, &reply);
        let done = match reply {
            Reply::Yes { lasting, addresses } => {
                let question = state.holds.get(&id).ok_or_else(|| state.what_became_of(&id))?;
                let of = self.policy.load().approvers(&question.subject.agent);
                let said_now = answer::yes(question, lasting, addresses, &said);
                match agreeing::weigh(question, said_now, of)? {
                    Agreed::NotYet(yes) => self.agree(&mut state, &id, yes, (of, said.at)),
                    Agreed::All(yes) => {
                        let approval = answer::approval(question, yes, said.at);
                        self.yes(&mut state, &id, approval, (&said.approver, of))
                    }
                }
            }
            Reply::No => self.no(&mut state, &id, said),
        };
        drop(state);
        self.wake.notify_one();
        // Also where it is not kept or recorded: a no takes effect all the same.
        agent.iter().for_each(|agent| self.spell_out(agent));
        done
    }

    /// Whose approvals without end may be others after the answer.
    fn whose_text(&self, state: &State, id: &str, reply: &Reply) -> Option<AgentId> {
        match reply {
            Reply::Yes { lasting: Lasting::Always, addresses: _ } => state.holds.get(id).map(|question| question.subject.agent.clone()),
            Reply::Yes { lasting: Lasting::Once | Lasting::For(_), addresses: _ } => None,
            Reply::No => self.approvals.read().get(*state.given.get(id)?).map(|approval| approval.subject.agent.clone()),
        }
    }

    /// One yes of several: it is kept with its question, which stays.
    fn agree(&self, state: &mut State, id: &str, yes: Yes, (of, at): (u8, SystemTime)) -> Result<Answered, AnswerError> {
        let question = state.holds.get(id).ok_or(AnswerError::Unknown)?;
        let answered = Answered::not_yet(id, question, &yes, of);
        // Nothing takes back in the journal what is no approval yet: a store that fails is met before the journal has it.
        self.store.extend(id, question.dies_at).map_err(AnswerError::Unkept)?;
        self.recorder.record(&record_of(&answered, &question.subject, &yes.approver, &yes.note)).map_err(|_| AnswerError::Unwritable)?;
        match self.store.agree(id, &yes, at) {
            Ok(true) => {}
            Ok(false) => return Err(AnswerError::Elsewhere),
            Err(error) => return Err(AnswerError::Unkept(error)),
        }
        state.holds.agree(id, yes);
        if let Some(hold) = state.holds.view(id) {
            let _ = self.news.send(News::Changed { hold });
        }
        Ok(answered)
    }

    fn yes(&self, state: &mut State, id: &str, approval: Approval, (last, of): (&str, u8)) -> Result<Answered, AnswerError> {
        let waiting = state.holds.get(id).map_or(0, |question| question.waiting.len());
        let answered = Answered { of: (of > 1).then_some(of), ..Answered::yes(id, &approval, waiting) };
        self.recorder.record(&record_of(&answered, &approval.subject, last, &approval.note)).map_err(|_| AnswerError::Unwritable)?;
        self.keep(id, &approval)?;
        let Some(question) = state.holds.close(id) else { return Err(AnswerError::Unknown) };
        let (approval_id, approver) = (approval.id, approval.approver.to_string());
        {
            let mut approvals = self.approvals.write();
            approvals.insert(approval);
            state.forget_ended(&approvals);
        }
        self.familiar.approved(&question.subject);
        state.given.insert(Arc::clone(&question.id), approval_id);
        let (scope, until) = (answered.scope.clone(), answered.until);
        let yes = |question: &Question| Closed {
            approver: Some(approver.clone()),
            scope: scope.clone(),
            until,
            ..Closed::of(question, Closing::Approved)
        };
        self.close(state, &question, yes(&question), Word::DecideAgain);
        self.spread(state, &question.subject, yes);
        Ok(answered)
    }

    /// A yes that the store does not take is taken back in the journal, where it stands already.
    fn keep(&self, id: &str, approval: &Approval) -> Result<(), AnswerError> {
        let why = match self.store.approve(id, approval) {
            Ok(true) => return Ok(()),
            Ok(false) => AnswerError::Elsewhere,
            Err(error) => AnswerError::Unkept(error),
        };
        // A journal that fails as well leaves a yes in it that nothing rests on.
        let _ = self.recorder.record(&revoked(approval, NOBODY));
        Err(why)
    }

    /// A yes may cover more than those who waited for it: other instances, and requests found in a tunnel. Their questions are over as well,
    /// or they leave them.
    fn spread(&self, state: &mut State, subject: &Subject, yes: impl Fn(&Question) -> Closed) {
        let (now, policy) = ((self.clock)(), self.policy.load());
        let (mut over, mut covered) = (Vec::new(), Vec::new());
        {
            let approvals = self.approvals.read();
            for question in state.holds.covered(subject) {
                let covers = |attempt: &Attempt| approvals.live_under(policy.floor(), attempt, question.terms.asking, now).is_some();
                if covers(&question.next()) {
                    over.push(Arc::clone(&question.id));
                    continue;
                }
                let waiters = question.waiting.iter().filter_map(|attempt| state.words.get(attempt));
                let told = waiters.filter(|waiter| covers(&waiter.attempt));
                covered.extend(told.map(|waiter| (Arc::clone(&question.id), waiter.attempt.id)));
            }
        }
        for question in over.iter().filter_map(|id| state.holds.close(id)).collect::<Vec<_>>() {
            self.end_in_store(&question.id, Closing::Approved);
            self.close(state, &question, yes(&question), Word::DecideAgain);
        }
        for (id, attempt) in covered {
            state.holds.leave(&id, attempt);
            state.tell(vec![(attempt, Word::DecideAgain)]);
            self.tell_news(state, &id, |hold| News::Changed { hold });
        }
    }

    fn no(&self, state: &mut State, id: &str, said: Said) -> Result<Answered, AnswerError> {
        let Said { approver, note, at } = said;
        let echo = Echo { until: at + self.quiet_after_deny, note: note.clone() };
        if let Some(question) = state.holds.get(id) {
            let answered = Answered::no(id, &question.subject, None, question.waiting.len());
            self.recorder.record(&record_of(&answered, &question.subject, &approver, &note)).map_err(|_| AnswerError::Unwritable)?;
            let Some(question) = state.holds.close(id) else { return Err(AnswerError::Unknown) };
            let kept = self.tell_store(Owed::Denied { hold: id.to_owned(), subject: question.subject.clone(), at, echo: echo.clone() });
            self.approvals.write().silence(question.subject.clone(), echo);
            let closed = Closed { approver: Some(approver.to_string()), ..Closed::of(&question, Closing::Denied) };
            self.close(state, &question, closed, Word::No { note });
            return kept.map(|_| answered).map_err(AnswerError::Unlasting);
        }
        let Some(given) = state.given.get(id).copied() else { return Err(state.what_became_of(id)) };
        // A no that comes after a yes wins over what of it is unused: that is taken away first, as taking away needs no record to be safe.
        let withdrawn = {
            let mut approvals = self.approvals.write();
            let withdrawn = approvals.withdraw(given);
            if let Withdrawn::Taken(approval) = &withdrawn {
                approvals.silence(approval.subject.clone(), echo.clone());
            }
            withdrawn
        };
        let approval = match withdrawn {
            Withdrawn::Used => return Err(AnswerError::Used),
            Withdrawn::Unknown => return Err(AnswerError::Approved),
            Withdrawn::Taken(approval) => approval,
        };
        state.given.remove(id);
        state.remember(id.into(), approval.subject.agent.clone(), Closing::Denied);
        self.changes.send_modify(|count| *count += 1);
        let kept = self.tell_store(Owed::Denied { hold: id.to_owned(), subject: approval.subject.clone(), at, echo });
        let answered = Answered::no(id, &approval.subject, Some(approval.id), 0);
        self.recorder.record(&record_of(&answered, &approval.subject, &approver, &note)).map_err(|_| AnswerError::Unrecorded)?;
        kept.map(|_| answered).map_err(AnswerError::Unlasting)
    }

    /// Takes an approval back, by the short id of its question or by the beginning of its own. What it covers is decided again.
    pub fn revoke(&self, id: &str, who: &str) -> Result<ApprovalView, RevokeError> {
        let state = self.state.lock();
        let found = self.find(&state, id)?;
        let approval = self.approvals.write().revoke(found).ok_or(RevokeError::Unknown)?;
        self.changes.send_modify(|count| *count += 1);
        let kept = self.tell_store(Owed::Ended { approval: found, at: (self.clock)() });
        let view = ApprovalView::of(&approval, state.hold_of(found));
        let recorded = self.recorder.record(&revoked(&approval, who));
        drop(state);
        self.spell_out(&view.agent);
        recorded.map_err(|_| RevokeError::Unrecorded)?;
        kept.map(|_| view).map_err(RevokeError::Unlasting)
    }

    /// Somebody may answer no more: what of him waits for the yeses of others counts no more. The store forgot it with him.
    pub fn is_no_approver(&self, name: &str) {
        let mut state = self.state.lock();
        for id in state.holds.disown(name) {
            self.tell_news(&state, &id, |hold| News::Changed { hold });
        }
    }

    /// Has what is open decided again, as where a person cuts it.
    pub fn decide_again(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn find(&self, state: &State, id: &str) -> Result<ApprovalId, RevokeError> {
        let approvals = self.approvals.read();
        if let Some(given) = state.given.get(typed(id).as_str()).filter(|given| approvals.get(**given).is_some()) {
            return Ok(*given);
        }
        let start = id.trim().to_ascii_lowercase();
        if start.len() < 8 {
            return Err(RevokeError::Unknown);
        }
        let begins = |id: &ApprovalId| id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).starts_with(&start);
        let mut found = approvals.iter().map(|approval| approval.id).filter(begins);
        match (found.next(), found.next()) {
            (None, _) => Err(RevokeError::Unknown),
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(RevokeError::Ambiguous),
        }
    }
}

fn revoked(approval: &Approval, who: &str) -> Record {
    let Subject { agent, instance: _, destination, scheme, request } = &approval.subject;
    Record::Revoked(record::Revoked {
        approval: approval.id.0,
        agent: agent.clone(),
        destination: Place::new(destination, *scheme),
        request: request.as_ref().map(record::masked),
        who: who.to_owned(),
    })
}

fn record_of(answered: &Answered, subject: &Subject, approver: &str, note: &Option<Arc<str>>) -> Record {
    Record::Answered(record::Answered {
        hold: answered.hold.clone(),
        approval: answered.approval,
        answer: answered.answer,
        approver: approver.to_owned(),
        approver_kind: "person".to_owned(),
        of: answered.of,
        scope: answered.scope.clone(),
        expiry: answered.until,
        note: note.as_ref().map(ToString::to_string),
        agent: subject.agent.clone(),
        destination: Place::new(&subject.destination, subject.scheme),
        request: subject.request.as_ref().map(record::masked),
        waiting: answered.released,
    })
}

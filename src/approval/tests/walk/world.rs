//! The real gate and desk, driven step by step, and what is seen of them from outside.

use std::pin::Pin;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};

use super::flaky::Flaky;
use super::process::{PER_AGENT, Process, Script, TOTAL};
use super::rules::{PLACES, SIGHTS, WHO};
use super::*;
use crate::approval::store::Sqlite;
use crate::egress::record::{Answer, Front, Record, Ruling};
use crate::egress::{Admission, Claim, Refusal};
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AttemptId, Evidence, Offered};
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

type Admitting = Pin<Box<dyn Future<Output = Result<Admission, Refusal>>>>;

pub(super) struct World {
    // Before the runtime, whose timers they hold.
    waiting: Vec<(usize, Admitting)>,
    open: Vec<(usize, Admission)>,
    people: Vec<Presence>,
    process: Process,
    runtime: Runtime,
    policy: Arc<ArcSwap<Policy>>,
    journal: Arc<Script>,
    store: Arc<Flaky>,
    model: Model,
    /// Questions by the order they were first seen in, and what was last shown of them.
    shown: Vec<(String, Shown)>,
    /// The yes that was given to a question.
    yeses: BTreeMap<String, Uuid>,
    /// How many attempts could not be recorded.
    unrecorded: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (model, journal) = (Model::default(), Arc::new(Script::default()));
        let policy = Arc::new(ArcSwap::from_pointee(model.rules.policy()));
        let store = Arc::new(Flaky::new(Sqlite::in_memory().unwrap()));
        let process = Process::start(&runtime, &policy, &journal, &store).unwrap();
        let (waiting, open, people, shown, yeses) = Default::default();
        Self { waiting, open, people, process, runtime, policy, journal, store, model, shown, yeses, unrecorded: 0 }
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Ask { who, place, sight } => return self.ask(Of { who, place, sight, within: None }, None),
            Step::AskWithin { tunnel, sight } => return self.ask_within(tunnel, sight),
            Step::Poll(which) if !self.waiting.is_empty() => return self.poll(which % self.waiting.len()),
            Step::PollAll => return self.poll_all(),
            Step::HangUp(which) if !self.waiting.is_empty() => return self.hang_up(which % self.waiting.len()),
            Step::End(which) if !self.open.is_empty() => {
                let (number, admission) = self.open.swap_remove(which % self.open.len());
                drop(admission);
                self.model.gone.insert(number);
            }
            Step::Answer { hold, reply } if !self.shown.is_empty() => return self.answer(hold % self.shown.len(), reply),
            Step::Revoke(which) => return self.revoke(which),
            Step::Pass(seconds) => {
                self.pass(Duration::from_secs(seconds.into()));
            }
            Step::Turn(rule) => self.now_in_force(self.model.rules.turned(rule)),
            Step::Come(whose) => {
                let agent = whose.map(|coder| agent(if coder { "coder" } else { "other" }));
                self.people.push(self.process.desk.attach(agent));
            }
            Step::Go(which) if !self.people.is_empty() => drop(self.people.swap_remove(which % self.people.len())),
            Step::JournalFails(fails) => self.journal.broken.store(fails, Ordering::SeqCst),
            Step::StoreFails(fails) => self.store.breaks(fails),
            Step::Restart => return self.restart(),
            Step::Poll(_) | Step::HangUp(_) | Step::End(_) | Step::Answer { .. } | Step::Go(_) => {}
        }
        Ok(())
    }

    fn pass(&self, time: Duration) {
        pass_time(time);
        self.runtime.block_on(tokio::time::advance(time));
    }

    fn ask_within(&mut self, tunnel: usize, sight: usize) -> Result<(), TestCaseError> {
        let tunnels: Vec<usize> = (0..self.open.len()).filter(|at| self.model.attempts[self.open[*at].0].sight == 0).collect();
        if tunnels.is_empty() {
            return Ok(());
        }
        let (outer, admission) = &self.open[tunnels[tunnel % tunnels.len()]];
        let Of { who, place, sight: _, within: _ } = self.model.attempts[*outer];
        let claim = admission.carries(peer(who), seen(sight));
        self.ask(Of { who, place, sight, within: Some(*outer) }, Some(claim))
    }

    fn ask(&mut self, of: Of, claim: Option<Claim>) -> Result<(), TestCaseError> {
        let claim = claim.unwrap_or_else(|| {
            let peer = peer(of.who);
            let evidence = Evidence { listener: "main".into(), source: peer.ip(), offered: Offered::Nothing };
            Claim::new(Front::Connect, peer, evidence, Destination::parse(PLACES[of.place]), seen(of.sight))
        });
        let gate = Arc::clone(&self.process.gate);
        self.model.attempts.push(of);
        self.waiting.push((self.model.attempts.len() - 1, Box::pin(async move { gate.admit(claim).await })));
        self.poll(self.waiting.len() - 1)?;
        self.look();
        Ok(())
    }

    /// Lists the questions as an approver would.
    fn look(&mut self) {
        for hold in self.process.desk.holds() {
            if !self.shown.iter().any(|(id, _)| *id == hold.id) {
                self.shown.push((hold.id.clone(), Shown::of(&hold)));
            }
        }
    }

    fn poll_all(&mut self) -> Result<(), TestCaseError> {
        for at in (0..self.waiting.len()).rev() {
            self.poll(at)?;
        }
        Ok(())
    }

    fn poll(&mut self, at: usize) -> Result<(), TestCaseError> {
        let before = self.journal.written.lock().len();
        let polled = {
            let _inside = self.runtime.enter();
            self.waiting[at].1.as_mut().now_or_never()
        };
        let Some(admitted) = polled else {
            prop_assert!(self.decided_since(before).is_empty(), "it waits, and is decided");
            return Ok(());
        };
        let number = self.waiting.swap_remove(at).0;
        let decided = self.decided_since(before);
        match admitted {
            Ok(admission) => {
                let [(Ruling::Allow | Ruling::Look, reason, by)] = decided.as_slice() else {
                    return Err(TestCaseError::fail(format!("admitted, and decided {decided:?}")));
                };
                match (&admission, reason) {
                    (Admission::Pass(_), Reason::Listed) => self.model.passed(number, None, now())?,
                    (Admission::Pass(_), Reason::Approved) => self.model.passed(number, *by, now())?,
                    (Admission::Look(_), Reason::Inspect) => {}
                    other => prop_assert!(false, "{other:?}"),
                }
                self.open.push((number, admission));
            }
            Err(refusal) => {
                self.model.gone.insert(number);
                let broken = self.journal.broken.load(Ordering::SeqCst);
                self.unrecorded += usize::from(broken);
                prop_assert_eq!(decided.len(), usize::from(!broken), "{:?}", refusal);
                prop_assert!(decided.iter().all(|(ruling, reason, _)| *ruling == Ruling::Block && *reason == refusal.reason));
            }
        }
        Ok(())
    }

    fn hang_up(&mut self, at: usize) -> Result<(), TestCaseError> {
        let before = self.journal.written.lock().len();
        let (number, admitting) = self.waiting.swap_remove(at);
        {
            let _inside = self.runtime.enter();
            drop(admitting);
        }
        self.model.gone.insert(number);
        let (broken, decided) = (self.journal.broken.load(Ordering::SeqCst), self.decided_since(before));
        self.unrecorded += usize::from(broken);
        prop_assert_eq!(decided.len(), usize::from(!broken), "who hung up is decided on once");
        Ok(())
    }

    fn decided_since(&self, before: usize) -> Vec<(Ruling, Reason, Option<Uuid>)> {
        let written = self.journal.written.lock();
        let decided =
            written[before..].iter().filter_map(|record| if let Record::Decided(decided) = record { Some(decided) } else { None });
        decided.map(|decided| (decided.decision, decided.reason, decided.approval)).collect()
    }

    fn answer(&mut self, which: usize, reply: u8) -> Result<(), TestCaseError> {
        let (id, shown) = self.shown[which].clone();
        let reply = match reply {
            0 | 1 => Reply::No,
            2 => yes(Lasting::For(Duration::from_secs(200))),
            3 => yes(Lasting::Always),
            _ => yes(Lasting::Once),
        };
        let (at, pending) = (now(), self.process.desk.hold(&id));
        let waited = self.waiting_at(&shown);
        let answered = self.process.desk.answer(&id, reply.clone(), "alice", None);
        let last = self.journal.written.lock().last().cloned();
        match (reply, answered) {
            (Reply::Yes { lasting, addresses: _ }, Ok(answered)) => {
                let Some(by) = answered.approval else { return Err(TestCaseError::fail("a yes makes no approval")) };
                prop_assert_eq!(pending.as_ref().map(Shown::of), Some(shown.clone()), "the question is another one");
                prop_assert_eq!(pending.map(|hold| hold.waiting), Some(answered.released));
                prop_assert!(waited.len() >= answered.released, "more are released than wait: {:?} {:?}", waited, answered);
                prop_assert!(self.says(&last, &id, Answer::Yes), "it takes effect before it is recorded: {:?}", last);
                prop_assert!(!self.yeses.contains_key(&id), "answered yes twice");
                let (released, used) = (answered.released, BTreeSet::new());
                self.model.given.insert(by, Given { shown, lasting, at, waited, released, used, over: false, comes_back: false });
                self.yeses.insert(id, by);
            }
            (Reply::No, Ok(answered)) => {
                prop_assert_eq!(answered.answer, Answer::No);
                prop_assert!(self.says(&last, &id, Answer::No), "it takes effect before it is recorded: {:?}", last);
                self.denied(&id, shown, at, true);
            }
            (Reply::No, Err(AnswerError::Unrecorded | AnswerError::Unlasting(_))) => {
                let kept = !self.store.broken.load(Ordering::SeqCst);
                self.denied(&id, shown, at, kept);
            }
            (_, Err(error)) => {
                let none = matches!(error, AnswerError::Unwritable | AnswerError::Unkept(_) | AnswerError::Floor(_));
                prop_assert!(none || pending.is_none(), "{error}");
            }
        }
        Ok(())
    }

    /// A no wins, also over the yes before it.
    fn denied(&mut self, id: &str, shown: Shown, at: SystemTime, kept: bool) {
        if let Some(given) = self.yeses.get(id).and_then(|by| self.model.given.get_mut(by)) {
            (given.over, given.comes_back) = (true, !kept);
        }
        self.model.deny(shown, at, kept);
    }

    fn says(&self, record: &Option<Record>, id: &str, answer: Answer) -> bool {
        matches!(record, Some(Record::Answered(answered)) if answered.hold == id && answered.answer == answer)
    }

    /// Who may wait at a question: those of its subject. Who was told to decide again and has not done so yet counts among them.
    fn waiting_at(&self, shown: &Shown) -> BTreeSet<usize> {
        let numbers = self.waiting.iter().map(|(number, _)| *number);
        let asks = |number: &usize| {
            let of = &self.model.attempts[*number];
            shown.is_asked_by(of, false) || shown.is_asked_by(of, true)
        };
        numbers.filter(asks).collect()
    }

    fn revoke(&mut self, which: usize) -> Result<(), TestCaseError> {
        let views = self.process.desk.approvals();
        if views.is_empty() {
            return Ok(());
        }
        let view = &views[which % views.len()];
        match self.process.desk.revoke(&view.id.to_string(), "bob") {
            Ok(_) | Err(RevokeError::Unrecorded | RevokeError::Unlasting(_)) => {
                let given = self.model.given.get_mut(&view.id);
                prop_assert!(given.is_some(), "an approval nobody gave: {view:?}");
                let given = given.unwrap();
                (given.over, given.comes_back) = (true, self.store.broken.load(Ordering::SeqCst));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    fn now_in_force(&mut self, rules: Rules) {
        self.model.rules = rules;
        let policy = Arc::new(rules.policy());
        self.policy.store(Arc::clone(&policy));
        self.process.desk.policy_changed(&policy);
    }

    /// As `kill` does it, but that what waits and what is open says its last word.
    fn restart(&mut self) -> Result<(), TestCaseError> {
        while !self.waiting.is_empty() {
            self.hang_up(0)?;
        }
        (self.open, self.people) = Default::default();
        self.process.running.abort();
        self.runtime.block_on(tokio::task::yield_now());
        let fails = self.store.broken.load(Ordering::SeqCst);
        let started = Process::start(&self.runtime, &self.policy, &self.journal, &self.store);
        prop_assert_eq!(started.is_err(), fails, "a start with a store that fails");
        self.store.broken.store(false, Ordering::SeqCst);
        self.process = match started {
            Ok(process) => process,
            Err(_) => Process::start(&self.runtime, &self.policy, &self.journal, &self.store).unwrap(),
        };
        self.model.restart();
        self.look();
        Ok(())
    }

    /// What is true at every moment.
    pub(super) fn check(&mut self) -> Result<(), TestCaseError> {
        let desk = &self.process.desk;
        let (holds, by_agent) = (desk.holds(), desk.pending_by_agent());
        prop_assert!(holds.iter().map(|hold| hold.waiting).sum::<usize>() <= TOTAL);
        // A question whose end could not be kept comes back beside those that were asked since.
        if !self.store.failed.load(Ordering::SeqCst) {
            prop_assert!(holds.len() <= TOTAL && by_agent.values().all(|count| *count <= PER_AGENT));
        }
        prop_assert_eq!(by_agent.values().sum::<usize>(), holds.len());
        for (number, admission) in &self.open {
            let goes_on = self.process.gate.goes_on(admission);
            prop_assert!(
                goes_on.is_err() || self.model.may_go_on(*number, now()),
                "{number} goes on: {:?} under {:?}",
                self.model.attempts[*number],
                self.model.rules
            );
        }
        Ok(())
    }

    /// Nobody answers any more: all who wait have their word, one, and nothing is left of any of it.
    pub(super) fn finish(mut self) -> Result<(), TestCaseError> {
        self.process.stop.cancel();
        self.runtime.block_on(&mut self.process.running).unwrap();
        self.poll_all()?;
        prop_assert!(self.waiting.is_empty(), "{} are told nothing", self.waiting.len());
        self.open.clear();
        self.journal.broken.store(false, Ordering::SeqCst);
        self.store.broken.store(false, Ordering::SeqCst);
        for view in self.process.desk.approvals() {
            prop_assert!(self.process.desk.revoke(&view.id.to_string(), "bob").is_ok());
        }
        self.pass(PENDING * 2);
        prop_assert_eq!(self.process.desk.holds(), []);
        let mut approvals = self.process.approvals.write();
        approvals.expire(now());
        prop_assert_eq!(format!("{:?}", *approvals), format!("{:?}", Approvals::default()));
        drop(approvals);
        let state = self.process.desk.state.lock();
        let left = format!("{:?}", state.holds);
        for empty in ["questions: {}", "by_subject: {}", "deaths: {}", "by_agent: {}", "by_source: {}", "waiting: 0"] {
            prop_assert!(left.contains(empty), "{empty}: {left}");
        }
        prop_assert!(state.words.is_empty(), "{:?}", state.words);
        drop(state);
        self.accounts()
    }

    /// Each attempt was decided once and ended once, but for those that could not be recorded, which were refused.
    fn accounts(&self) -> Result<(), TestCaseError> {
        let written = self.journal.written.lock();
        let (mut decided, mut ended) = (BTreeMap::<AttemptId, usize>::new(), BTreeMap::<AttemptId, usize>::new());
        for record in written.iter() {
            if let Record::Decided(of) = record {
                *decided.entry(of.id).or_default() += 1;
            } else if let Record::Ended(of) = record {
                *ended.entry(of.id).or_default() += 1;
            }
        }
        prop_assert!(decided.values().chain(ended.values()).all(|count| *count == 1));
        prop_assert_eq!(decided.keys().collect::<Vec<_>>(), ended.keys().collect::<Vec<_>>());
        prop_assert_eq!(decided.len() + self.unrecorded, self.model.attempts.len());
        Ok(())
    }
}

fn peer(who: usize) -> std::net::SocketAddr {
    std::net::SocketAddr::new(WHO[who].1.parse().unwrap(), 1000)
}

fn seen(sight: usize) -> Sight {
    SIGHTS[sight].map_or(Sight::NotYet, |(method, path)| Sight::Seen(Arc::new(Seen::bare(method, path, None))))
}

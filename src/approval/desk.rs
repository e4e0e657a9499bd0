//! The desk: puts questions, takes answers, writes both down before they take effect.
//!
//! Lock order: the desk's own state, then the journal, the store or the approvals, never two of those at once and never the other
//! way round. Whoever holds the approvals' lock calls nothing here. No lock is held over an await.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::answer::ApprovalView;
use super::facts::{Facts, Familiar};
use super::granted::Granted;
use super::holds::{Limits, Question, Weighed, remembered};
use super::news::{Closed, Closing, News};
use super::owed::Owed;
use super::short::typed;
use super::shown::HoldView;
use super::state::{State, Waiter, chance};
use super::store::{Store, StoreError};
use super::whole::SLICE;
use crate::egress::hold::{Asked, Claimed, Desk, HoldInfo, Process, Waiting, Word};
use crate::egress::record::{self, Durable, Place, Record, Recorder};
use crate::policy::Policy;
use crate::policy::approvals::{Approval, ApprovalId, Approvals, Asking, Subject};
use crate::policy::attempt::{AgentId, Attempt, AttemptId};
use crate::policy::decide::HoldTerms;

/// News kept for a subscriber that is behind; past that he lists the questions anew.
const NEWS: usize = 256;

/// The store is told in such steps, in seconds, that a question lives on: not with each attempt of a flood that joins it.
const LIVES_ON_BY: u64 = 10;

/// `[hold]` of `exeat.toml`, but for the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldSettings {
    /// How long a question lives after it was last asked.
    pub pending: Duration,
    /// Questions of one agent.
    pub per_agent: usize,
    /// Questions of one running instance of an agent.
    pub per_source: usize,
    /// Questions in all.
    pub total: usize,
    /// How long a denied question is not asked again.
    pub quiet_after_deny: Duration,
}

/// Where questions are put and answered.
pub struct HoldDesk {
    pub(super) quiet_after_deny: Duration,
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) approvals: Arc<RwLock<Approvals>>,
    /// What names are known to each agent.
    pub(super) familiar: Familiar,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) store: Arc<dyn Store>,
    pub(super) granted: Option<Granted>,
    /// What the store did not take.
    pub(super) owed: Mutex<Vec<Owed>>,
    pub(super) clock: fn() -> SystemTime,
    pub(super) state: Mutex<State>,
    pub(super) changes: watch::Sender<u64>,
    moved: watch::Sender<()>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) wake: Notify,
}

/// What is written before anything takes effect: the journal tells what happened, the store brings it back.
#[derive(Clone, Debug)]
pub struct Books {
    /// The journal.
    pub recorder: Arc<dyn Recorder>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The state folder in which approvals without end stand as text besides; `None` writes none.
    pub state: Option<PathBuf>,
}

impl fmt::Debug for HoldDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldDesk").finish_non_exhaustive()
    }
}

impl HoldDesk {
    /// A desk nobody sits at yet, with what the store kept. The floor of `policy` bounds what may be answered there.
    pub fn new(
        settings: HoldSettings,
        policy: Arc<ArcSwap<Policy>>,
        approvals: Arc<RwLock<Approvals>>,
        books: Books,
    ) -> Result<Arc<Self>, StoreError> {
        Self::with_clock(settings, policy, approvals, books, SystemTime::now)
    }

    /// As `new`, with a clock of the caller's.
    pub fn with_clock(
        settings: HoldSettings,
        policy: Arc<ArcSwap<Policy>>,
        approvals: Arc<RwLock<Approvals>>,
        books: Books,
        clock: fn() -> SystemTime,
    ) -> Result<Arc<Self>, StoreError> {
        let HoldSettings { pending, per_agent, per_source, total, quiet_after_deny } = settings;
        let Books { recorder, store, state } = books;
        let desk = Arc::new(Self {
            quiet_after_deny,
            policy,
            approvals,
            familiar: Familiar::default(),
            recorder,
            store,
            granted: state.as_deref().map(Granted::new),
            owed: Mutex::default(),
            clock,
            state: Mutex::new(State::new(Limits { pending, per_agent, per_source, total })),
            changes: watch::Sender::new(0),
            moved: watch::Sender::new(()),
            news: broadcast::Sender::new(NEWS),
            wake: Notify::new(),
        });
        desk.take_up()?;
        Ok(desk)
    }

    /// Somebody can answer for one agent, or for all, as long as the presence is kept.
    pub fn attach(self: &Arc<Self>, agent: Option<AgentId>) -> Presence {
        self.state.lock().holds.attend(agent.as_ref());
        Presence { desk: Arc::clone(self), agent }
    }

    /// The question of that id, if it is pending.
    pub fn hold(&self, id: &str) -> Option<HoldView> {
        let mut state = self.state.lock();
        self.bury(&mut state, (self.clock)());
        state.holds.view(&typed(id))
    }

    /// Whose question that is, or was where it is over, as long as that is remembered.
    pub fn whose(&self, id: &str) -> Option<AgentId> {
        let (state, id) = (self.state.lock(), typed(id));
        let given = || Some(self.approvals.read().get(*state.given.get(id.as_str())?)?.subject.agent.clone());
        state.whose(&id).cloned().or_else(given)
    }

    /// The approvals in force, the oldest first.
    pub fn approvals(&self) -> Vec<ApprovalView> {
        self.approvals_that(|_| true)
    }

    /// Those that are wanted. They are put into words where nobody waits for it.
    pub(super) fn approvals_that(&self, wanted: impl Fn(&Approval) -> bool) -> Vec<ApprovalView> {
        let state = self.state.lock();
        let found: Vec<Approval> = self.approvals.read().iter().filter(|approval| wanted(approval)).cloned().collect();
        let holds: HashMap<ApprovalId, Arc<str>> = state.given.iter().map(|(hold, id)| (*id, Arc::clone(hold))).collect();
        drop(state);
        let hold = |approval: &Approval| holds.get(&approval.id).map(ToString::to_string);
        let mut approvals: Vec<_> = found.iter().map(|approval| ApprovalView::of(approval, hold(approval))).collect();
        approvals.sort_by_key(|approval| (approval.at, approval.id));
        approvals
    }

    /// When all that was recorded so far is as durable as configured: who answered is told after that. Who was released need not wait for
    /// it, as the decision on him stands behind the answer in the same journal, and he waits for that.
    pub fn durable(&self) -> Durable {
        self.recorder.durable()
    }

    /// Counts up whenever an approval ended, was revoked or denied away: what is open is decided again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What happens to questions from now on. Who falls behind misses the oldest news, and should list the questions again.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Changes whenever a question is opened, asked again, left or over.
    pub fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// How many questions of each agent are pending.
    pub fn pending_by_agent(&self) -> BTreeMap<AgentId, usize> {
        self.state.lock().holds.by_agent().clone()
    }

    /// Does what is due and says when to come back.
    pub(super) fn turn(&self, now: SystemTime) -> Option<SystemTime> {
        self.pay_what_is_owed();
        let mut state = self.state.lock();
        self.bury(&mut state, now);
        let mut approvals = self.approvals.write();
        let lost = approvals.expire(now);
        let end = approvals.next_end(now);
        state.forget_ended(&approvals);
        drop(approvals);
        if lost {
            self.changes.send_modify(|count| *count += 1);
        }
        end.into_iter().chain(state.holds.next_death()).min()
    }

    /// Questions that are over at once have others between them: each is an end in the store. What is not buried yet may be asked again, but not answered.
    pub(super) fn bury(&self, state: &mut State, now: SystemTime) {
        let (dead, told) = state.holds.expire(now, SLICE);
        state.tell(told);
        for question in dead {
            self.over_unanswered(state, &question, Closing::Expired);
        }
    }

    pub(super) fn close(&self, state: &mut State, question: &Question, closed: Closed, word: Word) {
        state.tell(question.waiting.iter().map(|attempt| (*attempt, word.clone())).collect());
        self.over(state, closed);
    }

    /// A row that stays behind for a store that fails does no harm: a start ends what is past its time, and withdraws what is not asked.
    pub(super) fn over_unanswered(&self, state: &mut State, question: &Question, how: Closing) {
        self.end_in_store(&question.id, how);
        self.over(state, Closed::of(question, how));
    }

    pub(super) fn end_in_store(&self, id: &str, how: Closing) {
        if let Err(error) = self.store.close(id, how, (self.clock)()) {
            tracing::warn!(%error, "the end of a question is not kept");
        }
    }

    /// Tells of a question as it stands. What nobody hears is not put into words.
    pub(super) fn tell_news(&self, state: &State, id: &str, news: fn(HoldView) -> News) {
        self.moved.send_replace(());
        if self.news.receiver_count() > 0
            && let Some(hold) = state.holds.view(id)
        {
            let _ = self.news.send(news(hold));
        }
    }

    fn over(&self, state: &mut State, closed: Closed) {
        self.moved.send_replace(());
        state.remember(closed.id.as_str().into(), closed.agent.clone(), closed.how);
        let _ = self.news.send(News::Closed { closed });
    }

    fn open(&self, state: &mut State, id: &Arc<str>, asked: (&Attempt, &HoldTerms), facts: Arc<Facts>) -> Result<(), Unasked> {
        let (attempt, terms) = asked;
        let held = Record::Held(record::Held {
            id: attempt.id,
            hold: id.to_string(),
            agent: attempt.agent.clone(),
            instance: attempt.instance.to_string(),
            destination: Place::new(&attempt.destination, attempt.scheme),
            request: attempt.sight.meant().as_ref().map(record::masked),
            only: terms.asking == Asking::ThisRequest,
            rule: terms.rule.as_ref().map(ToString::to_string),
        });
        self.recorder.record(&held).map_err(|record::Unwritable| Unasked)?;
        state.holds.open(Arc::clone(id), (attempt, terms), facts, (self.clock)());
        let kept = state.holds.get(id).map_or(Ok(()), |question| self.store.open(question));
        if let Err(error) = kept {
            tracing::warn!(%error, "a question cannot be kept and is not asked");
            state.holds.close(id);
            return Err(Unasked);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// A question lives on for being asked again. The store is told as often as a restart would notice.
    fn live_on(&self, question: &Question, before: SystemTime) {
        let told = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / LIVES_ON_BY);
        if told(before) != told(question.dies_at)
            && let Err(error) = self.store.extend(&question.id, question.dies_at)
        {
            tracing::warn!(%error, "a question is kept for less long than it lives");
        }
    }

    /// Whether an id stands for a question already. What the store cannot say, it refuses to keep twice.
    pub(super) fn is_taken(&self, state: &State, id: &str) -> bool {
        state.is_taken(id) || self.store.fate(id).is_ok_and(|fate| fate.is_some())
    }

    /// Whether an answer came between the attempt's decision and its question.
    fn settled(&self, attempt: &Attempt, asking: Asking) -> bool {
        let (now, policy) = ((self.clock)(), self.policy.load());
        let approvals = self.approvals.read();
        approvals.quiet(attempt, asking, now) || approvals.live_under(policy.floor(), attempt, asking, now).is_some()
    }
}

impl Desk for HoldDesk {
    fn would_open(&self, attempt: &Attempt, terms: &HoldTerms) -> bool {
        let (state, subject) = (self.state.lock(), Subject::asked(attempt, terms.asking));
        matches!(state.holds.weigh(&subject, attempt.id, 0, |_| false), Weighed::Open(_))
    }

    fn ask(self: Arc<Self>, attempt: &Attempt, terms: &HoldTerms, process: Option<Process>) -> Asked {
        let now = (self.clock)();
        let (tell, word) = oneshot::channel();
        // A long allowlist is read once, and not while others wait for the desk.
        self.familiar.read(&self.policy.load(), &attempt.agent);
        let mut state = self.state.lock();
        self.bury(&mut state, now);
        if self.settled(attempt, terms.asking) {
            drop(state);
            let _ = tell.send(Word::DecideAgain);
            let nowhere = HoldInfo { id: "".into(), expires_at: now, opened: false };
            return Asked::Waiting(Waiting::new(nowhere, attempt.id, word, self));
        }
        let bits = chance();
        let (id, opened) = match state.holds.weigh(&Subject::asked(attempt, terms.asking), attempt.id, bits, |id| self.is_taken(&state, id))
        {
            Weighed::Full(limit) => return Asked::Full(limit),
            Weighed::Join(id) => (id, false),
            Weighed::Open(id) => (id, true),
        };
        if opened {
            let facts = self.familiar.facts(&self.policy.load(), &Subject::asked(attempt, terms.asking), process);
            if self.open(&mut state, &id, (attempt, terms), Arc::new(facts)).is_err() {
                return Asked::Unrecorded;
            }
        }
        let before = state.holds.get(&id).map_or(now, |question| question.dies_at);
        let waits = state.holds.join(&id, attempt.id, now);
        state.holds.get(&id).into_iter().for_each(|question| self.live_on(question, before));
        let expires_at = state.holds.get(&id).map_or(now, |question| question.dies_at);
        self.tell_news(&state, &id, if opened { |hold| News::Opened { hold } } else { |hold| News::Changed { hold } });
        let info = HoldInfo { id, expires_at, opened };
        if !waits {
            return state.holds.unjoined(&attempt.agent, info);
        }
        state.words.insert(attempt.id, Waiter { tell, attempt: remembered(attempt, terms.asking) });
        drop(state);
        Asked::Waiting(Waiting::new(info, attempt.id, word, self))
    }

    fn leave(&self, hold: &str, attempt: AttemptId) {
        let mut state = self.state.lock();
        if state.holds.leave(hold, attempt) {
            state.words.remove(&attempt);
            self.tell_news(&state, hold, |hold| News::Changed { hold });
        }
    }

    fn claim(&self, approval: ApprovalId, attempt: &Attempt, now: SystemTime) -> Claimed {
        self.use_up(approval, attempt, now)
    }
}

/// A question that cannot be written down.
struct Unasked;

/// Somebody who can answer. Dropping it is leaving.
#[derive(Debug)]
pub struct Presence {
    desk: Arc<HoldDesk>,
    agent: Option<AgentId>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.desk.state.lock();
        let told = state.holds.depart(self.agent.as_ref());
        state.tell(told);
    }
}

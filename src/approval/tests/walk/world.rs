//! The real gate and desk, driven step by step, and what is seen of them from outside.

use std::pin::Pin;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use jiff::civil::Date;
use tokio::runtime::{Builder, Runtime};

use super::caps::Pending;
use super::flaky::Flaky;
use super::process::{Process, Script};
use super::rules::{FOUND, PLACES, SIGHTS, WHO};
use super::*;
use crate::approval::store::Sqlite;
use crate::egress::record::{Front, Record, Ruling};
use crate::egress::{Admission, Claim, Refusal};
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AttemptId, Evidence, Offered};
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

type Admitting = Pin<Box<dyn Future<Output = Result<Admission, Refusal>>>>;

pub(super) struct World {
    // Before the runtime, whose timers they hold.
    pub(super) waiting: Vec<(usize, Admitting)>,
    pub(super) open: Vec<(usize, Admission)>,
    pub(super) people: Vec<Presence>,
    pub(super) process: Process,
    pub(super) runtime: Runtime,
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) journal: Arc<Script>,
    pub(super) store: Arc<Flaky>,
    pub(super) model: Model,
    /// Questions by the order they were first seen in, and what was last shown of them.
    pub(super) shown: Vec<(String, Shown)>,
    /// The yes that was given to a question.
    pub(super) yeses: BTreeMap<String, Uuid>,
    /// How many attempts could not be recorded.
    pub(super) unrecorded: usize,
    pub(super) pending: Pending,
    day: Date,
    /// What this walk came by.
    pub(super) met: BTreeSet<&'static str>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (model, journal) = (Model::under(rules), Arc::new(Script::default()));
        let policy = Arc::new(ArcSwap::from_pointee(model.rules.policy()));
        let store = Arc::new(Flaky::new(Sqlite::in_memory().unwrap()));
        let process = Process::start(&runtime, &policy, &journal, &store).unwrap();
        let (waiting, open, people, shown, yeses) = Default::default();
        let (unrecorded, pending, day, met) = (0, Pending::default(), today(), BTreeSet::new());
        Self { waiting, open, people, process, runtime, policy, journal, store, model, shown, yeses, unrecorded, pending, day, met }
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
            Step::Answer { hold, says } if !self.shown.is_empty() => return self.answer(hold % self.shown.len(), says),
            Step::Carry { open, bytes } if !self.open.is_empty() => return self.carry(open % self.open.len(), bytes),
            Step::Revoke(which) => return self.revoke(which),
            Step::Pass(seconds) => {
                self.pass(Duration::from_secs(seconds.into()));
                self.process.spending.keep();
                if !self.store.broken.load(Ordering::SeqCst) {
                    self.model.spent_kept = self.model.spent;
                }
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
            Step::Poll(_) | Step::HangUp(_) | Step::End(_) | Step::Answer { .. } | Step::Carry { .. } | Step::Go(_) => {}
        }
        Ok(())
    }

    fn pass(&self, time: Duration) {
        pass_time(time);
        self.runtime.block_on(tokio::time::advance(time));
    }

    /// Bytes come to be carried by what is open: as many pass as the limit of a day leaves.
    fn carry(&mut self, at: usize, bytes: u8) -> Result<(), TestCaseError> {
        let (number, admission) = &self.open[at];
        if matches!(admission, Admission::Look(_)) {
            return Ok(());
        }
        if self.model.spent_before > 0 && self.model.limited.contains(number) {
            self.met.insert("bytes of a day before a restart");
        }
        let (passed, may) = (admission.carry(bytes.into()), self.model.carry(*number, bytes.into()));
        prop_assert!(passed as u64 == may || self.is_another_day(), "{passed} of {bytes} bytes pass, not {may}");
        Ok(())
    }

    /// Bytes are counted by the day of the machine, which may end while this runs.
    pub(super) fn is_another_day(&self) -> bool {
        self.day != today()
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
    pub(super) fn look(&mut self) {
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
                    (Admission::Pass(_), Reason::Listed | Reason::Approved) => {
                        self.model.passed(number, *by, now())?;
                        let spent = self.model.is_spent(&self.model.attempts[number]);
                        prop_assert!(!spent || self.is_another_day(), "{number} begins, and has no bytes left");
                        let reaches = self.model.opens(*by).reaches(self.model.rules);
                        prop_assert_eq!(FOUND.map(|address| admission.opens(address)), reaches, "what {} may dial", number);
                    }
                    (Admission::Look(_), Reason::Inspect) => {}
                    other => prop_assert!(false, "{other:?}"),
                }
                self.open.push((number, admission));
            }
            Err(refusal) => {
                self.model.gone.insert(number);
                self.limit_is_met(number, &refusal)?;
                let broken = self.journal.broken.load(Ordering::SeqCst);
                self.unrecorded += usize::from(broken);
                prop_assert_eq!(decided.len(), usize::from(!broken), "{:?}", refusal);
                prop_assert!(decided.iter().all(|(ruling, reason, _)| *ruling == Ruling::Block && *reason == refusal.reason));
            }
        }
        Ok(())
    }

    pub(super) fn hang_up(&mut self, at: usize) -> Result<(), TestCaseError> {
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

    fn now_in_force(&mut self, rules: Rules) {
        self.model.rules = rules;
        let policy = Arc::new(rules.policy());
        self.policy.store(Arc::clone(&policy));
        self.process.desk.policy_changed(&policy);
    }

    /// Nobody answers any more: all who wait have their word, one, and nothing is left of any of it.
    pub(super) fn finish(mut self) -> Result<BTreeSet<&'static str>, TestCaseError> {
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
        self.accounts()?;
        Ok(self.met)
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

fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

fn peer(who: usize) -> std::net::SocketAddr {
    std::net::SocketAddr::new(WHO[who].1.parse().unwrap(), 1000)
}

fn seen(sight: usize) -> Sight {
    SIGHTS[sight].map_or(Sight::NotYet, |(method, path)| Sight::Seen(Arc::new(Seen::bare(method, path, None))))
}

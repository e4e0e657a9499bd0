//! A desk with a journal in memory and a clock in hand, for tests.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::store::{Sqlite, Store};
use super::{Books, HoldDesk, HoldSettings, Lasting, Reply};
use crate::egress::hold::{Asked, Claimed, Desk as _, Waiting};
use crate::egress::record::{Answer, Ended, Record, Recorder, Ruling, Unwritable};
use crate::policy::Policy;
use crate::policy::address::{Addresses, Guard};
use crate::policy::approvals::Approvals;
use crate::policy::approvals::Asking;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Sight};
use crate::policy::decide::HoldTerms;
use crate::policy::destination::{Destination, Port};
use crate::policy::floor::Floor;
use crate::policy::host::Host;

/// How long a question lives, and how long a no echoes.
pub(crate) const PENDING: Duration = Duration::from_secs(900);
pub(crate) const QUIET: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) broken: AtomicBool,
    pub(crate) written: Mutex<Vec<Record>>,
}

impl Recorder for Journal {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Unwritable);
        }
        self.written.lock().push(record.clone());
        Ok(())
    }
    fn settle(&self, _: Ended) {}
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: AttemptId, _: Ruling, _: Duration) {}
}

pub(crate) struct Room {
    pub(crate) desk: Arc<HoldDesk>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    pub(crate) approvals: Arc<RwLock<Approvals>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) store: Arc<Sqlite>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::with_clock(now)
    }

    pub(crate) fn with_clock(clock: fn() -> SystemTime) -> Self {
        Self::made(Arc::new(Sqlite::in_memory().unwrap()), under(Floor::none()), None, clock)
    }

    /// A room with a store that was there before it.
    pub(crate) fn over(store: Arc<Sqlite>, policy: Policy, state: Option<PathBuf>) -> Self {
        Self::made(store, policy, state, now)
    }

    fn made(store: Arc<Sqlite>, policy: Policy, state: Option<PathBuf>, clock: fn() -> SystemTime) -> Self {
        let approvals = Arc::new(RwLock::new(Approvals::default()));
        let journal = Arc::new(Journal::default());
        let settings = HoldSettings { pending: PENDING, per_agent: 3, per_source: 3, total: 4, quiet_after_deny: QUIET };
        let recorder = Arc::clone(&journal) as Arc<dyn Recorder>;
        let policy = Arc::new(ArcSwap::from_pointee(policy));
        let books = Books { recorder, store: Arc::clone(&store) as Arc<dyn Store>, state };
        let desk = HoldDesk::with_clock(settings, Arc::clone(&policy), Arc::clone(&approvals), books, clock).unwrap();
        Self { desk, policy, approvals, journal, store }
    }

    pub(crate) fn ask(&self, attempt: &Attempt) -> Asked {
        let addresses = Arc::new(Addresses { public: true, networks: Vec::new() });
        Arc::clone(&self.desk).ask(attempt, &HoldTerms { rule: None, note: None, addresses, asking: Asking::EveryRequest }, None)
    }

    pub(crate) fn ask_waiting(&self, attempt: &Attempt) -> Waiting {
        match self.ask(attempt) {
            Asked::Waiting(waiting) => waiting,
            Asked::Unattended(_) | Asked::Ending(_) | Asked::Full(_) | Asked::Unrecorded => panic!("nobody is waited for"),
        }
    }

    pub(crate) fn pass(&self, attempt: &Attempt) -> bool {
        let live = self.approvals.read().live(attempt, Asking::EveryRequest, now()).map(|approval| approval.id);
        live.is_some_and(|id| self.desk.claim(id, attempt, now()) == Claimed::Taken)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are told whole")]
    pub(crate) fn kinds(&self) -> Vec<String> {
        let written = self.journal.written.lock();
        let kind = |record: &Record| match record {
            Record::Held(held) => format!("held {}", held.id.0.as_u128()),
            Record::Answered(answered) => format!("answered {}", if answered.answer == Answer::Yes { "yes" } else { "no" }),
            Record::Revoked(_) => "revoked".to_owned(),
            other => format!("{other:?}"),
        };
        written.iter().map(kind).collect()
    }
}

/// A policy of no agent under a floor.
pub(crate) fn under(floor: Floor) -> Policy {
    Policy::under(Arc::new(floor), Vec::new(), no_guard()).unwrap()
}

/// Guards nothing.
pub(crate) fn no_guard() -> Guard {
    Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() }
}

thread_local! {
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static BEGAN: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
}

pub(crate) fn now() -> SystemTime {
    let passed = BEGAN.get().map_or(PASSED.get(), |began| began.elapsed());
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + passed
}

pub(crate) fn pass_time(time: Duration) {
    PASSED.set(PASSED.get() + time);
}

pub(crate) fn follow_tokio() {
    BEGAN.set(Some(tokio::time::Instant::now()));
}

pub(crate) fn yes(lasting: Lasting) -> Reply {
    Reply::Yes { lasting, addresses: None }
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

pub(crate) fn attempt(number: u128, who: &str, place: u8) -> Attempt {
    Attempt {
        id: AttemptId(Uuid::from_u128(number)),
        agent: agent(who),
        instance: Instance("run".into()),
        destination: Destination { host: Host::Address(Ipv4Addr::new(192, 0, 2, place).into()), port: Port(NonZeroU16::new(443).unwrap()) },
        scheme: None,
        sight: Sight::NotYet,
        within: None,
        proven: true,
    }
}

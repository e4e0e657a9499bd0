//! One process: a desk and a gate over a journal that fails when told to, and the store of the process before it.

use arc_swap::ArcSwap;
use jiff::civil::Date;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Runtime;

use super::flaky::Flaky;
use super::*;
use crate::approval::store::{Store, StoreError};
use crate::egress::record::{Ended, Record, Recorder, Ruling, Unwritable};
use crate::egress::{Company, Gate, GateSettings, Ledger, Spending, Spent};
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::AttemptId;

/// How long an attempt waits.
const WAIT: Duration = Duration::from_secs(45);
/// Each is reached while the next is not: two instances of one agent, and another agent.
pub(super) const PER_SOURCE: usize = 3;
pub(super) const PER_AGENT: usize = 4;
pub(super) const TOTAL: usize = 5;

/// A journal in memory that fails when told to, and keeps the ends as well.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) broken: AtomicBool,
    pub(super) written: Mutex<Vec<Record>>,
}

impl Recorder for Script {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Unwritable);
        }
        self.written.lock().push(record.clone());
        Ok(())
    }
    fn settle(&self, ended: Ended) {
        self.written.lock().push(Record::Ended(ended));
    }
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: AttemptId, _: Ruling, _: Duration) {}
}

/// Desk and gate of one process.
pub(super) struct Process {
    pub(super) desk: Arc<HoldDesk>,
    pub(super) gate: Arc<Gate>,
    pub(super) approvals: Arc<RwLock<Approvals>>,
    pub(super) spending: Spending,
    pub(super) running: tokio::task::JoinHandle<()>,
    pub(super) stop: CancellationToken,
}

impl Process {
    pub(super) fn start(
        runtime: &Runtime,
        policy: &Arc<ArcSwap<Policy>>,
        journal: &Arc<Script>,
        store: &Arc<Flaky>,
    ) -> Result<Self, StoreError> {
        let _inside = runtime.enter();
        let approvals = Arc::new(RwLock::new(Approvals::default()));
        let recorder = Arc::clone(journal) as Arc<dyn Recorder>;
        let settings =
            HoldSettings { pending: PENDING, per_agent: PER_AGENT, per_source: PER_SOURCE, total: TOTAL, quiet_after_deny: QUIET };
        let books = Books { recorder: Arc::clone(&recorder), store: Arc::clone(store) as _, state: None };
        let desk = HoldDesk::with_clock(settings, Arc::clone(policy), Arc::clone(&approvals), books, now)?;
        let spending = Spending::open(Arc::clone(store) as _).map_err(|why| StoreError::Broken { path: "store".into(), why })?;
        let company = Company {
            approvals: Arc::clone(&approvals),
            desk: Arc::clone(&desk) as _,
            recorder,
            spending: spending.clone(),
            changed: desk.changes(),
        };
        let settings = GateSettings { hold_wait: WAIT, per_agent: 1_000, refusal_records: u32::MAX };
        let gate = Gate::with_clock(Arc::clone(policy), company, settings, now);
        let stop = CancellationToken::new();
        let running = runtime.spawn(Arc::clone(&desk).run(stop.clone(), stop.clone()));
        Ok(Self { desk, gate, approvals, spending, running, stop })
    }
}

impl Ledger for Flaky {
    fn spent(&self, day: Date) -> Result<Vec<Spent>, String> {
        Store::spent(self, day).map_err(|error| error.to_string())
    }

    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), String> {
        Store::spend(self, day, spent).map_err(|error| error.to_string())
    }
}

//! Journals and desks that do what a test wants of them.

use super::*;
use crate::egress::hold::Word;

/// A journal that is slow enough for a yes to be taken back while it writes.
#[derive(Debug)]
pub(super) struct Revoking {
    pub(super) approvals: Arc<RwLock<Approvals>>,
    pub(super) changes: watch::Sender<u64>,
    pub(super) yes: ApprovalId,
}

impl Recorder for Revoking {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        if let Record::Decided(_) = record {
            assert!(self.approvals.write().revoke(self.yes).is_some());
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }
    fn settle(&self, _: Ended) {}
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: AttemptId, _: Ruling, _: Duration) {}
}

/// Nothing is asked here.
#[derive(Debug, Default)]
pub(super) struct NoDesk(pub(super) Arc<RwLock<Approvals>>);

impl Desk for NoDesk {
    fn would_open(&self, _: &Attempt, _: &HoldTerms) -> bool {
        true
    }
    fn ask(self: Arc<Self>, _: &Attempt, _: &HoldTerms, _: Option<Process>) -> Asked {
        Asked::Unrecorded
    }
    fn leave(&self, _: &str, _: AttemptId) {}
    fn claim(&self, approval: ApprovalId, attempt: &Attempt, now: SystemTime) -> Claimed {
        if self.0.write().claim(approval, attempt, now) { Claimed::Taken } else { Claimed::Gone }
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub(super) struct Written(pub(super) parking_lot::Mutex<Vec<Record>>);

impl Recorder for Written {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        self.0.lock().push(record.clone());
        Ok(())
    }
    fn settle(&self, ended: Ended) {
        self.0.lock().push(Record::Ended(ended));
    }
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: AttemptId, _: Ruling, _: Duration) {}
}

/// A journal whose disk is slow: what it has written is durable when the test says so, or never.
#[derive(Debug, Default)]
pub(super) struct Slow {
    pub(super) written: Written,
    pub(super) waits: parking_lot::Mutex<Vec<tokio::sync::oneshot::Sender<()>>>,
}

impl Recorder for Slow {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        self.written.record(record)
    }
    fn durable(&self) -> Durable {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.waits.lock().push(tell);
        Durable::when(told)
    }
    fn settle(&self, ended: Ended) {
        self.written.settle(ended);
    }
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: crate::policy::attempt::AttemptId, _: crate::egress::record::Ruling, _: Duration) {}
}

/// Tells everybody at once to decide again, so many times, and puts another policy in force with the last.
#[derive(Debug)]
pub(super) struct Restless {
    pub(super) rounds: std::sync::atomic::AtomicU32,
    pub(super) policy: Arc<ArcSwap<Policy>>,
    pub(super) last: Policy,
}

impl Desk for Restless {
    fn would_open(&self, _: &Attempt, _: &HoldTerms) -> bool {
        true
    }
    fn ask(self: Arc<Self>, attempt: &Attempt, _: &HoldTerms, _: Option<Process>) -> Asked {
        if self.rounds.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            self.policy.store(Arc::new(self.last.clone()));
        }
        let (tell, word) = tokio::sync::oneshot::channel();
        tell.send(Word::DecideAgain).unwrap();
        let info = crate::egress::hold::HoldInfo { id: "a1".into(), expires_at: SystemTime::now(), opened: false };
        Asked::Waiting(crate::egress::hold::Waiting::new(info, attempt.id, word, self))
    }
    fn leave(&self, _: &str, _: AttemptId) {}
    fn claim(&self, _: ApprovalId, _: &Attempt, _: SystemTime) -> Claimed {
        Claimed::Unkept
    }
}

/// Nobody answers; the first to ask opens the question.
#[derive(Debug, Default)]
pub(super) struct Asks(pub(super) std::sync::atomic::AtomicBool);

impl Desk for Asks {
    fn would_open(&self, _: &Attempt, _: &HoldTerms) -> bool {
        true
    }
    fn ask(self: Arc<Self>, _: &Attempt, _: &HoldTerms, _: Option<Process>) -> Asked {
        let opened = !self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        Asked::Unattended(crate::egress::hold::HoldInfo { id: "a1".into(), expires_at: SystemTime::now(), opened })
    }
    fn leave(&self, _: &str, _: AttemptId) {}
    fn claim(&self, _: ApprovalId, _: &Attempt, _: SystemTime) -> Claimed {
        Claimed::Unkept
    }
}

//! A store that fails when told to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use jiff::civil::Date;
use parking_lot::Mutex;

use super::*;
use crate::approval::holds::{Question, Yes};
use crate::approval::store::{Approver, Freeze, Kept, Spent, Sqlite, Store, StoreError, Whom};
use crate::policy::approvals::{Approval, ApprovalId, Echo, Subject};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;

#[derive(Debug)]
pub(super) struct Flaky {
    pub(super) broken: AtomicBool,
    /// What it says where it is broken.
    pub(super) why: Mutex<StoreError>,
    /// How often it was asked for anything.
    pub(super) calls: AtomicUsize,
    store: Sqlite,
}

impl Flaky {
    pub(super) fn new(store: Sqlite) -> Self {
        let why = Mutex::new(StoreError::Broken { path: "store".into(), why: "as told".to_owned() });
        Self { broken: AtomicBool::new(false), why, calls: AtomicUsize::new(0), store }
    }

    pub(super) fn breaks(&self, fails: bool) {
        self.broken.store(fails, Ordering::SeqCst);
    }

    fn works(&self) -> Result<&Sqlite, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) { Err(self.why.lock().clone()) } else { Ok(&self.store) }
    }
}

impl Store for Flaky {
    fn kept(&self, now: SystemTime) -> Result<Kept, StoreError> {
        self.works()?.kept(now)
    }

    fn open(&self, question: &Question) -> Result<(), StoreError> {
        self.works()?.open(question)
    }

    fn extend(&self, hold: &str, dies_at: SystemTime) -> Result<(), StoreError> {
        self.works()?.extend(hold, dies_at)
    }

    fn close(&self, hold: &str, how: Closing, at: SystemTime) -> Result<bool, StoreError> {
        self.works()?.close(hold, how, at)
    }

    fn agree(&self, hold: &str, yes: &Yes, at: SystemTime) -> Result<bool, StoreError> {
        self.works()?.agree(hold, yes, at)
    }

    fn approve(&self, hold: &str, approval: &Approval) -> Result<bool, StoreError> {
        self.works()?.approve(hold, approval)
    }

    fn deny(&self, hold: &str, subject: &Subject, at: SystemTime, echo: &Echo) -> Result<bool, StoreError> {
        self.works()?.deny(hold, subject, at, echo)
    }

    fn claim(&self, approval: ApprovalId) -> Result<bool, StoreError> {
        self.works()?.claim(approval)
    }

    fn end(&self, approval: ApprovalId, at: SystemTime) -> Result<bool, StoreError> {
        self.works()?.end(approval, at)
    }

    fn fate(&self, hold: &str) -> Result<Option<Option<Closing>>, StoreError> {
        self.works()?.fate(hold)
    }

    fn asked_before(&self, agent: &AgentId, destination: &Destination) -> Result<bool, StoreError> {
        self.works()?.asked_before(agent, destination)
    }

    fn forget(&self, before: SystemTime) -> Result<usize, StoreError> {
        self.works()?.forget(before)
    }

    fn approvers(&self) -> Result<Vec<Approver>, StoreError> {
        self.works()?.approvers()
    }

    fn add_approver(&self, approver: &Approver) -> Result<bool, StoreError> {
        self.works()?.add_approver(approver)
    }

    fn remove_approver(&self, name: &str) -> Result<bool, StoreError> {
        self.works()?.remove_approver(name)
    }

    fn freezes(&self) -> Result<Vec<Freeze>, StoreError> {
        self.works()?.freezes()
    }

    fn freeze(&self, freeze: &Freeze) -> Result<bool, StoreError> {
        self.works()?.freeze(freeze)
    }

    fn thaw(&self, whom: &Whom) -> Result<bool, StoreError> {
        self.works()?.thaw(whom)
    }

    fn spent(&self, day: Date) -> Result<Vec<Spent>, StoreError> {
        self.works()?.spent(day)
    }

    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), StoreError> {
        self.works()?.spend(day, spent)
    }
}

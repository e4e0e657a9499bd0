//! The writing end of one slot: what is open, what is owed, and when a checkpoint is made.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::seal::Sealer;
use super::tail::Tail;
use super::{JournalError, Witness};
use crate::egress::record::{Ended, Millis, Outcome, Record, Stopped, Unwritable};
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::reason::Reason;

/// What the last word on an open attempt needs, should nobody say it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) agent: Option<AgentId>,
    pub(super) reason: Reason,
}

impl Open {
    pub(super) fn lost(self, id: AttemptId) -> Ended {
        let Self { agent, reason } = self;
        let (outcome, address, status, tls, leak, secret) = (Outcome::Lost, None, None, None, None, None);
        Ended { id, agent, outcome, reason, address, bytes_up: 0, bytes_down: 0, status, tls, leak, secret, ms: Millis::default() }
    }
}

/// Attempts with a `decided` and no `ended`.
pub(super) type OpenAttempts = BTreeMap<AttemptId, Open>;

/// Keeps account of what is open.
pub(super) fn follow(open: &mut OpenAttempts, record: &Record) {
    match record {
        Record::Started(_) => open.clear(),
        Record::Decided(decided) => {
            open.insert(decided.id, Open { agent: decided.agent.clone(), reason: decided.reason });
        }
        Record::Ended(ended) => {
            open.remove(&ended.id);
        }
        Record::Stopped(_) | Record::Policy(_) | Record::Held(_) | Record::Answered(_) | Record::Revoked(_) => {}
        Record::Approver(_) | Record::Cut(_) => {}
        Record::Frozen(_) | Record::Thawed(_) => {}
        Record::Progress(_) | Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {}
    }
}

/// Writes a slot's records.
#[derive(Debug)]
pub(super) struct Writer {
    tail: Tail,
    sealer: Sealer,
    /// Lines to be written before any other, of the last process and of this one's start; nobody is told of them.
    first: VecDeque<Record>,
    owed: VecDeque<Record>,
    open: OpenAttempts,
    problem: Option<JournalError>,
    stopped: bool,
    /// A segment was begun since this was last asked.
    begun: bool,
}

impl Writer {
    pub(super) fn new(tail: Tail, sealer: Sealer, first: VecDeque<Record>) -> Self {
        Self { tail, sealer, first, owed: VecDeque::new(), open: OpenAttempts::new(), problem: None, stopped: false, begun: false }
    }

    /// Writes the first lines and `stopped`, for a slot nothing else is to be written in.
    pub(super) fn close(mut self) -> Result<(), JournalError> {
        for record in std::mem::take(&mut self.first) {
            self.write(&record)?;
        }
        self.end()
    }

    pub(super) fn slot(&self) -> &str {
        &self.tail.slot.name
    }

    pub(super) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }

    /// Writes the first lines if that can be; `healthy` tells.
    pub(super) fn begin(&mut self) {
        // They are kept, and written before anything else.
        let _ = self.pay(&mut |_| ());
    }

    pub(super) fn append(&mut self, record: &Record, written: Witness<'_>) -> Result<(), Unwritable> {
        if self.stopped {
            return Err(Unwritable);
        }
        self.pay(written)?;
        self.put(record, written)
    }

    pub(super) fn settle(&mut self, ended: Ended, written: Witness<'_>) -> Result<(), Unwritable> {
        // After `stopped` the last word has been said as `lost`.
        if self.stopped && !self.open.contains_key(&ended.id) {
            return Ok(());
        }
        self.owed.push_back(Record::Ended(ended));
        self.pay(written)
    }

    pub(super) fn stop(&mut self, written: Witness<'_>) -> Result<(), Unwritable> {
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
        self.pay(written)?;
        for (id, attempt) in self.open.clone() {
            self.put(&Record::Ended(attempt.lost(id)), written)?;
        }
        // Nothing stands behind `stopped`, no checkpoint either: a start looks for it at the end.
        let stopped = Record::Stopped(Stopped {});
        let result = self.end();
        let well = result.is_ok();
        self.judge(result);
        if !well {
            return Err(Unwritable);
        }
        written(&stopped);
        Ok(())
    }

    /// Makes a checkpoint where it is time for one.
    pub(super) fn turn(&mut self, now: Instant, written: Witness<'_>) {
        self.sealer.pay();
        if !self.stopped && self.problem.is_none() && self.sealer.is_due_at(&self.tail.tree, now) {
            self.seal(written);
        }
    }

    pub(super) fn healthy(&self) -> Result<(), String> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(problem.to_string()))
    }

    pub(super) fn probe(&mut self, written: Witness<'_>) -> Result<(), String> {
        // An error is told by `healthy` below.
        if self.pay(written).is_ok() {
            let tried = if self.problem.is_some() { self.tail.try_room() } else { self.tail.ready(0) };
            self.judge(tried);
        }
        self.healthy()
    }

    /// Writes what is owed, oldest first.
    fn pay(&mut self, written: Witness<'_>) -> Result<(), Unwritable> {
        while let Some(record) = self.first.pop_front() {
            if let Err(error) = self.put(&record, &mut |_| ()) {
                self.first.push_front(record);
                return Err(error);
            }
            if self.first.is_empty() && self.sealer.is_behind(&self.tail.tree) {
                self.seal(written);
            }
        }
        while let Some(record) = self.owed.pop_front() {
            if let Err(error) = self.put(&record, written) {
                self.owed.push_front(record);
                return Err(error);
            }
        }
        Ok(())
    }

    fn put(&mut self, record: &Record, written: Witness<'_>) -> Result<(), Unwritable> {
        let result = self.write(record);
        let well = result.is_ok();
        self.judge(result);
        if !well {
            return Err(Unwritable);
        }
        written(record);
        self.own(written);
        Ok(())
    }

    /// What the journal has to say of itself after a record.
    fn own(&mut self, written: Witness<'_>) {
        if let Some(gap) = self.tail.take_missing() {
            let gap = Record::Gap(gap);
            let result = self.write(&gap);
            match result.is_ok() {
                true => written(&gap),
                false => self.owed.push_front(gap),
            }
            self.judge(result);
        }
        let begun = self.tail.take_begun();
        self.begun |= begun;
        if begun && self.first.is_empty() || self.sealer.is_due(&self.tail.tree) {
            self.seal(written);
        }
    }

    fn seal(&mut self, written: Witness<'_>) {
        if self.sealer.owes() {
            return;
        }
        let result = self.tail.seal(&self.sealer);
        // The checkpoint of a segment's beginning is this one, if its line began it.
        self.begun |= self.tail.take_begun();
        let result = result.map(|sealed| {
            self.tail.wrote();
            self.sealer.keep(sealed.clone(), self.tail.tree.size());
            written(&Record::Sealed(sealed));
        });
        self.judge(result);
    }

    /// Writes `stopped`. The last checkpoint covers it and has no line: it would be one that no checkpoint covers.
    fn end(&mut self) -> Result<(), JournalError> {
        self.sealer.stops()?;
        self.write(&Record::Stopped(Stopped {}))?;
        let sealed = self.sealer.seal(&self.tail.tree);
        self.tail.wrote();
        self.sealer.keep(sealed, self.tail.tree.size());
        self.sealer.finish();
        Ok(())
    }

    fn judge(&mut self, result: Result<(), JournalError>) {
        match (result, &self.problem) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::warn!(slot = self.slot(), "the journal can be written again");
                self.problem = None;
            }
            (Err(problem), before) => {
                if before.is_none() {
                    tracing::error!("{problem}");
                }
                self.problem = Some(problem);
            }
        }
    }

    fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        self.tail.write(record)?;
        follow(&mut self.open, record);
        Ok(())
    }
}

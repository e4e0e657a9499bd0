//! The writing end of one slot: whole lines or nothing, and what could not be written is owed.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::line::{LONGEST, Line, VERSION};
use super::recover::Left;
use super::slot::{Slot, open_file, same_file, segments};
use super::{Doing, JournalError, Terms, Witness};
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
        let (outcome, address, status, tls) = (Outcome::Lost, None, None, None);
        Ended { id, agent, outcome, reason, address, bytes_up: 0, bytes_down: 0, status, tls, ms: Millis::default() }
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
        Record::Progress(_) | Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {}
    }
}

/// Appends to the newest segment of a slot.
#[derive(Debug)]
pub(super) struct Writer {
    slot: Slot,
    terms: Terms,
    file: Arc<File>,
    number: u64,
    /// Up to here the segment holds whole lines.
    good: u64,
    /// Bytes of a failed write may stand behind `good`.
    torn: bool,
    seq: u64,
    /// Lines to be written before any other, of the last process and of this one's start; nobody is told of them.
    first: VecDeque<Record>,
    owed: VecDeque<Record>,
    open: OpenAttempts,
    problem: Option<JournalError>,
    stopped: bool,
}

impl Writer {
    pub(super) fn new(slot: Slot, terms: &Terms, left: &Left, first: VecDeque<Record>) -> Result<Self, JournalError> {
        let number = left.number.max(1);
        let path = slot.segment(number);
        let file = open_file(&path, OpenOptions::new().create(true)).map_err(|error| JournalError::new(Doing::Open, &path, error))?;
        if let (Some(commit), Some(journal)) = (&terms.commit, slot.folder.parent()) {
            journal.parent().into_iter().chain([journal, &slot.folder]).for_each(|folder| commit.made_in(folder));
        }
        let (terms, file) = (terms.clone(), Arc::new(file));
        let (good, seq) = (left.length, left.seq.saturating_add(1));
        let (owed, open, problem) = (VecDeque::new(), OpenAttempts::new(), None);
        Ok(Self { slot, terms, file, number, good, torn: false, seq, first, owed, open, problem, stopped: false })
    }

    /// Writes the first lines and `stopped`, for a slot nothing else is to be written in.
    pub(super) fn close(mut self) -> Result<(), JournalError> {
        for record in std::mem::take(&mut self.first) {
            self.write(&record)?;
        }
        self.write(&Record::Stopped(Stopped {}))
    }

    pub(super) fn slot(&self) -> &str {
        &self.slot.name
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
        self.put(&Record::Stopped(Stopped {}), written)
    }

    pub(super) fn healthy(&self) -> Result<(), String> {
        self.problem.as_ref().map_or(Ok(()), |problem| Err(problem.to_string()))
    }

    pub(super) fn probe(&mut self, written: Witness<'_>) -> Result<(), String> {
        // An error is told by `healthy` below.
        if self.pay(written).is_ok() {
            let tried = if self.problem.is_some() { self.try_room() } else { self.ready(0) };
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
        Ok(())
    }

    fn judge(&mut self, result: Result<(), JournalError>) {
        match (result, &self.problem) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::warn!(slot = self.slot.name, "the journal can be written again");
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

    /// One record, one line, one `write(2)`: all of it, or nothing stays.
    fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        let at = Timestamp::now();
        let line = Line { v: VERSION, seq: self.seq, at, record }.render().map_err(|error| self.failed(error))?;
        if line.len() > LONGEST {
            return Err(self.failed(io::Error::new(io::ErrorKind::InvalidData, "the record is too long for a line")));
        }
        self.ready(line.len() as u64)?;
        self.write_whole(line.as_bytes()).map_err(|error| self.failed(error))?;
        if let Some(commit) = &self.terms.commit {
            commit.wrote(&self.file, &self.path());
        }
        self.good += line.len() as u64;
        self.seq = self.seq.saturating_add(1);
        follow(&mut self.open, record);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> JournalError {
        JournalError::new(Doing::Write, &self.path(), error)
    }

    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.torn = true;
        let result = loop {
            match (&*self.file).write(bytes) {
                Ok(length) if length == bytes.len() => break Ok(()),
                Ok(_) => break Err(io::Error::from(io::ErrorKind::StorageFull)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(()) => self.torn = false,
            // The write's own error is the one to tell; `torn` remembers that this failed too.
            Err(_) => drop(self.cut()),
        }
        result
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.good)?;
        self.torn = false;
        Ok(())
    }

    /// Makes the file ready for `length` more bytes: still in its place, free of torn bytes, not too long.
    fn ready(&mut self, length: u64) -> Result<(), JournalError> {
        if let Some(failed) = self.terms.commit.as_ref().and_then(|commit| commit.failure()) {
            return Err(failed);
        }
        if !self.slot.in_place() {
            return Err(self.failed(io::Error::new(io::ErrorKind::NotFound, "the folder was removed or replaced")));
        }
        if self.torn {
            self.cut().map_err(|error| self.failed(error))?;
        }
        // A segment that was removed, moved or changed by others is left as it is; the gap in `seq` tells of it.
        let ours = match same_file(&self.file, &self.path()) {
            Ok(found) => found == Some(self.good),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(self.failed(error)),
        };
        if !ours {
            tracing::warn!(segment = %self.path().display(), "a segment was removed or changed by others; the journal goes on in the next");
        }
        if !ours || (self.good > 0 && self.good + length > self.terms.settings.segment) { self.next_segment() } else { Ok(()) }
    }

    /// Goes on behind every segment there is, whoever made it: readers go by the numbers.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        let numbers = segments(&self.slot.folder).map_err(|error| JournalError::new(Doing::List, &self.slot.folder, error))?;
        let newest = numbers.last().map_or(self.number, |newest| self.number.max(*newest));
        let path = self.slot.segment(newest.saturating_add(1));
        let file = open_file(&path, OpenOptions::new().create_new(true)).map_err(|error| JournalError::new(Doing::Create, &path, error))?;
        if let Some(commit) = &self.terms.commit {
            commit.made_in(&self.slot.folder);
        }
        (self.file, self.number, self.good, self.torn) = (Arc::new(file), newest.saturating_add(1), 0, false);
        Ok(())
    }

    /// Whether a block of bytes finds room; they are cut away at once, and a kill between leaves a torn line that is repaired.
    fn try_room(&mut self) -> Result<(), JournalError> {
        self.ready(0)?;
        self.write_whole(&[b' '; 4096]).and_then(|()| self.cut()).map_err(|error| self.failed(error))
    }

    fn path(&self) -> PathBuf {
        self.slot.segment(self.number)
    }
}

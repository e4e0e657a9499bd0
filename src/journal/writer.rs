//! The writing end of one slot: whole lines or nothing, and what could not be written is owed.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;

use super::line::{LONGEST, Line, VERSION};
use super::slot::{Slot, open_file, same_file};
use super::{Doing, JournalError, Witness};
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
    fn lost(self, id: AttemptId) -> Ended {
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
    }
}

/// Where a slot's log ends.
#[derive(Debug)]
pub(super) struct Tail {
    /// The newest segment's number; 0 where there is none.
    pub(super) number: u64,
    /// Its length.
    pub(super) length: u64,
    /// The next line's number.
    pub(super) seq: u64,
    pub(super) open: OpenAttempts,
}

/// Appends to the newest segment of a slot.
#[derive(Debug)]
pub(super) struct Writer {
    slot: Slot,
    segment_bytes: u64,
    file: File,
    number: u64,
    /// Up to here the segment holds whole lines.
    good: u64,
    /// Bytes of a failed write may stand behind `good`.
    torn: bool,
    seq: u64,
    owed: VecDeque<Record>,
    open: OpenAttempts,
    problem: Option<String>,
    stopped: bool,
}

impl Writer {
    pub(super) fn new(slot: Slot, segment_bytes: u64, tail: Tail) -> Result<Self, JournalError> {
        let Tail { number, length, seq, open } = tail;
        let number = number.max(1);
        let path = slot.segment(number);
        let file = open_file(&path, OpenOptions::new().create(true)).map_err(|source| JournalError::new(Doing::Open, &path, source))?;
        let (owed, problem) = (VecDeque::new(), None);
        Ok(Self { slot, segment_bytes, file, number, good: length, torn: false, seq, owed, open, problem, stopped: false })
    }

    /// Writes a line as part of opening, where the system's words are wanted.
    pub(super) fn begin(&mut self, record: Record) -> Result<(), JournalError> {
        self.write(&record).map_err(|source| JournalError::new(Doing::Write, &self.slot.segment(self.number), source))
    }

    /// Says the last word on everything that is open; the number of attempts.
    pub(super) fn lose(&mut self) -> Result<usize, JournalError> {
        let open = self.open.clone();
        let lost = open.len();
        for (id, attempt) in open {
            self.begin(Record::Ended(attempt.lost(id)))?;
        }
        Ok(lost)
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
        self.problem.clone().map_or(Ok(()), Err)
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

    fn judge(&mut self, result: io::Result<()>) {
        match (result, &self.problem) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::warn!(slot = self.slot.name, "the journal can be written again");
                self.problem = None;
            }
            (Err(error), before) => {
                let problem = format!("the journal cannot be written: {}: {error}", self.slot.segment(self.number).display());
                if before.is_none() {
                    tracing::error!("{problem}");
                }
                self.problem = Some(problem);
            }
        }
    }

    /// One record, one line, one `write(2)`: all of it, or nothing stays.
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = Line { v: VERSION, seq: self.seq, at: Timestamp::now(), record }.render()?;
        if line.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is too long for a line"));
        }
        self.ready(line.len() as u64)?;
        self.write_whole(line.as_bytes())?;
        self.good += line.len() as u64;
        self.seq += 1;
        follow(&mut self.open, record);
        Ok(())
    }

    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.torn = true;
        let result = loop {
            match (&self.file).write(bytes) {
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
    fn ready(&mut self, length: u64) -> io::Result<()> {
        if !self.slot.in_place() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the folder was removed or replaced"));
        }
        if self.torn {
            self.cut()?;
        }
        // A segment that was removed, moved or changed by others is left as it is; the gap in `seq` tells of it.
        let ours = match same_file(&self.file, &self.path()) {
            Ok(found) => found == Some(self.good),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !ours {
            tracing::warn!(segment = %self.path().display(), "a segment was removed or changed by others; the journal goes on in the next");
        }
        if !ours || (self.good > 0 && self.good + length > self.segment_bytes) { self.next_segment() } else { Ok(()) }
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        let file = open_file(&self.slot.segment(number), OpenOptions::new().create_new(true))?;
        (self.file, self.number, self.good, self.torn) = (file, number, 0, false);
        Ok(())
    }

    /// Whether a block of bytes finds room; they are cut away at once, and a kill between leaves a torn line that is repaired.
    fn try_room(&mut self) -> io::Result<()> {
        self.ready(0)?;
        self.write_whole(&[b' '; 4096])?;
        self.cut()
    }

    fn path(&self) -> PathBuf {
        self.slot.segment(self.number)
    }
}

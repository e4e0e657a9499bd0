//! The journal: what is decided is here before it takes effect, and sinks follow it.
//!
//! Append-only segments of JSON lines, one slot a process. A line is one `write(2)` under one lock: a kill loses nothing.
//! What cannot be written is an error to whoever asked, never a line dropped.

mod line;
mod read;
mod recover;
mod slot;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::egress::record::{Ended, Record, Started, Unwritable};
use slot::Slot;
use writer::Writer;

pub use line::Line;
pub use read::{BadLine, Entry, Reader};

/// Where the journal lies in a state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("journal")
}

/// The journal of this process: one slot, held until this is dropped.
#[derive(Debug)]
pub struct Journal {
    slot: String,
    writer: Mutex<Writer>,
}

/// A journal ready to be written, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The slots that had not been left in order.
    pub recovered: Vec<Recovered>,
}

/// What was wrong with one slot, and is repaired as far as it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The slot's name.
    pub slot: String,
    /// Bytes of a torn last line that were cut away.
    pub torn: u64,
    /// Attempts that were open when the process died; each got its `ended`.
    pub lost: usize,
    /// Lines that are no records. They are left as they are.
    pub bad_lines: u64,
}

/// Called with each record that was written, in order.
pub type Witness<'a> = &'a mut dyn FnMut(&Record);

impl Journal {
    /// Repairs every slot that no process holds, takes the first of them or a new one, and writes `started`.
    /// A segment ends when the next line would make it longer than `segment_bytes`.
    pub fn open(state: &Path, segment_bytes: u64) -> Result<Opened, JournalError> {
        let mut ours = None;
        let mut recovered = Vec::new();
        for slot in Slot::take_all(&folder(state))? {
            let name = slot.name.clone();
            let (writer, report) = recover::recover(slot, segment_bytes)?;
            ours.get_or_insert((name, writer, report.torn));
            if report.torn > 0 || report.lost > 0 || report.bad_lines > 0 {
                recovered.push(report);
            }
        }
        let Some((slot, mut writer, torn)) = ours else {
            return Err(JournalError::NoSlot { folder: folder(state), most: 0 });
        };
        let repaired = (torn > 0).then_some(torn);
        let started = Started { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), repaired };
        writer.begin(Record::Started(started))?;
        Ok(Opened { journal: Self { slot, writer: Mutex::new(writer) }, recovered })
    }

    /// The slot's name, `proxy-1` and so on.
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Writes what is owed and then this record. On an error nothing of this record stays in the segment.
    pub fn record(&self, record: &Record, written: Witness<'_>) -> Result<(), Unwritable> {
        self.writer.lock().append(record, written)
    }

    /// Writes the last word on an attempt. An error says that it is kept, and written before anything else.
    pub fn settle(&self, ended: Ended, written: Witness<'_>) -> Result<(), Unwritable> {
        self.writer.lock().settle(ended, written)
    }

    /// Writes `ended` with outcome `lost` for what is still open, then `stopped`. Nothing is written after it.
    pub fn stop(&self, written: Witness<'_>) -> Result<(), Unwritable> {
        self.writer.lock().stop(written)
    }

    /// What stood in the way of the last write, in words for operators.
    pub fn healthy(&self) -> Result<(), String> {
        self.writer.lock().healthy()
    }

    /// As `healthy`, after trying again where the last write failed. Adds no line but those owed.
    pub fn probe(&self, written: Witness<'_>) -> Result<(), String> {
        self.writer.lock().probe(written)
    }
}

/// What was being done to a file or folder of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Making a folder.
    Create,
    /// Listing a folder.
    List,
    /// Opening a file.
    Open,
    /// Locking a slot.
    Lock,
    /// Reading a segment.
    Read,
    /// Cutting a torn line away.
    Repair,
    /// Writing a line.
    Write,
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Doing::Create => "created",
            Doing::List => "listed",
            Doing::Open => "opened",
            Doing::Lock => "locked",
            Doing::Read => "read",
            Doing::Repair => "repaired",
            Doing::Write => "written",
        }
    }
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file or folder of it failed.
    #[error("the journal's {} cannot be {}: {source}", path.display(), doing.word())]
    File {
        /// What was being done.
        doing: Doing,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every slot is held by a process.
    #[error("all {most} slots under {} are held by other processes", folder.display())]
    NoSlot {
        /// The journal's folder.
        folder: PathBuf,
        /// How many slots there may be.
        most: u32,
    },
}

impl JournalError {
    fn new(doing: Doing, path: &Path, source: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

//! The journal: what is decided is here before it takes effect, and sinks follow it.
//!
//! Append-only segments of JSON lines, one slot a process. A line is one `write(2)` under one lock: a kill loses nothing.
//! What cannot be written is an error to whoever asked, never a line dropped.

mod commit;
mod line;
pub mod note;
mod read;
mod recover;
mod retain;
mod seal;
mod second;
mod settings;
mod slot;
mod tail;
mod take;
mod thin;
mod told;
mod tree;
pub mod verify;
mod writer;

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::egress::record::{Durable, Ended, Record, Unwritable};
use commit::Commit;
use note::{Key, KeyError};
use take::{Found, take};
use writer::Writer;

pub use line::Line;
pub use read::{Astray, BadLine, Entry, Misplaced, Position, Positions, Reader, latest, newest};
pub use retain::Followers;
pub use settings::{Disk, Durability, Settings, SystemDisk};
pub use told::untold;
pub use tree::Tree;

/// Where the journal lies in a state folder.
pub fn folder(state: &Path) -> PathBuf {
    state.join("journal")
}

/// The journal of this process: one slot, held until this is dropped. Where none can be had yet, nothing can be written.
#[derive(Debug)]
pub struct Journal {
    seat: Mutex<Seat>,
}

/// A journal, ready to be written unless `healthy` says otherwise, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// The slots that had not been left in order.
    pub recovered: Vec<Recovered>,
    /// The slots that were left alone, as they belong to another user or cannot be put in order. Neither stops a start.
    pub skipped: Vec<Skipped>,
}

/// A slot that could not be had.
#[derive(Debug)]
pub struct Skipped {
    /// The slot's name.
    pub slot: String,
    /// What stood in the way.
    pub why: JournalError,
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
    /// Puts every slot that no process holds in order, takes the first of them or a new one, and writes `started`.
    /// A number in place of settings is the length of a segment; all else is the default then.
    ///
    /// Where the folder or the disk stands in the way, the journal is not healthy, and each later use tries again;
    /// what is found then is logged. An error is only that others hold all slots.
    pub fn open(state: &Path, settings: impl Into<Settings>) -> Result<Opened, JournalError> {
        let mut seat =
            Seat { folder: folder(state), terms: Terms::new(state, settings.into()), writer: None, problem: None, stopped: false };
        let mut found = Found::default();
        match seat.take(&mut found) {
            Err(error @ JournalError::NoSlot { .. }) => return Err(error),
            Err(problem @ (JournalError::File { .. } | JournalError::Key(_) | JournalError::OtherKey { .. })) => {
                tracing::error!("{problem}");
                seat.problem = Some(problem);
            }
            Ok(()) => {}
        }
        for path in slot::strange(&seat.folder).unwrap_or_default() {
            tracing::warn!(path = %path.display(), "this is none of the journal's and is left alone");
        }
        let Found { recovered, skipped } = found;
        Ok(Opened { journal: Self { seat: Mutex::new(seat) }, recovered, skipped })
    }

    /// The slot's name, `proxy-1` and so on, once there is one.
    pub fn slot(&self) -> Option<String> {
        self.seat.lock().writer.as_ref().map(|writer| writer.slot().to_owned())
    }

    /// Writes what is owed and then this record. On an error nothing of this record stays in the segment.
    pub fn record(&self, record: &Record, written: Witness<'_>) -> Result<(), Unwritable> {
        self.seat.lock().writer()?.append(record, written)
    }

    /// Writes the last word on an attempt. An error says that it is kept, and written before anything else;
    /// nothing is kept where there never was a slot, as nothing was decided.
    pub fn settle(&self, ended: Ended, written: Witness<'_>) -> Result<(), Unwritable> {
        self.seat.lock().writer()?.settle(ended, written)
    }

    /// Writes `ended` with outcome `lost` for what is still open, then `stopped`. Nothing is written after it.
    pub fn stop(&self, written: Witness<'_>) -> Result<(), Unwritable> {
        let mut seat = self.seat.lock();
        seat.stopped = true;
        seat.writer()?.stop(written)
    }

    /// When all that is written by now is as durable as the settings say.
    pub fn durable(&self) -> Durable {
        let seat = self.seat.lock();
        seat.terms.commit.as_ref().map_or_else(Durable::already, |commit| commit.durable())
    }

    /// Waits in this thread until all that is written is as durable as the settings say; `false` where that failed.
    fn wait_for_disk(&self) -> bool {
        let commit = self.seat.lock().terms.commit.clone();
        commit.is_none_or(|commit| commit.wait())
    }

    /// Does what is due by the time: checkpoints, and a sync of what nobody waits for. To be called every second or so.
    pub fn turn(&self, now: Instant, written: Witness<'_>) {
        let mut seat = self.seat.lock();
        seat.terms.notes.soon();
        if let Some(writer) = &mut seat.writer {
            writer.turn(now, written);
        }
    }

    /// Waits until the checkpoints made so far stand in their place.
    #[cfg(test)]
    fn keep_notes(&self) {
        let mut seat = self.seat.lock();
        let notes = Arc::clone(&seat.terms.notes);
        for _ in 0..3 {
            assert!(notes.wait());
            seat.writer.as_mut().expect("there is a slot").turn(Instant::now(), &mut |_| ());
        }
        assert!(notes.wait());
    }

    /// Whether a segment was begun since the last call.
    pub fn take_begun(&self) -> bool {
        self.seat.lock().writer.as_mut().is_some_and(Writer::take_begun)
    }

    /// What stood in the way of the last write, in words for operators.
    pub fn healthy(&self) -> Result<(), String> {
        self.seat.lock().healthy()
    }

    /// As `healthy`, after trying again where the last write failed. Adds no line but those owed.
    pub fn probe(&self, written: Witness<'_>) -> Result<(), String> {
        let mut seat = self.seat.lock();
        match seat.writer() {
            Ok(writer) => writer.probe(written)?,
            Err(Unwritable) => seat.healthy()?,
        }
        match seat.terms.commit.as_ref().and_then(|commit| commit.hangs(SLOW)) {
            None => Ok(()),
            Some(hangs) => Err(format!("the disk has not synced the journal for {} s: what is decided waits for it", hangs.as_secs())),
        }
    }
}

/// A sync that takes so long is told as a trouble.
const SLOW: Duration = Duration::from_secs(5);

/// What every writer of this process goes by.
#[derive(Clone, Debug)]
struct Terms {
    state: PathBuf,
    settings: Settings,
    /// What signs checkpoints, once it could be had.
    key: OnceCell<Arc<Key>>,
    /// What checkpoints wait for: no note is to outlive its lines.
    notes: Arc<Commit>,
    /// The same, where durability is the disk's and records wait for it too.
    commit: Option<Arc<Commit>>,
}

impl Terms {
    fn new(state: &Path, settings: Settings) -> Self {
        let notes = Arc::new(Commit::new(Arc::clone(&settings.disk), settings.durability));
        let commit = match settings.durability {
            Durability::Process => None,
            Durability::Disk => Some(Arc::clone(&notes)),
        };
        Self { state: state.to_owned(), settings, key: OnceCell::new(), notes, commit }
    }

    fn key(&self) -> Result<&Key, JournalError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = Arc::new(Key::open(&self.state)?);
        Ok(self.key.get_or_init(|| key))
    }
}

/// A place in the journal's folder, had or wanted.
#[derive(Debug)]
struct Seat {
    folder: PathBuf,
    terms: Terms,
    writer: Option<Writer>,
    /// Why there is no writer.
    problem: Option<JournalError>,
    stopped: bool,
}

impl Seat {
    fn take(&mut self, found: &mut Found) -> Result<(), JournalError> {
        self.terms.key()?;
        let mut writer = take(&self.folder, &self.terms, found)?;
        writer.begin();
        self.writer = Some(writer);
        Ok(())
    }

    /// The writing end. Where there is none, it is looked for again.
    fn writer(&mut self) -> Result<&mut Writer, Unwritable> {
        if self.writer.is_none() && !self.stopped {
            let mut found = Found::default();
            match self.take(&mut found) {
                Ok(()) => {
                    self.problem = None;
                    found.log();
                }
                Err(problem) => self.problem = Some(problem),
            }
        }
        self.writer.as_mut().ok_or(Unwritable)
    }

    fn healthy(&self) -> Result<(), String> {
        match (&self.writer, &self.problem) {
            (Some(writer), _) => self
                .terms
                .commit
                .as_ref()
                .and_then(|commit| commit.failure())
                .map_or_else(|| writer.healthy(), |failed| Err(failed.to_string())),
            (None, Some(problem)) => Err(problem.to_string()),
            (None, None) => Ok(()),
        }
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
    /// Putting lines on the disk.
    Sync,
    /// Removing what need not be kept.
    Remove,
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
            Doing::Sync => "synced",
            Doing::Remove => "removed",
        }
    }
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file or folder of it failed.
    #[error("the journal's {} cannot be {}: {error}", path.display(), doing.word())]
    File {
        /// What was being done.
        doing: Doing,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no key to sign checkpoints with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The slot's checkpoints are signed by another key.
    #[error("{} is of another key than the journal.key of this state folder", path.display())]
    OtherKey {
        /// The slot's verifier.
        path: PathBuf,
    },
    /// No slot is free.
    #[error("none of the {most} slots under {} is free: other processes hold them", folder.display())]
    NoSlot {
        /// The journal's folder.
        folder: PathBuf,
        /// How many slots there may be.
        most: u32,
    },
}

impl JournalError {
    fn new(doing: Doing, path: &Path, error: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), error }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

//! Checkpoints of a slot: signed notes beside its segments, and in a second place where one is configured.
//!
//! In `checkpoints` each note is followed by an empty line, oldest first. A note that a kill kept from it is put there at the next start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::commit::{Commit, PATIENT};
use super::note::{Key, Signer, Verifier};
use super::recover::Left;
use super::second::Second;
use super::slot::{Slot, open_file};
use super::thin::thin;
use super::tree::Tree;
use super::{Doing, JournalError, Terms};
use crate::egress::record::Sealed;

/// So often a checkpoint is made where there is something new.
const EVERY: Duration = Duration::from_secs(10);

/// After so many records one is made at once.
const RECORDS: u64 = 10_000;

/// No note is longer than this, by far.
const LONGEST_NOTE: u64 = 8 << 10;

/// Makes the checkpoints of one slot.
#[derive(Debug)]
pub(super) struct Sealer {
    signer: Signer,
    path: PathBuf,
    /// When `checkpoints` is to be thinned next, by its length.
    thin_at: u64,
    second: Option<Second>,
    notes: Arc<Commit>,
    /// The write of the last note in `checkpoints`.
    noted: u64,
    /// Stands beside the segments while `stopped` may be there without its checkpoint.
    stopping: PathBuf,
    stops: bool,
    /// Leaves that the last checkpoint covers, those that need no other, its own line with them, and when it was made.
    sealed: u64,
    settled: u64,
    at: Option<Instant>,
    /// One was due while another waited for its place.
    overdue: bool,
    /// Notes that could not be put into `checkpoints` yet.
    owed: Vec<Owed>,
    failing: bool,
}

#[derive(Debug)]
struct Owed {
    note: String,
    /// The write that is to be on the disk before it: no note is to outlive its lines.
    after: u64,
}

impl Sealer {
    /// Puts `verifier` and `checkpoints` beside the segments, in order, and says how many lines the last checkpoint there covers.
    pub(super) fn new(slot: &Slot, key: &Key, terms: &Terms, left: &mut Left) -> Result<(Self, Option<u64>), JournalError> {
        let signer = key.signer(&slot.name);
        let path = slot.folder.join("checkpoints");
        verifier(slot, &signer)?;
        let last = repair(&path, &signer).map_err(|error| JournalError::new(Doing::Repair, &path, error))?;
        let second = terms.settings.checkpoints.as_deref();
        let second = second.map(|folder| Second::new(folder.join(format!("{}-{}", slot.name, key.log_id()))));
        let sealed = last.filter(|last| *last <= left.tree.size()).unwrap_or(0);
        let owed: Vec<Owed> = left.sealed_behind(last, slot)?.into_iter().map(|line| Owed { note: line.note, after: 0 }).collect();
        // Killed before they were put there, maybe before their lines were on the disk.
        for path in left.newest.iter().filter(|_| !owed.is_empty()).map(|number| slot.segment(*number)) {
            if let Err(error) = File::open(&path).and_then(|lines| terms.settings.disk.sync_lines(&lines)) {
                tracing::warn!(path = %path.display(), %error, "checkpoints are put beside a segment that could not be synced");
            }
        }
        let (stopping, stops, notes, noted) = (stopping(slot), stops(slot), Arc::clone(&terms.notes), 0);
        let (at, settled, thin_at, overdue, failing) = (None, sealed, 0, false, false);
        let mut sealer = Self { signer, path, thin_at, second, notes, noted, stopping, stops, sealed, settled, at, overdue, owed, failing };
        sealer.pay();
        Ok((sealer, last))
    }

    /// Whether a checkpoint is due by the number of records.
    pub(super) fn is_due(&self, tree: &Tree) -> bool {
        tree.size().saturating_sub(self.sealed) >= RECORDS
    }

    /// Whether there is something to seal, and it is time.
    pub(super) fn is_due_at(&self, tree: &Tree, now: Instant) -> bool {
        self.is_behind(tree) && (self.overdue || self.at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY))
    }

    /// Whether there is something to seal.
    pub(super) fn is_behind(&self, tree: &Tree) -> bool {
        tree.size() > self.settled
    }

    /// The checkpoint of a tree, to be written down.
    pub(super) fn seal(&self, tree: &Tree) -> Sealed {
        let root = tree.root();
        Sealed { size: tree.size(), root: root.to_string(), note: self.signer.sign(tree.size(), root) }
    }

    /// Keeps a checkpoint. `size` is that of the tree by now: its own line is nothing new.
    pub(super) fn keep(&mut self, sealed: Sealed, size: u64) {
        (self.sealed, self.settled, self.at) = (sealed.size, size, Some(Instant::now()));
        self.owed.push(Owed { note: sealed.note, after: self.notes.written() });
        self.notes.hurry();
        self.pay();
    }

    /// Whether a note still waits for its place on the disk. Until it has it no other is made: the log is never ahead by more than one.
    pub(super) fn owes(&mut self) -> bool {
        self.pay();
        self.overdue = !self.owed.is_empty() || !self.notes.has(self.noted);
        self.overdue
    }

    /// Tries again what could not be kept.
    pub(super) fn pay(&mut self) {
        while let Some(Owed { note, after }) = self.owed.first() {
            if !self.notes.has(*after) {
                return;
            }
            let (file, length) = match append(&self.path, note) {
                Ok(appended) => appended,
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(path = %self.path.display(), %error, "a checkpoint could not be put beside its segments; it is tried again");
                    }
                    return;
                }
            };
            self.failing = false;
            self.notes.wrote(&Arc::new(file), &self.path);
            self.notes.hurry();
            self.noted = self.notes.written();
            // It syncs what it writes, in this thread; with a disk that hangs it is left to a later note.
            let thinned = self.notes.hangs(PATIENT).map_or_else(|| thin(&self.path, length, self.thin_at), |_| Ok(self.thin_at));
            match thinned {
                Ok(next) => self.thin_at = next,
                Err(error) => {
                    self.thin_at = 2 * length;
                    tracing::warn!(path = %self.path.display(), %error, "old checkpoints could not be removed");
                }
            }
            let Owed { note, after: _ } = self.owed.remove(0);
            if let Some(second) = &mut self.second {
                second.put(note);
            }
        }
        // All there is has a checkpoint, if one was made since the last process.
        if self.stops && self.at.is_some() && self.notes.has(self.noted) && fs::remove_file(&self.stopping).is_ok() {
            self.stops = false;
        }
    }

    /// To be called before `stopped` is written: a kill before its checkpoint is then no damage.
    pub(super) fn stops(&mut self) -> Result<(), JournalError> {
        let marked = open_file(&self.stopping, OpenOptions::new().create(true));
        marked.map_err(|error| JournalError::new(Doing::Create, &self.stopping, error))?;
        self.stops = true;
        Ok(())
    }

    /// Waits for the disk, and keeps what waited for it.
    pub(super) fn finish(&mut self) {
        let deadline = Instant::now() + PATIENT;
        // First for its lines, then for itself.
        for _ in 0..2 {
            if !self.notes.wait_until(deadline) {
                break;
            }
            self.pay();
        }
        if let Some(second) = &self.second {
            second.finish();
        }
    }
}

fn stopping(slot: &Slot) -> PathBuf {
    slot.folder.join("stopping")
}

/// Whether the slot's last process may have been killed between `stopped` and its checkpoint.
pub(super) fn stops(slot: &Slot) -> bool {
    fs::symlink_metadata(stopping(slot)).is_ok()
}

/// A slot is signed by one key for good: where there is another's, the slot is left alone.
fn verifier(slot: &Slot, signer: &Signer) -> Result<(), JournalError> {
    let path = slot.folder.join("verifier");
    let wanted = format!("{}\n", signer.verifier());
    match fs::read_to_string(&path) {
        Ok(text) if text == wanted => Ok(()),
        Ok(_) => Err(JournalError::OtherKey { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let draft = slot.folder.join("verifier.new");
            let mut options = OpenOptions::new();
            let made = options.write(true).create(true).truncate(true).mode(0o600).open(&draft);
            let made = made.and_then(|mut file| file.write_all(wanted.as_bytes()).and_then(|()| file.sync_all()));
            made.and_then(|()| fs::rename(&draft, &path)).map_err(|error| JournalError::new(Doing::Create, &path, error))
        }
        Err(error) => Err(JournalError::new(Doing::Read, &path, error)),
    }
}

/// Appends a note, whole or not at all; the file, and how long it is with it.
pub(super) fn append(path: &Path, note: &str) -> io::Result<(File, u64)> {
    let file = open_file(path, OpenOptions::new().create(true))?;
    let length = file.metadata()?.len();
    let entry = format!("{note}\n");
    let whole = match (&file).write(entry.as_bytes()) {
        Ok(written) if written == entry.len() => return Ok((file, length + entry.len() as u64)),
        Ok(_) => io::Error::from(io::ErrorKind::StorageFull),
        Err(error) => error,
    };
    file.set_len(length)?;
    Err(whole)
}

/// Cuts a torn note away; the size that the last whole one covers. The file is there from then on: backups name it.
fn repair(path: &Path, signer: &Signer) -> io::Result<Option<u64>> {
    let file = open_file(path, OpenOptions::new().create(true))?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_NOTE);
    let tail = read_from(&file, start, length)?;
    // The end of the last note: a line of a signature, its end, and the empty line.
    let good = tail.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
    let Some(signed) = tail[..good.saturating_sub(1)].split_inclusive(|&byte| byte == b'\n').next_back() else {
        file.set_len(start)?;
        return Ok(None);
    };
    let good = if signed.starts_with("\u{2014} ".as_bytes()) { good } else { before_text(&tail[..good]) };
    file.set_len(start + good as u64)?;
    let Ok(text) = std::str::from_utf8(&tail[..good]) else { return Ok(None) };
    let origin = format!("{}\n", signer.origin());
    let note = text.rfind(&origin).map(|at| text[at..].strip_suffix('\n').unwrap_or(&text[at..]));
    let opened = note.and_then(|note| Verifier::parse(signer.verifier()).ok()?.open(note).ok());
    Ok(opened.map(|checkpoint| checkpoint.size()))
}

/// Where a text without its signature begins, behind the note before it.
fn before_text(tail: &[u8]) -> usize {
    tail[..tail.len() - 2].windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2)
}

fn read_from(file: &File, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut tail = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut tail, start)?;
    Ok(tail)
}

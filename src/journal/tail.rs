//! The end of a slot's log: whole lines or nothing, each a leaf of the slot's tree, each segment headed by where it stands in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::commit::Commit;
use super::line::{LONGEST, Line, VERSION};
use super::recover::Left;
use super::seal::Sealer;
use super::slot::{Slot, open_file, segments};
use super::tree::Tree;
use super::{Doing, JournalError, Terms};
use crate::egress::record::{Gap, GapWhy, Record, Sealed, Segment};

/// A clock that was set back by more than this is told.
const STEP: Duration = Duration::from_secs(1);

/// Lines that follow one another so closely that the segment's path is not looked at before each of the next.
pub(super) const BURST: u32 = 64;

/// Appends lines to the newest segment of a slot.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) slot: Slot,
    segment_bytes: u64,
    commit: Option<Arc<Commit>>,
    notes: Arc<Commit>,
    file: Arc<File>,
    /// Device and inode of `file`.
    identity: (u64, u64),
    path: PathBuf,
    /// How long a burst of lines needs no other look at `path`.
    look: Duration,
    /// When the looks began that are counted, and how many there were.
    looks: Option<(Instant, u32)>,
    number: u64,
    /// Up to here the segment holds whole lines.
    good: u64,
    /// The length of the segment's heading; 0 where it has none.
    heading: u64,
    /// The first line of the segment that this process wrote or found.
    first: u64,
    /// Bytes of a failed write may stand behind `good`.
    torn: bool,
    pub(super) tree: Tree,
    /// The time of the last line: no line of a slot is older than the one before it.
    at: Timestamp,
    set_back: bool,
    buffer: Vec<u8>,
    /// A segment was begun since this was last asked.
    begun: bool,
    /// Lines that others took away.
    missing: Option<Gap>,
}

impl Tail {
    pub(super) fn new(slot: Slot, terms: &Terms, left: Left) -> Result<Self, JournalError> {
        let number = left.number.max(1);
        let path = slot.segment(number);
        let file = open_file(&path, OpenOptions::new().create(true)).map_err(|error| JournalError::new(Doing::Open, &path, error))?;
        let identity = identity(&file).map_err(|error| JournalError::new(Doing::Open, &path, error))?;
        if let Some(journal) = slot.folder.parent() {
            journal.parent().into_iter().chain([journal, &slot.folder]).for_each(|folder| terms.notes.made_in(folder));
        }
        Ok(Self {
            slot,
            segment_bytes: terms.settings.segment,
            commit: terms.commit.clone(),
            notes: Arc::clone(&terms.notes),
            file: Arc::new(file),
            identity,
            path,
            look: terms.settings.look,
            looks: None,
            number,
            good: left.length,
            heading: 0,
            first: left.first,
            torn: false,
            tree: left.tree,
            at: left.at,
            set_back: false,
            buffer: Vec::with_capacity(4 << 10),
            begun: false,
            missing: None,
        })
    }

    /// Whether a segment was begun since the last call.
    pub(super) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begun)
    }

    /// What others took away since the last call.
    pub(super) fn take_missing(&mut self) -> Option<Gap> {
        self.missing.take()
    }

    pub(super) fn failed(&self, error: io::Error) -> JournalError {
        JournalError::new(Doing::Write, &self.path, error)
    }

    /// One record, one line, one `write(2)`: all of it, or nothing stays. A segment without a line gets its heading first.
    pub(super) fn write(&mut self, record: &Record) -> Result<(), JournalError> {
        self.render(record)?;
        self.ready(self.buffer.len() as u64)?;
        if self.good == 0 {
            // The heading took the line's number.
            self.head()?;
            self.render(record)?;
        }
        self.put()
    }

    /// Says that the lines of the segment are to be on the disk before a checkpoint over them stands in its place.
    pub(super) fn wrote(&self) {
        self.notes.wrote(&self.file, &self.path);
    }

    /// Writes a checkpoint of all that stands before its line.
    pub(super) fn seal(&mut self, sealer: &Sealer) -> Result<Sealed, JournalError> {
        let sealed = sealer.seal(&self.tree);
        let record = Record::Sealed(sealed.clone());
        self.render(&record)?;
        self.ready(self.buffer.len() as u64)?;
        if self.good > 0 {
            self.put()?;
            return Ok(sealed);
        }
        self.head()?;
        let sealed = sealer.seal(&self.tree);
        self.render(&Record::Sealed(sealed.clone()))?;
        self.put()?;
        Ok(sealed)
    }

    /// Whether a block of bytes finds room; they are cut away at once, and a kill between leaves a torn line that is repaired.
    pub(super) fn try_room(&mut self) -> Result<(), JournalError> {
        self.ready(0)?;
        self.write_whole(&[b' '; 4096]).and_then(|()| self.cut()).map_err(|error| self.failed(error))
    }

    /// Makes the file ready for `length` more bytes: still in its place, free of torn bytes, not too long.
    pub(super) fn ready(&mut self, length: u64) -> Result<(), JournalError> {
        if let Some(failed) = self.commit.as_ref().and_then(|commit| commit.failure()) {
            return Err(failed);
        }
        if self.torn {
            self.cut().map_err(|error| self.failed(error))?;
        }
        match self.found() {
            // One look at the path tells all at once: a slot's folder that is gone or replaced has not this file in it.
            Ok(Some(found)) if found == self.good => {
                let full = self.good > self.heading && self.good + length > self.segment_bytes;
                if full { self.next_segment() } else { Ok(()) }
            }
            Ok(found) => self.spoilt(found.is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.spoilt(true),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The length of the file at the segment's path, if that is the one which is written.
    fn found(&mut self) -> io::Result<Option<u64>> {
        let now = Instant::now();
        let (since, looks) = self.looks.filter(|(since, _)| now.duration_since(*since) < self.look).unwrap_or((now, 0));
        if looks >= BURST {
            return linked(&self.file);
        }
        let (identity, length) = look(&self.path)?;
        self.looks = Some((since, looks + 1));
        Ok((self.identity == identity).then_some(length))
    }

    /// A segment that was removed, moved or changed by others is left as it is; the log goes on in the next, the tree from what is known.
    fn spoilt(&mut self, gone: bool) -> Result<(), JournalError> {
        if !self.slot.in_place() {
            return Err(self.failed(io::Error::new(io::ErrorKind::NotFound, "the folder was removed or replaced")));
        }
        tracing::warn!(segment = %self.path.display(), "a segment was removed or changed by others; the journal goes on in the next");
        let (first, last) = (self.first, self.tree.size());
        self.next_segment()?;
        if gone && first <= last {
            let (slot, sinks) = (self.slot.name.clone(), Vec::new());
            self.missing = Some(Gap { slot, first, last, sinks, why: GapWhy::Missing });
        }
        Ok(())
    }

    /// Goes on behind every segment there is, whoever made it: readers go by the numbers.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        let numbers = segments(&self.slot.folder).map_err(|error| JournalError::new(Doing::List, &self.slot.folder, error))?;
        let newest = numbers.last().map_or(self.number, |newest| self.number.max(*newest));
        let path = self.slot.segment(newest.saturating_add(1));
        let made = open_file(&path, OpenOptions::new().create_new(true)).and_then(|file| Ok((identity(&file)?, file)));
        let (identity, file) = made.map_err(|error| JournalError::new(Doing::Create, &path, error))?;
        self.wrote();
        self.notes.made_in(&self.slot.folder);
        (self.file, self.identity, self.path, self.number) = (Arc::new(file), identity, path, newest.saturating_add(1));
        (self.good, self.heading, self.torn, self.looks) = (0, 0, false, None);
        Ok(())
    }

    /// Writes the heading of a segment that is empty.
    fn head(&mut self) -> Result<(), JournalError> {
        let first = self.tree.size() + 1;
        self.render(&Record::Segment(Segment { size: self.tree.size(), peaks: self.tree.peaks() }))?;
        self.put()?;
        (self.first, self.heading, self.begun) = (first, self.good, true);
        Ok(())
    }

    fn render(&mut self, record: &Record) -> Result<(), JournalError> {
        let now = Timestamp::now();
        let back = self.at.duration_since(now).unsigned_abs() > STEP && now < self.at;
        if back && !self.set_back {
            tracing::warn!(slot = self.slot.name, "the clock went back; records keep the time of the last one until it is passed");
        }
        self.set_back = back;
        let at = now.max(self.at);
        let mut buffer = std::mem::take(&mut self.buffer);
        let rendered = Line { v: VERSION, seq: self.tree.size() + 1, at, record }.render_into(&mut buffer);
        self.buffer = buffer;
        rendered.map_err(|error| self.failed(error))?;
        if self.buffer.len() > LONGEST {
            return Err(self.failed(io::Error::new(io::ErrorKind::InvalidData, "the record is too long for a line")));
        }
        self.at = at;
        Ok(())
    }

    /// Writes what is rendered, and takes it into the tree.
    fn put(&mut self) -> Result<(), JournalError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write_whole(&buffer);
        if written.is_ok() {
            self.good += buffer.len() as u64;
            self.tree.push(&buffer[..buffer.len() - 1]);
            if let Some(commit) = &self.commit {
                commit.wrote(&self.file, &self.path);
            }
        }
        self.buffer = buffer;
        written.map_err(|error| self.failed(error))
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
}

/// Device, inode and length of what is at a path. The times are not asked for: whoever reads them makes the system note the next
/// write's time at once, which is a seventh of what a line costs (`STATX_CTIME` and multigrain timestamps, Linux 6.13).
#[cfg(target_os = "linux")]
fn look(path: &Path) -> io::Result<((u64, u64), u64)> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::SIZE;
    match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted) {
        Ok(there) => Ok(((makedev(there.stx_dev_major, there.stx_dev_minor), there.stx_ino), there.stx_size)),
        Err(rustix::io::Errno::NOSYS) => look_at_all(path),
        Err(error) => Err(error.into()),
    }
}

/// The length of an open file that still has a name.
#[cfg(target_os = "linux")]
fn linked(file: &File) -> io::Result<Option<u64>> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    match statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK | StatxFlags::SIZE) {
        Ok(there) => Ok((there.stx_nlink > 0).then_some(there.stx_size)),
        Err(rustix::io::Errno::NOSYS) => linked_at_all(file),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn linked(file: &File) -> io::Result<Option<u64>> {
    linked_at_all(file)
}

fn linked_at_all(file: &File) -> io::Result<Option<u64>> {
    file.metadata().map(|data| (data.nlink() > 0).then_some(data.len()))
}

#[cfg(not(target_os = "linux"))]
fn look(path: &Path) -> io::Result<((u64, u64), u64)> {
    look_at_all(path)
}

fn look_at_all(path: &Path) -> io::Result<((u64, u64), u64)> {
    std::fs::symlink_metadata(path).map(|there| ((there.dev(), there.ino()), there.len()))
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|data| (data.dev(), data.ino()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_path_tells_what_all_its_metadata_would_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (segment, link) = (folder.path().join("segment"), folder.path().join("link"));
        std::fs::write(&segment, "four").unwrap();
        std::os::unix::fs::symlink(&segment, &link).unwrap();
        for path in [&segment, &link] {
            assert_eq!(look(path).unwrap(), look_at_all(path).unwrap());
        }
        assert_eq!(look(&segment).unwrap(), (identity(&File::open(&segment).unwrap()).unwrap(), 4));
        assert_eq!(look(&folder.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

//! Puts a slot in order that its last process left by dying: cuts a torn last line, finds what was open.
//!
//! A session that ended with `stopped` costs one look at its end; one that did not is read once, as `stopped` or `started` follows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;

use super::line::{Line, take_line};
use super::read::tail::{behind_line_end, last_line};
use super::slot::{Slot, open_file, segments};
use super::tree::Tree;
use super::writer::{OpenAttempts, follow};
use super::{Doing, JournalError};
use crate::egress::record::{Record, Sealed, Segment};

/// What the last process left in a slot, the torn line cut away.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The newest segment's number; 0 where there is none.
    pub(super) number: u64,
    /// Its length.
    pub(super) length: u64,
    /// The last line's number.
    pub(super) seq: u64,
    /// Attempts without a last word.
    pub(super) open: OpenAttempts,
    /// Bytes that were cut away.
    pub(super) torn: u64,
    /// Lines of the last session that are no records.
    pub(super) bad: u64,
    /// There is nothing to say of it: it was stopped in order, or is empty.
    pub(super) settled: bool,
    /// The tree of all lines, once `grow` has read what it takes.
    pub(super) tree: Tree,
    /// The number of the newest segment's first line.
    pub(super) first: u64,
    /// When the last line was written.
    pub(super) at: Timestamp,
    /// The checkpoints of the newest segments, the oldest first.
    pub(super) sealed: Vec<Sealed>,
    /// How many lines stand before those segments, and the number of the one that ends there.
    before: (u64, Option<u64>),
    /// The segments that checkpoints may stand in which are not put beside them yet.
    pub(super) newest: Vec<u64>,
}

impl Left {
    /// Reads the newest segment that has a heading, and what follows it. A journal of a version without headings is read whole.
    pub(super) fn grow(&mut self, slot: &Slot) -> Result<(), JournalError> {
        let numbers = segments(&slot.folder).map_err(|error| JournalError::new(Doing::List, &slot.folder, error))?;
        let mut from = Vec::new();
        let mut numbers = numbers.into_iter().rev();
        while let Some(number) = numbers.next() {
            from.push(number);
            if let Some(Segment { size, peaks }) = heading(&slot.segment(number))? {
                let path = slot.segment(number);
                self.tree = Tree::from_peaks(size, &peaks).ok_or_else(|| broken(&path, "its heading is of no tree"))?;
                self.before = (size, numbers.next());
                break;
            }
        }
        self.newest = self.before.1.into_iter().chain(from.iter().rev().copied()).collect();
        for number in from.into_iter().rev() {
            self.first = self.tree.size() + 1;
            each_line(&slot.segment(number), 0, |text, _| {
                self.tree.push(text);
                self.sealed.extend(sealed(text));
            })?;
        }
        // Each line is a leaf, so a log that lacks lines of before there were headings has no tree.
        let (size, seq) = (self.tree.size(), self.seq);
        let whole = size == seq;
        whole.then_some(()).ok_or_else(|| broken(&slot.folder, &format!("it ends with line {seq} and has {size}: lines are missing")))
    }

    /// The checkpoints behind the one over `last` lines. One more segment is read where it may hold the first of them.
    pub(super) fn sealed_behind(&mut self, last: Option<u64>, slot: &Slot) -> Result<Vec<Sealed>, JournalError> {
        let mut behind = Vec::new();
        if let (size, Some(before)) = self.before
            && last.is_none_or(|last| last < size)
        {
            each_line(&slot.segment(before), 0, |text, _| behind.extend(sealed(text)))?;
        }
        behind.append(&mut self.sealed);
        behind.retain(|sealed| last.is_none_or(|last| sealed.size > last));
        Ok(behind)
    }
}

/// The checkpoint that a line is.
fn sealed(text: &[u8]) -> Option<Sealed> {
    let record = is_of_kind(text, b"sealed").then(|| Line::parse_bytes(text))??.record;
    if let Record::Sealed(sealed) = record { Some(sealed) } else { None }
}

fn broken(path: &Path, why: &str) -> JournalError {
    JournalError::new(Doing::Read, path, io::Error::new(io::ErrorKind::InvalidData, why))
}

/// What a segment begins with, if that is a heading.
pub(super) fn heading(path: &Path) -> Result<Option<Segment>, JournalError> {
    let read = || {
        let mut buffer = Vec::new();
        let taken = take_line(&mut BufReader::new(File::open(path)?), &mut buffer)?;
        Ok(taken.complete.then_some(buffer))
    };
    let line = read().map_err(|error| JournalError::new(Doing::Read, path, error))?;
    let record = line.and_then(|line| Line::parse_bytes(&line)).map(|line| line.record);
    Ok(record.and_then(|record| if let Record::Segment(segment) = record { Some(segment) } else { None }))
}

/// Cuts a torn line and reads as much as it takes to go on.
pub(super) fn recover(slot: &Slot) -> Result<Left, JournalError> {
    let numbers = segments(&slot.folder).map_err(|error| JournalError::new(Doing::List, &slot.folder, error))?;
    let numbers: Vec<u64> = numbers.into_iter().collect();
    let mut left = Left { number: numbers.last().copied().unwrap_or(0), settled: true, ..Left::default() };
    let Some((newest, end)) = end(slot, &numbers)? else { return Ok(left) };
    left.torn = end.torn;
    if end.torn > 0 {
        cut(&slot.segment(newest), end.good)?;
    }
    if newest == left.number {
        left.length = end.good;
    }
    match end.last.as_deref().and_then(Line::parse_bytes) {
        Some(Line { seq, at, record: Record::Stopped(_), v: _ }) => (left.seq, left.at) = (seq, at),
        Some(_) | None => {
            left.settled = false;
            replay(slot, &numbers, &mut left)?;
        }
    }
    Ok(left)
}

/// The number of a segment's last line; 0 where that cannot be told.
pub(super) fn last_seq(path: &Path) -> Result<u64, JournalError> {
    let end = end_of(path).map_err(|error| JournalError::new(Doing::Read, path, error))?;
    Ok(end.last.as_deref().and_then(Line::parse_bytes).map_or(0, |line| line.seq))
}

/// How a segment ends.
struct End {
    /// Bytes up to its last line end.
    good: u64,
    /// Bytes behind it.
    torn: u64,
    /// The last whole line; `None` where there is none, or it is too long to be ours.
    last: Option<Vec<u8>>,
}

/// The newest segment that is not empty.
fn end(slot: &Slot, numbers: &[u64]) -> Result<Option<(u64, End)>, JournalError> {
    for number in numbers.iter().rev() {
        let path = slot.segment(*number);
        let end = end_of(&path).map_err(|error| JournalError::new(Doing::Read, &path, error))?;
        if end.good + end.torn > 0 {
            return Ok(Some((*number, end)));
        }
    }
    Ok(None)
}

fn end_of(path: &Path) -> io::Result<End> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let good = behind_line_end(&file, length)?;
    let last = last_line(&file, good)?;
    Ok(End { good, torn: length - good, last })
}

fn cut(path: &Path, good: u64) -> Result<(), JournalError> {
    let cut = open_file(path, &mut OpenOptions::new()).and_then(|file| file.set_len(good));
    cut.map_err(|error| JournalError::new(Doing::Repair, path, error))
}

/// Reads from the newest `started` on; everything where there is none.
fn replay(slot: &Slot, numbers: &[u64], left: &mut Left) -> Result<(), JournalError> {
    let (mut first, mut start) = (0, 0);
    for (index, number) in numbers.iter().enumerate().rev() {
        let mut found = None;
        each_line(&slot.segment(*number), 0, |text, at| {
            if is_of_kind(text, b"started") {
                found = Some(at);
            }
        })?;
        if let Some(at) = found {
            (first, start) = (index, at);
            break;
        }
    }
    for number in &numbers[first..] {
        each_line(&slot.segment(*number), std::mem::take(&mut start), |text, _| match Line::parse_bytes(text) {
            Some(line) => {
                (left.seq, left.at) = (line.seq, line.at);
                follow(&mut left.open, &line.record);
            }
            None => {
                left.seq = left.seq.saturating_add(1);
                left.bad += 1;
            }
        })?;
    }
    Ok(())
}

/// Looks only where the frame ends, which is far cheaper than reading the whole line.
fn is_of_kind(line: &[u8], kind: &[u8]) -> bool {
    let wanted = [br#""kind":""#, kind, b"\""].concat();
    line[..line.len().min(128)].windows(wanted.len()).any(|window| window == wanted)
}

/// Calls with every line from `start` on, and where it begins.
fn each_line(path: &Path, start: u64, mut see: impl FnMut(&[u8], u64)) -> Result<(), JournalError> {
    let mut read = || {
        let mut reader = BufReader::with_capacity(64 << 10, File::open(path)?);
        let mut at = reader.seek(SeekFrom::Start(start))?;
        let mut buffer = Vec::new();
        loop {
            let taken = take_line(&mut reader, &mut buffer)?;
            if taken.bytes == 0 {
                return Ok(());
            }
            see(&buffer, at);
            at += taken.bytes;
        }
    };
    read().map_err(|error| JournalError::new(Doing::Read, path, error))
}

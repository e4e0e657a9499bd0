//! Where a reader stands in each slot, kept over restarts; and what tells that a kept position is of another journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tail::last_line;
use crate::journal::line::{Line, take_line};
use crate::journal::slot::{names, segment_name, segments};

/// A place between two lines of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The segment.
    pub segment: u64,
    /// The byte in it where the next line begins.
    pub offset: u64,
    /// The `seq` of the line before.
    pub seq: u64,
}

/// Positions by slot.
pub type Positions = BTreeMap<String, Position>;

/// A position that leads nowhere: its slot is read again from the oldest line that is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{slot}: {why}")]
pub struct Misplaced {
    /// The slot.
    pub slot: Arc<str>,
    /// What tells.
    pub why: Astray,
}

/// What tells that a position is not of this slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Astray {
    /// Every segment there is, is older than the one it names.
    #[error("its segment is newer than every segment there is")]
    NoSegment,
    /// The segment is shorter.
    #[error("it lies behind the end of its segment")]
    BehindEnd,
    /// The line before it is not the one it was behind.
    #[error("it does not follow the line it names")]
    OtherLine,
    /// The file was replaced or cut while it was read.
    #[error("its segment was replaced or cut while it was read")]
    Replaced,
}

impl Position {
    /// What is wrong with it in this slot's folder. A segment that is gone, with newer ones there, is no fault of the position.
    pub(super) fn astray(self, folder: &Path) -> io::Result<Option<Astray>> {
        let file = match File::open(folder.join(segment_name(self.segment))) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let newest = segments(folder)?.last().copied();
                return Ok(newest.is_none_or(|newest| newest < self.segment).then_some(Astray::NoSegment));
            }
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < self.offset {
            return Ok(Some(Astray::BehindEnd));
        }
        if self.offset == 0 {
            return Ok(None);
        }
        let line = last_line(&file, self.offset)?.and_then(|line| Line::parse_bytes(&line));
        Ok(line.is_none_or(|line| line.seq != self.seq).then_some(Astray::OtherLine))
    }
}

/// The `seq` of the newest line of every slot; slots without a line are left out.
pub fn newest(state: &Path) -> io::Result<BTreeMap<String, u64>> {
    Ok(last_lines(state)?.into_iter().map(|(slot, line)| (slot, line.seq)).collect())
}

/// When the newest line of all slots was written; `None` where there is no line.
pub fn latest(state: &Path) -> io::Result<Option<Timestamp>> {
    Ok(last_lines(state)?.into_values().map(|line| line.at).max())
}

fn last_lines(state: &Path) -> io::Result<BTreeMap<String, Line>> {
    let journal = crate::journal::folder(state);
    let mut found = BTreeMap::new();
    for name in none_where_there_is_none(names(&journal))? {
        let folder = journal.join(&name);
        for number in segments(&folder)?.into_iter().rev() {
            let file = match File::open(folder.join(segment_name(number))) {
                // Retention took it meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file?,
            };
            let line = last_line(&file, file.metadata()?.len())?.and_then(|line| Line::parse_bytes(&line));
            if let Some(line) = line {
                found.insert(name, line);
                break;
            }
        }
    }
    Ok(found)
}

/// In each slot the begin of the newest segment whose first line is not later than `time`: no line before it is later,
/// unless the clock was set back.
pub(super) fn since(journal: &Path, time: Timestamp) -> io::Result<Positions> {
    let mut found = Positions::new();
    for name in none_where_there_is_none(names(journal))? {
        let folder = journal.join(&name);
        let numbers: Vec<u64> = segments(&folder)?.into_iter().collect();
        let later = numbers.partition_point(|number| first_line(&folder, *number).is_some_and(|line| line.at <= time));
        if let Some(number) = later.checked_sub(1).map(|index| numbers[index])
            && let Some(first) = first_line(&folder, number)
        {
            found.insert(name, Position { segment: number, offset: 0, seq: first.seq.saturating_sub(1) });
        }
    }
    Ok(found)
}

fn first_line(folder: &Path, number: u64) -> Option<Line> {
    let mut file = BufReader::new(File::open(folder.join(segment_name(number))).ok()?);
    let mut line = Vec::new();
    let taken = take_line(&mut file, &mut line).ok()?;
    if taken.complete && !taken.too_long { Line::parse_bytes(&line) } else { None }
}

fn none_where_there_is_none(names: io::Result<Vec<String>>) -> io::Result<Vec<String>> {
    match names {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    }
}

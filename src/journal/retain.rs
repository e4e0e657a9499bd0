//! What is kept: whole segments go, oldest first, once they are old and every sink has them, or once there is no more room for them.
//!
//! The newest segment of a slot never goes, nor does one of a slot that another process holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::recover::{heading, last_seq};
use super::slot::{Slot, known, name, segment_name, segments};
use super::{Doing, Journal, JournalError, Witness, told};
use crate::egress::record::{Gap, GapWhy, Record};

/// Who reads behind the journal.
pub trait Followers: Send + Sync + std::fmt::Debug {
    /// The sinks that have not passed the line `seq` of a slot yet.
    fn behind(&self, slot: &str, seq: u64) -> Vec<String>;
}

/// A segment that may go, behind which its slot has others.
#[derive(Debug)]
struct Old {
    slot: String,
    path: PathBuf,
    length: u64,
    written: SystemTime,
    first: u64,
    last: u64,
}

/// What is there: what may go, oldest first, what all of it takes, and the locks that keep it so.
#[derive(Debug, Default)]
struct There {
    old: Vec<Old>,
    total: u64,
    locks: Vec<Slot>,
    failed: Option<JournalError>,
}

impl Journal {
    /// Removes what need not be kept any more at `now`. A segment that a sink has not had goes only for want of room, and only once a `gap`
    /// that tells of it is written.
    pub fn retain(&self, now: SystemTime, followers: &dyn Followers, written: Witness<'_>) -> Result<(), JournalError> {
        let (folder, ours, keep, max) = {
            let seat = self.seat.lock();
            let ours = seat.writer.as_ref().map(|writer| writer.slot().to_owned());
            (seat.folder.clone(), ours, seat.terms.settings.keep, seat.terms.settings.max)
        };
        let There { old, mut total, locks, mut failed } = look(&folder, ours.as_deref())?;
        let mut waited_for: Vec<String> = Vec::new();
        let mut left = Vec::new();
        for segment in old {
            let expired = now.duration_since(segment.written).is_ok_and(|age| age > keep);
            let goes = expired && !waited_for.contains(&segment.slot) && followers.behind(&segment.slot, segment.last).is_empty();
            if !(goes && removed(&segment, &mut total, &mut failed)) {
                // What stands behind it in its slot waits with it.
                waited_for.push(segment.slot.clone());
                left.push(segment);
            }
        }
        let mut stuck: Vec<String> = Vec::new();
        for segment in left {
            if total <= max {
                break;
            }
            if stuck.contains(&segment.slot) {
                continue;
            }
            let sinks = followers.behind(&segment.slot, segment.last);
            if !sinks.is_empty() && !self.told(&segment, sinks, written) {
                break;
            }
            if !removed(&segment, &mut total, &mut failed) {
                stuck.push(segment.slot);
            }
        }
        drop(locks);
        failed.map_or(Ok(()), Err)
    }

    /// Writes down who never had a segment, as durable as the settings say: a power failure does not take the word for what is gone.
    fn told(&self, segment: &Old, sinks: Vec<String>, written: Witness<'_>) -> bool {
        let Old { slot, path, length: _, written: _, first, last } = segment;
        tracing::error!(slot, first, last, ?sinks, "journal.max is reached: records go that sinks have not had");
        let gap = Gap { slot: slot.clone(), first: *first, last: *last, sinks: sinks.clone(), why: GapWhy::Full };
        let told = self.record(&Record::Gap(gap), written).is_ok() && self.wait_for_disk();
        let folder = path.parent().filter(|_| told);
        if let Some(Err(error)) = folder.map(|folder| told::keep(folder, &sinks, (*first, *last))) {
            tracing::warn!(slot, "that a loss was told cannot be kept, so the sinks tell it once more: {error}");
        }
        told
    }
}

fn look(journal: &Path, ours: Option<&str>) -> Result<There, JournalError> {
    let mut there = There::default();
    for number in known(journal).map_err(|error| JournalError::new(Doing::List, journal, error))? {
        // What stands in the way of one slot costs that one only.
        if let Err(error) = look_into(&mut there, journal, number, ours) {
            there.failed.get_or_insert(error);
        }
    }
    // Within a slot by number, as `sort` is stable and a later segment is not older; a clock that was set back changes nothing in that.
    let mut newest: Option<(String, SystemTime)> = None;
    for old in &mut there.old {
        if let Some((slot, written)) = &newest
            && *slot == old.slot
        {
            old.written = old.written.max(*written);
        }
        newest = Some((old.slot.clone(), old.written));
    }
    there.old.sort_by_key(|old| old.written);
    Ok(there)
}

/// Looks into one slot.
fn look_into(there: &mut There, journal: &Path, number: u32, ours: Option<&str>) -> Result<(), JournalError> {
    let slot = name(number);
    let folder = journal.join(&slot);
    let lock = if ours == Some(slot.as_str()) { None } else { Slot::take(journal, number).ok().flatten() };
    let mut may_go = lock.is_some() || ours == Some(slot.as_str());
    there.locks.extend(lock);
    let numbers = segments(&folder).map_err(|error| JournalError::new(Doing::List, &folder, error))?;
    let numbers: Vec<u64> = numbers.into_iter().collect();
    for (index, number) in numbers.iter().enumerate() {
        let path = folder.join(segment_name(*number));
        let data = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result.map_err(|error| JournalError::new(Doing::Read, &path, error))?,
        };
        there.total += data.len();
        let Some(next) = numbers.get(index + 1).filter(|_| may_go && data.is_file()) else { continue };
        let written = data.modified().map_err(|error| JournalError::new(Doing::Read, &path, error))?;
        match covered(&path, &folder.join(segment_name(*next))) {
            Ok((first, last)) => there.old.push(Old { slot: slot.clone(), path, length: data.len(), written, first, last }),
            Err(error) => {
                // What stands behind it stays as well: a log is removed from its beginning only.
                may_go = false;
                there.failed.get_or_insert(error);
            }
        }
    }
    Ok(())
}

/// The numbers of the first and the last line of a segment, by its heading and that of the next.
fn covered(path: &Path, next: &Path) -> Result<(u64, u64), JournalError> {
    let first = heading(path)?.map(|heading| heading.size + 1);
    let last = match heading(next)? {
        Some(heading) => heading.size,
        None => last_seq(path)?,
    };
    Ok((first.unwrap_or(1), last))
}

/// Removes a segment; `false` where that failed.
fn removed(old: &Old, total: &mut u64, failed: &mut Option<JournalError>) -> bool {
    match fs::remove_file(&old.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            failed.get_or_insert(JournalError::new(Doing::Remove, &old.path, error));
            false
        }
        Ok(()) | Err(_) => {
            *total = total.saturating_sub(old.length);
            true
        }
    }
}

//! Finds the slot to write in, and puts the others that nobody holds in order on the way.
//!
//! What stands in the way of one slot is told and costs that slot only.

use std::io::ErrorKind;
use std::path::Path;

use super::recover::{Left, recover};
use super::seal::{Sealer, stops};
use super::slot::{MOST, Slot, known, make_folder, name};
use super::tail::Tail;
use super::writer::Writer;
use super::{Doing, JournalError, Recovered, Skipped, Terms};
use crate::egress::record::{Gap, GapWhy, Record, Started};

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) recovered: Vec<Recovered>,
    pub(super) skipped: Vec<Skipped>,
}

impl Found {
    pub(super) fn log(&self) {
        for Recovered { slot, torn, lost, bad_lines } in &self.recovered {
            tracing::warn!(slot, torn_bytes = torn, lost, bad_lines, "the journal was not left in order and is repaired");
        }
        for Skipped { slot, why } in &self.skipped {
            tracing::warn!(slot, "a slot of the journal is left alone: {why}");
        }
    }
}

/// Takes the first slot that can be had, a new one where none can.
pub(super) fn take(journal: &Path, terms: &Terms, found: &mut Found) -> Result<Writer, JournalError> {
    make_folder(journal)?;
    let known = known(journal).map_err(|error| JournalError::new(Doing::List, journal, error))?;
    let mut ours = None;
    for number in &known {
        let had = match (Slot::take(journal, *number), &ours) {
            (Err(why), _) => Err(why),
            (Ok(None), _) => Ok(()),
            (Ok(Some(slot)), Some(_)) => put_in_order(slot, terms, found),
            (Ok(Some(slot)), None) => begin(slot, terms, found).map(|writer| ours = Some(writer)),
        };
        if let Err(why) = had {
            found.skipped.push(Skipped { slot: name(*number), why });
        }
    }
    if let Some(ours) = ours {
        return Ok(ours);
    }
    // A new slot would fail like the others, and each try would leave one more behind.
    if let Some(at) = found.skipped.iter().position(|skipped| stops_all(&skipped.why)) {
        return Err(found.skipped.swap_remove(at).why);
    }
    for number in (1..=MOST).filter(|number| !known.contains(number)) {
        if let Some(slot) = Slot::take(journal, number)? {
            return begin(slot, terms, found);
        }
    }
    Err(JournalError::NoSlot { folder: journal.to_owned(), most: MOST })
}

fn stops_all(why: &JournalError) -> bool {
    match why {
        JournalError::File { doing: _, path: _, error } => {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
        }
        JournalError::NoSlot { .. } | JournalError::OtherKey { .. } => false,
        JournalError::Key(_) => true,
    }
}

/// The writing end of a slot, with what its next lines are to be.
fn begin(slot: Slot, terms: &Terms, found: &mut Found) -> Result<Writer, JournalError> {
    let left = recover(&slot)?;
    let report = report(&slot, &left);
    let writer = writer(slot, terms, left)?;
    found.recovered.extend(report);
    Ok(writer)
}

/// Ends a slot that its process did not: `started` says what was repaired and `stopped` that it need not be looked at again.
fn put_in_order(slot: Slot, terms: &Terms, found: &mut Found) -> Result<(), JournalError> {
    let left = recover(&slot)?;
    if left.settled && left.torn == 0 && !stops(&slot) {
        return Ok(());
    }
    let report = report(&slot, &left);
    writer(slot, terms, left)?.close()?;
    found.recovered.extend(report);
    Ok(())
}

fn report(slot: &Slot, left: &Left) -> Option<Recovered> {
    let report = Recovered { slot: slot.name.clone(), torn: left.torn, lost: left.open.len(), bad_lines: left.bad };
    (report.torn > 0 || report.lost > 0 || report.bad_lines > 0).then_some(report)
}

fn writer(slot: Slot, terms: &Terms, mut left: Left) -> Result<Writer, JournalError> {
    let key = terms.key()?;
    left.grow(&slot)?;
    let (sealer, covered) = Sealer::new(&slot, key, terms, &mut left)?;
    let lost = std::mem::take(&mut left.open).into_iter().map(|(id, attempt)| Record::Ended(attempt.lost(id)));
    let repaired = (left.torn > 0).then_some(left.torn);
    let started = Started { version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id(), repaired };
    // A checkpoint that covers more lines than there are tells how many others took away.
    let had = covered.filter(|covered| *covered > left.tree.size());
    let gap = had.map(|last| {
        let (slot, first, sinks) = (slot.name.clone(), left.tree.size() + 1, Vec::new());
        Record::Gap(Gap { slot, first, last, sinks, why: GapWhy::Missing })
    });
    let first = lost.chain([Record::Started(started)]).chain(gap).collect();
    Ok(Writer::new(Tail::new(slot, terms, left)?, sealer, first))
}

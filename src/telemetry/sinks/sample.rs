//! Entries for tests.

#![expect(clippy::unwrap_used, reason = "tests")]

use crate::egress::record::Record;
use crate::journal::sample::decided;
use crate::journal::{Entry, Journal, Reader};

/// The first entries of a journal: `started`, then decisions.
pub(super) fn entries(count: u128) -> (tempfile::TempDir, Vec<Entry>) {
    let records = (2..=count).map(|id| Record::Decided(decided(id))).collect::<Vec<_>>();
    written(&records)
}

/// The entries of a journal with these records behind `started`.
pub(super) fn written(records: &[Record]) -> (tempfile::TempDir, Vec<Entry>) {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 64 << 20).unwrap().journal;
    for record in records {
        journal.record(record, &mut |_| ()).unwrap();
    }
    let entries = Reader::open(state.path()).unwrap().map(|entry| entry.unwrap()).take(records.len() + 1).collect();
    (state, entries)
}

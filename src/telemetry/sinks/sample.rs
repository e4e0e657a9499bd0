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

/// The entries of a journal of these records behind `started`, in a log that has no name.
pub(super) fn written(records: &[Record]) -> (tempfile::TempDir, Vec<Entry>) {
    let made = tempfile::tempdir().unwrap();
    let journal = Journal::open(made.path(), 64 << 20).unwrap().journal;
    for record in records {
        journal.record(record, &mut |_| ()).unwrap();
    }
    let all: Vec<Entry> = Reader::open(made.path()).unwrap().map(|entry| entry.unwrap()).collect();
    let own = all.iter().filter(|entry| matches!(entry.line.record, Record::Started(_))).take(1);
    let given = all.iter().filter(|entry| entry.line.seq > 3).take(records.len());
    let lines = own
        .chain(given)
        .zip(1..)
        .map(|(entry, seq)| entry.text.replacen(&format!("\"seq\":{},", entry.line.seq), &format!("\"seq\":{seq},"), 1) + "\n");
    let state = tempfile::tempdir().unwrap();
    let slot = state.path().join("journal/proxy-1");
    std::fs::create_dir_all(&slot).unwrap();
    std::fs::write(slot.join("00000001.jsonl"), lines.collect::<String>()).unwrap();
    let entries = Reader::open(state.path()).unwrap().map(|entry| entry.unwrap()).collect();
    (state, entries)
}

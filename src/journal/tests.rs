//! What the journal keeps, whatever happens to its process, its disk and its files.

#![expect(clippy::unwrap_used, reason = "tests")]

mod durable;
mod full;
mod power;
mod retained;
mod sealed;
mod starts;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;

use super::sample::{decided, ended};
use super::*;
use crate::egress::record::{Decided, Gap, GapWhy, Ruling, Started};
use crate::policy::reason::Reason;

const ROOM: u64 = 1 << 20;

#[test]
fn a_session_is_told_from_its_start_to_its_stop() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    journal.settle(ended(1), &mut |_| ()).unwrap();
    journal.stop(&mut |_| ()).unwrap();

    let text = fs::read_to_string(segment(state.path(), 1)).unwrap();
    let begins = |(line, seq): (&str, u64)| line.starts_with(&format!("{{\"v\":1,\"seq\":{seq},\"at\":"));
    assert!(text.lines().zip(1..).all(begins), "{text}");
    assert_eq!(kinds(&text), ["segment", "started", "sealed", "decided", "ended", "stopped"]);
    assert_eq!(told(state.path()), ["1 started", "2 decided 1", "3 ended 1 completed listed", "4 stopped"]);
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));
}

#[test]
fn folders_and_files_are_private() {
    let state = tempfile::tempdir().unwrap();
    let _journal = open(state.path());
    let mode = |path: &str| fs::metadata(state.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("journal"), 0o700);
    assert_eq!(mode("journal/proxy-1"), 0o700);
    assert_eq!(mode("journal/proxy-1/00000001.jsonl"), 0o600);
    assert_eq!(mode("journal/proxy-1/lock"), 0o600);
}

#[test]
fn a_slot_goes_on_over_restarts_and_what_was_open_is_lost() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    let blocked = Decided { decision: Ruling::Block, reason: Reason::Unlisted, agent: None, ..decided(3) };
    for record in [decided(1), decided(2), blocked] {
        write(&journal, &Record::Decided(record));
    }
    journal.settle(ended(1), &mut |_| ()).unwrap();
    drop(journal);

    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 0, lost: 2, bad_lines: 0 }]);
    assert_eq!(opened.journal.slot().as_deref(), Some("proxy-1"));
    let rest = ["6 ended 2 lost listed", "7 ended 3 lost unlisted", "8 started"];
    assert_eq!(told(state.path())[5..], rest);
    drop(opened);

    assert_eq!(Journal::open(state.path(), ROOM).unwrap().recovered, []);
}

#[test]
fn a_torn_last_line_is_cut_away_and_reported() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    drop(journal);
    append(&segment(state.path(), 1), b"{\"v\":1,\"seq\":3,\"at");

    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 18, lost: 1, bad_lines: 0 }]);
    assert_eq!(told(state.path()), ["1 started", "2 decided 1", "3 ended 1 lost listed", "4 started repaired 18"]);
}

#[test]
fn a_damaged_line_in_the_middle_stays_and_is_told() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    journal.settle(ended(1), &mut |_| ()).unwrap();
    drop(journal);
    let path = segment(state.path(), 1);
    let mut text = fs::read(&path).unwrap();
    let kind = text.windows(9).position(|at| at == b"\"decided\"").unwrap();
    text[kind + 3] = b'\xff';
    fs::write(&path, &text).unwrap();

    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 0, lost: 0, bad_lines: 1 }]);
    assert!(fs::read(&path).unwrap().starts_with(&text));
    let told = told(state.path());
    assert_eq!(told[0], "1 started");
    assert!(told[1].ends_with("proxy-1/00000001.jsonl:4: not a record"), "{}", told[1]);
    assert_eq!(told[2..], ["3 ended 1 completed listed", "4 started"]);
}

#[test]
fn two_journals_at_once_take_two_slots_and_the_first_free_one_is_taken_again() {
    let state = tempfile::tempdir().unwrap();
    let first = open(state.path());
    let second = open(state.path());
    let third = open(state.path());
    assert_eq!([&first, &second, &third].map(|journal| journal.slot().unwrap()), ["proxy-1", "proxy-2", "proxy-3"]);
    write(&third, &Record::Decided(decided(3)));
    drop((second, third));
    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.journal.slot().as_deref(), Some("proxy-2"));
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-3".into(), torn: 0, lost: 1, bad_lines: 0 }]);
    assert_eq!(first.healthy(), Ok(()));
}

#[test]
fn all_slots_are_read_in_the_order_of_time() {
    let state = tempfile::tempdir().unwrap();
    let (first, second) = (open(state.path()), open(state.path()));
    for id in 0..10 {
        write(if id % 3 == 0 { &first } else { &second }, &Record::Decided(decided(id)));
    }
    let ids: Vec<_> = entries(state.path())
        .filter_map(|entry| if let Record::Decided(decided) = entry.line.record { Some(decided.id.0.as_u128()) } else { None })
        .collect();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
}

#[test]
fn segments_end_by_size_and_open_attempts_span_them() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 2000).unwrap().journal;
    for id in 1..=20 {
        write(&journal, &Record::Decided(decided(id)));
    }
    for id in 2..=20 {
        journal.settle(ended(id), &mut |_| ()).unwrap();
    }
    drop(journal);
    let lengths: Vec<_> = slot::segments(&state.path().join("journal/proxy-1"))
        .unwrap()
        .into_iter()
        .map(|number| fs::metadata(segment(state.path(), number)).unwrap().len())
        .collect();
    assert!(lengths.len() > 5 && lengths.iter().all(|length| (1..=2000).contains(length)), "{lengths:?}");

    let opened = Journal::open(state.path(), 2000).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 0, lost: 1, bad_lines: 0 }]);
    let told = told(state.path());
    assert_eq!(told[40..], ["41 ended 1 lost listed", "42 started"]);
    let seqs: Vec<u64> = Reader::open(state.path()).unwrap().map(|item| item.unwrap().line.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn stopping_ends_what_is_open_and_says_it_once() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    journal.stop(&mut |_| ()).unwrap();
    journal.stop(&mut |_| ()).unwrap();
    journal.settle(ended(1), &mut |_| ()).unwrap();
    drop(journal);
    assert_eq!(told(state.path()), ["1 started", "2 decided 1", "3 ended 1 lost listed", "4 stopped"]);
    assert_eq!(Journal::open(state.path(), ROOM).unwrap().recovered, []);
}

#[test]
fn a_segment_that_was_removed_or_changed_is_followed_by_the_next() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 4] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("moved", |path| fs::rename(path, path.with_extension("old")).unwrap()),
        ("cut", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap()),
        ("appended to", |path| append(path, b"not ours")),
    ];
    for (name, spoil) in cases {
        let state = tempfile::tempdir().unwrap();
        let journal = open(state.path());
        journal.keep_notes();
        spoil(&segment(state.path(), 1));
        write(&journal, &Record::Decided(decided(1)));
        assert_eq!(journal.healthy(), Ok(()), "{name}");
        let next = fs::read_to_string(segment(state.path(), 2)).unwrap();
        assert!(next.starts_with("{\"v\":1,\"seq\":4,") && next.ends_with("}\n"), "{name}: {next}");
        let gap: &[&str] = if matches!(name, "removed" | "moved") { &["gap"] } else { &[] };
        assert_eq!(kinds(&next), [&["segment", "decided"], gap, &["sealed"]].concat(), "{name}");
        assert_eq!(next.contains(r#""slot":"proxy-1","first":1,"last":3,"why":"missing""#), !gap.is_empty(), "{name}");
    }
}

#[test]
fn a_folder_that_is_gone_or_replaced_refuses_until_it_is_back() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    let (folder, aside) = (state.path().join("journal/proxy-1"), state.path().join("aside"));
    fs::rename(&folder, &aside).unwrap();

    let mut written = Vec::new();
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |record| written.push(record.clone())), Err(Unwritable));
    assert_eq!(journal.settle(ended(1), &mut |record| written.push(record.clone())), Err(Unwritable));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("lock"), "").unwrap();
    assert_eq!(journal.record(&Record::Decided(decided(3)), &mut |record| written.push(record.clone())), Err(Unwritable));
    let problem = journal.probe(&mut |record| written.push(record.clone())).unwrap_err();
    assert!(problem.ends_with("proxy-1/00000001.jsonl cannot be written: the folder was removed or replaced"), "{problem}");
    assert_eq!(journal.healthy(), Err(problem));
    assert_eq!(written, []);

    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    write(&journal, &Record::Decided(decided(4)));
    assert_eq!(journal.healthy(), Ok(()));
    assert_eq!(told(state.path()), ["1 started", "2 decided 1", "3 ended 1 completed listed", "4 decided 4"]);
}

#[test]
fn in_a_burst_what_is_removed_is_missed_at_once_and_what_was_moved_goes_on_where_it_is() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), Settings { look: Duration::MAX, ..ROOM.into() }).unwrap().journal;
    (0..tail::BURST).for_each(|id| write(&journal, &Record::Decided(decided(100 + u128::from(id)))));
    let (at, aside) = (segment(state.path(), 1), state.path().join("aside"));
    journal.keep_notes();
    fs::rename(&at, &aside).unwrap();
    write(&journal, &Record::Decided(decided(1)));
    assert!(fs::read_to_string(&aside).unwrap().contains(&decided(1).id.0.to_string()) && !at.exists());
    fs::remove_file(&aside).unwrap();
    write(&journal, &Record::Decided(decided(2)));
    let next = fs::read_to_string(segment(state.path(), 2)).unwrap();
    assert_eq!(kinds(&next), ["segment", "decided", "gap", "sealed"]);
}

#[test]
fn a_segment_is_never_written_through_a_symbolic_link() {
    let state = tempfile::tempdir().unwrap();
    let target = state.path().join("target");
    fs::write(&target, "").unwrap();
    fs::create_dir_all(state.path().join("journal/proxy-1")).unwrap();
    std::os::unix::fs::symlink(&target, segment(state.path(), 1)).unwrap();
    assert_eq!(open(state.path()).slot().as_deref(), Some("proxy-2"));
    assert_eq!(fs::read(&target).unwrap(), b"");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cut_anywhere_at_most_the_torn_line_is_lost(at in any::<prop::sample::Index>(), small in any::<bool>()) {
        let state = tempfile::tempdir().unwrap();
        let room = if small { 900 } else { ROOM };
        let journal = Journal::open(state.path(), room).unwrap().journal;
        for id in 1..=6 {
            write(&journal, &Record::Decided(decided(id)));
            if id % 2 == 0 {
                journal.settle(ended(id), &mut |_| ()).unwrap();
            }
        }
        drop(journal);
        let before = texts(state.path());
        let last = *slot::segments(&state.path().join("journal/proxy-1")).unwrap().last().unwrap();
        let path = segment(state.path(), last);
        let text = fs::read(&path).unwrap();
        let cut = at.index(text.len() + 1);
        fs::write(&path, &text[..cut]).unwrap();
        let told = |bytes: &[u8]| {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|line| Line::parse_bytes(line.strip_suffix(b"\n")?));
            lines.filter(|line| !is_own(&line.record)).count()
        };
        let whole = before.len() - (told(&text) - told(&text[..cut]));

        let opened = Journal::open(state.path(), room).unwrap();
        drop(opened);
        let after = texts(state.path());
        prop_assert_eq!(&after[..whole], &before[..whole]);
        let seqs: Vec<u64> = Reader::open(state.path()).unwrap().map(|item| item.unwrap().line.seq).collect();
        prop_assert_eq!(&seqs, &(1..=seqs.len() as u64).collect::<Vec<_>>());
        let count = |kind: &str| after.iter().filter(|text| text.contains(kind)).count();
        prop_assert_eq!(count("\"kind\":\"decided\""), count("\"kind\":\"ended\""));
        prop_assert_eq!(Journal::open(state.path(), room).unwrap().recovered, []);
    }
}

fn open(state: &Path) -> Journal {
    Journal::open(state, ROOM).unwrap().journal
}

fn write(journal: &Journal, record: &Record) {
    journal.record(record, &mut |_| ()).unwrap();
}

/// Puts a folder in a file's place: not even root can open it for writing, or read it as a file.
fn make_unreadable(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn segment(state: &Path, number: u64) -> PathBuf {
    state.join("journal/proxy-1").join(slot::segment_name(number))
}

/// Every line but those that the journal writes of itself.
fn entries(state: &Path) -> impl Iterator<Item = Entry> {
    Reader::open(state).unwrap().map(Result::unwrap).filter(|entry| !is_own(&entry.line.record))
}

fn is_own(record: &Record) -> bool {
    matches!(record, Record::Segment(_) | Record::Sealed(_))
}

/// The kinds of the lines of a segment.
fn kinds(text: &str) -> Vec<&'static str> {
    text.lines().map(|line| Line::parse(line).unwrap().record.kind()).collect()
}

fn texts(state: &Path) -> Vec<String> {
    entries(state).map(|entry| entry.text).collect()
}

/// Every line in a few words: number, kind, attempt, outcome, reason. What the journal writes of itself is left out, and not counted.
fn told(state: &Path) -> Vec<String> {
    let mut own = 0;
    let mut tell = |item: Result<Entry, BadLine>| match item {
        Err(bad) => bad.to_string(),
        Ok(Entry { line: Line { seq, record, .. }, .. }) => match (seq - own, record) {
            (seq, Record::Started(Started { repaired: Some(bytes), .. })) => format!("{seq} started repaired {bytes}"),
            (seq, Record::Started(_)) => format!("{seq} started"),
            (seq, Record::Stopped(_)) => format!("{seq} stopped"),
            (seq, Record::Decided(decided)) => format!("{seq} decided {}", decided.id.0.as_u128()),
            (seq, Record::Ended(ended)) => format!("{seq} ended {} {} {}", ended.id.0.as_u128(), ended.outcome.as_str(), ended.reason),
            (_, record) if is_own(&record) => {
                own += 1;
                String::new()
            }
            (seq, other) => format!("{seq} {}", other.kind()),
        },
    };
    Reader::open(state).unwrap().map(&mut tell).filter(|told| !told.is_empty()).collect()
}

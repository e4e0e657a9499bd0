//! What is kept and what goes: by age, by room, and never before a sink has it unless room forces it.

use std::time::SystemTime;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A sink that has passed the lines up to a number, in every slot.
#[derive(Debug)]
struct Passed(u64);

/// Nobody does.
#[derive(Debug)]
struct NoFollowers;

impl Followers for NoFollowers {
    fn behind(&self, _: &str, _: u64) -> Vec<String> {
        Vec::new()
    }
}

impl Followers for Passed {
    fn behind(&self, _: &str, seq: u64) -> Vec<String> {
        if seq > self.0 { vec!["webhook".into()] } else { Vec::new() }
    }
}

fn filled(state: &Path, max: u64) -> Journal {
    let settings = Settings { max, ..Settings::from(3000) };
    let journal = Journal::open(state, settings).unwrap().journal;
    for id in 1..=30 {
        write(&journal, &Record::Decided(decided(id)));
        journal.keep_notes();
    }
    journal
}

fn numbers(state: &Path, slot: &str) -> Vec<u64> {
    slot::segments(&state.join("journal").join(slot)).unwrap().into_iter().collect()
}

fn retain(journal: &Journal, after: Duration, followers: &dyn Followers) -> Vec<Record> {
    let mut written = Vec::new();
    journal.retain(SystemTime::now() + after, followers, &mut |record| written.push(record.clone())).unwrap();
    written.retain(|record| !is_own(record));
    written
}

/// The number of a segment's last line.
fn last(state: &Path, number: u64) -> u64 {
    let text = fs::read_to_string(segment(state, number)).unwrap();
    Line::parse(text.lines().last().unwrap()).unwrap().seq
}

#[test]
fn what_is_older_than_keep_goes_and_the_newest_segment_stays() {
    let state = tempfile::tempdir().unwrap();
    let journal = filled(state.path(), 1 << 30);
    let all = numbers(state.path(), "proxy-1");
    assert!(all.len() > 3);
    assert_eq!(retain(&journal, 29 * DAY, &NoFollowers), []);
    assert_eq!(numbers(state.path(), "proxy-1"), all);
    assert_eq!(retain(&journal, 31 * DAY, &NoFollowers), []);
    assert_eq!(numbers(state.path(), "proxy-1"), all[all.len() - 1..]);
    write(&journal, &Record::Decided(decided(99)));
    journal.stop(&mut |_| ()).unwrap();
    drop(journal);
    assert_eq!(Journal::open(state.path(), ROOM).unwrap().recovered, []);
}

#[test]
fn what_a_sink_has_not_had_does_not_go_for_its_age() {
    let state = tempfile::tempdir().unwrap();
    let journal = filled(state.path(), 1 << 30);
    let all = numbers(state.path(), "proxy-1");
    assert_eq!(retain(&journal, 31 * DAY, &Passed(last(state.path(), 2) - 1)), []);
    assert_eq!(numbers(state.path(), "proxy-1"), all[1..], "the first is passed, the second but for its last line");
}

#[test]
fn for_want_of_room_the_oldest_go_and_what_a_sink_had_not_had_is_told_first() {
    let state = tempfile::tempdir().unwrap();
    let journal = filled(state.path(), 9000);
    let all = numbers(state.path(), "proxy-1");
    let (passed, second) = (last(state.path(), 1), last(state.path(), 2));
    let told = retain(&journal, Duration::ZERO, &Passed(passed));
    let left = numbers(state.path(), "proxy-1");
    assert!(left.len() >= 2 && all.ends_with(&left[..left.len() - 1]) || all.ends_with(&left), "{left:?}");
    let sinks = vec!["webhook".to_owned()];
    let gap = Gap { slot: "proxy-1".into(), first: passed + 1, last: second, sinks, why: GapWhy::Full };
    assert_eq!(told[0], Record::Gap(gap));
    let size: u64 = left.iter().map(|number| fs::metadata(segment(state.path(), *number)).unwrap().len()).sum();
    assert!(size <= 9000 + 3000, "{size}");
    assert_eq!(retain(&journal, Duration::ZERO, &NoFollowers), [], "what no sink waits for goes without a word");
}

#[test]
fn where_the_gap_cannot_be_written_nothing_goes() {
    let state = tempfile::tempdir().unwrap();
    let journal = filled(state.path(), 1000);
    journal.stop(&mut |_| ()).unwrap();
    let all = numbers(state.path(), "proxy-1");
    assert_eq!(retain(&journal, Duration::ZERO, &Passed(0)), []);
    assert_eq!(numbers(state.path(), "proxy-1"), all);
}

#[test]
fn a_slot_that_nobody_holds_is_cleared_but_for_its_newest_and_one_that_is_held_is_not() {
    let state = tempfile::tempdir().unwrap();
    let (first, second, third) = (open(state.path()), filled(state.path(), 1 << 30), filled(state.path(), 1 << 30));
    drop(second);
    let held = numbers(state.path(), "proxy-3");
    assert_eq!(retain(&first, 31 * DAY, &NoFollowers), []);
    assert_eq!(numbers(state.path(), "proxy-2").len(), 1);
    assert_eq!(numbers(state.path(), "proxy-3"), held);
    drop(third);
}

#[test]
fn what_is_not_of_the_journal_is_left_where_it_is() {
    let state = tempfile::tempdir().unwrap();
    let journal = filled(state.path(), 1);
    let strange = ["journal/notes.txt", "journal/proxy-01", "journal/proxy-1/1.jsonl", "journal/proxy-1/old.jsonl", "journal/proxy-1/x"];
    strange.iter().for_each(|path| fs::write(state.path().join(path), "mine").unwrap());
    let mut wanted: Vec<PathBuf> = strange.iter().map(|path| state.path().join(path)).collect();
    wanted.sort();
    assert_eq!(slot::strange(&state.path().join("journal")).unwrap(), wanted);
    retain(&journal, 31 * DAY, &NoFollowers);
    strange.iter().for_each(|path| assert_eq!(fs::read(state.path().join(path)).unwrap(), b"mine", "{path}"));
}

#[test]
fn what_stands_in_the_way_of_one_slot_keeps_no_other_from_being_cleared() {
    let state = tempfile::tempdir().unwrap();
    let (first, second, third) = (open(state.path()), filled(state.path(), 1 << 30), filled(state.path(), 1 << 30));
    drop((second, third));
    let blocked = numbers(state.path(), "proxy-2");
    let last = state.path().join("journal/proxy-2").join(slot::segment_name(blocked[1]));
    fs::remove_file(&last).unwrap();
    fs::create_dir(&last).unwrap();
    let error = first.retain(SystemTime::now() + 31 * DAY, &NoFollowers, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("proxy-2/00000002.jsonl cannot be read"), "{error}");
    assert_eq!(numbers(state.path(), "proxy-2"), blocked, "a log is removed from its beginning only");
    assert_eq!(numbers(state.path(), "proxy-3").len(), 1);
}

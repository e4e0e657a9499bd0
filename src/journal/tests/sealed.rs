//! What is signed: every line under a checkpoint, over kills, restarts, new segments and older formats.

use std::time::Instant;

use super::note::{Key, Verifier};
use super::*;

/// Every line of the first slot in the order of its segments, without its end.
fn lines(state: &Path) -> Vec<Vec<u8>> {
    let numbers = slot::segments(&state.join("journal/proxy-1")).unwrap();
    let text: Vec<u8> = numbers.into_iter().flat_map(|number| fs::read(segment(state, number)).unwrap()).collect();
    text.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap().to_owned()).collect()
}

/// The notes of `checkpoints`, each without the empty line behind it.
fn notes(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> = text.strip_suffix("\n\n").unwrap().split("\n\n").collect();
    blocks.chunks(2).map(|pair| format!("{}\n\n{}\n", pair[0], pair[1])).collect()
}

/// Checks every heading, checkpoint and note against a tree grown from nothing; the sizes that the notes cover.
fn assert_whole(state: &Path) -> Vec<u64> {
    let folder = state.join("journal/proxy-1");
    let verifier = Verifier::parse(fs::read_to_string(folder.join("verifier")).unwrap().trim_end()).unwrap();
    let mut tree = Tree::default();
    let mut roots = vec![tree.root()];
    for line in lines(state) {
        let Line { seq, record, .. } = Line::parse_bytes(&line).unwrap();
        assert_eq!(seq, tree.size() + 1);
        if let Record::Segment(heading) = &record {
            assert_eq!((heading.size, &heading.peaks), (tree.size(), &tree.peaks()));
        }
        if let Record::Sealed(sealed) = &record {
            let opened = verifier.open(&sealed.note).unwrap();
            assert_eq!((sealed.size, sealed.root.clone()), (tree.size(), tree.root().to_string()));
            assert_eq!((opened.size(), opened.hash()), (tree.size(), &tree.root()));
        }
        tree.push(&line);
        roots.push(tree.root());
    }
    let notes = notes(&folder.join("checkpoints"));
    let opened = notes.iter().map(|note| verifier.open(note).unwrap());
    let sizes: Vec<u64> = opened
        .map(|note| {
            assert_eq!(note.hash(), &roots[usize::try_from(note.size()).unwrap()]);
            note.size()
        })
        .collect();
    assert!(sizes.is_sorted_by(|one, other| one < other), "{sizes:?}");
    sizes
}

#[test]
fn a_session_is_sealed_at_its_start_and_at_its_end_and_the_next_goes_on_with_the_tree() {
    let state = tempfile::tempdir().unwrap();
    for session in 0..3 {
        let journal = open(state.path());
        write(&journal, &Record::Decided(decided(session)));
        journal.stop(&mut |_| ()).unwrap();
        let count = lines(state.path()).len() as u64;
        assert_eq!(assert_whole(state.path()).last(), Some(&count), "the last checkpoint covers `stopped`");
    }
    let wanted = ["segment", "started", "sealed", "decided", "ended", "stopped", "started", "sealed", "decided", "ended", "stopped"];
    let text = fs::read_to_string(segment(state.path(), 1)).unwrap();
    assert_eq!(kinds(&text)[..11], wanted);
    assert_eq!(assert_whole(state.path()), [2, 6, 7, 11, 12, 16]);
}

#[test]
fn every_segment_begins_with_its_place_in_the_tree_and_is_sealed_when_the_next_begins() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 3000).unwrap().journal;
    for id in 1..=30 {
        write(&journal, &Record::Decided(decided(id)));
        journal.keep_notes();
        journal.settle(ended(id), &mut |_| ()).unwrap();
        journal.keep_notes();
    }
    journal.stop(&mut |_| ()).unwrap();
    drop(journal);
    let numbers = slot::segments(&state.path().join("journal/proxy-1")).unwrap();
    assert!(numbers.len() > 3);
    for number in &numbers {
        let text = fs::read_to_string(segment(state.path(), *number)).unwrap();
        assert_eq!(kinds(&text)[0], "segment");
        // `stopped` is the last line of all, even where it began a segment.
        let sealed = kinds(&text).iter().take(3).any(|kind| *kind == "sealed");
        assert!(sealed || Some(number) == numbers.last() && kinds(&text)[1..] == ["stopped"], "{number}: {text}");
    }
    assert_whole(state.path());
    // What is behind the newest heading is not read again.
    make_unreadable(&segment(state.path(), 1));
    assert_eq!(Journal::open(state.path(), 3000).unwrap().journal.slot().as_deref(), Some("proxy-1"));
}

#[test]
fn a_checkpoint_is_made_after_ten_seconds_if_there_is_something_new_and_after_ten_thousand_records() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 1 << 30).unwrap().journal;
    let now = Instant::now();
    let sealed = || {
        journal.keep_notes();
        notes(&state.path().join("journal/proxy-1/checkpoints")).len()
    };
    journal.turn(now + Duration::from_secs(60), &mut |_| ());
    assert_eq!(sealed(), 1, "nothing is new");
    write(&journal, &Record::Decided(decided(1)));
    journal.turn(now + Duration::from_secs(5), &mut |_| ());
    assert_eq!(sealed(), 1, "it is not time");
    let mut written = Vec::new();
    journal.turn(now + Duration::from_secs(60), &mut |record| written.push(record.kind()));
    assert_eq!((sealed(), written), (2, vec!["sealed"]));
    (0..9_998).for_each(|id| write(&journal, &Record::Decided(decided(id))));
    assert_eq!(sealed(), 2);
    write(&journal, &Record::Decided(decided(1)));
    assert_eq!(sealed(), 3);
    assert_whole(state.path());
}

#[test]
fn a_note_that_a_kill_kept_from_its_file_is_put_there_and_a_torn_one_is_cut() {
    for cut in 1..330 {
        let state = tempfile::tempdir().unwrap();
        write(&open(state.path()), &Record::Decided(decided(1)));
        open(state.path()).keep_notes();
        let path = state.path().join("journal/proxy-1/checkpoints");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - cut.min(text.len())]).unwrap();
        let before = lines(state.path()).iter().filter(|line| String::from_utf8_lossy(line).contains("\"kind\":\"sealed\"")).count();
        let journal = open(state.path());
        journal.keep_notes();
        journal.stop(&mut |_| ()).unwrap();
        assert_eq!(assert_whole(state.path()).len(), before + 2, "{cut}");
    }
}

#[test]
fn a_journal_of_the_format_before_goes_on_under_a_tree_over_all_of_it() {
    let state = tempfile::tempdir().unwrap();
    let old = |seq: u64, rest: &str| format!("{{\"v\":1,\"seq\":{seq},\"at\":\"2026-11-22T12:00:00.000000Z\",\"kind\":{rest}}}\n");
    let started = "\"started\",\"version\":\"0.1.0\",\"pid\":1";
    fs::create_dir_all(state.path().join("journal/proxy-1")).unwrap();
    fs::write(segment(state.path(), 1), old(1, started)).unwrap();
    fs::write(segment(state.path(), 2), old(2, "\"stopped\"") + &old(3, started)).unwrap();
    let journal = Journal::open(state.path(), 1000).unwrap().journal;
    (1..=5).for_each(|id| write(&journal, &Record::Decided(decided(id))));
    journal.stop(&mut |_| ()).unwrap();
    assert_eq!(told(state.path())[..4], ["1 started", "2 stopped", "3 started", "4 started"]);
    assert_whole(state.path());

    // Where lines are missing there is no tree over all of it: the slot is left alone.
    let state = tempfile::tempdir().unwrap();
    fs::create_dir_all(state.path().join("journal/proxy-1")).unwrap();
    fs::write(segment(state.path(), 2), old(2, "\"stopped\"")).unwrap();
    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.journal.slot().as_deref(), Some("proxy-2"));
    let why = opened.skipped[0].why.to_string();
    assert!(why.ends_with("it ends with line 2 and has 1: lines are missing"), "{why}");
}

#[test]
fn lines_that_were_taken_away_while_it_was_stopped_are_told_by_a_gap() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    journal.stop(&mut |_| ()).unwrap();
    drop(journal);
    let text = fs::read_to_string(segment(state.path(), 1)).unwrap();
    let kept: String = text.split_inclusive('\n').take(3).collect();
    fs::write(segment(state.path(), 1), kept).unwrap();
    drop(open(state.path()));
    let text = fs::read_to_string(segment(state.path(), 1)).unwrap();
    assert_eq!(kinds(&text), ["segment", "started", "sealed", "started", "gap", "sealed"]);
    assert!(text.contains(r#""kind":"gap","slot":"proxy-1","first":4,"last":6,"why":"missing""#), "{text}");
}

#[test]
fn without_a_key_nothing_is_recorded_until_there_is_one() {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("journal.key")).unwrap();
    let opened = Journal::open(state.path(), ROOM).unwrap();
    let problem = opened.journal.healthy().unwrap_err();
    assert!(problem.contains("journal.key is no file"), "{problem}");
    assert_eq!(opened.journal.record(&Record::Decided(decided(1)), &mut |_| ()), Err(Unwritable));
    assert!(!state.path().join("journal/proxy-1").exists());
    fs::remove_dir(state.path().join("journal.key")).unwrap();
    write(&opened.journal, &Record::Decided(decided(1)));
    assert_eq!(opened.journal.healthy(), Ok(()));
}

#[test]
fn a_slot_that_another_key_signed_is_left_alone() {
    let state = tempfile::tempdir().unwrap();
    drop(open(state.path()));
    fs::remove_file(state.path().join("journal.key")).unwrap();
    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.journal.slot().as_deref(), Some("proxy-2"));
    let why = opened.skipped[0].why.to_string();
    assert!(why.ends_with("proxy-1/verifier is of another key than the journal.key of this state folder"), "{why}");
}

#[test]
fn checkpoints_stand_in_the_second_place_too_and_what_fails_there_blocks_nothing() {
    let (state, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings { checkpoints: Some(second.path().join("there")), ..Settings::from(ROOM) };
    let journal = Journal::open(state.path(), settings).unwrap().journal;
    write(&journal, &Record::Decided(decided(1)));
    assert_eq!(journal.healthy(), Ok(()));
    fs::create_dir(second.path().join("there")).unwrap();
    journal.stop(&mut |_| ()).unwrap();
    let log = Key::open(state.path()).unwrap().log_id().to_owned();
    let there = notes(&second.path().join("there").join(format!("proxy-1-{log}")));
    assert_eq!(there, notes(&state.path().join("journal/proxy-1/checkpoints")), "what failed at first is there as well");
}

#[test]
fn no_line_is_older_than_the_one_before_it_though_the_clock_goes_back() {
    let state = tempfile::tempdir().unwrap();
    let ahead = "{\"v\":1,\"seq\":1,\"at\":\"2999-01-01T00:00:00.000000Z\",\"kind\":\"started\",\"version\":\"0.1.0\",\"pid\":1}\n";
    fs::create_dir_all(state.path().join("journal/proxy-1")).unwrap();
    fs::write(segment(state.path(), 1), ahead).unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    assert!(lines(state.path()).iter().all(|line| String::from_utf8_lossy(line).contains("\"at\":\"2999-01-01T00:00:00.000000Z\"")));
}

/// What `verify` finds in the slots: whether the stop is without its checkpoint, or what is wrong.
fn verified(state: &Path) -> Vec<Result<bool, String>> {
    let asked = verify::Asked { path: state.to_owned(), keys: Vec::new(), kept: verify::Kept::default() };
    let slots = verify::verify(&asked).unwrap().slots;
    slots.into_iter().map(|slot| slot.result.map(|sound| sound.stop_unsealed).map_err(|broken| broken.to_string())).collect()
}

/// Puts the file where nothing is written to it, and it can still be read; and back.
fn bar(path: &Path, barred: bool) {
    let aside = path.with_extension("aside");
    if barred {
        fs::rename(path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, path).unwrap();
    } else {
        fs::rename(&aside, path).unwrap();
    }
}

#[test]
fn a_kill_between_the_stop_and_its_checkpoint_is_no_damage_and_the_next_start_seals_it() {
    let state = tempfile::tempdir().unwrap();
    let (first, second) = (open(state.path()), open(state.path()));
    write(&second, &Record::Decided(decided(1)));
    let slot = state.path().join("journal/proxy-2");
    second.keep_notes();
    bar(&slot.join("checkpoints"), true);
    second.stop(&mut |_| ()).unwrap();
    drop((first, second));
    assert!(slot.join("stopping").exists());
    assert_eq!(verified(state.path()), [Ok(false), Ok(true)]);
    bar(&slot.join("checkpoints"), false);
    // Without the mark it is what it is: a checkpoint was removed.
    fs::rename(slot.join("stopping"), slot.join("not")).unwrap();
    assert!(verified(state.path())[1].clone().unwrap_err().ends_with("the checkpoint made then is missing here"));
    fs::rename(slot.join("not"), slot.join("stopping")).unwrap();

    let journal = open(state.path());
    assert_eq!((journal.slot().as_deref(), slot.join("stopping").exists()), (Some("proxy-1"), false));
    assert_eq!(verified(state.path()), [Ok(false), Ok(false)]);
    journal.stop(&mut |_| ()).unwrap();
    assert!(!state.path().join("journal/proxy-1/stopping").exists());
    assert_eq!(verified(state.path()), [Ok(false), Ok(false)]);
}

#[test]
fn while_a_checkpoint_has_not_found_its_place_no_other_is_made_and_none_is_missing() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    let path = state.path().join("journal/proxy-1/checkpoints");
    journal.keep_notes();
    bar(&path, true);
    for turn in 1..=5 {
        write(&journal, &Record::Decided(decided(u128::from(turn))));
        journal.turn(Instant::now() + Duration::from_secs(60 * turn), &mut |_| ());
        assert_eq!(verified(state.path()), [Ok(false)], "{turn}");
    }
    bar(&path, false);
    journal.turn(Instant::now(), &mut |_| ());
    journal.stop(&mut |_| ()).unwrap();
    assert_whole(state.path());
    assert_eq!(verified(state.path()), [Ok(false)]);
}

#[test]
fn processes_that_start_at_once_in_an_empty_folder_agree_on_one_key_and_have_a_slot_each() {
    let state = tempfile::tempdir().unwrap();
    let barrier = std::sync::Barrier::new(8);
    let journals: Vec<Journal> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    open(state.path())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut slots: Vec<String> = journals.iter().map(|journal| journal.slot().unwrap()).collect();
    slots.sort();
    assert_eq!(slots, (1..=8).map(|number| format!("proxy-{number}")).collect::<Vec<_>>());
    journals.iter().for_each(|journal| journal.stop(&mut |_| ()).unwrap());
    assert_eq!(verified(state.path()), vec![Ok(false); 8]);
}

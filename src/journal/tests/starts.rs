//! How a start finds its slot: those left in order, left by dying, not to be had, and none at all.

use super::*;

#[test]
fn a_slot_that_stopped_in_order_is_read_at_its_end_only() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 1000).unwrap().journal;
    (1..=10).for_each(|id| write(&journal, &Record::Decided(decided(id))));
    journal.stop(&mut |_| ()).unwrap();
    drop(journal);
    let numbers = slot::segments(&state.path().join("journal/proxy-1")).unwrap();
    let last = *numbers.last().unwrap();
    for number in numbers.into_iter().filter(|number| *number != last) {
        make_unreadable(&segment(state.path(), number));
    }
    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!((opened.recovered, opened.skipped.len()), (vec![], 0));
    assert_eq!(opened.journal.slot().as_deref(), Some("proxy-1"));
    let text = fs::read_to_string(segment(state.path(), last)).unwrap();
    assert_eq!(kinds(&text)[kinds(&text).len() - 3..], ["stopped", "started", "sealed"], "{text}");
}

#[test]
fn a_slot_left_by_dying_is_read_back_to_its_last_start_only() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    write(&journal, &Record::Decided(decided(1)));
    journal.stop(&mut |_| ()).unwrap();
    drop(journal);
    let mut text = fs::read(segment(state.path(), 1)).unwrap();
    let kind = text.windows(9).position(|at| at == b"\"decided\"").unwrap();
    text[kind + 3] = b'\xff';
    fs::write(segment(state.path(), 1), text).unwrap();
    write(&open(state.path()), &Record::Decided(decided(2)));
    let opened = Journal::open(state.path(), ROOM).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 0, lost: 1, bad_lines: 0 }]);
    assert_eq!(told(state.path())[4..], ["5 started", "6 decided 2", "7 ended 2 lost listed", "8 started"]);
}

#[test]
fn a_slot_put_in_order_for_another_process_says_so_and_is_left_alone_from_then_on() {
    for torn in [&b""[..], b"{\"v\":1,\"seq\":3,\"at"] {
        let state = tempfile::tempdir().unwrap();
        let first = open(state.path());
        let second = open(state.path());
        write(&second, &Record::Decided(decided(2)));
        drop((first, second));
        let path = state.path().join("journal/proxy-2/00000001.jsonl");
        append(&path, torn);
        let opened = Journal::open(state.path(), ROOM).unwrap();
        assert_eq!(opened.recovered, [Recovered { slot: "proxy-2".into(), torn: torn.len() as u64, lost: 1, bad_lines: 0 }]);
        drop(opened);
        fs::remove_dir_all(state.path().join("journal/proxy-1")).unwrap();
        let repaired = if torn.is_empty() { "4 started".to_owned() } else { format!("4 started repaired {}", torn.len()) };
        assert_eq!(told(state.path()), ["1 started", "2 decided 2", "3 ended 2 lost listed", &repaired, "5 stopped"]);

        let settled = fs::read(&path).unwrap();
        fs::create_dir(state.path().join("journal/proxy-1")).unwrap();
        assert_eq!(Journal::open(state.path(), ROOM).unwrap().recovered, []);
        assert_eq!(fs::read(&path).unwrap(), settled);
    }
}

#[test]
fn a_slot_that_cannot_be_had_is_skipped_and_told() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 4] = [
        ("lock cannot be opened", |slot| make_unreadable(&slot.join("lock"))),
        ("00000001.jsonl cannot be read", |slot| make_unreadable(&slot.join("00000001.jsonl"))),
        ("00000001.jsonl cannot be opened", |slot| {
            let path = slot.join("00000001.jsonl");
            fs::rename(&path, slot.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(slot.join("elsewhere"), path).unwrap();
        }),
        ("proxy-1 cannot be created", |slot| {
            fs::remove_dir_all(slot).unwrap();
            fs::write(slot, "in the way").unwrap();
        }),
    ];
    for (wanted, spoil) in cases {
        let state = tempfile::tempdir().unwrap();
        let (first, second) = (open(state.path()), open(state.path()));
        first.stop(&mut |_| ()).unwrap();
        drop((first, second));
        spoil(&state.path().join("journal/proxy-1"));
        let opened = Journal::open(state.path(), ROOM).unwrap();
        assert_eq!(opened.journal.slot().as_deref(), Some("proxy-2"), "{wanted}");
        let skipped: Vec<_> = opened.skipped.iter().map(|skipped| (skipped.slot.as_str(), skipped.why.to_string())).collect();
        assert!(matches!(&skipped[..], [("proxy-1", why)] if why.contains(wanted)), "{wanted}: {skipped:?}");
    }
}

#[test]
fn where_every_slot_is_skipped_a_new_one_is_made() {
    let state = tempfile::tempdir().unwrap();
    drop(open(state.path()));
    make_unreadable(&state.path().join("journal/proxy-1/lock"));
    for _ in 0..2 {
        let opened = Journal::open(state.path(), ROOM).unwrap();
        assert_eq!((opened.journal.slot().as_deref(), opened.skipped.len()), (Some("proxy-2"), 1));
    }
}

#[test]
fn an_error_says_the_systems_words_once() {
    let error = JournalError::new(Doing::Open, Path::new("x"), io::Error::other("no luck"));
    assert_eq!(format!("{:#}", anyhow::Error::new(error)), "the journal's x cannot be opened: no luck");
}

#[test]
fn a_segment_whose_name_is_taken_is_passed_over() {
    let state = tempfile::tempdir().unwrap();
    let journal = open(state.path());
    for taken in [2, 5] {
        fs::write(segment(state.path(), taken), "").unwrap();
    }
    fs::remove_file(segment(state.path(), 1)).unwrap();
    write(&journal, &Record::Decided(decided(1)));
    assert!(fs::read_to_string(segment(state.path(), 6)).unwrap().starts_with("{\"v\":1,\"seq\":4,"));

    fs::write(segment(state.path(), u64::MAX), "").unwrap();
    fs::remove_file(segment(state.path(), 6)).unwrap();
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));
    let problem = journal.healthy().unwrap_err();
    assert!(problem.contains("proxy-1/18446744073709551615.jsonl cannot be "), "{problem}");
}

#[test]
fn a_folder_nobody_may_write_in_refuses_from_the_start_until_it_can_be_written() {
    let state = tempfile::tempdir().unwrap();
    write(&open(state.path()), &Record::Decided(decided(1)));
    let (folder, aside) = (state.path().join("journal"), state.path().join("aside"));
    for probed in [true, false] {
        fs::rename(&folder, &aside).unwrap();
        fs::write(&folder, "in the way").unwrap();
        let opened = Journal::open(state.path(), ROOM).unwrap();
        assert_eq!((opened.recovered, opened.journal.slot()), (vec![], None));
        let journal = opened.journal;
        let problem = journal.healthy().unwrap_err();
        assert!(problem.starts_with("the journal's ") && problem.contains(" cannot be created: "), "{problem}");
        assert_eq!(journal.probe(&mut |_| ()), Err(problem));
        assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));

        fs::remove_file(&folder).unwrap();
        fs::rename(&aside, &folder).unwrap();
        let mut written = Vec::new();
        if probed {
            assert_eq!(journal.probe(&mut |record| written.push(record.clone())), Ok(()));
            assert_eq!(told(state.path())[2..], ["3 ended 1 lost listed", "4 started"]);
        }
        journal.record(&Record::Decided(decided(3)), &mut |record| written.push(record.clone())).unwrap();
        assert_eq!((journal.healthy(), written), (Ok(()), vec![Record::Decided(decided(3))]));
        journal.stop(&mut |_| ()).unwrap();
    }
    let again = ["5 decided 3", "6 ended 3 lost listed", "7 stopped", "8 started", "9 decided 3", "10 ended 3 lost listed", "11 stopped"];
    assert_eq!(told(state.path())[4..], again);
}

#[test]
fn a_journal_that_was_told_to_stop_takes_no_slot_any_more() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("journal");
    fs::write(&folder, "in the way").unwrap();
    let journal = open(state.path());
    assert_eq!(journal.stop(&mut |_| ()), Err(Unwritable));
    fs::remove_file(&folder).unwrap();
    assert_eq!(journal.record(&Record::Decided(decided(1)), &mut |_| ()), Err(Unwritable));
    assert!(journal.probe(&mut |_| ()).is_err());
    assert!(!folder.exists());
}

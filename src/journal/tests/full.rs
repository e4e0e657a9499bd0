//! A disk without room: whole lines stay, and nothing is recorded until there is room again.

use std::process::Command;

use super::*;

/// The children below run under a limit of the file size, where write(2) writes a part and then fails, as on a full disk.
fn run_under_a_limit(blocks: u32, child: &str, state: &Path) {
    let output = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("journal::tests::full::{child}"), "--ignored", "--nocapture"])
        .env("EXEAT_TEST_STATE", state)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_leaves_whole_lines_and_refuses_until_there_is_room() {
    run_under_a_limit(8, "child_with_a_full_disk", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_disk_that_is_full_at_the_start_refuses_until_there_is_room_and_what_was_repaired_is_not_forgotten() {
    let state = tempfile::tempdir().unwrap();
    write(&open(state.path()), &Record::Decided(decided(1)));
    append(&segment(state.path(), 1), b"{\"v\":1,\"seq\":3,\"at");
    run_under_a_limit(0, "child_with_no_room_at_all", state.path());
    let wanted = ["1 started", "2 decided 1", "3 ended 1 lost listed", "4 started repaired 18", "5 decided 2"];
    assert_eq!(told(state.path()), wanted);
}

#[test]
#[ignore = "run by a test above, under a limit"]
fn child_with_no_room_at_all() {
    let Some(state) = std::env::var_os("EXEAT_TEST_STATE").map(PathBuf::from) else { return };
    let opened = Journal::open(&state, ROOM).unwrap();
    assert_eq!(opened.recovered, [Recovered { slot: "proxy-1".into(), torn: 18, lost: 1, bad_lines: 0 }]);
    let journal = opened.journal;
    assert!(journal.healthy().unwrap_err().contains("00000001.jsonl cannot be written: "));
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));
    let limit = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let mut written = Vec::new();
    journal.record(&Record::Decided(decided(2)), &mut |record| written.push(record.clone())).unwrap();
    written.retain(|record| !is_own(record));
    assert_eq!((journal.healthy(), written), (Ok(()), vec![Record::Decided(decided(2))]));
    assert_eq!(journal.slot().as_deref(), Some("proxy-1"));
}

#[test]
#[ignore = "run by a test above, under a limit"]
fn child_with_a_full_disk() {
    let Some(state) = std::env::var_os("EXEAT_TEST_STATE").map(PathBuf::from) else { return };
    let journal = open(&state);
    let mut id = 0;
    loop {
        id += 1;
        assert!(id < 1000, "the limit was never met");
        if journal.record(&Record::Decided(decided(id)), &mut |_| ()).is_err() {
            break;
        }
    }
    assert!(id > 2);
    let problem = journal.healthy().unwrap_err();
    assert!(problem.contains("proxy-1/00000001.jsonl cannot be written: "), "{problem}");
    assert_eq!(journal.settle(ended(1), &mut |_| ()), Err(Unwritable));
    assert_eq!(journal.settle(ended(2), &mut |_| ()), Err(Unwritable));
    let path = segment(&state, 1);
    let full = fs::read(&path).unwrap();
    assert_eq!(full.last(), Some(&b'\n'));
    assert_eq!(told(&state).len() as u128, id, "started and all but the last");
    assert!(journal.probe(&mut |_| ()).is_err());
    assert_eq!(fs::read(&path).unwrap(), full);

    // Room again: the full segment is out of the way.
    fs::rename(&path, path.with_extension("full")).unwrap();
    let mut written = Vec::new();
    journal.record(&Record::Decided(decided(id)), &mut |record| written.push(record.clone())).unwrap();
    written.retain(|record| !is_own(record) && record.kind() != "gap");
    assert_eq!(written, [Record::Ended(ended(1)), Record::Ended(ended(2)), Record::Decided(decided(id))]);
    assert_eq!(journal.healthy(), Ok(()));
}

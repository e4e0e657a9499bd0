use std::fs::Permissions;
use std::process::Command;

use super::super::contract::{approval, at, question, subject};
use super::*;
use crate::policy::approvals::Scope;

#[test]
fn what_was_kept_is_the_same_after_the_file_was_opened_anew() {
    for disk in [false, true] {
        let state = tempfile::tempdir().unwrap();
        let store = Sqlite::open(state.path(), disk).unwrap();
        for (id, place) in [("aaaaaa", 1), ("bbbbbb", 2), ("cccccc", 3)] {
            store.open(&question(id, place)).unwrap();
        }
        store.approve("bbbbbb", &approval(2, Scope::Always)).unwrap();
        store.deny("cccccc", &subject(3), at(5), &at(600).into()).unwrap();
        let told = |store: &Sqlite| format!("{:?}", store.kept(at(10)).unwrap());
        let before = told(&store);
        assert!(before.contains("aaaaaa") && before.contains("bbbbbb"), "{before}");
        drop(store);
        assert_eq!(told(&Sqlite::open(state.path(), disk).unwrap()), before);
    }
}

#[test]
fn a_file_that_is_no_store_of_ours_is_refused_with_what_to_do_and_left_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join(FILE);
    drop(Sqlite::open(state.path(), false).unwrap());
    let good = fs::read(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let newer = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    damaged.truncate(good.len() / 2);
    let garbage = b"this is no database, whatever its name says".repeat(100);
    for (content, mode, words) in [
        (&newer, 0o600, "was written by a newer exeat (version 7 of the store, this one knows 2); run that one"),
        (&garbage, 0o600, "cannot be used: file is not a database; mend it or its permissions, or move it away"),
        (&good, 0o644, "may be used by others (mode 644): whoever writes to it approves; chmod 600 it"),
        (&good, 0o620, "may be used by others (mode 620)"),
    ] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = Sqlite::open(state.path(), false).unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with(&*path.canonicalize().unwrap().to_string_lossy()), "{error}");
        assert_eq!(&fs::read(&path).unwrap(), content, "{words}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, &damaged).unwrap();
    assert!(Sqlite::open(state.path(), false).is_err());
}

#[test]
fn an_empty_file_becomes_a_store_and_one_that_is_made_is_private() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join(FILE);
    let store = Sqlite::open(state.path(), false).unwrap();
    store.open(&question("aaaaaa", 1)).unwrap();
    for found in fs::read_dir(state.path()).unwrap() {
        let found = found.unwrap();
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{found:?}");
    }
    drop(store);
    fs::write(&path, "").unwrap();
    let store = Sqlite::open(state.path(), false).unwrap();
    assert_eq!(store.fate("aaaaaa"), Ok(None));
}

#[test]
fn a_store_that_another_has_is_refused_and_free_again_once_that_one_ended() {
    let state = tempfile::tempdir().unwrap();
    let first = Sqlite::open(state.path(), false).unwrap();
    let error = Sqlite::open(state.path(), false).unwrap_err();
    assert!(
        error.to_string().ends_with("is in use by another process, most likely another exeat; stop that one, or name another `state`"),
        "{error}"
    );
    first.open(&question("aaaaaa", 1)).unwrap();
    drop(first);
    assert_eq!(Sqlite::open(state.path(), false).unwrap().fate("aaaaaa"), Ok(Some(None)));
}

#[test]
fn a_store_without_room_says_so_and_changes_nothing() {
    let store = Sqlite::in_memory().unwrap();
    store.open(&question("aaaaaa", 1)).unwrap();
    let pages: i64 = store.connection.lock().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.connection.lock().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let mut number = 0;
    let full = loop {
        number += 1;
        let yes = approval(1, Scope::Always);
        match store.open(&question(&format!("{number:06}"), 1)) {
            Ok(()) => assert!(number < 10_000, "it is never full, and has {yes:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Full { path: "the store in memory".into() });
    assert_eq!(full.to_string(), "the store in memory cannot be written: there is no room, or the disk fails; make room");
    assert_eq!(store.fate(&format!("{number:06}")), Ok(None));
    assert_eq!(store.kept(at(2)).unwrap().questions.len(), number);
}

#[test]
fn a_full_disk_changes_nothing_and_what_was_kept_before_it_is_there_after_it() {
    let state = tempfile::tempdir().unwrap();
    Sqlite::open(state.path(), false).unwrap().open(&question("before", 1)).unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "approval::store::sqlite::tests::child_with_a_full_disk", "--ignored", "--nocapture"])
        .env("EXEAT_TEST_STATE", state.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let count: usize = said.lines().find_map(|line| line.strip_prefix("kept ")?.parse().ok()).unwrap();
    let store = Sqlite::open(state.path(), false).unwrap();
    assert_eq!(store.fate("before"), Ok(Some(None)));
    assert_eq!(store.kept(at(2)).unwrap().questions.len(), count + 1);
    store.open(&question("after", 2)).unwrap();
}

#[test]
#[ignore = "run by the test above, under a limit"]
#[expect(clippy::print_stdout, reason = "it tells the test above")]
fn child_with_a_full_disk() {
    let Some(state) = std::env::var_os("EXEAT_TEST_STATE").map(PathBuf::from) else { return };
    let store = Sqlite::open(&state, false).unwrap();
    let mut number = 0;
    let error = loop {
        match store.open(&question(&format!("{number:06}"), 1)) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full { path: _ }), "{error:?}");
    assert_eq!(store.fate(&format!("{number:06}")), Ok(None), "what was not kept is not there");
    println!("\nkept {number}");
}

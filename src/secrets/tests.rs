use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::policy::attempt::Scheme;
use crate::policy::destination::Destination;
use crate::policy::inject::{Credential, Inject};
use crate::policy::rule::RuleRef;

fn secrets(base: &Path) -> Arc<Secrets> {
    Secrets::within(Some(base.to_owned()), |name| (name == "THERE").then(|| b"from the environment\n".to_vec()))
}

fn command(words: &[&str], cache: u64) -> SecretSource {
    SecretSource::Command { line: words.iter().map(|word| Arc::from(*word)).collect(), cache: Duration::from_secs(cache) }
}

fn file(name: &str) -> SecretSource {
    SecretSource::File(name.into())
}

/// The value as text.
async fn had(secrets: &Secrets, source: &SecretSource) -> Result<String, Unavailable> {
    secrets.value(source).await.map(|secret| String::from_utf8(secret.bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_variable_is_read_and_one_that_is_not_set_is_none() {
    let secrets = secrets(Path::new("/"));
    assert_eq!(had(&secrets, &SecretSource::Env("THERE".into())).await, Ok("from the environment".into()));
    assert_eq!(had(&secrets, &SecretSource::Env("ABSENT".into())).await, Err(Unavailable::NotSet));
}

#[test]
fn a_secret_is_shown_nowhere() {
    let secret = Secret::read(b"hunter2hunter2".to_vec()).unwrap();
    assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "*** Some(\n    ***,\n)");
    let masker = mask::Masker::new([&secret]).unwrap();
    let scanner = scan::Scanner::new(None, &[Arc::new(secret)]).unwrap();
    for shown in [
        format!("{masker:?}"),
        format!("{:?}", mask::Masking::new(Arc::new(masker))),
        format!("{scanner:?}"),
        format!("{:?}", scan::Scan::new(Arc::new(scanner))),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn a_file_is_read_when_it_changes_and_a_broken_one_leaves_nothing_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let (secrets, path) = (secrets(folder.path()), folder.path().join("a"));
    assert_eq!(had(&secrets, &file("a")).await, Err(Unavailable::Unreadable(ErrorKind::NotFound)));
    for (text, wanted) in [
        ("one\n", Ok("one")),
        ("two2\r\n", Ok("two2")),
        ("three\n\n", Ok("three\n")),
        ("\n", Err(Unavailable::Empty)),
        ("", Err(Unavailable::Empty)),
        ("four", Ok("four")),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(had(&secrets, &file("a")).await, wanted.map(str::to_owned), "{text:?}");
        assert_eq!(had(&secrets, &file("a")).await, wanted.map(str::to_owned), "{text:?} again");
    }
    // Of the same length, by another file in its place.
    fs::write(folder.path().join("b"), "five").unwrap();
    fs::rename(folder.path().join("b"), &path).unwrap();
    assert_eq!(had(&secrets, &file("a")).await, Ok("five".into()));
    fs::remove_file(&path).unwrap();
    assert_eq!(had(&secrets, &file("a")).await, Err(Unavailable::Unreadable(ErrorKind::NotFound)));
}

#[tokio::test]
async fn a_file_that_is_too_long_or_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    for (length, wanted) in
        [(BYTES_MAX, Ok(BYTES_MAX)), (BYTES_MAX + 1, Err(Unavailable::TooLong)), (BYTES_MAX + 9, Err(Unavailable::TooLong))]
    {
        fs::write(folder.path().join("long"), "x".repeat(length)).unwrap();
        assert_eq!(had(&secrets, &file("long")).await.map(|text| text.len()), wanted);
    }
    assert_eq!(had(&secrets, &file(".")).await, Err(Unavailable::NoFile));
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(had(&secrets, &file("pipe")).await, Err(Unavailable::NoFile));
}

#[tokio::test]
async fn a_command_is_run_without_a_shell_and_with_little_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    for (words, wanted) in [
        (&["printf", "%s", "$HOME;a b\n"][..], Ok("$HOME;a b")),
        (&["sh", "-c", "echo to stderr >&2; echo value"], Ok("value")),
        (&["sh", "-c", "echo value; exit 3"], Err(Unavailable::Failed)),
        (&["sh", "-c", "kill -9 $$"], Err(Unavailable::Failed)),
        (&["true"], Err(Unavailable::Empty)),
        (&["sh", "-c", "head -c 70000 /dev/zero"], Err(Unavailable::TooLong)),
        (&["no-such-program-of-any-kind"], Err(Unavailable::NotStarted(ErrorKind::NotFound))),
        (&[], Err(Unavailable::NotStarted(ErrorKind::InvalidInput))),
        (&["sh", "-c", "env | grep -c ^CARGO_"], Err(Unavailable::Failed)),
    ] {
        assert_eq!(had(&secrets, &command(words, 60)).await, wanted.map(str::to_owned), "{words:?}");
    }
}

#[tokio::test]
async fn a_keyring_is_asked_by_a_command_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("secret-tool");
    fs::write(&tool, "#!/bin/sh\n[ \"$1 $2 $3\" = \"lookup service registry\" ] && printf 'kept in a keyring'\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
    let words = ["./secret-tool", "lookup", "service", "registry"];
    assert_eq!(had(&secrets(folder.path()), &command(&words, 60)).await, Ok("kept in a keyring".into()));
}

/// A command that writes down that it ran.
fn counting(folder: &Path, then: &str) -> Vec<String> {
    ["sh", "-c", &format!("echo >> {}; {then}", folder.join("runs").display())].map(str::to_owned).to_vec()
}

fn runs(folder: &Path) -> usize {
    fs::read_to_string(folder.join("runs")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn what_a_command_printed_is_kept_and_those_who_want_it_at_once_share_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (secrets, words) = (secrets(folder.path()), counting(folder.path(), "sleep 0.2; echo value"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (kept, unkept) = (command(&words, 60), command(&words, 0));
    let (one, two) = tokio::join!(had(&secrets, &kept), had(&secrets, &kept));
    assert_eq!((one, two, runs(folder.path())), (Ok("value".into()), Ok("value".into()), 1));
    assert_eq!((had(&secrets, &kept).await, runs(folder.path())), (Ok("value".into()), 1));
    assert_eq!((had(&secrets, &unkept).await, runs(folder.path())), (Ok("value".into()), 2));
}

#[tokio::test]
async fn whoever_gives_up_ends_no_run_and_begins_none() {
    let folder = tempfile::tempdir().unwrap();
    let (secrets, words) = (secrets(folder.path()), counting(folder.path(), "sleep 0.2; echo value"));
    let source = command(&words.iter().map(String::as_str).collect::<Vec<_>>(), 60);
    for _ in 0..10 {
        let given_up = tokio::time::timeout(Duration::ZERO, secrets.value(&source)).await;
        assert!(given_up.is_err());
    }
    assert_eq!((had(&secrets, &source).await, runs(folder.path())), (Ok("value".into()), 1));
}

#[tokio::test]
async fn a_failure_is_the_answer_for_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (secrets, words) = (secrets(folder.path()), counting(folder.path(), "exit 1"));
    let source = command(&words.iter().map(String::as_str).collect::<Vec<_>>(), 60);
    for _ in 0..5 {
        assert_eq!(had(&secrets, &source).await, Err(Unavailable::Failed));
    }
    assert_eq!(runs(folder.path()), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(1001)).await;
    // The second run takes its own time.
    tokio::time::resume();
    assert_eq!(had(&secrets, &source).await, Err(Unavailable::Failed));
    assert_eq!(runs(folder.path()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = secrets(folder.path());
    assert_eq!(had(&secrets, &command(&["sh", "-c", "sleep 600 & sleep 600"], 60)).await, Err(Unavailable::TooSlow));
}

#[test]
fn a_masker_is_made_once_for_the_values_it_masks() {
    let secrets = secrets(Path::new("/"));
    let inject = |line| {
        let credential = Credential::Certificate { chain: "c".into(), key: "k".into() };
        let destination = Destination::parse("x.example:443").unwrap();
        Arc::new(Inject { place: place(line), destination, scheme: Scheme::Https, request: None, credential, mask: true })
    };
    let value = |text: &str| Arc::new(Secret::read(text.as_bytes().to_vec()).unwrap());
    let (one, two) = (inject(1), inject(2));
    let masker = |all: &[(&Arc<Inject>, &str)]| {
        let all: Vec<_> = all.iter().map(|(inject, text)| (Arc::clone(inject), value(text))).collect();
        secrets.masker(&all)
    };
    let first = masker(&[(&one, "hunter2hunter2")]).unwrap();
    assert!(Arc::ptr_eq(&first, &masker(&[(&one, "hunter2hunter2")]).unwrap()), "the value is the same");
    let both = masker(&[(&one, "hunter2hunter2"), (&two, "correct-horse")]).unwrap();
    assert!(!Arc::ptr_eq(&first, &both) && both.whole(b"correct-horse").is_some());
    let newer = masker(&[(&one, "battery-staple")]).unwrap();
    assert!(newer.whole(b"hunter2hunter2").is_none() && newer.whole(b"battery-staple").is_some());
    assert_eq!(secrets.maskers.kept(), 2, "a value that is no more is kept nowhere");
    assert_eq!(masker(&[(&one, "short")]).unwrap_err(), Unavailable::TooShort);
    drop(one);
    masker(&[(&two, "correct-horse")]).unwrap();
    assert_eq!(secrets.maskers.kept(), 1, "one of a file that is in force no longer is let go");
}

#[test]
fn what_cannot_be_had_is_told_until_it_can_or_nobody_names_it() {
    let secrets = secrets(Path::new("/"));
    secrets.note(&place(3), Ok(()));
    assert_eq!(secrets.missing(), [""; 0]);
    secrets.note(&place(3), Err(Unavailable::NotSet));
    secrets.note(&place(3), Err(Unavailable::Empty));
    secrets.note(&place(2), Err(Unavailable::TooLong));
    let told =
        |line, why| format!("a.toml:{line}: a secret that it names cannot be had: {why}; requests that need it are refused with 503");
    assert_eq!(secrets.missing(), [told(2, "it is longer than 64 KiB"), told(3, "it is empty")]);
    secrets.forget_but(|named| named.line == 3);
    assert_eq!((secrets.missing_count(), secrets.missing()), (1, vec![told(3, "it is empty")]));
    secrets.note(&place(3), Ok(()));
    assert_eq!(secrets.missing_count(), 0);
}

fn place(line: u32) -> RuleRef {
    RuleRef { file: "a.toml".into(), line }
}

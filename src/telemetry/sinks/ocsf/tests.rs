//! The file of events, whatever happens to it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::telemetry::sinks::sample::entries;

fn uids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_ascii() && (text.is_empty() || text.ends_with('\n')), "{text}");
    let event = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| event(line)["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn events_are_appended_to_a_private_file_a_line_each() {
    let (state, entries) = entries(4);
    let path = state.path().join("ocsf.jsonl");
    let mut sink = OcsfFile::new(&path);
    sink.deliver(&entries[..2]).await.unwrap();
    sink.deliver(&entries[2..]).await.unwrap();
    assert_eq!(uids(&path), ["proxy-1/1", "proxy-1/2", "proxy-1/3", "proxy-1/4"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_made_anew() {
    let (state, entries) = entries(4);
    let (path, aside) = (state.path().join("ocsf.jsonl"), state.path().join("ocsf.jsonl.1"));
    let mut sink = OcsfFile::new(&path);
    sink.deliver(&entries[..1]).await.unwrap();
    fs::rename(&path, &aside).unwrap();
    sink.deliver(&entries[1..2]).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    sink.deliver(&entries[2..]).await.unwrap();
    assert_eq!((uids(&aside), uids(&path)), (vec!["proxy-1/1".to_owned()], vec!["proxy-1/3".to_owned(), "proxy-1/4".to_owned()]));
}

#[tokio::test]
async fn a_line_that_a_kill_tore_is_cut_and_written_once() {
    let (state, entries) = entries(3);
    let path = state.path().join("ocsf.jsonl");
    OcsfFile::new(&path).deliver(&entries[..2]).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for length in [first, first + 1, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        OcsfFile::new(&path).deliver(&entries[1..]).await.unwrap();
        assert_eq!(uids(&path), ["proxy-1/1", "proxy-1/2", "proxy-1/3"], "{length}");
    }
    fs::write(&path, vec![b'x'; 200_000]).unwrap();
    OcsfFile::new(&path).deliver(&entries[..1]).await.unwrap();
    assert_eq!(uids(&path), ["proxy-1/1"]);
}

#[tokio::test]
async fn what_is_no_file_is_told_and_waits_for_nobody() {
    let (state, entries) = entries(1);
    let place = state.path();
    fs::create_dir(place.join("folder")).unwrap();
    fs::write(place.join("target"), "").unwrap();
    std::os::unix::fs::symlink(place.join("target"), place.join("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.join("pipe")).status().unwrap().success());
    for name in ["folder", "link", "pipe", "nowhere/file"] {
        let result = OcsfFile::new(&place.join(name)).deliver(&entries).await;
        assert!(matches!(&result, Err(NotDelivered::Later { why, .. }) if why.contains(" cannot be written: ")), "{name}: {result:?}");
    }
}

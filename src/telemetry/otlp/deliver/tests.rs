#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;
use crate::journal::Journal;
use crate::journal::sample::{decided, ended};
use crate::telemetry::dial::{BackEnd, Dialer};
use crate::telemetry::otlp::Protocol;

/// The entries of a journal with these records behind what it begins with.
fn written(records: &[Record]) -> (tempfile::TempDir, Vec<Entry>) {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 64 << 20).unwrap().journal;
    for record in records {
        journal.record(record, &mut |_| ()).unwrap();
    }
    let entries = Reader::open(state.path()).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| records.contains(&entry.line.record)).collect();
    (state, entries)
}

/// A collector by HTTP that answers each export with the next of these statuses.
async fn answering(statuses: &'static [&'static str]) -> Collector {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = BackEnd::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    Collector::new(to.clone(), Dialer::new(&to, None).unwrap(), Protocol::Http, HeaderMap::new())
}

fn traces(collector: Collector) -> Traces {
    let (source, metrics) = (Source::default(), Arc::new(Metrics::new()));
    Traces { collector, source, metrics, sample: 1.0, open: Open::default(), takes: false }
}

fn ids(open: &Open) -> BTreeSet<u128> {
    open.0.keys().map(|id| id.0.as_u128()).collect()
}

#[test]
fn what_was_open_at_the_cursor_is_known_again_and_nothing_after_it() {
    let records = [Record::Decided(decided(1)), Record::Decided(decided(2)), Record::Ended(ended(1)), Record::Decided(decided(3))];
    let (state, entries) = written(&records);
    let wanted = [vec![1], vec![1, 2], vec![2], vec![2, 3]];
    fs::create_dir_all(state.path().join("sinks")).unwrap();
    let file = state.path().join("sinks/otlp-traces.json");
    for (entry, wanted) in entries.iter().zip(wanted) {
        let at = serde_json::to_string(&entry.after).unwrap();
        fs::write(&file, format!(r#"{{"v":1,"sink":"otlp-traces","slots":{{"proxy-1":{at}}}}}"#)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(ids(&Open::resume(state.path())), BTreeSet::from_iter(wanted), "{at}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(ids(&Open::resume(state.path())), BTreeSet::new());
}

#[tokio::test]
async fn a_begin_is_kept_in_mind_until_its_span_is_taken() {
    let mut traces = traces(answering(&["503 Busy", "200 OK"]).await);
    let (_state, entries) = written(&[Record::Decided(decided(1)), Record::Decided(decided(2)), Record::Ended(ended(1))]);
    let later = traces.deliver(&entries).await;
    assert!(matches!(later, Err(NotDelivered::Later { .. })), "{later:?}");
    assert_eq!(ids(&traces.open), [1, 2].into());
    assert_eq!(traces.spans(&entries)[0].name, "CONNECT");
    assert_eq!(traces.deliver(&entries).await, Ok(()));
    assert_eq!(ids(&traces.open), [2].into());
}

#[tokio::test]
async fn a_span_is_given_up_only_between_spans_that_are_taken() {
    let mut traces = traces(answering(&["400 No", "400 No", "200 OK", "400 No", "400 No"]).await);
    let (_state, entries) = written(&[Record::Decided(decided(1)), Record::Ended(ended(1))]);
    let mut got = Vec::new();
    for batch in [&entries[1..], &entries[..], &entries[1..], &entries[1..], &entries[1..]] {
        got.push(match traces.deliver(batch).await {
            Ok(()) => "taken",
            Err(NotDelivered::Never { .. }) => "never",
            Err(NotDelivered::Later { .. }) => "later",
        });
    }
    assert_eq!(got, ["later", "never", "taken", "never", "later"]);
}

#[test]
fn what_is_too_large_is_halved_down_to_one() {
    let (_state, entries) = written(&[Record::Decided(decided(1)), Record::Decided(decided(2))]);
    let why = || "x".to_owned();
    let never = NotDelivered::Never { which: Vec::new(), why: why() };
    let later = |after| NotDelivered::Later { why: why(), after };
    let wait = Some(std::time::Duration::from_secs(3));
    let table = [
        (Then::Smaller, 2, never.clone()),
        (Then::Smaller, 1, later(None)),
        (Then::Never, 1, never.clone()),
        (Then::Never, 2, never),
        (Then::Again(wait), 2, later(wait)),
    ];
    for (then, records, wanted) in table {
        assert_eq!(not_delivered(Refused { then, why: why() }, &entries[..records]), wanted, "{then:?} {records}");
    }
}

#[test]
fn there_is_room_for_so_many_begins_and_known_ones_are_still_completed() {
    let mut open = Open::default();
    for id in 0..MOST_OPEN as u128 {
        assert!(open.begun(AttemptId(Uuid::from_u128(id))).is_some());
    }
    assert!(open.begun(AttemptId(Uuid::from_u128(MOST_OPEN as u128))).is_none());
    assert!(open.begun(AttemptId(Uuid::from_u128(0))).is_some());
}

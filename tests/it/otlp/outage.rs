//! The receiver is away under load, exeat is killed meanwhile: in the end the receiver has every record, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::collector::{Collector, Protocol, is_here};
use super::{attempts, exporting, has_all, lines, logs};
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, decided, of_kind};
use crate::support::talk::TlsTalk;

/// Attempts of each kind in each part of the story.
const EACH: usize = 12;
/// Agents at once.
const AGENTS: usize = 4;

fn load(p0: &P0, proxy: &Proxy) {
    thread::scope(|scope| {
        for _ in 0..AGENTS {
            scope.spawn(|| attempts(p0, proxy, EACH));
        }
    });
}

/// As `settled`, of so many attempts that each cannot be looked for among all.
fn all_ended(records: &[Value]) -> bool {
    let ids = |kind| of_kind(records, kind).into_iter().map(|record| record["id"].as_str().unwrap()).collect::<BTreeSet<_>>();
    ids("decided") == ids("ended")
}

fn pause() -> Duration {
    Duration::from_secs(std::env::var("EXEAT_TEST_OUTAGE").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
}

/// A tunnel that stays open, and whose begin the cursor of the spans has left behind.
fn tunnel_known_to_the_sink(p0: &P0, proxy: &Proxy) -> TlsTalk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let Ok(tunnel) = talk.tls(&p0.authority, "api.allowed.test") else { panic!("no handshake") };
    let records = proxy.until("the tunnel", |records| !decided(records, "api.allowed.test").is_empty());
    let seq = decided(&records, "api.allowed.test")[0]["seq"].as_u64().unwrap();
    let cursor = p0.site.state().join("sinks/otlp-traces.json");
    let behind = || {
        let saved: Value = serde_json::from_str(&std::fs::read_to_string(&cursor).ok()?).ok()?;
        saved["slots"]["proxy-1"]["seq"].as_u64().filter(|at| *at >= seq)
    };
    proxy.until("a cursor behind the tunnel's begin", |_| behind().is_some());
    tunnel
}

fn nothing_is_lost(protocol: Protocol) {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut collector = Collector::start(folder.path(), protocol, 0, "takes");
    let port = collector.port;
    let p0 = exporting(&collector, protocol);
    let state = p0.site.state();
    let mut proxy = p0.start();
    let tunnel = tunnel_known_to_the_sink(&p0, &proxy);
    load(&p0, &proxy);
    collector.until("a first record", |received| !logs(received).is_empty());
    collector.kill();

    let away = Instant::now();
    load(&p0, &proxy);
    proxy.kill();
    drop(tunnel);
    let mut proxy = p0.start();
    load(&p0, &proxy);
    while away.elapsed() < pause() {
        load(&p0, &proxy);
    }
    let (away, missed) = (away.elapsed(), lines(&state).len() - logs(&collector.received()).len());
    assert!(missed > 100, "the outage was none: {missed}");

    let back = Instant::now();
    let collector = Collector::start(folder.path(), protocol, port, "takes");
    proxy.until("an end of every attempt", all_ended);
    let journal = lines(&state);
    collector.until("every record so far", |received| has_all(received, &journal));
    let caught_up = back.elapsed();
    assert!(proxy.stop().success());
    let journal = lines(&state);
    let received = collector.until("every record", |received| has_all(received, &journal));
    assert_same(&journal, &received);
    let copies: usize = logs(&received).values().map(Vec::len).sum();
    eprintln!(
        "{protocol:?}: away {:.1} s, {missed} records behind, caught up in {:.1} s; {} records in the journal, {copies} log records, {} of them again, {} spans",
        away.as_secs_f64(),
        caught_up.as_secs_f64(),
        journal.len(),
        copies - journal.len(),
        received.iter().filter(|item| item["signal"] == "span").count(),
    );
}

/// What was received is the journal, each record with one content; and every attempt has its span.
fn assert_same(journal: &BTreeMap<String, String>, received: &[Value]) {
    let logs = logs(received);
    let ids: BTreeSet<&String> = logs.keys().collect();
    assert_eq!(ids, journal.keys().collect());
    for (id, line) in journal {
        let record: Value = serde_json::from_str(line).unwrap();
        for log in &logs[id] {
            assert_eq!(log["body"].as_str(), Some(line.as_str()), "{id}");
            assert_eq!(log["event"], format!("exeat.{}", record["kind"].as_str().unwrap()));
            assert_eq!(log["attributes"], logs[id][0]["attributes"], "a copy of {id} differs");
            assert_eq!(log["resource"]["service.name"], "exeat");
            if record["kind"] == "decided" {
                assert_eq!(log["attributes"]["network.policy.decision"], record["decision"], "{id}");
                assert_eq!(log["attributes"]["server.address"], record["destination"]["host"], "{id}");
                assert_eq!(log["attributes"]["gen_ai.agent.name"], record["agent"], "{id}");
                assert_eq!(log["trace"], record["id"].as_str().unwrap().replace('-', ""), "{id}");
            }
        }
    }
    let trace = |record: &Value| record["id"].as_str().unwrap().replace('-', "");
    let records = journal.values().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ended: BTreeSet<String> = records.filter(|record| record["kind"] == "ended").map(|record| trace(&record)).collect();
    let spans: Vec<&Value> = received.iter().filter(|item| item["signal"] == "span" && item["parent"] == "").collect();
    let traced: BTreeSet<String> = spans.iter().map(|span| span["trace"].as_str().unwrap().to_owned()).collect();
    assert_eq!(traced, ended);
    // What was open when exeat was killed is known again after its start.
    let whole = |span: &&&Value| span["attributes"]["server.address"].is_string();
    assert_eq!(spans.iter().filter(whole).count(), spans.len(), "a span without its begin");
}

#[test]
fn the_receiver_is_away_and_exeat_is_killed_and_grpc_brings_every_record() {
    nothing_is_lost(Protocol::Grpc);
}

#[test]
fn the_receiver_is_away_and_exeat_is_killed_and_http_brings_every_record() {
    nothing_is_lost(Protocol::Http);
}

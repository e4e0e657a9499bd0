//! Receivers that do not do their part, and what of it shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::collector::{Collector, Protocol, is_here};
use super::{attempts, exporting, has_all, lines, logs};
use crate::support::p0::a;

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

/// Attempts go on while the receiver is at fault, the log says what is wrong, and a better receiver in its place gets every record.
fn told_and_kept(mode: &str, said: [&str; 2]) {
    if !is_here() {
        return;
    }
    for (protocol, said) in BOTH.into_iter().zip(said) {
        let folder = tempfile::tempdir().unwrap();
        let mut collector = Collector::start(folder.path(), protocol, 0, mode);
        let p0 = exporting(&collector, protocol);
        let proxy = p0.start();
        attempts(&p0, &proxy, 3);
        let tries = ["sink=\"otlp-logs\"", "result=\"later\""];
        let tries: &[&str] = if mode == "refuses" { &tries[..1] } else { &tries };
        proxy.until("a record", |records| !records.is_empty());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(40);
        while proxy.metric("exeat_sink_deliveries_total", tries) < 1.0 || !proxy.stderr().contains(said) {
            assert!(std::time::Instant::now() < deadline, "{protocol:?}: {said} is not said\n{}", proxy.metrics());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        attempts(&p0, &proxy, 1);
        assert_eq!(proxy.metric("exeat_sink_rejected_records_total", &[]), 0.0, "{protocol:?}");
        assert_eq!(logs(&collector.received()).len(), 0);
        collector.kill();

        let better = Collector::start(folder.path(), protocol, collector.port, "takes");
        proxy.settled();
        let journal = lines(&p0.site.state());
        better.until("every record", |received| has_all(received, &journal));
    }
}

#[test]
fn one_that_answers_garbage_is_named_and_loses_nothing() {
    told_and_kept("garbage", ["records are not taken, and wait in the journal", "what answers is no OTLP collector"]);
}

#[test]
fn one_that_never_answers_is_named_and_loses_nothing() {
    told_and_kept("silent", ["the collector did not answer in time", "there was no answer in time"]);
}

#[test]
fn one_that_refuses_everything_is_named_and_loses_nothing() {
    told_and_kept(
        "refuses",
        [
            "the receiver refuses every record, and they are kept: the collector answered InvalidArgument: not what I want",
            "the receiver refuses every record, and they are kept: the collector answered 400",
        ],
    );
}

#[test]
fn one_that_is_busy_gets_everything_once_it_is_not() {
    if !is_here() {
        return;
    }
    for protocol in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start(folder.path(), protocol, 0, "busy");
        let p0 = exporting(&collector, protocol);
        let proxy = p0.start();
        attempts(&p0, &proxy, 3);
        proxy.settled();
        let journal = lines(&p0.site.state());
        collector.until("every record", |received| has_all(received, &journal));
    }
}

#[test]
fn what_one_takes_in_part_is_counted_and_not_sent_again() {
    if !is_here() {
        return;
    }
    for protocol in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start(folder.path(), protocol, 0, "partial");
        let p0 = exporting(&collector, protocol);
        let mut proxy = p0.start();
        attempts(&p0, &proxy, 3);
        proxy.settled();
        let journal = lines(&p0.site.state());
        let received = collector.until("every record", |received| has_all(received, &journal));
        assert!(logs(&received).values().all(|copies| copies.len() == 1), "{protocol:?}: sent again");
        let batches = proxy.metric("exeat_sink_deliveries_total", &["sink=\"otlp-logs\""]);
        let rejected = proxy.metric("exeat_sink_rejected_records_total", &["sink=\"otlp-logs\""]);
        assert!(rejected >= 1.0 && rejected <= batches + 1.0, "{protocol:?}: {rejected} of {batches} batches");
        assert!(proxy.stderr().contains("the collector dropped a part of what it took, and does not say which: one is too old"));
        assert!(proxy.stop().success());
    }
}

#[test]
fn credentials_go_along_metrics_arrive_and_no_agent_reaches_the_collector() {
    if !is_here() {
        return;
    }
    for protocol in BOTH {
        let folder = tempfile::tempdir().unwrap();
        let collector = Collector::start(folder.path(), protocol, 0, "takes");
        let mut p0 = exporting(&collector, protocol);
        let file = p0.site.path().join("headers");
        fs::write(&file, "x-key: sesame-4711\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        p0.site.set("telemetry", "headers_file", "\"headers\"");
        p0.write_agents(&format!("[[allow]]\nhost = \"127.0.0.1\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", collector.port));
        let proxy = p0.start();
        attempts(&p0, &proxy, 2);
        let refused = proxy.get(&format!("http://127.0.0.1:{}/v1/logs", collector.port), &a());
        assert_eq!((refused.status, refused.reason().as_str()), (403, "self"));

        let decisions = |item: &serde_json::Value| item["signal"] == "metric" && item["name"] == "exeat_decisions_total";
        let blocked = |item: &serde_json::Value| {
            let point = |point: &serde_json::Value| point["attributes"]["reason"] == "blocked" && point["value"] == json!(2.0);
            decisions(item) && item["kind"] == "sum" && item["points"].as_array().unwrap().iter().any(point)
        };
        let received = collector.until("both refusals in a metric", |received| received.iter().any(blocked));
        assert!(received.iter().all(|item| item["key"] == "sesame-4711"));
        let histogram = |item: &serde_json::Value| item["name"] == "exeat_decision_duration_seconds" && item["kind"] == "histogram";
        assert!(received.iter().any(histogram));
        assert!(!proxy.stderr().contains("sesame"), "a credential is in the log");
    }
}

//! A real OTLP receiver in another process, written with other people's code: what it gets is what the journal holds, whatever befalls it.
//!
//! Python with `grpcio` and `opentelemetry-proto`, named by `EXEAT_TEST_PYTHON`, else the tests are skipped with a notice;
//! with `EXEAT_TEST_CLIENTS=all` it must be there. `EXEAT_TEST_OUTAGE` is how many seconds the receiver stays away; 0 by itself.

pub(super) mod collector;
mod outage;
mod secured;
mod wrong;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use collector::{Collector, Protocol};
use serde_json::Value;

use crate::support::p0::{P0, a, b};
use crate::support::proxy::Proxy;

/// Every journal line by `SLOT/SEQ`.
fn lines(state: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for slot in std::fs::read_dir(state.join("journal")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in std::fs::read_dir(&slot).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = std::fs::read_to_string(&path).unwrap();
                let whole = text.rfind('\n').map_or("", |end| &text[..end]);
                for line in whole.lines() {
                    let record: Value = serde_json::from_str(line).unwrap();
                    let slot = slot.file_name().unwrap().to_string_lossy();
                    lines.insert(format!("{slot}/{}", record["seq"]), line.to_owned());
                }
            }
        }
    }
    lines
}

/// The log records that were received, by `SLOT/SEQ`, each with every copy.
fn logs(received: &[Value]) -> HashMap<String, Vec<&Value>> {
    let mut logs: HashMap<String, Vec<&Value>> = HashMap::new();
    for log in received.iter().filter(|item| item["signal"] == "log") {
        let id = log["attributes"]["exeat.record.id"].as_str().unwrap();
        let parts: Vec<&str> = id.rsplit('/').take(2).collect();
        logs.entry(format!("{}/{}", parts[1], parts[0])).or_default().push(log);
    }
    logs
}

/// Whether every line of a journal was received.
fn has_all(received: &[Value], journal: &BTreeMap<String, String>) -> bool {
    let logs = logs(received);
    journal.keys().all(|id| logs.contains_key(id))
}

/// Attempts of every kind: so many allowed, so many refused, one tunnel.
fn attempts(p0: &P0, proxy: &Proxy, each: usize) {
    for number in 0..each {
        assert_eq!(proxy.get(&p0.url("plain.allowed.test", &format!("/{number}")), &a()).status, 200);
        assert_eq!(proxy.get(&p0.url("blocked.test", "/"), &a()).status, 403);
        assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &b()).status, 403);
    }
    assert_eq!(proxy.talk().connect(&p0.at_plain("plain.allowed.test"), &a()).status, 200);
}

/// A site whose records go to a receiver.
fn exporting(to: &Collector, protocol: Protocol) -> P0 {
    let mut p0 = P0::new();
    let base = if protocol == Protocol::Http { "/base" } else { "" };
    p0.site.set("telemetry", "otlp", &format!("\"http://127.0.0.1:{}{base}\"", to.port));
    p0.site.set("telemetry", "protocol", &format!("\"{}\"", protocol.as_written()));
    p0.site.set("telemetry", "metrics", "\"1s\"");
    p0.site.set("limits", "refusal_records", "\"100000/s\"");
    p0
}

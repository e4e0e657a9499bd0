#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::egress::record::{Decided, Ended, Outcome};
use crate::journal::sample::{decided, ended};
use crate::policy::attempt::RequestLine;
use crate::policy::reason::Reason;

/// Event name, severity and attributes of a record as the journal holds it.
fn sent(record: Json) -> (String, String, Json) {
    let mut line = json!({"v": 1, "seq": 7, "at": "2026-11-22T12:00:00.000001Z"});
    line.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
    let text = line.to_string();
    let log = log_record("0123456789abcdef/proxy-1/7", &text, &serde_json::from_str(&text).unwrap(), 5);
    let mut attributes = Attributes::shown(&log.attributes);
    assert_eq!(attributes.as_object_mut().unwrap().remove("exeat.record.id"), Some("0123456789abcdef/proxy-1/7".into()));
    assert_eq!((log.time_unix_nano, log.observed_time_unix_nano), (1_795_348_800_000_001_000, 5));
    assert_eq!(log.body, Some(any(Value::StringValue(text))));
    (log.event_name, log.severity_text, attributes)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_kind_of_record_is_an_event_that_says_what_the_record_says() {
    let place = json!({"host": "api.example", "port": 443});
    let id = "01a20394-334c-738e-826f-75db0588cdb0";
    let table = [
        (
            json!({"kind": "started", "version": "1", "pid": 9, "repaired": 12}),
            "INFO",
            json!({"exeat.version": "1", "exeat.pid": 9, "exeat.repaired": 12}),
        ),
        (json!({"kind": "stopped"}), "INFO", json!({})),
        (
            json!({"kind": "policy", "old": "a", "new": "b", "who": "reload", "unread": [{"agent": "coder", "kept": true, "why": "x"}, {"kept": false, "why": "y"}]}),
            "INFO",
            json!({"exeat.policy.old": "a", "exeat.policy.hash": "b", "exeat.policy.who": "reload", "exeat.policy.unread": ["coder kept: x", "- none: y"]}),
        ),
        (
            json!({"kind": "held", "id": id, "hold": "dn7djw", "agent": "coder", "instance": "i", "destination": place, "only": true, "rule": "f:1"}),
            "INFO",
            json!({"exeat.attempt.id": id, "exeat.hold.id": "dn7djw", "gen_ai.agent.name": "coder", "exeat.instance": "i", "server.address": "api.example", "server.port": 443,
                "network.policy.decision": "hold", "exeat.hold.only": true, "security_rule.name": "f:1"}),
        ),
        (
            json!({"kind": "answered", "hold": "h", "approval": id, "answer": "yes", "approver": "ann", "approver_kind": "person", "of": 2, "scope": "for", "expiry": "2026-11-22T13:00:00Z",
                "note": "n", "agent": "coder", "destination": place, "waiting": 2}),
            "INFO",
            json!({"exeat.hold.id": "h", "exeat.approval.id": id, "exeat.answer": "yes", "user.name": "ann", "exeat.approver.kind": "person", "exeat.approvers": 2, "exeat.approval.scope": "for",
                "exeat.approval.expiry": "2026-11-22T13:00:00Z", "exeat.note": "n", "gen_ai.agent.name": "coder", "server.address": "api.example", "server.port": 443,
                "exeat.waiting": 2}),
        ),
        (
            json!({"kind": "revoked", "approval": id, "agent": "coder", "destination": place, "request": {"method": "GET", "path": "/a"}, "who": "ann"}),
            "INFO",
            json!({"exeat.approval.id": id, "gen_ai.agent.name": "coder", "server.address": "api.example", "server.port": 443, "http.request.method": "GET", "exeat.path": "/a",
                "user.name": "ann"}),
        ),
        (
            json!({"kind": "progress", "id": id, "bytes_up": 1, "bytes_down": 2}),
            "INFO",
            json!({"exeat.attempt.id": id, "exeat.bytes.up": 1, "exeat.bytes.down": 2}),
        ),
        (
            json!({"kind": "refused_summary", "agent": "coder", "from": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:00:01Z", "count": 3,
                "by": [{"reason": "unlisted", "front": "connect", "count": 3}]}),
            "WARN",
            json!({"gen_ai.agent.name": "coder", "network.policy.decision": "block", "exeat.from": "2026-11-22T12:00:00.000000Z", "exeat.until": "2026-11-22T12:00:01.000000Z",
                "exeat.count": 3, "exeat.by": ["unlisted connect 3"]}),
        ),
        (
            json!({"kind": "gap", "slot": "proxy-1", "first": 3, "last": 4, "sinks": ["webhook"], "why": "full"}),
            "ERROR",
            json!({"exeat.gap.slot": "proxy-1", "exeat.gap.first": 3, "exeat.gap.last": 4, "exeat.gap.sinks": ["webhook"], "exeat.gap.why": "full"}),
        ),
        (json!({"kind": "segment", "size": 6, "peaks": ["a", "b"]}), "INFO", json!({"exeat.tree.size": 6, "exeat.tree.peaks": ["a", "b"]})),
        (
            json!({"kind": "sealed", "size": 6, "root": "r", "note": "n\n"}),
            "INFO",
            json!({"exeat.tree.size": 6, "exeat.tree.root": "r", "exeat.checkpoint": "n\n"}),
        ),
    ];
    for (record, severity, attributes) in table {
        let event = format!("exeat.{}", record["kind"].as_str().unwrap());
        assert_eq!(sent(record), (event, severity.to_owned(), attributes));
    }
}

#[test]
fn a_decision_and_an_end_have_the_names_of_the_conventions_and_the_ids_of_their_span() {
    let request = Some(RequestLine { method: "PROPFIND".into(), path: Arc::from("/a") });
    let blocked = Decided { decision: Ruling::Block, reason: Reason::Unlisted, request, rule: None, ..decided(3) };
    let failed = Ended { outcome: Outcome::Failed, reason: Reason::DnsFailed, status: Some(502), ..ended(3) };
    let common = json!({"gen_ai.agent.name": "coder", "exeat.attempt.id": "00000000-0000-0000-0000-000000000003"});
    let table = [
        (
            Record::Decided(decided(3)),
            "INFO",
            json!({"exeat.instance": "127.0.0.1", "exeat.front": "connect", "exeat.peer": "127.0.0.1:50000", "server.address": "api.example",
            "server.port": 443, "http.request.method": "CONNECT", "network.policy.decision": "allow", "network.policy.reason": "listed", "security_rule.name": "coder.toml:3",
            "exeat.policy.hash": "abc"}),
        ),
        (
            Record::Decided(blocked),
            "WARN",
            json!({"exeat.instance": "127.0.0.1", "exeat.front": "connect", "exeat.peer": "127.0.0.1:50000", "server.address": "api.example",
            "server.port": 443, "http.request.method": "_OTHER", "exeat.method": "PROPFIND", "exeat.path": "/a", "network.policy.decision": "block",
            "network.policy.reason": "unlisted", "exeat.policy.hash": "abc"}),
        ),
        (
            Record::Ended(failed),
            "INFO",
            json!({"exeat.outcome": "failed", "network.policy.reason": "dns-failed", "error.type": "dns-failed", "exeat.address": "192.0.2.1:443",
            "exeat.bytes.up": 10, "exeat.bytes.down": 20, "exeat.status": 502, "exeat.ms.total": 5.0}),
        ),
    ];
    for (record, severity, attributes) in table {
        let mut wanted = attributes;
        wanted.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        let text = serde_json::to_value(&record).unwrap();
        let (event, said, attributes) = sent(text.clone());
        assert_eq!((said.as_str(), attributes), (severity, wanted), "{event}");
        let line = Line { v: 1, seq: 1, at: jiff::Timestamp::UNIX_EPOCH, record };
        let log = log_record("", "", &line, 0);
        let id = AttemptId(uuid::Uuid::from_u128(3));
        assert_eq!((log.trace_id, log.span_id), (spans::trace_id(id), spans::span_id(id, "")), "{event}");
    }
}

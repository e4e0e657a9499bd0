//! What the schema wants of every event, and what each record becomes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::egress::record::{Front, Gap, GapWhy, PolicyInForce, RefusedCount, Sealed, Segment, Started, Stopped, Would};
use crate::journal::sample::{decided, ended};
use crate::policy::attempt::AgentId;
use crate::telemetry::sinks::sample::written;

fn line(method: &str) -> RequestLine {
    RequestLine { method: Arc::from(method), path: "/a".into() }
}

fn coder() -> AgentId {
    AgentId::parse("coder").unwrap()
}

fn place_of() -> Place {
    Place { host: "api.example".into(), port: 443, scheme: None }
}

fn answered() -> Answered {
    Answered {
        hold: "abc234".into(),
        approval: None,
        answer: Answer::No,
        approver: "ann".into(),
        approver_kind: "person".into(),
        of: None,
        scope: None,
        expiry: None,
        note: None,
        agent: coder(),
        destination: place_of(),
        request: None,
        waiting: 1,
    }
}

/// One record of each kind, and more of those that are told in several ways.
fn records() -> Vec<Record> {
    let at = Timestamp::UNIX_EPOCH;
    let answered = answered();
    let revoked = Revoked { approval: Uuid::from_u128(5), agent: coder(), destination: place_of(), request: None, who: "ann".into() };
    let held = Held {
        id: decided(7).id,
        hold: "abc234".into(),
        agent: coder(),
        instance: "127.0.0.1".into(),
        destination: place_of(),
        request: Some(line("POST")),
        only: true,
        rule: Some("coder.toml:9".into()),
    };
    let by = vec![RefusedCount { reason: Reason::Unlisted, front: Front::Connect, count: 3 }];
    let summary = RefusedSummary {
        agent: None,
        source: Some("192.0.2.7".into()),
        from: at,
        until: at,
        count: 3,
        by,
        hosts: Vec::new(),
        elsewhere: 0,
    };
    let blind = Decided { agent: None, destination: None, decision: Ruling::Block, reason: Reason::Malformed, ..decided(3) };
    vec![
        Record::Started(Started { version: "1".into(), pid: 1, repaired: None }),
        Record::Stopped(Stopped {}),
        Record::Policy(PolicyInForce { old: None, new: "n".into(), who: "start".into(), unread: Vec::new() }),
        Record::Held(held),
        Record::Answered(answered.clone()),
        Record::Answered(Answered { answer: Answer::Yes, ..answered }),
        Record::Revoked(revoked),
        Record::Decided(decided(1)),
        Record::Ended(ended(1)),
        Record::Decided(Decided { request: Some(line("GET")), reason: Reason::Observed, would: Some(Would::Hold), ..decided(2) }),
        Record::Progress(Progress { id: decided(2).id, agent: Some(coder()), bytes_up: 1, bytes_down: 2 }),
        Record::Ended(Ended { status: Some(200), ..ended(2) }),
        Record::Decided(blind),
        Record::Ended(Ended { agent: None, address: None, outcome: Outcome::Refused, reason: Reason::Malformed, ..ended(3) }),
        Record::Ended(Ended { agent: None, address: None, outcome: Outcome::Lost, ..ended(4) }),
        Record::RefusedSummary(summary.clone()),
        Record::RefusedSummary(RefusedSummary { source: None, ..summary }),
        Record::Gap(Gap { slot: "proxy-1".into(), first: 1, last: 2, sinks: vec!["ocsf".into()], why: GapWhy::Rejected }),
        Record::Segment(Segment { size: 0, peaks: Vec::new() }),
        Record::Sealed(Sealed { size: 1, root: "r".into(), note: "n".into() }),
    ]
}

fn events() -> Vec<Value> {
    let (_state, entries) = written(&records());
    let mut join = Join::default();
    let tell = |entry: &Entry| {
        join.follow(entry);
        event(entry, &join)
    };
    entries[1..].iter().map(tell).collect()
}

fn has_one(value: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| value.get(name).is_some_and(|value| !value.is_null()))
}

/// The requirements and constraints of the schema's classes, as far as they bind what is written.
#[test]
fn every_event_has_what_its_class_requires() {
    let endpoint = ["ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"];
    for event in events() {
        let number = |name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name} in {event}"));
        let (class, activity) = (number("class_uid"), number("activity_id"));
        assert_eq!((number("category_uid"), number("type_uid")), (class / 1000, class * 100 + activity), "{event}");
        assert!(number("severity_id") <= 6 && number("time") > 1_600_000_000_000, "{event}");
        let metadata = &event["metadata"];
        assert!(metadata["version"] == VERSION && metadata["product"]["vendor_name"] == "exeat" && metadata["uid"].is_string(), "{event}");
        for side in ["src_endpoint", "dst_endpoint"] {
            assert!(event.get(side).is_none_or(|side| has_one(side, &endpoint)), "{side} of {event}");
        }
        match class {
            4001 => assert!((1..=7).contains(&activity) && has_one(&event, &["src_endpoint", "dst_endpoint"]), "{event}"),
            4002 => {
                assert!((1..=9).contains(&activity) || activity == 99, "{event}");
                assert!(
                    has_one(&event, &["http_request", "http_response"]) && has_one(&event, &["src_endpoint", "dst_endpoint"]),
                    "{event}"
                );
            }
            6002 => assert!((3..=4).contains(&activity) && event["app"]["name"] == "exeat", "{event}"),
            6003 => {
                assert!((1..=4).contains(&activity) && event["api"]["operation"].is_string(), "{event}");
                assert!(event["actor"]["user"]["name"].is_string() && event["src_endpoint"].is_object(), "{event}");
            }
            _ => assert_eq!((class, activity), (0, 99), "{event}"),
        }
        if class / 1000 == 4 {
            assert!((0..=3).contains(&number("action_id")) && number("disposition_id") > 0, "{event}");
        }
    }
}

#[test]
fn each_record_is_one_event_of_the_class_it_belongs_to() {
    let told = |event: Value| {
        let ids = ["class_uid", "activity_id", "action_id", "disposition_id"].map(|name| event[name].to_string().replace("null", "-"));
        format!("{} {}", event["metadata"]["event_code"].as_str().unwrap(), ids.join(" "))
    };
    let wanted = [
        "started 6002 3 - -",
        "stopped 6002 4 - -",
        "policy 6003 3 - -",
        "held 4002 6 0 14",
        "answered 6003 1 - -",
        "answered 6003 1 - -",
        "revoked 6003 4 - -",
        "decided 4001 1 1 1",
        "ended 4001 2 1 1",
        "decided 4002 3 3 1",
        "progress 4002 3 1 1",
        "ended 4002 3 1 1",
        "decided 4001 5 2 2",
        "ended 4001 5 2 2",
        "ended 4001 4 1 1",
        "refused_summary 4001 5 2 2",
        "refused_summary 4001 5 2 2",
        "gap 0 99 - -",
        "segment 0 99 - -",
        "sealed 0 99 - -",
    ];
    assert_eq!(events().into_iter().map(told).collect::<Vec<_>>(), wanted);
}

#[test]
fn begin_and_end_of_an_attempt_share_a_correlation_and_say_where_to() {
    let (begin, end) = (&events()[7], &events()[8]);
    let id = decided(1).id.to_string();
    assert_eq!([begin, end].map(|event| event["metadata"]["correlation_uid"].as_str().unwrap().to_owned()), [id.clone(), id]);
    assert_eq!(begin["dst_endpoint"], json!({ "hostname": "api.example", "port": 443 }));
    assert_eq!(end["dst_endpoint"], json!({ "hostname": "api.example", "ip": "192.0.2.1", "port": 443 }));
    assert_eq!(begin["src_endpoint"], json!({ "name": "coder", "ip": "127.0.0.1", "port": 50_000, "instance_uid": "127.0.0.1" }));
    assert_eq!(begin["firewall_rule"]["uid"], "coder.toml:3");
    assert_eq!((&end["traffic"], &end["duration"]), (&json!({ "bytes_out": 10, "bytes_in": 20, "bytes": 30 }), &json!(5)));
}

#[test]
fn a_decision_says_how_it_came_about() {
    let table = [
        (Ruling::Allow, Reason::Listed, ALLOWED),
        (Ruling::Look, Reason::Inspect, ALLOWED),
        (Ruling::Allow, Reason::Approved, APPROVED),
        (Ruling::Block, Reason::Unlisted, BLOCKED),
        (Ruling::Block, Reason::Pending, BLOCKED),
        (Ruling::Block, Reason::Refused, REJECTED),
        (Ruling::Block, Reason::UnknownAgent, UNAUTHORIZED),
        (Ruling::Block, Reason::Internal, ERROR),
    ];
    for (ruling, reason, wanted) in table {
        assert_eq!(disposition(ruling, reason), wanted, "{reason:?}");
    }
}

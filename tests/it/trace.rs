//! The agent's trace context: recorded where it is valid, never an error, and never touched on its way.

use serde_json::{Value, json};

use crate::support::p0::{P0, a};
use crate::support::proxy::{decided, of_kind};

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Fields of a head, and what is recorded of them.
fn rows() -> Vec<(String, Value)> {
    let field = |value: &str| format!("traceparent: {value}\r\n");
    vec![
        (String::new(), Value::Null),
        (field(VALID), json!(VALID)),
        (field(VALID).replace("traceparent", "TraceParent"), json!(VALID)),
        (format!("{}tracestate: vendor=opaque\r\nbaggage: k=v\r\n", field(VALID)), json!(VALID)),
        (field(VALID) + &field(OTHER), Value::Null),
        (field(&VALID.to_uppercase()), Value::Null),
        (field(&VALID.replacen("00", "01", 1)), Value::Null),
        (field("00-00000000000000000000000000000000-b7ad6b7169203331-01"), Value::Null),
        (field("nonsense"), Value::Null),
        (field(""), Value::Null),
    ]
}

#[test]
fn a_forwarded_request_is_recorded_with_it_and_its_origin_sees_what_was_sent() {
    let p0 = P0::new();
    let proxy = p0.start();
    for (fields, wanted) in rows() {
        let (mut talk, host) = (proxy.talk(), p0.at_plain("plain.allowed.test"));
        talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}{fields}\r\n", a()));
        assert_eq!(talk.answer().status, 200, "{fields}");
        assert_eq!(decided(&proxy.settled(), "plain.allowed.test").last().unwrap()["trace"], wanted, "{fields}");
        let seen = p0.plain.requests().pop().unwrap();
        for name in ["traceparent", "tracestate", "baggage"] {
            let lines = fields.lines().filter_map(|line| line.split_once(": "));
            let sent: Vec<&str> = lines.filter(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
            assert_eq!(seen.all(name), sent, "{fields}");
        }
    }
}

#[test]
fn a_tunnel_is_recorded_with_that_of_its_head_and_adds_nothing_inside() {
    let p0 = P0::new();
    let proxy = p0.start();
    for (fields, wanted) in rows() {
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &format!("{}{fields}", a())).status, 200, "{fields}");
        let mut inside = talk.tls(&p0.authority, "api.allowed.test").unwrap();
        inside.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(inside.answer().status, 200);
        drop(inside);
        let records = proxy.settled();
        let record = decided(&records, "api.allowed.test").pop().unwrap();
        assert_eq!(record["trace"], wanted, "{fields}");
        assert_eq!(p0.secure.requests().pop().unwrap().header("traceparent"), None);
        let end = of_kind(&records, "ended").into_iter().find(|end| end["id"] == record["id"]).unwrap();
        let (tls, total) = (end["ms"]["tls"].as_f64().expect("the time of TLS"), end["ms"]["total"].as_f64().unwrap());
        assert!(tls >= 0.0 && tls <= total, "{end}");
    }
}

#[test]
fn a_request_in_a_tunnel_is_recorded_with_its_own() {
    let p0 = P0::new();
    let proxy = p0.start();
    for (fields, wanted) in rows() {
        let (mut talk, host) = (proxy.talk(), p0.at_plain("plain.allowed.test"));
        let before = proxy.settled().len();
        assert_eq!(talk.connect(&host, &format!("{}traceparent: {OTHER}\r\n", a())).status, 200);
        talk.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"));
        assert_eq!(talk.answer().status, 200, "{fields}");
        drop(talk);
        let records = proxy.settled();
        let traces: Vec<&Value> = decided(&records[before..], "plain.allowed.test").iter().map(|record| &record["trace"]).collect();
        assert_eq!(traces, [&json!(OTHER), &wanted], "{fields}");
        let ends = of_kind(&records[before..], "ended");
        assert!(ends.iter().all(|end| end["ms"]["tls"].is_null()), "no TLS was seen: {ends:?}");
    }
}

#[test]
fn a_refusal_is_recorded_with_it_too() {
    let p0 = P0::new();
    let proxy = p0.start();
    let fields = format!("{}traceparent: {VALID}\r\n", a());
    assert_eq!(proxy.get(&p0.url("blocked.test", "/"), &fields).status, 403);
    assert_eq!(proxy.talk().connect(&p0.at_plain("blocked.test"), &fields).status, 403);
    let records = proxy.settled();
    let traces: Vec<&Value> = decided(&records, "blocked.test").iter().map(|record| &record["trace"]).collect();
    assert_eq!(traces, [&json!(VALID), &json!(VALID)]);
}

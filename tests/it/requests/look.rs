//! A tunnel to where rules look at requests: 200, and nothing resolved or dialled until a request in it is admitted.

use rustls::AlertDescription;
use serde_json::{Value, json};

use super::{c, world};
use crate::support::p0::{P0, assert_refused};
use crate::support::proxy::{Proxy, decided, ended};
use crate::support::talk::Talk;

const GETS: &str = "[[allow]]\nhost = \"rules.test\"\nLOCAL\nmethod = [\"GET\"]";

fn open(p0: &P0, proxy: &Proxy) -> Talk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_plain("rules.test"), &c()).status, 200);
    talk
}

fn only(records: &[Value]) -> (&Value, &Value) {
    let all = decided(records, "rules.test");
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0], ended(records, &all[0]["id"]))
}

#[test]
fn nothing_is_resolved_or_dialled_before_a_request_is_admitted() {
    let p0 = world("", GETS);
    let proxy = p0.start();
    let mut talk = open(&p0, &proxy);
    let look = proxy.until("the look", |records| !decided(records, "rules.test").is_empty());
    let look = decided(&look, "rules.test")[0].clone();
    assert_eq!((&look["decision"], &look["reason"], &look["front"]), (&json!("look"), &json!("inspect"), &json!("connect")));
    assert!(look["rule"].as_str().is_some_and(|rule| rule.contains("c.toml:")), "{look}");

    let host = p0.at_plain("rules.test");
    talk.send(format!("POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
    assert_refused(&talk.answer(), 403, "unlisted");
    assert!(!p0.site.dns.was_asked("rules.test") && p0.plain.connections().is_empty(), "{:?}", p0.site.dns.queries());
    talk.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(talk.answer().text(), "plain /x");
    assert_eq!(p0.plain.connections().len(), 1);
    assert_eq!(proxy.metric("exeat_tunnels_open", &["agent=\"c\""]), 1.0);
    assert_eq!(proxy.metric("exeat_decisions_total", &["decision=\"look\"", "reason=\"inspect\""]), 1.0);
    drop(talk);

    let records = proxy.settled();
    let all = decided(&records, "rules.test");
    let inner: Vec<_> = all.iter().filter(|record| record["within"] == look["id"]).map(|record| record["decision"].clone()).collect();
    assert_eq!(inner, [json!("block"), json!("allow")]);
    let end = ended(&records, &look["id"]);
    assert_eq!((&end["outcome"], &end["reason"], &end["address"]), (&json!("completed"), &json!("inspect"), &Value::Null));
    assert!(proxy.said(&["log", "--decision", "look"]).contains("look      inspect"), "{}", proxy.said(&["log"]));
}

#[test]
fn tls_in_it_gets_an_alert_as_no_request_can_be_seen() {
    let p0 = world("", GETS);
    let proxy = p0.start();
    for name in ["rules.test", "other.test"] {
        assert_eq!(open(&p0, &proxy).tls(&p0.authority, name).err(), Some(Some(AlertDescription::AccessDenied)), "{name}");
    }
    let records = proxy.settled();
    let wanted = [("rules.test", "refused", "inspect"), ("other.test", "cut", "name-mismatch")];
    for (record, (name, outcome, reason)) in decided(&records, "rules.test").iter().zip(wanted) {
        let end = ended(&records, &record["id"]);
        assert_eq!((&end["outcome"], &end["reason"], &end["tls"]["sni"]), (&json!(outcome), &json!(reason), &json!(name)));
        assert_eq!(end["tls"]["inspected"], false);
    }
    assert!(!p0.site.dns.was_asked("rules.test") && p0.plain.connections().is_empty());
}

#[test]
fn what_is_neither_tls_nor_http_is_cut_and_so_is_silence() {
    for first in ["SSH-2.0-OpenSSH_9.6\r\n", ""] {
        let p0 = world("", GETS);
        let proxy = p0.start();
        let mut talk = open(&p0, &proxy);
        talk.send(first);
        assert!(talk.rest().is_empty());
        let records = proxy.settled();
        let (_, end) = only(&records);
        assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("not-tls")), "{first:?}");
        assert!(!p0.site.dns.was_asked("rules.test") && p0.plain.connections().is_empty());
    }
}

#[test]
fn a_block_without_conditions_still_refuses_the_tunnel_itself() {
    let p0 = world("", &format!("{GETS}\n[[block]]\nhost = \"rules.test\""));
    let proxy = p0.start();
    assert_refused(&proxy.talk().connect(&p0.at_plain("rules.test"), &c()), 403, "blocked");
}

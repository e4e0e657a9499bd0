//! While a question waits: who asks may lose its token, hang up, or change its address.

use std::time::Duration;

use serde_json::json;

use super::{Stage, approve};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::site::offer;
use crate::support::talk::Talk;

/// Issues a token of agent `a`: the header line that offers it.
fn issued(proxy: &Proxy) -> String {
    let url = proxy.said(&["token", "a", "--address", &proxy.address.to_string()]);
    let (name, token) = url.trim().strip_prefix("http://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
    offer(name, token)
}

#[test]
fn a_revoked_token_ends_what_it_opened() {
    let p0 = P0::new();
    let proxy = p0.start();
    let token = issued(&proxy);
    let target = p0.at_plain("plain.allowed.test");
    let mut http = proxy.talk();
    assert_eq!(http.connect(&target, &token).status, 200);
    http.send(format!("GET /before HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(http.answer().text(), "plain /before");
    let mut tls = proxy.talk();
    assert_eq!(tls.connect(&p0.at_secure("api.allowed.test"), &token).status, 200);
    let mut tls = tls.tls(&p0.authority, "api.allowed.test").unwrap();
    tls.send("GET /before HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(tls.answer().text(), "secure /before");

    proxy.said(&["agents", "--revoke", "a"]);
    http.send(format!("GET /after HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert!(http.try_answer("GET").is_none_or(|answer| answer.status == 407), "a request of a revoked token was answered");
    assert!(tls.rest().is_empty());
    let records = proxy.settled();
    for host in ["plain.allowed.test", "api.allowed.test"] {
        let tunnel = decided(&records, host).into_iter().find(|record| record["within"].is_null()).unwrap();
        let end = ended(&records, &tunnel["id"]);
        assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("policy-changed")), "{host}");
    }
    assert!(p0.plain.requests().iter().all(|request| request.target() == "/before"));
}

#[test]
fn a_yes_that_comes_after_the_token_was_revoked_lets_nothing_pass() {
    let stage = Stage::attended(&[]);
    let token = issued(&stage.proxy);
    let target = stage.at("held.test");
    let mut agent = stage.proxy.talk();
    agent.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{token}\r\n"));
    let holds = stage.proxy.until_held(1, 1);
    stage.proxy.said(&["agents", "--revoke", "a"]);
    stage.proxy.said(&["approve", holds[0]["id"].as_str().unwrap(), "--for", "1h"]);
    assert_refused(&agent.answer_to("CONNECT"), 407, "unknown-agent");
    assert_eq!(stage.site.dns.queries(), []);
}

#[test]
fn an_agent_that_hangs_up_behind_pipelined_bytes_is_noticed() {
    let stage = Stage::attended(&[]);
    let target = stage.at("held.test");
    let knock = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a());
    let mut agent = stage.proxy.talk();
    agent.send(format!("{knock}GET /early HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    stage.proxy.until_held(1, 1);
    let began = std::time::Instant::now();
    drop(agent);
    let holds = stage.proxy.until_held(1, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "noticed after {:?}", began.elapsed());
    let records = stage.proxy.settled();
    let gone = decided(&records, "held.test")[0];
    assert_eq!((&gone["decision"], &gone["reason"]), (&json!("block"), &json!("pending")));
    assert_eq!(ended(&records, &gone["id"])["outcome"], "abandoned");

    stage.proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
    assert_eq!(stage.site.dns.queries(), [], "dialled for an agent that is gone");
    let mut next = stage.proxy.talk();
    next.send(&knock);
    assert_eq!(next.answer_to("CONNECT").status, 200);
    let _only_one = stage.accept();
    assert!(stage.origin.accept().is_err(), "a second connection to the origin");
}

#[test]
fn a_no_stays_quiet_for_the_same_agent_from_another_loopback_address() {
    let stage = Stage::attended(&[]);
    let target = stage.at("held.test");
    let mut agent = stage.proxy.talk();
    agent.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    let holds = stage.proxy.until_held(1, 1);
    stage.proxy.said(&["deny", holds[0]["id"].as_str().unwrap()]);
    assert_refused(&agent.answer_to("CONNECT"), 403, "refused");
    assert_refused(&Talk::from([127, 0, 0, 2], stage.proxy.address).connect(&target, &a()), 403, "quiet");
    assert_eq!(of_kind(&stage.proxy.journal(), "held").len(), 1);
}

#[test]
fn a_question_masks_what_may_be_a_secret_as_its_decision_does() {
    let canary = "canaryAAAABBBBCCCCDDDDEEEE";
    let stage = Stage::attended(&[]);
    let host = stage.at("held.test");
    let mut agent = stage.proxy.talk();
    let long = "/short".repeat(400);
    agent.send(format!("GET http://{host}/hook/{canary}{long} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    stage.proxy.until_held(1, 1);
    approve(&stage.proxy, &["--once"]);
    stage.accept();
    let records = stage.proxy.settled();
    for kind in ["held", "decided"] {
        let path = of_kind(&records, kind)[0]["request"]["path"].as_str().unwrap();
        assert!(path.starts_with("/hook/***/short/") && path.len() < 600, "{kind}: {path}");
    }
    assert!(records.iter().all(|record| !record.to_string().contains(canary)));
}

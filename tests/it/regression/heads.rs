//! Heads, of either side, that two readers could take for two things.

use super::Stage;
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::of_kind;

#[test]
fn a_request_in_a_tunnel_that_comes_round_again_is_a_loop() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    let via = p0.plain.requests()[0].header("via").unwrap().to_owned();
    let target = p0.at_plain("plain.allowed.test");
    let mut tunnel = proxy.talk();
    assert_eq!(tunnel.connect(&target, &a()).status, 200);
    tunnel.send(format!("GET /round HTTP/1.1\r\nHost: {target}\r\nVia: {via}\r\n\r\n"));
    assert_refused(&tunnel.answer(), 508, "self");
    assert_eq!(p0.plain.requests().len(), 1);
}

#[test]
fn an_answer_with_chunks_and_a_length_reaches_the_agent_as_chunks_and_whole() {
    for framing in ["Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"] {
        let stage = Stage::new(&[]);
        let mut agent = stage.proxy.talk();
        agent.send(stage.request("GET", "listed.test", ""));
        let mut origin = stage.accept();
        origin.head();
        origin.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n5\r\nwhole\r\n0\r\n\r\n"));
        let answer = agent.answer();
        assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (Some("chunked"), None), "{framing}");
        assert_eq!(answer.text(), "whole", "{framing}");
    }
}

#[test]
fn an_answer_in_a_coding_that_would_be_lost_is_not_passed_on() {
    let stage = Stage::new(&[]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("GET", "listed.test", ""));
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n");
    assert_refused(&agent.answer(), 502, "unreachable");
}

#[test]
fn what_follows_a_refused_connect_is_no_attempt_of_its_own() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    let target = p0.at_secure("blocked.test");
    let mut hello = Vec::new();
    p0.authority.client("blocked.test").write_tls(&mut hello).unwrap();
    for together in [true, false] {
        let mut talk = proxy.talk();
        let knock = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a());
        if together {
            talk.send([knock.as_bytes(), &hello].concat());
            assert_refused(&talk.answer_to("CONNECT"), 403, "blocked");
        } else {
            talk.send(knock);
            assert_refused(&talk.answer_to("CONNECT"), 403, "blocked");
            talk.send(&hello);
        }
        talk.rest();
    }
    // Once it has stopped, no record is still to come.
    assert!(proxy.stop().success());
    let records = proxy.journal();
    let reasons: Vec<_> = of_kind(&records, "decided").iter().map(|record| record["reason"].clone()).collect();
    assert_eq!(reasons, ["blocked", "blocked"]);
}

#[test]
fn the_http2_preface_is_answered_505_and_recorded_once() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    talk.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0");
    assert_eq!(talk.answer().status, 505);
    talk.rest();
    let records = proxy.until("the refusal", |records| !of_kind(records, "ended").is_empty());
    let decided = of_kind(&records, "decided");
    assert_eq!(decided.len(), 1, "{decided:?}");
    assert_eq!((decided[0]["reason"].as_str(), decided[0]["decision"].as_str()), (Some("malformed"), Some("block")));
}

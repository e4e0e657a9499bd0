//! d.8: Host against target, hop-by-hop headers, what a refusal may carry.

use super::Lab;
use crate::support::origin::Request;
use crate::support::p0::{a, assert_refused};

fn forwarded(lab: &Lab, headers: &str) -> Request {
    let host = lab.p0.at_plain("plain.allowed.test");
    let answers = lab.throw(format!("GET http://{host}/h HTTP/1.1\r\nHost: {host}\r\n{}{headers}\r\n", a()).as_bytes());
    assert_eq!(answers.first().map(|answer| answer.status), Some(200), "{headers:?}: {answers:?}");
    lab.p0.plain.requests().pop().unwrap()
}

#[test]
fn no_header_of_the_agent_picks_the_next_hop() {
    let lab = Lab::new();
    let request = forwarded(&lab, "X-Upstream-Https-Proxy: http://evil.test\r\nX-Forwarded-Host: evil.test\r\nX-Original-URL: /admin\r\n");
    assert_eq!(request.target(), "/h");
    assert!(!lab.p0.site.dns.was_asked("evil.test"));
}

#[test]
fn an_expectation_is_met_once_or_refused() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let mut talk = lab.proxy.talk();
    talk.send(format!("POST http://{host}/h HTTP/1.1\r\nHost: {host}\r\n{}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", a()));
    let mut answer = talk.answer();
    if answer.status == 100 {
        talk.send("abc");
        answer = talk.answer();
    }
    assert!([200, 417].contains(&answer.status), "{answer:?}");
    assert!(lab.p0.plain.requests().iter().all(|request| request.body == b"abc"));
    let answers = lab.throw(
        format!("POST http://{host}/h HTTP/1.1\r\nHost: {host}\r\n{}Expect: y 100-continue\r\nContent-Length: 3\r\n\r\nabc", a())
            .as_bytes(),
    );
    assert!([200, 400, 417].contains(&answers[0].status), "{answers:?}");
}

#[test]
fn an_upgrade_of_the_protocol_does_not_open_a_way_past_the_gate() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answers = lab.throw(format!("GET http://{host}/ws HTTP/1.1\r\nHost: {host}\r\n{}{upgrade}\r\n", a()).as_bytes());
    assert!(answers.iter().all(|answer| answer.status != 101), "{answers:?}");
    assert!(lab.p0.plain.requests().iter().all(|request| request.header("upgrade").is_none()));
}

#[test]
fn a_request_that_comes_round_again_is_a_loop() {
    let lab = Lab::new();
    let via = forwarded(&lab, "").header("via").expect("nothing would tell a loop").to_owned();
    let host = lab.p0.at_plain("plain.allowed.test");
    for line in [format!("Via: {via}\r\n"), format!("Via: 1.1 other, {via}\r\n"), format!("Via: 1.0 x\r\nVia: {via}\r\n")] {
        let mut talk = lab.proxy.talk();
        talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}{line}\r\n", a()));
        assert_refused(&talk.answer(), 508, "self");
    }
    assert_eq!(forwarded(&lab, "Via: 1.1 other\r\n").target(), "/h");
}

#[test]
fn a_refusal_reflects_no_markup_and_no_headers() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("blocked.test");
    let answers = lab.throw(
        format!(
            "GET http://{host}/<script>alert(1)</script>?x=%0d%0aSet-Cookie:a HTTP/1.1\r\nHost: {host}\r\nUser-Agent: <b>\r\n{}\r\n",
            a()
        )
        .as_bytes(),
    );
    assert_eq!(answers.len(), 1, "{answers:?}");
    let answer = &answers[0];
    assert!([400, 403].contains(&answer.status));
    assert!(!answer.text().contains("script") && !answer.text().contains("<b>"), "{}", answer.text());
    assert!(["set-cookie", "location", "refresh", "server", "x-powered-by"].iter().all(|name| answer.header(name).is_none()), "{answer:?}");
}

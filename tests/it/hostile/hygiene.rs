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
fn the_url_decides_and_host_follows_it() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let answers = lab.throw(format!("GET http://{host}/ HTTP/1.1\r\nHost: evil.test\r\n{}\r\n", a()).as_bytes());
    match answers[0].status {
        200 => assert_eq!(lab.p0.plain.requests()[0].header("host"), Some(host.as_str())),
        status => assert_eq!(status, 400),
    }
    let evil = lab.p0.at_plain("evil.test");
    let answers = lab.throw(format!("GET http://{evil}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()).as_bytes());
    assert!([400, 403].contains(&answers[0].status), "{answers:?}");
    assert!(!lab.p0.site.dns.was_asked("evil.test"));
}

#[test]
fn a_host_header_that_is_not_one_is_malformed() {
    let mut lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    for line in [
        format!("Host: {host}\r\nHost: {host}\r\n"),
        format!("Host: {host}\r\nHost: evil.test\r\n"),
        "Host: a, b\r\n".to_owned(),
        "Host: user@plain.allowed.test\r\n".to_owned(),
        "Host: plain.allowed.test/x\r\n".to_owned(),
        "Host: plain.allowed.test:99999\r\n".to_owned(),
        "Host: plain.allowed.test:80:80\r\n".to_owned(),
        "Host: evil.test\0\r\n".to_owned(),
        String::new(),
    ] {
        lab.assert_bad(format!("GET http://{host}/ HTTP/1.1\r\n{line}{}\r\n", a()).as_bytes());
    }
    let target = lab.p0.at_secure("api.allowed.test");
    lab.assert_bad(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nHost: {target}\r\n{}\r\n", a()).as_bytes());
    lab.assert_bad(format!("CONNECT {target} HTTP/1.1\r\nHost: a, b\r\n{}\r\n", a()).as_bytes());
}

#[test]
fn hop_by_hop_headers_stay_here() {
    let lab = Lab::new();
    let request = forwarded(
        &lab,
        "Connection: keep-alive, X-Named, close\r\nX-Named: secret\r\nProxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X-T\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Authenticate: x\r\nX-Kept: yes\r\n",
    );
    for name in [
        "x-named",
        "proxy-connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "proxy-authenticate",
    ] {
        assert_eq!(request.header(name), None, "{name} was passed on: {request:?}");
    }
    assert_eq!(request.header("x-kept"), Some("yes"));
}

#[test]
fn a_client_cannot_name_away_what_frames_or_addresses_the_request() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let request = format!(
        "POST http://{host}/h HTTP/1.1\r\nHost: {host}\r\n{}Connection: Host, Content-Length, Transfer-Encoding, Authorization, Via\r\nAuthorization: Bearer mine\r\nContent-Length: 3\r\n\r\nabc",
        a()
    );
    let answers = lab.throw(request.as_bytes());
    if answers[0].status == 200 {
        let got = lab.p0.plain.requests().pop().unwrap();
        assert_eq!((got.header("host"), got.body.as_slice()), (Some(host.as_str()), &b"abc"[..]));
        assert_eq!(got.header("authorization"), Some("Bearer mine"));
    } else {
        assert_eq!(answers[0].status, 400);
    }
}

#[test]
fn a_connection_header_of_thousands_of_names_is_survived() {
    let mut lab = Lab::new();
    for value in ["Connection", "proxy-connection", "close, close, close", ",,,,", &"x,".repeat(10_000)] {
        let host = lab.p0.at_plain("plain.allowed.test");
        let answers = lab.throw(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}Connection: {value}\r\n\r\n", a()).as_bytes());
        assert!([200, 400].contains(&answers[0].status), "{value:.40}: {answers:?}");
    }
    assert!(lab.proxy.is_alive());
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

#[test]
fn trace_is_not_a_mirror() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    for method in ["TRACE", "TRACK", "DEBUG"] {
        let answers = lab.throw(format!("{method} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}Max-Forwards: 0\r\n\r\n", a()).as_bytes());
        assert!(!answers[0].text().contains("Basic"), "{method} echoes the credential: {}", answers[0].text());
    }
    assert!(lab.p0.plain.requests().iter().all(|request| request.header("proxy-authorization").is_none()));
}

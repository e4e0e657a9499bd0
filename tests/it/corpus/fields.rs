//! d.8: `Host` against the target, and what may not leave this hop.

use super::{Bench, REQUESTS, Way};
use crate::support::p0::a;

#[test]
fn the_target_decides_and_host_follows_it() {
    let mut bench = Bench::new();
    let (listed, evil, credentials) = (bench.listed(), bench.p0.at_plain("evil.test"), a());
    for host in ["evil.test", "blocked.test:80", "127.0.0.1", "localhost", &evil] {
        let bytes = format!("GET http://{listed}/ HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n");
        assert_eq!(bench.shoot(164, Way::Forward, bytes).passed("plain.allowed.test").all("host"), [listed.as_str()]);
        // In a tunnel nobody may ask for another host, in either place.
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        bench.shoot(165, Way::Inside, bytes).denied(&["name-mismatch"], "plain.allowed.test");
        bench.shoot(164, Way::Inside, format!("GET http://{listed}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")).bad();
    }
    let bytes = format!("GET http://{evil}/ HTTP/1.1\r\nHost: {listed}\r\n{credentials}\r\n");
    bench.shoot(165, Way::Forward, bytes).denied(&["unattended"], "evil.test");
    bench.shoot(165, Way::Inside, format!("GET http://{evil}/ HTTP/1.1\r\nHost: {listed}\r\n\r\n")).bad();
    assert!(!bench.p0.site.dns.was_asked("evil.test"));
    bench.done("tests/it/corpus/fields.rs::the_target_decides_and_host_follows_it");
}

#[test]
fn a_host_field_that_is_not_one_is_malformed() {
    let mut bench = Bench::new();
    let listed = bench.listed();
    let lines = [
        format!("Host: {listed}\r\nHost: {listed}\r\n"),
        format!("Host: {listed}\r\nHost: evil.test\r\n"),
        format!("Host: evil.test\r\nX: y\r\nhost: {listed}\r\n"),
        format!("Host: {listed}, {listed}\r\n"),
        "Host: a, b\r\n".to_owned(),
        "Host: a b\r\n".to_owned(),
        "Host: \r\n".to_owned(),
        "Host:\r\n".to_owned(),
        "Host: user@plain.allowed.test\r\n".to_owned(),
        format!("Host: evil.test@{listed}\r\n"),
        "Host: plain.allowed.test/x\r\n".to_owned(),
        "Host: plain.allowed.test?x\r\n".to_owned(),
        "Host: plain.allowed.test#x\r\n".to_owned(),
        "Host: http://plain.allowed.test/\r\n".to_owned(),
        "Host: plain.allowed.test:99999\r\n".to_owned(),
        "Host: plain.allowed.test:80:80\r\n".to_owned(),
        "Host: evil.test\0\r\n".to_owned(),
        String::new(),
    ];
    for (index, line) in lines.iter().enumerate() {
        bench.shoot(166, Way::Forward, format!("GET http://{listed}/ HTTP/1.1\r\n{line}{}\r\n", a())).bad();
        bench.shoot(166, Way::Inside, format!("GET / HTTP/1.1\r\n{line}\r\n")).bad();
        let row = if index < 3 { 100 } else { 166 };
        bench.shoot(row, Way::Connect, format!("CONNECT {listed} HTTP/1.1\r\n{line}{}\r\n", a())).bad();
    }
    bench.done("tests/it/corpus/fields.rs::a_host_field_that_is_not_one_is_malformed");
}

#[test]
fn a_connect_with_a_body_is_malformed_and_its_body_reaches_no_tunnel() {
    let mut bench = Bench::new();
    let target = bench.p0.at_secure("api.allowed.test");
    let mut hello = Vec::new();
    bench.p0.authority.client("api.allowed.test").write_tls(&mut hello).unwrap();
    for (row, field, body) in [
        (101, "Content-Length: 5\r\n", "EARLY"),
        (101, "Content-Length: 0\r\n", ""),
        (101, "Content-Length: 5\r\nContent-Length: 5\r\n", "EARLY"),
        (102, "Transfer-Encoding: chunked\r\n", "5\r\nEARLY\r\n0\r\n\r\n"),
        (102, "Transfer-Encoding: identity\r\n", ""),
        (102, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}{field}\r\n{body}", a());
        bench.shoot(row, Way::Connect, [head.as_bytes(), &hello].concat()).bad();
    }
    bench.done("tests/it/corpus/fields.rs::a_connect_with_a_body_is_malformed_and_its_body_reaches_no_tunnel");
}

/// The fields a message has upstream, besides those exeat writes itself.
fn sent_on(bench: &mut Bench, row: u16, way: Way, fields: &str) -> Vec<String> {
    let bytes = way.head("POST", &bench.at(way), "/h") + fields + "Content-Length: 3\r\n\r\nabc";
    let message = bench.shoot(row, way, bytes).passed(way.host());
    let (host, via) = (message.all("host"), message.all("via"));
    assert_eq!((host, message.body.as_slice()), (vec![bench.at(way).as_str()], &b"abc"[..]), "{message:?}");
    assert!(via.last().is_some_and(|via| via.starts_with("1.1 exeat")), "{message:?}");
    message.fields_but(&["host", "via", "content-length"])
}

#[test]
fn what_belongs_to_this_hop_stays_here() {
    let mut bench = Bench::new();
    let none: &[&str] = &[];
    for way in REQUESTS {
        let table: [(u16, &str, &[&str]); 22] = [
            (
                168,
                "Connection: close, Host, Content-Length, Transfer-Encoding, Authorization, Cookie, Via\r\nAuthorization: Bearer mine\r\nCookie: c=1\r\n",
                &["authorization: Bearer mine", "cookie: c=1"],
            ),
            (168, "Connection: host\r\nConnection: CONTENT-LENGTH\r\n", none),
            (168, "Connection: keep-alive, X-Named\r\nX-Named: secret\r\nX-Kept: yes\r\n", &["x-kept: yes"]),
            (168, "Connection: x-named,,\tX-OTHER ,\r\nX-Named: 1\r\nX-Named: 2\r\nx-other: 3\r\n", none),
            (169, "Connection: Connection\r\n", none),
            (169, "Proxy-Connection: connection\r\nX-Kept: yes\r\n", &["x-kept: yes"]),
            (169, "Connection: proxy-connection\r\nProxy-Connection: connection\r\n", none),
            (169, "Connection: close, close, close\r\n", none),
            (169, "Connection: ,,,,\r\n", none),
            (169, "Connection: \u{1f600}, (x), \"x\", x y\r\nX-Kept: yes\r\n", &["x-kept: yes"]),
            (170, "Connection: Via\r\n", none),
            (170, "Connection: X-Agent-Id, Exeat-Agent, Via, Host\r\n", none),
            (171, "Proxy-Connection: keep-alive\r\n", none),
            (171, "Keep-Alive: timeout=5\r\n", none),
            (171, "TE: trailers\r\n", none),
            (171, "TE: trailers, chunked\r\nConnection: TE\r\n", none),
            (171, "Trailer: X-T\r\n", if way == Way::Secure { &["trailer: X-T"] } else { none }),
            (171, "Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\n", none),
            (171, "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n", none),
            (177, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", none),
            (177, "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", none),
            (177, "Upgrade: H2C, websocket\r\nConnection: upgrade\r\nhttp2-settings: x\r\n", none),
        ];
        for (row, fields, wanted) in table {
            assert_eq!(sent_on(&mut bench, row, way, fields), wanted, "{way:?} {fields:?}");
        }
        let many = format!("Connection: {}\r\n", "x,".repeat(10_000));
        assert_eq!(sent_on(&mut bench, 169, way, &many), none);
    }
    // The credential itself stands in every forwarded head; in a tunnel it is a mistake of the agent's.
    let bytes = Way::Inside.head("GET", &bench.listed(), "/") + &a() + "\r\n";
    assert_eq!(bench.shoot(172, Way::Inside, bytes).passed("plain.allowed.test").all("proxy-authorization"), none);
    bench.done("tests/it/corpus/fields.rs::what_belongs_to_this_hop_stays_here");
}

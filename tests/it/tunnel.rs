//! Inside a tunnel: TLS for the destination, or HTTP whose requests are attempts, or a rule that says opaque; else it is cut.

use std::time::{Duration, Instant};

use rustls::AlertDescription;
use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::origin::Origin;
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::talk::Talk;

fn open(proxy: &Proxy, target: &str) -> Talk {
    let mut talk = proxy.talk();
    let answer = talk.connect(target, &a());
    assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None), "framing on a tunnel's 200");
    talk
}

/// The only attempt to a host, and its end.
fn only<'a>(records: &'a [Value], host: &str) -> (&'a Value, &'a Value) {
    let all = decided(records, host);
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0], ended(records, &all[0]["id"]))
}

fn with_opaque(origin: &Origin) -> P0 {
    let p0 = P0::new();
    p0.site.dns.script("opaque.test", [Reply::to(["127.0.0.1"])]);
    p0.site.dns.script("clear.test", [Reply::to(["127.0.0.1"])]);
    let ports = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", origin.port());
    p0.write_agents(&format!("[[allow]]\nhost = \"opaque.test\"\n{ports}\nopaque = true\n[[allow]]\nhost = \"clear.test\"\n{ports}"));
    p0
}

#[test]
fn tls_that_asks_for_the_destination_passes_and_is_recorded() {
    let p0 = P0::new();
    let proxy = p0.start();
    for (target, name) in
        [("api.allowed.test", "api.allowed.test"), ("Api.Allowed.test.", "api.allowed.test"), ("x.wild.test", "X.WILD.test")]
    {
        let mut inside = open(&proxy, &p0.at_secure(target)).tls(&p0.authority, name).unwrap();
        inside.send("GET /tls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(inside.answer().text(), "secure /tls");
    }
    let records = proxy.settled();
    let (_, end) = only(&records, "x.wild.test");
    assert_eq!((&end["outcome"], &end["tls"]["inspected"]), (&json!("completed"), &json!(false)));
    assert_eq!(end["tls"]["sni"].as_str().map(str::to_ascii_lowercase).as_deref(), Some("x.wild.test"));
}

#[test]
fn another_name_inside_is_answered_with_an_alert_and_nothing_passes_on() {
    let p0 = P0::new();
    let proxy = p0.start();
    for name in ["evil.test", "x.wild.test", "sub.api.allowed.test"] {
        let alert = open(&proxy, &p0.at_secure("api.allowed.test")).tls(&p0.authority, name).err();
        assert_eq!(alert, Some(Some(AlertDescription::AccessDenied)), "{name}");
    }
    let records = proxy.settled();
    for (record, name) in decided(&records, "api.allowed.test").iter().zip(["evil.test", "x.wild.test", "sub.api.allowed.test"]) {
        let end = ended(&records, &record["id"]);
        assert_eq!((&end["outcome"], &end["reason"], &end["tls"]["sni"]), (&json!("cut"), &json!("name-mismatch"), &json!(name)));
    }
    assert!(p0.secure.connections().iter().all(Vec::is_empty), "bytes of a refused tunnel passed on");
}

#[test]
fn tls_without_a_name_is_cut_where_the_destination_is_a_name() {
    let p0 = P0::new();
    let proxy = p0.start();
    let alert = open(&proxy, &p0.at_secure("api.allowed.test")).tls(&p0.authority, "127.0.0.1").err();
    assert_eq!(alert, Some(Some(AlertDescription::AccessDenied)));
    assert_eq!(only(&proxy.settled(), "api.allowed.test").1["reason"], "name-mismatch");
}

#[test]
fn a_hello_in_many_small_pieces_is_read_as_one() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = open(&proxy, &p0.at_secure("api.allowed.test"));
    let mut hello = Vec::new();
    let mut client = p0.authority.client("api.allowed.test");
    client.write_tls(&mut hello).unwrap();
    for piece in hello.chunks(100) {
        talk.send(piece);
    }
    let answer = talk.exactly(5).expect("the origin's hello");
    assert_eq!(answer[0], 22, "not a handshake record: {answer:?}");
}

#[test]
fn what_is_neither_tls_nor_http_is_cut() {
    let echo = Origin::echo();
    let p0 = with_opaque(&echo);
    let proxy = p0.start();
    for first in ["SSH-2.0-OpenSSH_9.6\r\n", "\0\0\0\u{4}test", "\u{1}\r\n"] {
        let mut talk = open(&proxy, &format!("clear.test:{}", echo.port()));
        talk.send(first);
        let rest = talk.rest();
        assert!(!String::from_utf8_lossy(&rest).contains("bye"), "{first:?} reached the origin: {rest:?}");
    }
    let records = proxy.settled();
    for record in decided(&records, "clear.test") {
        let end = ended(&records, &record["id"]);
        assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("not-tls")));
    }
    assert!(echo.connections().iter().all(Vec::is_empty), "{:?}", echo.connections());
}

#[test]
fn a_line_that_begins_like_http_and_is_none_is_answered_400_and_goes_nowhere() {
    let echo = Origin::echo();
    let p0 = with_opaque(&echo);
    let proxy = p0.start();
    let mut talk = open(&proxy, &format!("clear.test:{}", echo.port()));
    talk.send("EHLO x\r\n\r\n");
    let rest = talk.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{rest:?}");
    assert!(echo.connections().iter().all(Vec::is_empty), "{:?}", echo.connections());
}

#[test]
fn who_says_nothing_is_cut_when_the_peek_is_over() {
    let greeter = Origin::greeter("220 mail\r\n");
    let p0 = with_opaque(&greeter);
    let proxy = p0.start();
    let start = Instant::now();
    let mut talk = open(&proxy, &format!("clear.test:{}", greeter.port()));
    assert!(talk.rest().is_empty(), "a server that speaks first was heard without opaque");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(only(&proxy.settled(), "clear.test").1["reason"], "not-tls");
    let mut talk = open(&proxy, &format!("opaque.test:{}", greeter.port()));
    assert_eq!(talk.exactly(10).unwrap(), b"220 mail\r\n");
}

#[test]
fn an_opaque_tunnel_carries_anything_with_half_close_both_ways_and_counts_it() {
    let echo = Origin::echo();
    let p0 = with_opaque(&echo);
    let proxy = p0.start();
    let mut talk = open(&proxy, &format!("opaque.test:{}", echo.port()));
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut writer = talk.split();
    let copy = sent.clone();
    let sending = std::thread::spawn(move || {
        writer.send(copy);
        writer.finish();
    });
    let received = talk.rest();
    sending.join().unwrap();
    assert!(
        received.starts_with(&sent) && received.ends_with(b"bye") && received.len() == sent.len() + 3,
        "{} bytes came back",
        received.len()
    );
    let records = proxy.settled();
    let (_, end) = only(&records, "opaque.test");
    assert_eq!((&end["outcome"], &end["bytes_up"], &end["bytes_down"]), (&json!("completed"), &json!(sent.len()), &json!(sent.len() + 3)));
    assert_eq!(proxy.metric("exeat_bytes_total", &["agent=\"a\"", "direction=\"up\""]), 300_000.0);
}

#[test]
fn the_origins_half_close_leaves_the_other_half_open() {
    let origin = Origin::http(|_| vec![crate::support::origin::Step::Echo]);
    let p0 = with_opaque(&origin);
    let proxy = p0.start();
    let mut talk = open(&proxy, &format!("opaque.test:{}", origin.port()));
    talk.send("GET / HTTP/1.1\r\n\r\nafter");
    assert_eq!(talk.exactly(5).unwrap(), b"after");
    talk.send("more");
    assert_eq!(talk.exactly(4).unwrap(), b"more");
    talk.finish();
    assert_eq!(talk.rest(), b"bye");
}

#[test]
fn plain_http_in_a_tunnel_is_an_attempt_for_each_request() {
    let p0 = P0::new();
    let proxy = p0.start();
    let target = p0.at_plain("plain.allowed.test");
    let mut talk = open(&proxy, &target);
    for path in ["/one", "/two"] {
        talk.send(format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        assert_eq!(talk.answer().text(), format!("plain {path}"));
    }
    drop(talk);
    let records = proxy.settled();
    let all = decided(&records, "plain.allowed.test");
    assert_eq!(all.len(), 3, "the tunnel and its two requests: {all:?}");
    let tunnel = all.iter().find(|record| record["within"].is_null()).unwrap();
    let inner: Vec<_> = all.iter().filter(|record| record["within"] == tunnel["id"]).collect();
    assert_eq!(inner.len(), 2);
    assert!(inner.iter().all(|record| record["request"]["method"] == "GET"), "{inner:?}");
}

#[test]
fn a_request_in_a_tunnel_cannot_go_elsewhere() {
    let p0 = P0::new();
    let proxy = p0.start();
    let target = p0.at_plain("plain.allowed.test");
    for inner in [
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n".to_owned(),
        format!("GET http://evil.test:{}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", p0.plain.port()),
        format!("CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n{}\r\n", a()),
        "GET / HTTP/1.1\r\nHost: plain.allowed.test\r\nHost: evil.test\r\n\r\n".to_owned(),
    ] {
        let mut talk = open(&proxy, &target);
        talk.send(&inner);
        let answer = talk.answer();
        assert!([400, 403, 421].contains(&answer.status), "{inner:?} got {answer:?}");
    }
    assert!(p0.plain.requests().is_empty(), "{:?}", p0.plain.requests());
    assert!(!p0.site.dns.was_asked("evil.test"));
}

#[test]
fn an_inner_request_cannot_carry_credentials_of_the_proxy_outward() {
    let p0 = P0::new();
    let proxy = p0.start();
    let target = p0.at_plain("plain.allowed.test");
    let mut talk = open(&proxy, &target);
    talk.send(format!("GET / HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    assert_eq!(talk.answer().status, 200);
    assert_eq!(p0.plain.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn a_tunnel_is_counted_while_it_is_open() {
    let p0 = P0::new();
    let proxy = p0.start();
    let inside = open(&proxy, &p0.at_secure("api.allowed.test")).tls(&p0.authority, "api.allowed.test").unwrap();
    assert_eq!(proxy.metric("exeat_tunnels_open", &["agent=\"a\""]), 1.0);
    drop(inside);
    proxy.settled();
    assert_eq!(proxy.metric("exeat_tunnels_open", &["agent=\"a\""]), 0.0);
    assert_eq!(of_kind(&proxy.journal(), "ended").len(), 1);
}

//! What is long is recorded while it lasts: `progress` every 100 MiB, through a tunnel and of one request.

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::origin::{Origin, Request, Step};
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::talk::Talk;

const STEP: u64 = 100 << 20;
const BODY: usize = 105 << 20;

fn big(request: &Request) -> Vec<Step> {
    let length = if request.target() == "/big" { BODY } else { 1 };
    vec![Step::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into()), Step::Send(vec![b'x'; length]), Step::Close]
}

fn world() -> (P0, Proxy) {
    let mut p0 = P0::new();
    p0.plain = Origin::http(big);
    p0.site.dns.script("opaque.test", [Reply::to(["127.0.0.1"])]);
    let port = p0.plain.port();
    p0.write_agents(&format!("[[allow]]\nhost = \"opaque.test\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]\nopaque = true"));
    let proxy = p0.start();
    (p0, proxy)
}

/// Reads an answer of so many bytes, and keeps none of it.
fn swallow(talk: &mut Talk, length: usize) {
    assert!(talk.head()[0].contains(" 200 "));
    let mut left = length;
    while left > 0 {
        let piece = left.min(1 << 16);
        assert!(talk.exactly(piece).is_some(), "{left} bytes are missing");
        left -= piece;
    }
}

#[track_caller]
fn assert_told_once(proxy: &Proxy, host: &str) {
    let records = proxy.settled();
    let all = decided(&records, host);
    let (decided, end) = (all[0], ended(&records, &all[0]["id"]));
    let told: Vec<&Value> = of_kind(&records, "progress");
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0];
    assert_eq!((&told["id"], &told["agent"]), (&decided["id"], &json!("a")));
    let total = |record: &Value| record["bytes_up"].as_u64().unwrap() + record["bytes_down"].as_u64().unwrap();
    assert!((STEP..STEP + (1 << 20)).contains(&total(told)), "{told}");
    assert!(total(end) >= u64::try_from(BODY).unwrap(), "{end}");
    let seq = |record: &Value| record["seq"].as_u64().unwrap();
    assert!(seq(decided) < seq(told) && seq(told) < seq(end), "{decided} {told} {end}");
}

#[test]
fn a_tunnel_says_how_far_it_is() {
    let (p0, proxy) = world();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_plain("opaque.test"), &a()).status, 200);
    talk.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    swallow(&mut talk, BODY);
    drop(talk);
    assert_told_once(&proxy, "opaque.test");
}

#[test]
fn a_request_says_how_far_it_is_and_a_short_one_says_nothing() {
    let (p0, proxy) = world();
    let mut talk = proxy.talk();
    let host = p0.at_plain("plain.allowed.test");
    talk.send(format!("GET http://{host}/big HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    swallow(&mut talk, BODY);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).text(), "x");
    assert_told_once(&proxy, "plain.allowed.test");
}

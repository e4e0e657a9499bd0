//! What is open is decided again as a whole: where it is connected to and what it became, not its name alone.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Stage;
use crate::support::dns::Reply;
use crate::support::p0::{a, assert_refused};
use crate::support::proxy::{decided, ended};
use crate::support::site::Site;

/// The example of RFC 6455 section 1.3.
const HANDSHAKE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const TAKEN: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const HERE: &str = "addresses = [\"127.0.0.0/8\"]\n";

/// Agent `a` with one rule for `listed.test`, whose keys after its port are these.
fn stage(keys: &str) -> Stage {
    let mut stage = Stage::new(&[]);
    stage.proxy.stop();
    write(&stage.site, &rule(&stage.origin, keys));
    stage.proxy = stage.site.start();
    stage
}

fn rule(origin: &TcpListener, keys: &str) -> String {
    format!("[[allow]]\nhost = \"listed.test\"\nport = [{}]\n{keys}", origin.local_addr().unwrap().port())
}

/// In place at once.
fn write(site: &Site, tables: &str) {
    let file = site.path().join("allowlists/a.toml");
    let old = fs::read_to_string(&file).unwrap();
    let (head, _rules) = old.split_once("[[allow]]").unwrap();
    let beside = file.with_extension("new~");
    fs::write(&beside, format!("{head}{tables}")).unwrap();
    fs::rename(&beside, &file).unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tunnel,
    Download,
    Socket,
}

#[test]
fn what_is_open_is_cut_where_the_policy_would_not_let_it_come_to_this() {
    let blocked = "[[block]]\nhost = \"127.0.0.0/8\"\n";
    let elsewhere = "addresses = [\"10.0.0.0/8\"]\n";
    let table = [
        ("a block of its address", Kind::Tunnel, "opaque = true\n", format!("{HERE}opaque = true\n{blocked}")),
        ("a block of its address", Kind::Download, "", format!("{HERE}{blocked}")),
        ("a block of its address", Kind::Socket, "websocket = true\n", format!("{HERE}websocket = true\n{blocked}")),
        ("other addresses", Kind::Tunnel, "opaque = true\n", format!("{elsewhere}opaque = true\n")),
        ("other addresses", Kind::Download, "", elsewhere.to_owned()),
        ("opaque no more", Kind::Tunnel, "opaque = true\n", HERE.to_owned()),
        ("no WebSocket any more", Kind::Socket, "websocket = true\n", HERE.to_owned()),
    ];
    for (what, kind, before, after) in table {
        let stage = stage(&format!("{HERE}{before}"));
        let mut agent = stage.proxy.talk();
        let mut origin = match kind {
            Kind::Tunnel => {
                assert_eq!(agent.connect(&stage.at("listed.test"), &a()).status, 200, "{what}");
                agent.send("open");
                let mut origin = stage.accept();
                assert_eq!(origin.exactly(4).unwrap(), b"open");
                origin
            }
            Kind::Download => {
                agent.send(stage.request("GET", "listed.test", ""));
                let mut origin = stage.accept();
                origin.head();
                origin.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nopen");
                agent.head();
                assert_eq!(agent.exactly(4).unwrap(), b"open");
                origin
            }
            Kind::Socket => {
                agent.send(stage.request("GET", "listed.test", HANDSHAKE));
                let mut origin = stage.accept();
                origin.head();
                origin.send(TAKEN);
                agent.head();
                agent.send("open");
                assert_eq!(origin.exactly(4).unwrap(), b"open");
                origin
            }
        };
        write(&stage.site, &rule(&stage.origin, &after));
        let cut = (json!("cut"), json!("policy-changed"));
        let records = stage.proxy.until(what, |records| {
            decided(records, "listed.test")
                .iter()
                .all(|decided| records.iter().any(|end| end["kind"] == "ended" && end["id"] == decided["id"]))
        });
        let end = ended(&records, &decided(&records, "listed.test")[0]["id"]);
        assert_eq!((end["outcome"].clone(), end["reason"].clone()), cut, "{what} {kind:?}");
        assert!(origin.is_closed(), "{what} {kind:?}");
    }
}

#[test]
fn what_is_open_goes_on_where_its_rule_only_reads_otherwise() {
    let stage = stage(&format!("{HERE}opaque = true\n"));
    let mut agent = stage.proxy.talk();
    assert_eq!(agent.connect(&stage.at("listed.test"), &a()).status, 200);
    let mut origin = stage.accept();
    let reloaded = || stage.proxy.metric("exeat_policy_reloads_total", &["result=\"ok\""]) >= 1.0;
    write(&stage.site, &rule(&stage.origin, "addresses = [\"public\", \"127.0.0.1/32\"]\nopaque = true\nnote = \"other words\"\n"));
    stage.proxy.until("a reload", |_records| reloaded());
    agent.send("still");
    assert_eq!(origin.exactly(5).unwrap(), b"still");
}

#[test]
fn a_freeze_ends_what_still_looks_for_its_address() {
    let mut site = Site::new();
    site.set("dns", "timeout", "\"20s\"");
    site.dns.script("slow.test", [Reply::Silence]);
    site.agent("a", "", "[[allow]]\nhost = \"slow.test\"\n");
    let proxy = site.start();
    for connect in [true, false] {
        let mut talk = proxy.talk();
        let asked = site.dns.count("slow.test", "A");
        if connect {
            talk.send(format!("CONNECT slow.test:443 HTTP/1.1\r\nHost: slow.test:443\r\n{}\r\n", a()));
        } else {
            talk.send(format!("GET http://slow.test/ HTTP/1.1\r\nHost: slow.test\r\n{}\r\n", a()));
        }
        proxy.until("a question to the name server", |_records| site.dns.count("slow.test", "A") > asked);
        let began = Instant::now();
        fs::write(site.path().join("allowlists/freeze"), "").unwrap();
        let refusal = talk.answer_to(if connect { "CONNECT" } else { "GET" });
        assert_refused(&refusal, 403, "frozen");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        fs::remove_file(site.path().join("allowlists/freeze")).unwrap();
        proxy.until("a thaw", |_records| !proxy.readyz().text().contains("frozen"));
        let records = proxy.settled();
        for decided in decided(&records, "slow.test") {
            let end = ended(&records, &decided["id"]);
            assert_eq!((&decided["decision"], &end["outcome"], &end["reason"]), (&json!("allow"), &json!("cut"), &json!("frozen")));
        }
    }
}

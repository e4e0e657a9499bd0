//! WebSockets: passed on where the rule says so and the origin proves that it took the handshake; no other upgrade ever is.

use serde_json::json;

use super::{WAYS, Way, world};
use crate::support::origin::{Origin, Request, Step, ok};
use crate::support::p0::{P0, assert_refused};
use crate::support::proxy::{decided, ended, of_kind};
use crate::support::site::offer;

/// The example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const RULES: &str = "
[[allow]]
host = \"rules.test\"
LOCAL
websocket = true
[[allow]]
host = \"open.test\"
LOCAL
";

fn handshake() -> String {
    format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n")
}

fn switching(fields: &str) -> Vec<Step> {
    vec![Step::Send(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n").into()), Step::Echo]
}

fn taken() -> String {
    format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n")
}

/// Answers a handshake, says something first, then echoes.
fn sockets(request: &Request) -> Vec<Step> {
    if request.header("upgrade").is_none() {
        return ok(&format!("plain {}", request.target()));
    }
    let mut steps = switching(&taken());
    steps.insert(1, Step::Send(b"hello".to_vec()));
    steps
}

fn at(origin: Origin, rules: &str) -> P0 {
    let mut p0 = world("", "");
    p0.plain = origin;
    super::write(&p0, "", rules);
    p0
}

#[test]
fn a_handshake_that_is_taken_becomes_a_socket() {
    for way in WAYS {
        let p0 = at(Origin::http(sockets), RULES);
        let proxy = p0.start();
        let mut talk = way.send(&p0, &proxy, "rules.test", ("GET /chat", &format!("{}Sec-WebSocket-Protocol: chat\r\n", handshake())));
        let answer = talk.answer_to("GET");
        assert_eq!(answer.status, 101, "{way:?}");
        let fields = ["upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "content-length"];
        assert_eq!(fields.map(|name| answer.header(name)), [Some("websocket"), Some("Upgrade"), Some(ACCEPT), Some("chat"), None]);
        assert_eq!(talk.exactly(5).unwrap(), b"hello");
        talk.send("up and back");
        assert_eq!(talk.exactly(11).unwrap(), b"up and back");
        talk.finish();
        assert_eq!(talk.rest(), b"bye");
        let seen = &p0.plain.requests()[0];
        assert_eq!((seen.header("upgrade"), seen.header("connection")), (Some("websocket"), Some("Upgrade")));
        assert_eq!((seen.header("sec-websocket-key"), seen.header("sec-websocket-version")), (Some(KEY), Some("13")));
        let records = proxy.settled();
        let request = decided(&records, "rules.test").into_iter().find(|record| !record["request"].is_null()).unwrap();
        let end = ended(&records, &request["id"]);
        assert_eq!((&end["outcome"], &end["status"], &end["bytes_up"]), (&json!("completed"), &json!(101), &json!(11)), "{way:?}");
        assert_eq!(end["bytes_down"], 5 + 11 + 3);
        assert!(of_kind(&records, "ended").iter().all(|end| end["outcome"] == "completed"), "{records:?}");
    }
}

#[test]
fn without_leave_and_for_any_other_upgrade_the_fields_stay_here() {
    let p0 = at(Origin::http(sockets), RULES);
    let proxy = p0.start();
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let no_key = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n".to_owned();
    let two_keys = format!("{}Sec-WebSocket-Key: {KEY}\r\n", handshake());
    let rows = [
        ("open.test", "GET /", handshake()),
        ("rules.test", "GET /", h2c.to_owned()),
        ("rules.test", "GET /", no_key),
        ("rules.test", "GET /", two_keys),
        ("rules.test", "POST /", format!("{}Content-Length: 0\r\n", handshake())),
        ("rules.test", "GET /", format!("{}Content-Length: 2\r\n\r\nhi", handshake())),
    ];
    for way in WAYS {
        for (host, line, fields) in &rows {
            let answer = way.ask(&p0, &proxy, host, (line, fields));
            assert_eq!((answer.status, answer.text()), (200, "plain /".to_owned()), "{way:?} {host} {line} {fields}");
            let seen = p0.plain.requests().pop().unwrap();
            assert_eq!((seen.header("upgrade"), seen.header("connection"), seen.header("http2-settings")), (None, None, None), "{fields}");
        }
    }
    let both = handshake().replace("Upgrade: websocket", "Upgrade: h2c, websocket");
    let mut talk = Way::Forward.send(&p0, &proxy, "rules.test", ("GET /", &both));
    assert_eq!(talk.answer().status, 101);
    assert_eq!(p0.plain.requests().pop().unwrap().header("upgrade"), Some("websocket"), "a second protocol was offered");
}

#[test]
fn a_101_that_proves_nothing_is_a_bad_answer_and_the_end() {
    let rows = [
        String::new(),
        "Upgrade: websocket\r\nConnection: Upgrade\r\n".to_owned(),
        taken().replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        taken().replace("Upgrade: websocket", "Upgrade: h2c"),
        taken().replace("Connection: Upgrade", "Connection: close"),
        format!("{}Sec-WebSocket-Accept: {ACCEPT}\r\n", taken()),
    ];
    for way in WAYS {
        for fields in &rows {
            let steps = fields.clone();
            let p0 = at(Origin::http(move |_| switching(&steps)), RULES);
            let proxy = p0.start();
            let mut talk = way.send(&p0, &proxy, "rules.test", ("GET /", &handshake()));
            assert_refused(&talk.answer(), 502, "unreachable");
            talk.send("raw bytes");
            assert!(talk.rest().is_empty(), "{way:?} {fields}");
            p0.plain.until("its end", |origin| origin.open() == 0);
            assert!(!String::from_utf8_lossy(&p0.plain.connections().concat()).contains("raw"), "{way:?} {fields}");
        }
        let p0 = at(Origin::http(|_| switching(&taken())), RULES);
        let proxy = p0.start();
        assert_refused(&way.ask(&p0, &proxy, "open.test", ("GET /", &handshake())), 502, "unreachable");
        assert_refused(&way.ask(&p0, &proxy, "rules.test", ("GET /", "")), 502, "unreachable");
    }
}

#[test]
fn another_answer_is_an_answer_and_what_follows_is_a_request() {
    let origin = || {
        Origin::http(|request| {
            match request.header("upgrade") {
            Some(_) => vec![Step::Send(
                b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno"
                    .to_vec(),
            )],
            None => ok("plain"),
        }
        })
    };
    for way in WAYS {
        let p0 = at(origin(), RULES);
        let proxy = p0.start();
        let mut talk = way.send(&p0, &proxy, "rules.test", ("GET /", &handshake().replace("13", "12")));
        let answer = talk.answer();
        assert_eq!((answer.status, answer.text(), answer.header("upgrade")), (426, "no".to_owned(), None));
        talk.send("\u{1}\u{2}raw bytes\r\n\r\n");
        let rest = talk.rest();
        assert!(rest.starts_with(b"HTTP/1.1 400"), "{way:?} {}", String::from_utf8_lossy(&rest));
        assert!(!String::from_utf8_lossy(&p0.plain.connections().concat()).contains("raw"), "{way:?}");
    }
}

#[test]
fn who_is_identified_no_more_loses_the_socket() {
    for way in WAYS {
        let p0 = at(Origin::http(sockets), RULES);
        let proxy = p0.start();
        let url = proxy.said(&["token", "c", "--address", &proxy.address.to_string()]);
        let offered = offer("c", url.trim().rsplit_once('@').unwrap().0.rsplit_once(':').unwrap().1);
        let (mut talk, host) = (proxy.talk(), p0.at_plain("rules.test"));
        match way {
            Way::Forward => talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{offered}{}\r\n", handshake())),
            Way::Inside => {
                assert_eq!(talk.connect(&host, &offered).status, 200);
                talk.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", handshake()));
            }
        }
        assert_eq!(talk.answer().status, 101);
        assert_eq!(talk.exactly(5).unwrap(), b"hello");
        proxy.said(&["agents", "--revoke", "c"]);
        assert!(talk.rest().is_empty(), "{way:?}");
        let records = proxy.settled();
        for record in decided(&records, "rules.test") {
            let end = ended(&records, &record["id"]);
            assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("policy-changed")), "{way:?} {record}");
        }
        p0.plain.until("its end", |origin| origin.open() == 0);
    }
}

#[test]
fn a_socket_counts_as_open_and_is_cut_when_exeat_stops() {
    let rules = "[[allow]]\nhost = \"rules.test\"\nLOCAL\nwebsocket = true\nlimits = { open = 1 }";
    let p0 = at(Origin::http(sockets), rules);
    let mut proxy = p0.start();
    let mut talk = Way::Forward.send(&p0, &proxy, "rules.test", ("GET /", &handshake()));
    assert_eq!(talk.answer().status, 101);
    assert_eq!(talk.exactly(5).unwrap(), b"hello");
    assert_refused(&Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")), 403, "budget");
    assert!(proxy.stop().success());
    assert!(talk.rest().is_empty());
    let records = proxy.journal();
    let first = decided(&records, "rules.test")[0];
    assert_eq!((&ended(&records, &first["id"])["outcome"], &ended(&records, &first["id"])["reason"]), (&json!("cut"), &json!("internal")));
}

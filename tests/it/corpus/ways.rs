//! The rest of the corpus that bytes alone can show: d.4, d.5, d.10 to d.14.

use serde_json::json;

use super::{Bench, Way};
use crate::support::dns::Reply;
use crate::support::origin::{Gate, Origin, Step, raw};
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{decided, ended, of_kind};
use crate::support::site::offer;

#[test]
fn a_flood_of_questions_makes_no_lookup() {
    let p0 = P0::new();
    let proxy = p0.start();
    for index in 0..60 {
        let secret = format!("{:a<60}.t.evil.test", index);
        proxy.talk().connect(&p0.at_secure(&secret), &a());
        proxy.get(&p0.url(&secret, "/"), &a());
    }
    assert!(proxy.holds().len() >= 60, "{:?}", proxy.holds().len());
    assert_eq!(p0.site.dns.queries(), []);
}

#[test]
fn only_addresses_are_asked_for_and_nothing_else_is_believed() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_eq!(proxy.talk().connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let mut kinds: Vec<String> = p0.site.dns.queries().into_iter().map(|question| question.kind).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["A", "AAAA"]);
}

#[test]
fn what_follows_a_refused_connect_is_a_second_decision() {
    let p0 = P0::new();
    let proxy = p0.start();
    let (blocked, listed) = (p0.at_secure("blocked.test"), p0.at_plain("plain.allowed.test"));
    let mut talk = proxy.talk();
    talk.send(format!(
        "CONNECT {blocked} HTTP/1.1\r\nHost: {blocked}\r\n{0}\r\nGET http://{listed}/second HTTP/1.1\r\nHost: {listed}\r\n{0}\r\n",
        a()
    ));
    assert_refused(&talk.answer_to("CONNECT"), 403, "blocked");
    assert_eq!(talk.answer().text(), "plain /second");
    drop(talk);
    let records = proxy.settled();
    let reasons: Vec<_> = of_kind(&records, "decided").iter().map(|record| record["reason"].clone()).collect();
    assert_eq!(reasons, ["blocked", "listed"]);
}

#[test]
fn a_relay_beside_the_agent_is_trusted_with_nothing() {
    let p0 = P0::new();
    let proxy = p0.start();
    for source in [[127, 0, 0, 1], [127, 0, 0, 7]] {
        let knock = |credentials: &str, host: &str| {
            let mut talk = crate::support::talk::Talk::from(source, proxy.address);
            talk.connect(&p0.at_secure(host), credentials).status
        };
        let statuses =
            [knock(&a(), "api.allowed.test"), knock(&a(), "evil.test"), knock(&b(), "api.allowed.test"), knock("", "api.allowed.test")];
        assert_eq!(statuses, [200, 403, 403, 407], "{source:?}");
    }
}

#[test]
fn a_head_completed_after_its_token_was_revoked_is_judged_without_it() {
    let p0 = P0::new();
    let proxy = p0.start();
    let url = proxy.said(&["token", "a", "--address", &proxy.address.to_string()]);
    let token = url.trim().strip_prefix("http://a:").unwrap().split_once('@').unwrap().0.to_owned();
    let listed = p0.at_plain("plain.allowed.test");
    let mut talk = proxy.talk();
    talk.send(format!("GET http://{listed}/ HTTP/1.1\r\nHost: {listed}\r\n{}", offer("a", &token)));
    assert!(proxy.said(&["agents", "--revoke", "a"]).contains('1'));
    talk.send("\r\n");
    assert_refused(&talk.answer(), 407, "unknown-agent");
    assert!(p0.plain.connections().is_empty());
}

/// Agent `a`'s way to an origin that speaks as told.
fn told(script: impl Fn(&crate::support::origin::Request) -> Vec<Step> + Send + Sync + 'static) -> (Origin, P0) {
    let p0 = P0::new();
    let origin = Origin::http(script);
    p0.site.dns.script("told.test", [Reply::to(["127.0.0.1"])]);
    p0.write_agents(&format!("[[allow]]\nhost = \"told.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", origin.port()));
    (origin, p0)
}

#[test]
fn a_switch_of_protocols_that_was_not_asked_for_is_a_bad_answer() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let (origin, p0) = told(move |request| match request.target() {
        "/accept" => raw(&format!("{switch}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nraw")),
        "/426" => vec![Step::Send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n".into())],
        _ => raw(&format!("{switch}\r\nraw")),
    });
    let proxy = p0.start();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let host = format!("told.test:{}", origin.port());
    for (path, fields, wanted) in [
        ("/plain", "", 502),
        ("/none", upgrade, 502),
        ("/accept", "", 502),
        ("/426", &format!("{upgrade}Sec-WebSocket-Version: 99\r\n"), 426),
    ] {
        let mut talk = proxy.talk();
        talk.send(format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{}{fields}\r\n", a()));
        let answer = talk.answer();
        assert_eq!((path, answer.status), (path, wanted), "{}", answer.text());
        // Frames that follow are read as a request, which they are not.
        talk.send([0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9, b'\r', b'\n', b'\r', b'\n']);
        talk.finish();
        talk.rest();
    }
    assert!(origin.requests().iter().all(|request| request.header("upgrade").is_none()), "{:?}", origin.requests());
}

#[test]
fn a_stream_of_single_bytes_arrives_as_it_is_sent() {
    let gates: [Gate; 5] = Default::default();
    let waits = gates.clone();
    let (origin, p0) = told(move |_| {
        let head = Step::Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".into());
        let bytes = waits.iter().flat_map(|gate| [Step::Wait(gate.clone()), Step::Send("1\r\nx\r\n".into())]);
        [head].into_iter().chain(bytes).chain([Step::Send("0\r\n\r\n".into())]).collect()
    });
    let proxy = p0.start();
    let (mut talk, host) = (proxy.talk(), format!("told.test:{}", origin.port()));
    talk.send(format!("GET http://{host}/events HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    assert_eq!(talk.head()[0], "HTTP/1.1 200 OK");
    for gate in gates {
        gate.open();
        assert_eq!(talk.exactly(6).unwrap(), b"1\r\nx\r\n");
    }
    assert_eq!(talk.exactly(5).unwrap(), b"0\r\n\r\n");
}

#[test]
fn a_proxy_protocol_line_is_no_request() {
    let mut bench = Bench::new();
    let request = Way::Forward.head("GET", &bench.listed(), "/") + "\r\n";
    for line in [
        "PROXY TCP4 10.0.0.1 127.0.0.1 5000 3128\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY TCP4 10.0.0.1\r\n",
        "PROXY TCP4 999.0.0.1 x 1 70000\r\n",
        "PROXY \r\n",
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x7f\0\0\x01\x13\u{8}\x0c\x38",
    ] {
        bench.shoot(210, Way::Forward, format!("{line}{request}")).bad();
    }
    bench.done("tests/it/corpus/ways.rs::a_proxy_protocol_line_is_no_request");
}

#[test]
fn what_an_agent_writes_into_a_target_is_escaped_wherever_it_is_shown() {
    let p0 = P0::new();
    let proxy = p0.start();
    let listed = p0.at_plain("plain.allowed.test");
    for path in ["/\u{202e}txt.exe", "/\"},{\"kind\":\"decided", "/%1b%5b2J", "/%0d%0aX:y", "/<b>'&"] {
        let mut talk = proxy.talk();
        talk.send(format!("GET http://{listed}{path} HTTP/1.1\r\nHost: {listed}\r\nUser-Agent: \u{202e}{path}\r\n{}\r\n", a()));
        assert!([200, 400].contains(&talk.answer().status), "{path}");
    }
    proxy.settled();
    for (name, text) in
        [("the journal", lines(&p0)), ("`exeat log`", proxy.said(&["log"])), ("`exeat log --json`", proxy.said(&["log", "--json"]))]
    {
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{name} shows {text:?}");
    }
}

fn lines(p0: &P0) -> String {
    String::from_utf8(std::fs::read(p0.site.state().join("journal/proxy-1/00000001.jsonl")).unwrap()).unwrap()
}

#[test]
fn bytes_of_one_agents_request_are_never_in_anothers() {
    let p0 = P0::new();
    let proxy = p0.start();
    let (one, two) = (p0.at_plain("plain.allowed.test"), p0.at_plain("only-b.allowed.test"));
    for round in 0..20 {
        let long = "A".repeat(100 * (20 - round) + 1);
        for (host, credentials, canary) in [(&one, a(), format!("canary-a-{long}")), (&two, b(), "canary-b".to_owned())] {
            let mut talk = proxy.talk();
            talk.send(format!(
                "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{credentials}X-Canary: {canary}\r\nContent-Length: {}\r\n\r\n{canary}",
                canary.len()
            ));
            assert_eq!(talk.answer().status, 200);
        }
    }
    for request in p0.plain.requests() {
        let (mine, other) = if request.header("host") == Some(&one) { ("canary-a", "canary-b") } else { ("canary-b", "canary-a") };
        let all = format!("{request:?}{}", String::from_utf8_lossy(&request.body));
        assert!(all.contains(mine) && !all.contains(other), "{all}");
        assert_eq!(request.header("x-canary").map(str::as_bytes), Some(request.body.as_slice()));
    }
    assert_eq!(p0.plain.requests().len(), 40);
}

#[test]
fn a_redirect_is_passed_on_and_followed_by_nobody_but_the_agent() {
    let (origin, p0) = told(|_| {
        vec![Step::Send(
            "HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nRefresh: 0;url=http://evil.test/\r\nContent-Length: 0\r\n\r\n".into(),
        )]
    });
    let proxy = p0.start();
    let host = format!("told.test:{}", origin.port());
    let mut talk = proxy.talk();
    let answer = talk.get(&format!("http://{host}/"), &a());
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://evil.test/")));
    assert_refused(&talk.get("http://evil.test/", &a()), 403, "unattended");
    drop(talk);
    assert!(!p0.site.dns.was_asked("evil.test"));
    let records = proxy.settled();
    assert_eq!((decided(&records, "told.test").len(), decided(&records, "evil.test").len()), (1, 1));
    assert_eq!(ended(&records, &decided(&records, "told.test")[0]["id"])["status"], json!(302));
}

#[test]
fn a_name_under_a_listed_wildcard_is_passed_and_recorded_however_it_looks() {
    let p0 = P0::new();
    let proxy = p0.start();
    let host = format!("{:z<60}.wild.test", "mfrggzdfmztwq2lk");
    assert_eq!(proxy.get(&p0.url(&host, "/"), &a()).status, 200);
    assert_eq!(decided(&proxy.settled(), &host).len(), 1);
    assert!(p0.plain.requests()[0].header("host").unwrap().starts_with(&host));
}

#[test]
fn an_agent_at_its_cap_of_connections_costs_no_other_agent_its_place() {
    let mut p0 = P0::new();
    p0.site.set("limits", "per_agent", "3");
    let proxy = p0.start();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
        open.push(talk);
    }
    assert_refused(&proxy.talk().connect(&p0.at_secure("api.allowed.test"), &a()), 503, "overloaded");
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 503, "overloaded");
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
}

#[test]
fn no_name_from_the_wire_becomes_a_label() {
    let p0 = P0::new();
    let proxy = p0.start();
    let try_all = |label: &str| {
        for credentials in [a(), b(), offer(label, "exeat_wrong"), String::new()] {
            proxy.get(&p0.url(&format!("{label}.evil.test"), &format!("/{label}")), &credentials);
            proxy.talk().connect(&p0.at_secure(&format!("{label}.evil.test")), &credentials);
            proxy.talk().connect(&format!("{label}..test:443"), &credentials);
        }
        proxy.settled();
        proxy.metrics().lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket")).count()
    };
    let first = try_all("word0");
    for round in 1..10 {
        assert_eq!(try_all(&format!("word{round}")), first, "a series more for another name");
    }
    let page = proxy.metrics();
    assert!(!page.contains("evil") && !page.contains("word"), "{page}");
}

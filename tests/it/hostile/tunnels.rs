//! d.5: CONNECT with bodies, early bytes, nested proxies, and what an origin may do to us.

use super::Lab;
use crate::support::origin::{Origin, Step, ok, raw};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::of_kind;

#[test]
fn early_bytes_of_a_refused_connect_are_discarded() {
    let lab = Lab::new();
    let target = lab.p0.at_secure("blocked.test");
    let listed = lab.p0.at_plain("plain.allowed.test");
    let early = format!("GET http://{listed}/early HTTP/1.1\r\nHost: {listed}\r\n\r\n");
    let mut talk = lab.proxy.talk();
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n{early}", a()));
    assert_refused(&talk.answer_to("CONNECT"), 403, "blocked");
    // Either the connection ends here, or what follows is judged on its own: it offers no credential.
    if let Some(second) = talk.try_answer("GET") {
        assert_eq!(second.status, 407);
    }
    assert!(lab.p0.plain.requests().is_empty());
}

#[test]
fn early_bytes_of_an_allowed_connect_arrive_whole_and_once() {
    let lab = Lab::new();
    let target = lab.p0.at_secure("api.allowed.test");
    let mut hello = Vec::new();
    lab.p0.authority.client("api.allowed.test").write_tls(&mut hello).unwrap();
    let mut talk = lab.proxy.talk();
    talk.send([format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()).as_bytes(), &hello].concat());
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    assert_eq!(talk.exactly(1).unwrap(), [22], "the origin did not understand the early hello");
}

#[test]
fn a_proxy_behind_a_listed_name_is_no_way_out() {
    let lab = Lab::new();
    let target = lab.p0.at_plain("plain.allowed.test");
    let mut talk = lab.proxy.talk();
    assert_eq!(talk.connect(&target, &a()).status, 200);
    talk.send("CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n");
    let answer = talk.answer_to("CONNECT");
    assert!([400, 403, 405].contains(&answer.status), "{answer:?}");
    assert!(lab.p0.plain.requests().is_empty(), "the inner CONNECT reached the other proxy");
}

#[test]
fn the_metrics_listener_is_no_proxy_and_the_proxy_serves_no_pages() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    assert!(lab.proxy.page(&format!("http://{host}/")).status >= 400);
    let answers = lab.throw(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answers[0].status >= 400 && !answers[0].text().contains("exeat_decisions"), "{answers:?}");
    assert!(lab.p0.plain.connections().is_empty());
    for bytes in [
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "\0\0\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut talk = crate::support::talk::Talk::to(lab.proxy.watched);
        talk.send(bytes);
        assert!(talk.try_answer("GET").is_none_or(|answer| answer.status >= 400), "{bytes:?}");
    }
    assert_eq!(lab.proxy.page("/livez").status, 200);
}

fn with_odd_origin(script: impl Fn(&crate::support::origin::Request) -> Vec<Step> + Send + Sync + 'static) -> (Lab, Origin) {
    let p0 = P0::new();
    let odd = Origin::http(script);
    p0.site.dns.script("odd.test", [crate::support::dns::Reply::to(["127.0.0.1"])]);
    p0.write_agents(&format!("[[allow]]\nhost = \"odd.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", odd.port()));
    let proxy = p0.start();
    (Lab { proxy, p0 }, odd)
}

#[test]
fn an_origin_that_speaks_out_of_turn_poisons_nobody() {
    let (lab, odd) = with_odd_origin(|request| match request.target() {
        "/poison" => {
            vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison".into())]
        }
        _ => ok("clean"),
    });
    let url = |path: &str| format!("http://odd.test:{}{path}", odd.port());
    let mut talk = lab.proxy.talk();
    assert_eq!(talk.get(&url("/poison"), &a()).text(), "ok");
    for _ in 0..3 {
        let answer = talk.get(&url("/clean"), &a());
        assert_ne!(answer.text(), "poison");
    }
}

#[test]
fn an_answer_that_is_none_becomes_a_502() {
    let (mut lab, odd) = with_odd_origin(|request| match request.target() {
        "/both" => raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        "/nul" => raw("HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n"),
        "/switch" => vec![Step::Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".into()), Step::Echo],
        "/long" => raw(&format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(2_000_000))),
        _ => raw("HTTP/9.9 banana\r\n\r\n"),
    });
    for path in ["/both", "/nul", "/switch", "/long", "/banana"] {
        let answer = lab.proxy.get(&format!("http://odd.test:{}{path}", odd.port()), &a());
        assert_eq!((path, answer.status), (path, 502), "{}", answer.text());
    }
    assert!(lab.proxy.is_alive());
    let records = lab.proxy.settled();
    assert!(of_kind(&records, "ended").iter().all(|ended| ended["outcome"] == "failed"), "{records:?}");
}

#[test]
fn an_answers_own_hop_by_hop_headers_stay_with_its_connection() {
    let (lab, odd) = with_odd_origin(|_| {
        raw(
            "HTTP/1.1 200 OK\r\nConnection: close, X-Named\r\nX-Named: 1\r\nKeep-Alive: timeout=1\r\nProxy-Authenticate: Basic\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok",
        )
    });
    let answer = lab.proxy.get(&format!("http://odd.test:{}/", odd.port()), &a());
    assert_eq!((answer.status, answer.header("x-kept")), (200, Some("yes")));
    for name in ["x-named", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn bodies_of_every_framing_stream_through() {
    let big = "x".repeat(3_000_000);
    let copy = big.clone();
    let (lab, odd) = with_odd_origin(move |request| match request.target() {
        "/chunked" => {
            vec![Step::Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n".into())]
        }
        "/to-the-end" => raw("HTTP/1.1 200 OK\r\n\r\nall of it"),
        "/none" => vec![Step::Send("HTTP/1.1 204 No Content\r\n\r\n".into())],
        _ => ok(&copy),
    });
    let get = |path: &str| lab.proxy.get(&format!("http://odd.test:{}{path}", odd.port()), &a());
    assert_eq!(get("/chunked").text(), "firstsecond");
    assert_eq!(get("/to-the-end").text(), "all of it");
    assert_eq!(get("/none").status, 204);
    assert_eq!(get("/big").text().len(), big.len());
    let host = format!("odd.test:{}", odd.port());
    let answers = lab
        .throw(format!("PUT http://{host}/put HTTP/1.1\r\nHost: {host}\r\n{}Content-Length: {}\r\n\r\n{big}", a(), big.len()).as_bytes());
    assert_eq!(answers[0].status, 200);
    assert_eq!(odd.requests().pop().unwrap().body.len(), big.len());
}

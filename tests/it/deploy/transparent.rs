//! Connections that were redirected to exeat: where they go is what they show, whatever address was looked up; nothing else is let in there.

use std::thread;

use rustls::AlertDescription;
use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::origin::Origin;
use crate::support::own_network::{BACK, ELSEWHERE, ELSEWHERE_6, alone, listener, redirecting, talk};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::talk::Talk;
use crate::support::tls::Authority;

const DENIED: Option<Option<AlertDescription>> = Some(Some(AlertDescription::AccessDenied));

fn p0() -> P0 {
    let mut p0 = P0::new();
    redirecting(&mut p0.site, &["a", "b"]);
    p0
}

fn get(host: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The attempts for a host, each with its end.
fn attempts(proxy: &Proxy, host: &str) -> Vec<(Value, Value)> {
    let records = proxy.settled();
    decided(&records, host).into_iter().map(|decided| (decided.clone(), ended(&records, &decided["id"]).clone())).collect()
}

/// The only attempt for a host.
fn only(proxy: &Proxy, host: &str) -> (Value, Value) {
    let [attempt] = attempts(proxy, host).try_into().unwrap_or_else(|attempts| panic!("not one attempt for {host}: {attempts:?}"));
    attempt
}

/// A hello that asks for a name, which stands in it as it is written here.
fn hello(authority: &Authority, name: &str) -> Vec<u8> {
    let plain = "x".repeat(name.len() - 5) + ".test";
    let mut hello = Vec::new();
    authority.client(&plain).write_tls(&mut hello).unwrap();
    let at = hello.windows(plain.len()).position(|bytes| bytes == plain.as_bytes()).unwrap();
    hello[at..at + plain.len()].copy_from_slice(name.as_bytes());
    hello
}

#[test]
fn what_is_named_is_where_it_goes_and_the_address_that_was_looked_up_is_never_dialled() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        for to in [ELSEWHERE, ELSEWHERE_6] {
            let mut inside = talk("a", to, p0.secure.port()).tls(&p0.authority, "api.allowed.test").unwrap();
            inside.send(get("api.allowed.test"));
            assert_eq!(inside.answer().text(), "secure /x", "{to}");
            let mut plain = talk("a", to, p0.plain.port());
            plain.send(get("plain.allowed.test"));
            assert_eq!(plain.answer().text(), "plain /x", "{to}");
        }
        for (host, port, scheme, sni) in [
            ("api.allowed.test", p0.secure.port(), Value::Null, json!("api.allowed.test")),
            ("plain.allowed.test", p0.plain.port(), json!("http"), Value::Null),
        ] {
            let attempts = attempts(&proxy, host);
            assert_eq!(attempts.len(), 2, "{attempts:?}");
            for (decided, ended) in attempts {
                assert_eq!(
                    (&decided["front"], &decided["agent"], &decided["decision"], &decided["reason"]),
                    (&json!("transparent"), &json!("a"), &json!("allow"), &json!("listed"))
                );
                assert_eq!((&decided["destination"]["port"], &decided["destination"]["scheme"]), (&json!(port), &scheme));
                assert_eq!((&decided["instance"], &decided["separated"]), (&json!("127.0.0.1"), &json!(false)));
                assert_eq!((&ended["outcome"], &ended["address"]), (&json!("completed"), &json!(format!("127.0.0.1:{port}"))));
                assert_eq!(ended["tls"]["sni"], sni);
            }
        }
        assert_eq!(proxy.metric("exeat_decisions_total", &["front=\"transparent\"", "decision=\"allow\""]) as u32, 4);
    });
}

#[test]
fn who_is_refused_is_told_in_the_words_of_what_was_spoken() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let denied = talk("b", ELSEWHERE, p0.secure.port()).tls(&p0.authority, "api.allowed.test").err();
        assert_eq!(denied, DENIED);
        let mut plain = talk("b", ELSEWHERE, p0.plain.port());
        plain.send(get("plain.allowed.test"));
        assert_refused(&plain.answer(), 403, "unlisted");
        let mut other = talk("b", ELSEWHERE, 22);
        other.send("SSH-2.0-OpenSSH_9.6\r\n");
        assert_eq!(other.rest(), b"");
        for (host, sni) in [("api.allowed.test", json!("api.allowed.test")), ("plain.allowed.test", Value::Null), (ELSEWHERE, Value::Null)]
        {
            let (decided, ended) = only(&proxy, host);
            assert_eq!(
                (&decided["front"], &decided["agent"], &decided["decision"], &decided["reason"]),
                (&json!("transparent"), &json!("b"), &json!("block"), &json!("unlisted"))
            );
            assert_eq!((&ended["outcome"], &ended["tls"]["sni"]), (&json!("refused"), &sni), "{host}");
        }
        assert!(p0.secure.connections().is_empty() && p0.plain.connections().is_empty());
        assert_eq!(p0.site.dns.queries(), [], "a refused name was looked up");
    });
}

#[test]
fn what_names_no_host_is_for_the_address_and_passes_unread_by_an_opaque_rule_alone() {
    alone(|| {
        let (echo, greeter) = (Origin::echo(), Origin::greeter("220 hello\r\n"));
        let mut p0 = p0();
        redirecting(&mut p0.site, &["c"]);
        p0.site.agent("c", "unlisted = \"hold\"", "");
        p0.write_agents(&format!(
            "[[allow]]\nhost = \"{ELSEWHERE}\"\nport = [{}, {}]\nopaque = true\n\
             [[allow]]\nhost = \"{ELSEWHERE}\"\nport = [{}, 22]\n",
            echo.port(),
            greeter.port(),
            p0.secure.port()
        ));
        let proxy = p0.start();
        let mut silent = talk("a", ELSEWHERE, greeter.port());
        assert_eq!(
            silent.exactly(11).as_deref(),
            Some(&b"220 hello\r\n"[..]),
            "who speaks second is waited for no longer than limits.peek"
        );
        drop(silent);
        let mut bytes = talk("a", ELSEWHERE, echo.port());
        bytes.send("\0\x01binary");
        assert_eq!(bytes.exactly(8).as_deref(), Some(&b"\0\x01binary"[..]));
        drop(bytes);
        // Listed, not opaque: TLS without a name passes, what cannot be read does not, and nothing is dialled for it.
        assert!(talk("a", ELSEWHERE, p0.secure.port()).tls(&p0.authority, "127.0.0.1").is_err_and(|alert| alert.is_none()));
        let mut unread = talk("a", ELSEWHERE, 22);
        unread.send("SSH-2.0-x\r\n");
        assert_eq!(unread.rest(), b"");
        // Unlisted where unlisted is held: nobody is asked about what no yes could let pass.
        let watcher = proxy.watch();
        let mut unlisted = talk("c", ELSEWHERE, 23);
        unlisted.send(b"\xff\xfb");
        assert_eq!(unlisted.rest(), b"");
        assert!(proxy.holds().is_empty(), "{}", watcher.shown());
        let seen: Vec<_> = attempts(&proxy, ELSEWHERE)
            .into_iter()
            .map(|(decided, ended)| (decided["decision"].clone(), decided["reason"].clone(), ended["address"].is_null()))
            .collect();
        let wanted = [
            ("allow", "listed", false),
            ("allow", "listed", false),
            ("allow", "listed", false),
            ("block", "not-tls", true),
            ("block", "unlisted", true),
        ];
        assert_eq!(seen, wanted.map(|(decision, reason, undialled)| (json!(decision), json!(reason), undialled)));
    });
}

#[test]
fn a_held_connection_waits_without_a_byte_and_goes_on_with_its_yes() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let _watcher = proxy.watch();
        let (authority, port) = (&p0.authority, p0.secure.port());
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                let mut inside = talk("a", ELSEWHERE, port).tls(authority, "evil.test").unwrap();
                inside.send(get("evil.test"));
                inside.answer().text()
            });
            let holds = proxy.until_held(1, 1);
            assert_eq!((&holds[0]["host"], &holds[0]["port"]), (&json!("evil.test"), &json!(port)));
            assert!(p0.secure.connections().is_empty(), "dialled before its yes");
            proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
            assert_eq!(waiting.join().unwrap(), "secure /x");
        });
        let (decided, ended) = only(&proxy, "evil.test");
        assert_eq!(
            (&decided["front"], &decided["reason"], &ended["outcome"]),
            (&json!("transparent"), &json!("approved"), &json!("completed"))
        );
    });
}

#[test]
fn what_was_not_redirected_is_refused_and_never_asked_for_credentials() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let (here, host) = (listener("a"), p0.at_plain("plain.allowed.test"));
        for request in [
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()),
            format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()),
            format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ] {
            let mut talk = Talk::to(here);
            talk.send(&request);
            let answer = talk.answer();
            assert_refused(&answer, 403, "self");
            assert_eq!(answer.header("proxy-authenticate"), None, "{request}");
        }
        assert_eq!(Talk::to(here).tls(&p0.authority, "api.allowed.test").err(), DENIED);
        let records = proxy.settled();
        let decided = of_kind(&records, "decided");
        assert_eq!(decided.len(), 5);
        for decided in decided {
            assert_eq!((&decided["front"], &decided["reason"], &decided["agent"]), (&json!("transparent"), &json!("self"), &Value::Null));
            assert_eq!(
                (&decided["destination"]["host"], &decided["destination"]["port"]),
                (&json!("127.0.0.1"), &json!(here.port())),
                "{decided}"
            );
        }
        assert_eq!(p0.site.dns.queries(), []);
    });
}

#[test]
fn what_is_redirected_back_to_exeat_goes_round_once() {
    alone(|| {
        let p0 = p0();
        p0.site.dns.script("loop.test", [Reply::to([BACK])]);
        p0.write_agents(&format!(
            "[[allow]]\nhost = [\"loop.test\"]\nport = [80, 443]\n[[allow]]\nhost = \"{BACK}\"\nport = [22]\nopaque = true\n"
        ));
        let mut proxy = p0.start();
        let mut plain = talk("a", ELSEWHERE, 80);
        plain.send(get("loop.test"));
        assert_refused(&plain.answer(), 508, "self");
        assert!(talk("a", ELSEWHERE, 443).tls(&p0.authority, "loop.test").is_err());
        let mut bytes = talk("a", BACK, 22);
        bytes.send("SSH-2.0-x\r\n");
        assert_eq!(bytes.rest(), b"");
        drop(bytes);
        for host in ["loop.test", BACK] {
            for two in attempts(&proxy, host).chunks(2) {
                let seen: Vec<_> = two.iter().map(|(decided, _)| (decided["decision"].clone(), decided["reason"].clone())).collect();
                assert_eq!(seen, [(json!("allow"), json!("listed")), (json!("block"), json!("self"))], "{host}");
            }
        }
        assert_eq!((attempts(&proxy, "loop.test").len(), attempts(&proxy, BACK).len()), (4, 2));
        assert!(proxy.is_alive());
    });
}

#[test]
fn a_request_is_looked_at_within_tls_as_in_any_tunnel() {
    alone(|| {
        let mut p0 = p0();
        let ours = Authority::named("exeat");
        p0.site.inspecting(&ours, &p0.authority);
        let rule = format!("host = \"x.wild.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]\nmethod = [\"GET\"]", p0.secure.port());
        p0.site.agent("b", "", &format!("[[allow]]\n{rule}\n"));
        let proxy = p0.start();
        let mut inside = talk("b", ELSEWHERE, p0.secure.port()).tls(&ours, "x.wild.test").unwrap();
        inside.send("GET /x HTTP/1.1\r\nHost: x.wild.test\r\n\r\n");
        assert_eq!(inside.answer().text(), "secure /x");
        inside.send("DELETE /x HTTP/1.1\r\nHost: x.wild.test\r\n\r\n");
        assert_refused(&inside.answer(), 403, "unlisted");
        inside.send("GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n");
        assert_refused(&inside.answer(), 421, "name-mismatch");
        drop(inside);
        let attempts = attempts(&proxy, "x.wild.test");
        let seen: Vec<_> = attempts.iter().map(|(decided, _)| decided["decision"].as_str().unwrap().to_owned()).collect();
        assert_eq!(seen, ["look", "allow", "block", "block"]);
        for (decided, ended) in &attempts {
            assert_eq!((&decided["front"], &ended["tls"]["inspected"]), (&json!("transparent"), &json!(true)), "{decided}");
            assert_eq!(decided["within"].is_null(), decided["decision"] == "look");
        }
        assert_eq!(p0.secure.requests().len(), 1);
    });
}

#[test]
fn other_spellings_of_a_server_name_are_the_one_name_or_none() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        for (name, wanted) in [
            ("API.Allowed.TEST", Ok("api.allowed.test")),
            ("ap.allowed.test.", Ok("ap.allowed.test")),
            ("192.168.100.100", Err("malformed")),
            ("192.168.100.100.", Err("malformed")),
            ("[2001:db8::1:22]", Err("malformed")),
            ("api.allowed\0test", Err("malformed")),
            ("api..allowed.test", Err("malformed")),
        ] {
            let before = proxy.settled().len();
            let mut talk = talk("b", ELSEWHERE, p0.secure.port());
            talk.send(hello(&p0.authority, name));
            assert_eq!(talk.rest(), [21, 3, 3, 0, 2, 2, 49], "{name:?}");
            let records = proxy.settled();
            let [decided] = of_kind(&records[before..], "decided")[..] else { panic!("{name:?}: {:?}", &records[before..]) };
            let seen = (decided["reason"].as_str().unwrap(), decided["destination"]["host"].as_str());
            assert_eq!(seen, wanted.map_or_else(|reason| (reason, None), |host| ("unlisted", Some(host))), "{name:?}");
        }
        assert!(p0.secure.connections().is_empty());
    });
}

#[test]
fn a_hello_in_pieces_is_one_hello_and_what_follows_it_goes_where_it_goes() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let whole = hello(&p0.authority, "api.allowed.test");
        let mut records = Vec::new();
        for part in whole[5..].chunks(50) {
            records.extend_from_slice(&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
            records.extend_from_slice(part);
        }
        for (bytes, step) in [(&whole, 100), (&records, 4096), (&records, 60)] {
            let mut talk = talk("a", ELSEWHERE, p0.secure.port());
            for piece in bytes.chunks(step) {
                talk.send(piece);
            }
            assert_eq!(talk.exactly(1).as_deref(), Some(&[22][..]), "no hello of the origin");
        }
        let two = [whole, hello(&p0.authority, "evil.wild.test.")].concat();
        let mut talk = talk("a", ELSEWHERE, p0.secure.port());
        talk.send(&two);
        talk.rest();
        drop(talk);
        assert_eq!((attempts(&proxy, "api.allowed.test").len(), attempts(&proxy, "evil.wild.test").len()), (4, 0));
        assert!(!p0.site.dns.was_asked("evil.wild.test"));
    });
}

#[test]
fn a_head_that_names_two_places_is_malformed() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let (port, good) = (p0.plain.port(), p0.at_plain("plain.allowed.test"));
        for (line, fields, status, reason) in [
            (format!("GET http://{good}/x"), format!("Host: {good}\r\n"), 200, ""),
            (format!("GET http://evil.test:{port}/x"), format!("Host: {good}\r\n"), 400, "malformed"),
            ("GET http://plain.allowed.test/x".to_owned(), format!("Host: {good}\r\n"), 400, "malformed"),
            ("GET /x".to_owned(), "Host: plain.allowed.test:1\r\n".to_owned(), 400, "malformed"),
            ("GET /x".to_owned(), format!("Host: {good}\r\nHost: {good}\r\n"), 400, "malformed"),
            ("GET /x".to_owned(), String::new(), 400, "malformed"),
            (format!("CONNECT {good}"), format!("Host: {good}\r\n"), 400, "malformed"),
        ] {
            let mut talk = talk("a", ELSEWHERE, port);
            talk.send(format!("{line} HTTP/1.1\r\n{fields}\r\n"));
            let answer = talk.answer();
            if status == 200 {
                assert_eq!(answer.status, 200, "{line} {fields}");
            } else {
                assert_refused(&answer, status, reason);
            }
        }
        let mut old = talk("b", ELSEWHERE, port);
        old.send("GET /x HTTP/1.0\r\n\r\n");
        assert_refused(&old.answer(), 403, "unlisted");
        assert_eq!(only(&proxy, ELSEWHERE).0["request"]["method"], "GET");
        assert_eq!(p0.plain.requests().len(), 1);
    });
}

#[test]
fn each_request_of_a_connection_is_an_attempt_of_its_own() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let mut talk = talk("a", ELSEWHERE, p0.plain.port());
        for (host, status) in [("plain.allowed.test", 200), ("blocked.test", 403), ("plain.allowed.test", 200)] {
            talk.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic eA==\r\n\r\n"));
            assert_eq!(talk.answer().status, status, "{host}");
        }
        drop(talk);
        assert_eq!((attempts(&proxy, "plain.allowed.test").len(), attempts(&proxy, "blocked.test").len()), (2, 1));
        assert!(p0.plain.requests().iter().all(|request| request.header("proxy-authorization").is_none()));
    });
}

#[test]
fn who_says_too_little_is_given_up() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let half = hello(&p0.authority, "api.allowed.test");
        for first in ["".as_bytes(), &half[..half.len() / 2], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut talk = talk("b", ELSEWHERE, p0.secure.port());
            talk.send(first);
            assert_eq!(talk.rest(), b"");
        }
        let seen: Vec<_> = attempts(&proxy, ELSEWHERE).iter().map(|(decided, _)| decided["reason"].clone()).collect();
        assert_eq!(seen, ["unlisted", "unlisted", "unlisted"].map(|reason| json!(reason)));
        let mut slow = talk("a", ELSEWHERE, p0.plain.port());
        slow.send("GET /x HTTP/1.1\r\nHost: plain");
        assert_eq!(slow.answer().status, 408);
        let mut gone = talk("a", ELSEWHERE, p0.plain.port());
        gone.finish();
        assert_eq!(gone.rest(), b"");
        assert_eq!(of_kind(&proxy.settled(), "decided").len(), 3, "who says nothing tries nothing");
    });
}

#[test]
fn what_is_open_is_cut_when_it_is_allowed_no_longer() {
    alone(|| {
        let p0 = p0();
        let proxy = p0.start();
        let mut inside = talk("a", ELSEWHERE, p0.secure.port()).tls(&p0.authority, "api.allowed.test").unwrap();
        inside.send("GET /x HTTP/1.1\r\nHost: api.allowed.test\r\n\r\n");
        assert_eq!(inside.answer().status, 200);
        proxy.said(&["freeze", "a"]);
        assert!(inside.is_closed());
        let (_, ended) = only(&proxy, "api.allowed.test");
        assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("cut"), &json!("frozen")));
    });
}

#[test]
fn who_is_nobody_is_refused_and_not_asked_for_credentials_that_have_no_place() {
    alone(|| {
        let mut p0 = p0();
        // Of whom there is no allowlist.
        redirecting(&mut p0.site, &["c"]);
        let proxy = p0.start();
        let mut plain = talk("c", ELSEWHERE, p0.plain.port());
        plain.send(format!("GET /x HTTP/1.1\r\nHost: plain.allowed.test\r\n{}\r\n", a()));
        let answer = plain.answer();
        assert_refused(&answer, 403, "unknown-agent");
        assert_eq!(answer.header("proxy-authenticate"), None);
        let (decided, _) = only(&proxy, "plain.allowed.test");
        assert_eq!((&decided["front"], &decided["reason"]), (&json!("transparent"), &json!("unknown-agent")));
    });
}

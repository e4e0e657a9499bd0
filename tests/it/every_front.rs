//! One table of attempts through every front: the same decision, reason, status, words and records, whichever the way in.

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::own_network::{self, ELSEWHERE, alone_if_possible, redirecting};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::site::{Site, credentials, offer};
use crate::support::talk::{Answer, Talk};
use crate::support::tls::Authority;

/// The ways in. A new one is one more entry here and one more arm in `knock`.
const FRONTS: [Front; 3] = [Front::Forward, Front::Connect, Front::Transparent];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Forward,
    Connect,
    Transparent,
}

impl Front {
    fn as_recorded(self) -> &'static str {
        match self {
            Front::Forward => "forward",
            Front::Connect => "connect",
            Front::Transparent => "transparent",
        }
    }

    /// Whether an attempt can be made in this way here: a redirected connection takes a network in which there are any, and has no place for a token.
    fn takes(self, offered: &str) -> bool {
        self != Front::Transparent || own_network::is_here() && whose(offered).is_some()
    }

    /// Asks for `host:port` in this front's way.
    fn knock(self, proxy: &Proxy, target: &str, credentials: &str) -> Answer {
        if self == Front::Transparent {
            let mut talk = redirected(target, credentials);
            talk.send(format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n"));
            return talk.answer();
        }
        let mut talk = proxy.talk();
        match self {
            Front::Forward | Front::Transparent => {
                talk.send(format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n"));
                talk.answer()
            }
            Front::Connect => talk.connect(target, credentials),
        }
    }
}

/// Whose credentials these are.
fn whose(offered: &str) -> Option<&'static str> {
    ["a", "b", "c"].into_iter().find(|agent| offered == credentials(agent))
}

/// A redirected connection of the agent whose credentials these are, to the port of a target.
fn redirected(target: &str, offered: &str) -> Talk {
    let port = target.rsplit(':').next().unwrap().parse().unwrap();
    own_network::talk(whose(offered).unwrap(), ELSEWHERE, port)
}

/// Lets connections of these agents be redirected, where that can be.
fn with_redirection(site: &mut Site, agents: &[&str]) {
    if own_network::is_here() {
        redirecting(site, agents);
    }
}

/// What everyone must see of one attempt.
struct Row {
    name: &'static str,
    target: String,
    credentials: String,
    status: u16,
    /// In the refusal; of an attempt that passes, in both records.
    reason: &'static str,
    /// `decision` and `reason` of the one `decided` record.
    decided: (&'static str, &'static str),
    /// `outcome` of the one `ended` record.
    outcome: &'static str,
    /// Whether the name server hears of it.
    asks_dns: bool,
}

fn row(name: &'static str, target: impl Into<String>) -> Row {
    let target = target.into();
    Row { name, target, credentials: a(), status: 403, reason: "", decided: ("block", ""), outcome: "refused", asks_dns: false }
}

impl Row {
    fn as_(self, credentials: String) -> Self {
        Self { credentials, ..self }
    }

    /// Refused by name.
    fn refused(self, status: u16, reason: &'static str) -> Self {
        Self { status, reason, decided: ("block", reason), ..self }
    }

    /// Allowed by name, and failed after it.
    fn then(self, status: u16, reason: &'static str, outcome: &'static str) -> Self {
        Self { status, reason, decided: ("allow", "listed"), outcome, asks_dns: true, ..self }
    }
}

fn world() -> (P0, Proxy) {
    let mut p0 = P0::new();
    let own = free_port();
    p0.site.set("listen.main", "address", &format!("[\"127.0.0.1:{own}\"]"));
    with_redirection(&mut p0.site, &["a", "b"]);
    let port = p0.plain.port();
    for (name, reply) in [
        ("internal.test", Reply::to(["10.0.0.1"])),
        ("metadata.test", Reply::to(["169.254.169.254"])),
        ("mixed.test", Reply::to(["127.0.0.1", "10.0.0.1"])),
        ("missing.test", Reply::NoSuchName),
        ("broken.test", Reply::ServFail),
        ("silent.test", Reply::Silence),
        ("loop.test", Reply::to(["127.0.0.1"])),
        ("refusing.test", Reply::to(["127.0.0.1"])),
    ] {
        p0.site.dns.script(name, [reply]);
    }
    p0.write_agents(&format!(
        r#"
[[allow]]
host = ["internal.test", "metadata.test"]
port = [{port}]
[[allow]]
host = ["mixed.test", "missing.test", "broken.test", "silent.test"]
port = [{port}]
addresses = ["127.0.0.0/8"]
[[allow]]
host = ["loop.test", "refusing.test"]
port = [1, {own}]
addresses = ["127.0.0.0/8"]
"#
    ));
    let proxy = p0.start();
    (p0, proxy)
}

/// A port that was free a moment ago: the proxy's own, so that a rule can name it before the start.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn rows(p0: &P0, proxy: &Proxy) -> Vec<Row> {
    let port = p0.plain.port();
    let at = |host: &str| format!("{host}:{port}");
    vec![
        row("blocked by a rule", at("blocked.test")).refused(403, "blocked"),
        row("blocked, in capitals and with a final dot", at("BLOCKED.Test.")).refused(403, "blocked"),
        row("unlisted, nobody can answer", at("evil.test")).refused(403, "unattended"),
        row("unlisted where unlisted is blocked", at("evil.test")).as_(credentials("b")).refused(403, "unlisted"),
        row("listed, but on another port", "api.allowed.test:1").as_(credentials("b")).refused(403, "unlisted"),
        row("the other agent's destination", at("plain.allowed.test")).as_(credentials("b")).refused(403, "unlisted"),
        row("a suffix without a label boundary", at("evilwild.test")).as_(credentials("b")).refused(403, "unlisted"),
        row("no credential", at("plain.allowed.test")).as_(String::new()).refused(407, "unknown-agent"),
        row("a wrong token", at("plain.allowed.test")).as_(offer("a", "exeat_wrong")).refused(407, "unknown-agent"),
        row("another agent's token", at("plain.allowed.test"))
            .as_(offer("b", &crate::support::site::token("a")))
            .refused(407, "unknown-agent"),
        row("a garbled credential", at("plain.allowed.test"))
            .as_("Proxy-Authorization: Basic %%%\r\n".into())
            .refused(407, "unknown-agent"),
        row("localhost", at("localhost")).refused(403, "special-name"),
        row("under localhost", at("x.localhost")).refused(403, "special-name"),
        row("a single label", at("vault")).refused(403, "special-name"),
        row("multicast DNS", at("printer.local")).refused(403, "special-name"),
        row("a cloud's inner name", at("metadata.google.internal")).refused(403, "special-name"),
        row("onion", at("abcdefghij.onion")).refused(403, "special-name"),
        row("a private literal", at("10.0.0.1")).as_(credentials("b")).refused(403, "forbidden-address"),
        row("a loopback literal", at("127.0.0.1")).as_(credentials("b")).refused(403, "forbidden-address"),
        row("a loopback literal of IPv6", at("[::1]")).as_(credentials("b")).refused(403, "forbidden-address"),
        row("a mapped loopback literal", at("[::ffff:127.0.0.1]")).as_(credentials("b")).refused(403, "forbidden-address"),
        row("a metadata literal", at("169.254.169.254")).as_(credentials("b")).refused(403, "forbidden-address"),
        row("the proxy itself", proxy.address.to_string()).refused(403, "self"),
        row("the proxy's metrics", proxy.watched.to_string()).refused(403, "self"),
        row("a name that leads to the proxy itself", format!("loop.test:{}", proxy.address.port())).then(403, "self", "refused"),
        row("listed, resolves to a private address", at("internal.test")).then(403, "forbidden-address", "refused"),
        row("listed, resolves to a metadata service", at("metadata.test")).then(403, "forbidden-address", "refused"),
        row("listed, one address of two is outside", at("mixed.test")).then(403, "forbidden-address", "refused"),
        row("no such name", at("missing.test")).then(502, "dns-failed", "failed"),
        row("the name server fails", at("broken.test")).then(502, "dns-failed", "failed"),
        row("the name server is silent", at("silent.test")).then(504, "dns-failed", "failed"),
        row("nobody listens there", "refusing.test:1").then(502, "unreachable", "failed"),
    ]
}

/// The words of a refusal without what differs from attempt to attempt by its nature.
fn words(answer: &Answer) -> Value {
    let attempt = answer.attempt();
    let mut problem = answer.problem();
    let hold = problem["hold"]["id"].as_str().map(str::to_owned);
    if !problem["hold"].is_null() {
        problem["hold"]["expires_at"] = Value::Null;
    }
    problem.as_object_mut().unwrap().remove("method");
    let neutral = |text: String| {
        let text = text.replace(&attempt, "ATTEMPT");
        hold.as_ref().map_or(text.clone(), |hold| text.replace(hold.as_str(), "HOLD"))
    };
    json!({
        "status": answer.status,
        "phrase": neutral(answer.phrase.clone()),
        "problem": neutral(problem.to_string()),
        "proxy-status": neutral(answer.header("proxy-status").unwrap_or_default().to_owned()),
        "proxy-authenticate": answer.header("proxy-authenticate"),
    })
}

#[test]
fn every_front_gives_an_attempt_the_same_answer_and_the_same_records() {
    alone_if_possible(|| {
        let (p0, mut proxy) = world();
        for row in rows(&p0, &proxy) {
            let name = row.name;
            let mut seen = Vec::new();
            for front in FRONTS.into_iter().filter(|front| front.takes(&row.credentials)) {
                eprintln!("{name}, by {}", front.as_recorded());
                let asked = p0.site.dns.queries().len();
                let answer = front.knock(&proxy, &row.target, &row.credentials);
                assert_refused(&answer, row.status, row.reason);
                let decision = if row.outcome == "failed" { "allow" } else { "block" };
                assert_eq!(answer.problem()["decision"], decision, "{name}");
                assert_eq!(p0.site.dns.queries().len() > asked, row.asks_dns, "{name}: the name server heard {:?}", p0.site.dns.queries());
                let records = proxy.settled();
                let id = json!(answer.attempt());
                let decided: Vec<_> = of_kind(&records, "decided").into_iter().filter(|record| record["id"] == id).collect();
                assert_eq!(decided.len(), 1, "{name}: decided records");
                assert_eq!((&decided[0]["decision"], &decided[0]["reason"]), (&json!(row.decided.0), &json!(row.decided.1)), "{name}");
                assert_eq!(decided[0]["front"], front.as_recorded(), "{name}");
                let ended = ended(&records, &id);
                assert_eq!((&ended["outcome"], &ended["reason"]), (&json!(row.outcome), &json!(row.reason)), "{name}");
                seen.push((words(&answer), decided[0]["destination"]["host"].clone(), decided[0]["destination"]["port"].clone()));
            }
            assert!(seen.windows(2).all(|two| two[0] == two[1]), "{name}: the fronts differ: {seen:#?}");
        }
        assert!(p0.plain.connections().is_empty() && p0.secure.connections().is_empty(), "something was dialled");
        assert!(proxy.is_alive());
    });
}

#[test]
fn every_front_lets_a_listed_destination_through_with_the_same_records() {
    alone_if_possible(|| {
        let mut p0 = P0::new();
        with_redirection(&mut p0.site, &["a"]);
        let proxy = p0.start();
        for front in FRONTS.into_iter().filter(|front| front.takes(&a())) {
            let (host, target) = match front {
                Front::Forward => ("plain.allowed.test", p0.at_plain("plain.allowed.test")),
                Front::Connect => ("api.allowed.test", p0.at_secure("api.allowed.test")),
                Front::Transparent => ("x.wild.test", p0.at_secure("x.wild.test")),
            };
            let mut talk = proxy.talk();
            let answer = match front {
                Front::Forward => talk.get(&format!("http://{target}/"), &a()),
                Front::Connect => {
                    assert_eq!(talk.connect(&target, &a()).status, 200);
                    let mut inside = talk.tls(&p0.authority, host).unwrap();
                    inside.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
                    inside.answer()
                }
                Front::Transparent => {
                    let mut inside = redirected(&target, &a()).tls(&p0.authority, host).unwrap();
                    inside.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
                    inside.answer()
                }
            };
            assert_eq!(answer.status, 200, "{front:?}");
            let records = proxy.settled();
            let decided = decided(&records, host);
            assert_eq!(decided.len(), 1, "{front:?}");
            let decided = decided[0];
            assert_eq!((&decided["decision"], &decided["reason"], &decided["agent"]), (&json!("allow"), &json!("listed"), &json!("a")));
            assert_eq!(decided["front"], front.as_recorded());
            assert!(decided["rule"].as_str().is_some_and(|rule| rule.contains("a.toml:")), "{decided}");
            let ended = ended(&records, &decided["id"]);
            let address = target.replace(host, "127.0.0.1");
            assert_eq!(
                (&ended["outcome"], &ended["reason"], &ended["address"]),
                (&json!("completed"), &json!("listed"), &json!(address)),
                "{front:?}"
            );
            assert!(ended["bytes_down"].as_u64() > Some(0), "{ended}");
        }
    });
}

#[test]
fn a_malformed_target_is_answered_400_and_recorded_without_a_lookup() {
    alone_if_possible(|| {
        let mut p0 = P0::new();
        with_redirection(&mut p0.site, &["a"]);
        let mut proxy = p0.start();
        for target in ["127.1", "0x7f000001", "2130706433", "a..wild.test", "*.wild.test", "-.wild.test", "010.0.0.1", "127.0.0.1."] {
            let target = p0.at_plain(target);
            let mut seen = Vec::new();
            for front in FRONTS.into_iter().filter(|front| front.takes(&a())) {
                let answer = front.knock(&proxy, &target, &a());
                assert_refused(&answer, 400, "malformed");
                let records = proxy.settled();
                let decided: Vec<_> =
                    of_kind(&records, "decided").into_iter().filter(|record| record["id"] == answer.attempt().as_str()).collect();
                assert_eq!(decided.len(), 1, "{target} by {front:?}");
                assert_eq!((&decided[0]["reason"], &decided[0]["destination"]), (&json!("malformed"), &Value::Null), "{target}");
                // A redirected request has its host in a field, and the words are about that.
                if front != Front::Transparent {
                    seen.push(words(&answer));
                }
            }
            assert!(seen.windows(2).all(|two| two[0] == two[1]), "{target}: the fronts differ: {seen:#?}");
        }
        assert_eq!(p0.site.dns.queries(), []);
        assert!(p0.plain.connections().is_empty());
        assert!(proxy.holds().is_empty(), "a malformed target was held");
        assert!(proxy.is_alive());
    });
}

/// What a request must get where rules look at requests, by whatever way it comes in.
const REQUESTS: [(&str, &str, u16, &str); 12] = [
    ("GET /pub/a", "", 200, "listed"),
    ("GET /pub/./a", "", 200, "listed"),
    ("GETS /pub/a", "", 403, "unlisted"),
    ("GET /priv", "", 403, "unlisted"),
    ("GET /pub/../priv", "", 403, "unlisted"),
    ("GET /pub/..%2fpriv", "", 403, "blocked"),
    ("GET /pub/no", "", 403, "blocked"),
    ("GET /pub/a", "Content-Length: 1\r\n\r\nx", 403, "blocked"),
    ("GET /pub/a", "X-HTTP-Method-Override: DELETE\r\n", 403, "blocked"),
    ("PUT /pub/a", "Content-Length: 0\r\n", 403, "unattended"),
    ("GET /q?service=git-upload-pack", "", 200, "listed"),
    ("GET /q?service=git-receive-pack", "", 403, "unlisted"),
];

#[test]
fn every_front_judges_a_request_alike() {
    alone_if_possible(|| {
        let mut p0 = P0::new();
        with_redirection(&mut p0.site, &["c"]);
        let port = p0.plain.port();
        p0.site.dns.script("rules.test", [Reply::to(["127.0.0.1"])]);
        let at = format!("host = \"rules.test\"\nport = [{port}]");
        let local = "addresses = [\"127.0.0.0/8\"]";
        let rules = format!(
            "[[allow]]\n{at}\n{local}\nmethod = [\"GET\"]\npath = [\"/pub/**\"]\n\
             [[allow]]\n{at}\n{local}\npath = [\"/q\"]\nquery = {{ service = [\"git-upload-pack\"] }}\n\
             [[hold]]\n{at}\nmethod = [\"PUT\"]\n[[block]]\n{at}\npath = [\"/pub/no\"]\n"
        );
        p0.site.agent("c", "", &rules);
        let proxy = p0.start();
        let (target, offered) = (format!("rules.test:{port}"), credentials("c"));
        for (line, fields, status, reason) in REQUESTS {
            let (method, path) = line.split_once(' ').unwrap();
            let mut seen = Vec::new();
            for front in FRONTS.into_iter().filter(|front| front.takes(&offered)) {
                let before = proxy.settled().len();
                let mut talk = if front == Front::Transparent { redirected(&target, &offered) } else { proxy.talk() };
                match front {
                    Front::Forward => {
                        talk.send(format!("{method} http://{target}{path} HTTP/1.1\r\nHost: {target}\r\n{offered}{fields}\r\n"))
                    }
                    Front::Connect => {
                        assert_eq!(talk.connect(&target, &offered).status, 200);
                        talk.send(format!("{method} {path} HTTP/1.1\r\nHost: {target}\r\n{fields}\r\n"));
                    }
                    Front::Transparent => talk.send(format!("{method} {path} HTTP/1.1\r\nHost: {target}\r\n{fields}\r\n")),
                }
                let answer = talk.answer();
                assert_eq!(answer.status, status, "{line} by {front:?}: {}", answer.text());
                drop(talk);
                let records = proxy.settled();
                let decided: Vec<_> =
                    of_kind(&records[before..], "decided").into_iter().filter(|record| !record["request"].is_null()).collect();
                assert_eq!(decided.len(), 1, "{line} by {front:?}");
                assert_eq!((&decided[0]["reason"], &decided[0]["front"]), (&json!(reason), &json!(front.as_recorded())), "{line}");
                let said = if status == 200 { json!(answer.text()) } else { words(&answer) };
                seen.push((said, decided[0]["decision"].clone(), decided[0]["rule"].clone(), decided[0]["request"].clone()));
            }
            assert!(seen.windows(2).all(|two| two[0] == two[1]), "{line}: the fronts differ: {seen:#?}");
        }
    });
}

#[test]
fn a_host_whose_requests_a_rule_looks_at_is_tunnelled_from_no_front() {
    alone_if_possible(|| {
        let mut p0 = P0::new();
        with_redirection(&mut p0.site, &["c"]);
        let ours = Authority::named("exeat");
        p0.site.inspecting(&ours, &p0.authority);
        let (host, target, offered) = ("seen.wild.test", p0.at_secure("seen.wild.test"), credentials("c"));
        let port = format!("port = [{}]", p0.secure.port());
        p0.site.agent(
            "c",
            "",
            &format!(
                "[[allow]]\nhost = \"*.wild.test\"\n{port}\naddresses = [\"127.0.0.0/8\"]\n\
                 [[block]]\nhost = \"{host}\"\n{port}\nmethod = [\"PUT\"]\n"
            ),
        );
        let proxy = p0.start();
        // A request that only CONNECT and a redirected connection can carry within TLS.
        for front in [Front::Connect, Front::Transparent].into_iter().filter(|front| front.takes(&offered)) {
            let open = || {
                if front == Front::Transparent {
                    return redirected(&target, &offered);
                }
                let mut talk = proxy.talk();
                assert_eq!(talk.connect(&target, &offered).status, 200);
                talk
            };
            let (before, served) = (proxy.settled().len(), p0.secure.connections().len());
            assert!(open().tls(&p0.authority, host).is_err(), "{front:?}: the origin's own certificate came through");
            let mut inside = open().tls(&ours, host).unwrap();
            inside.send(format!("PUT / HTTP/1.1\r\nHost: {target}\r\nContent-Length: 0\r\n\r\n"));
            assert_refused(&inside.answer(), 403, "blocked");
            assert_eq!(p0.secure.connections().len(), served, "{front:?}: dialled for what is blocked");
            inside.send(format!("GET /seen HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n"));
            assert_eq!((inside.answer().status, inside.rest()), (200, Vec::new()), "{front:?}");
            drop(inside);

            let records = proxy.settled();
            let seen: Vec<_> = decided(&records[before..], host)
                .into_iter()
                .map(|decided| {
                    assert_eq!(decided["front"], front.as_recorded(), "{decided}");
                    let end = ended(&records, &decided["id"]);
                    json!([decided["decision"], decided["reason"], decided["request"]["method"], end["tls"]["inspected"]])
                })
                .collect();
            let look = json!(["look", "inspect", null, true]);
            assert!(seen.len() == 4 && seen[0][0] == "look", "{front:?}: {seen:?}");
            assert_eq!(seen[1..], [look, json!(["block", "blocked", "PUT", true]), json!(["allow", "listed", "GET", true])], "{front:?}");
        }
    });
}

#[test]
fn a_block_tells_the_agent_the_rule_and_its_because() {
    alone_if_possible(|| {
        let mut p0 = P0::new();
        with_redirection(&mut p0.site, &["a"]);
        let proxy = p0.start();
        for front in FRONTS.into_iter().filter(|front| front.takes(&a())) {
            let answer = front.knock(&proxy, &p0.at_plain("blocked.test"), &a());
            let problem = answer.problem();
            assert_eq!(problem["because"], "blocked in the tests; use plain.allowed.test");
            assert!(problem["rule"].as_str().is_some_and(|rule| rule.contains("a.toml:")), "{problem}");
            assert_eq!(
                (&problem["host"], &problem["port"], &problem["agent"]),
                (&json!("blocked.test"), &json!(p0.plain.port()), &json!("a"))
            );
            assert!(answer.phrase.contains("blocked.test"), "{}", answer.phrase);
        }
    });
}

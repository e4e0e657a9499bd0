use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::address::Guard;
use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::floor::Floor;

const CODER: &str = r#"
agent = "coder"
unlisted = "hold"
[[allow]]
host = "api.example.com"
[[allow]]
host = "db.example.com"
port = 5432
addresses = ["10.20.0.0/16"]
opaque = true
[[hold]]
host = "ask.example.com"
note = "spends money"
[[block]]
host = "*.gist.example.com"
because = "gists leave the company"
"#;

/// Requests are looked at on port 80 of one host.
const REQUESTS: &str = r#"
agent = "coder"
[[allow]]
host = "git.example.com"
port = 80
method = ["GET", "HEAD"]
path = "/repos/**"
[[hold]]
host = "git.example.com"
port = 80
method = "POST"
path = "/repos/acme/**"
[[block]]
host = "*.example.com"
port = 80
path = "/admin/**"
"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn allowlist(floor: &Floor, text: &str) -> Allowlist {
    let reading = Reading { now: now(), floor, library: &NoLibrary, inspects: false };
    Allowlist::read("coder.toml", text, &reading).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).0
}

fn policy(floor: &str, text: &str) -> Policy {
    let floor = Floor::parse("floor.toml", floor).unwrap().0;
    let allowlist = allowlist(&floor, text);
    Policy::under(floor.into(), vec![allowlist], Guard::default()).unwrap()
}

fn coder() -> AgentId {
    AgentId::parse("coder").unwrap()
}

fn explained(policy: &Policy, target: &str) -> Explanation {
    explain(policy, &coder(), target, now(), true).unwrap_or_else(|error| panic!("{target}: {error}"))
}

fn said(policy: &Policy, target: &str) -> (u8, String) {
    let explanation = explained(policy, target);
    let mut out = Vec::new();
    explanation.write(&mut out, false).unwrap();
    (explanation.exit_code(), String::from_utf8(out).unwrap())
}

/// Why a rule does not decide.
fn why(explanation: &Explanation, line: u32) -> String {
    let other = explanation.others.iter().find(|other| other.rule.ends_with(&format!(":{line}")));
    other.map_or_else(|| panic!("no rule of line {line} in {explanation:?}"), |other| other.why.clone())
}

#[test]
fn an_allow_names_its_rule_and_its_addresses() {
    let (code, text) = said(&policy("", CODER), "https://api.example.com/v1?q=secret");
    let others = "other rules:\n  coder.toml:6 allow: its host is db.example.com\n  coder.toml:11 hold: its host is ask.example.com\n  coder.toml:14 block: its host is *.gist.example.com\n";
    let first = "allow: coder to api.example.com:443 by coder.toml:4 (listed)\nmay resolve to: public\n";
    assert_eq!(text, format!("{first}{others}{BY_THE_FILES}\n"));
    assert_eq!(code, 0);
}

#[test]
fn a_host_alone_is_meant_with_443() {
    for target in ["api.example.com", "api.example.com:443", "https://api.example.com", "get https://api.example.com/"] {
        let (code, text) = said(&policy("", CODER), target);
        assert!(code == 0 && text.starts_with("allow: coder to api.example.com:443 by"), "{target}: {text}");
    }
}

#[test]
fn each_kind_of_answer_has_its_first_line_and_its_exit_code() {
    for (target, code, start) in [
        ("db.example.com:22", 10, "hold: coder to db.example.com:22 (unlisted)\n"),
        ("ask.example.com:443", 10, "hold: coder to ask.example.com:443 by coder.toml:11\n"),
        (
            "GET http://a.gist.example.com/x",
            11,
            "block: coder to GET http://a.gist.example.com:80/x by coder.toml:14 (blocked)\nbecause: gists leave the company\n",
        ),
        ("http://169.254.169.254/", 11, "block: coder to GET http://169.254.169.254:80/ (forbidden-address)\n"),
        ("http://10.0.0.1/", 11, "block: coder to GET http://10.0.0.1:80/ (forbidden-address)\n"),
        ("http://localhost/", 11, "block: coder to GET http://localhost:80/ (special-name)\n"),
    ] {
        let (exit, text) = said(&policy("", CODER), target);
        assert!(exit == code && text.starts_with(start), "{target}: {exit} {text}");
    }
    let (code, text) = said(&policy("", REQUESTS), "git.example.com:80");
    assert!(code == 12 && text.starts_with("look: coder to git.example.com:80 by coder.toml:3 (inspect)\n"), "{code} {text}");
}

#[test]
fn a_rule_is_told_by_the_first_thing_that_keeps_it_from_speaking() {
    let ended = "[[allow]]\nhost = \"api.example.com\"\nuntil = \"2020-01-01\"\n";
    let wide = "[[allow]]\nhost = \"*.example.com\"\n";
    let text = format!("{CODER}{ended}{wide}[[block]]\nhost = \"b.example.com\"\n[[block]]\nhost = \"b.*.com\"\n");
    let policy = policy("[[block]]\nhost = \"f.example.com\"\n[[hold]]\nhost = \"ask.example.com\"\n", &text);
    let of = |target: &str| explained(&policy, target);
    assert_eq!(why(&of("api.example.com"), 17), "its until passed, 2020-01-01T00:00:00Z");
    assert_eq!(why(&of("api.example.com"), 20), "it matches too, and a more specific rule speaks: coder.toml:4");
    assert_eq!(why(&of("db.example.com:22"), 6), "its port is 5432");
    assert_eq!(why(&of("db.example.com:22"), 20), "its ports are 80, 443");
    assert_eq!(why(&of("ask.example.com"), 20), "it matches, but a hold comes before it: coder.toml:11");
    assert_eq!(why(&of("ask.example.com"), 3), "it matches too; the agent's own coder.toml:11 has the word");
    assert_eq!(why(&of("b.example.com"), 20), "it matches, but a block comes before it: coder.toml:22");
    assert_eq!(why(&of("b.example.com"), 24), "it matches too, and coder.toml:22 is named before it");
    assert_eq!(why(&of("f.example.com"), 20), "it matches, but a block comes before it: the floor's floor.toml:1");
    assert_eq!(
        why(&of("example.com"), 20),
        "*.example.com stands for the names under example.com, not for itself; **.example.com stands for both"
    );
    assert!(of("f.example.com").by_floor && !of("b.example.com").by_floor);
}

#[test]
fn a_rule_about_requests_says_what_of_the_request_it_is_not_about() {
    let policy = policy("", REQUESTS);
    let of = |target: &str| explained(&policy, target);
    let get = of("GET http://git.example.com/repos/./acme/x?key=secret");
    assert_eq!((get.decision, get.rule.as_deref(), get.path.as_deref()), ("allow", Some("coder.toml:3"), Some("/repos/acme/x")));
    assert_eq!(why(&get, 8), "its method is POST");
    assert_eq!(why(&get, 13), "its path is /admin/**; this one is judged as /repos/acme/x");
    assert!(!format!("{get:?}").contains("secret"));
    let delete = of("DELETE http://git.example.com/repos/x");
    assert_eq!((delete.decision, why(&delete, 3)), ("block", "its methods are GET, HEAD".to_owned()));
    let unclear = of("GET http://git.example.com/repos/%2e%2e/x");
    assert_eq!((unclear.decision, unclear.rule.as_deref()), ("block", Some("coder.toml:13")));
    assert!(unclear.path_unclear.as_deref().is_some_and(|why| why.contains("decodes to")), "{unclear:?}");
    assert!(unclear.in_the_way.as_deref().is_some_and(|words| words.starts_with("coder.toml:13 looks at paths here")), "{unclear:?}");
}

#[test]
fn a_look_says_which_requests_lead_where() {
    let looked = explained(&policy("", REQUESTS), "CONNECT git.example.com:80").looked_at;
    let lines: Vec<String> = looked.iter().map(|Looked { requests, decision, rule }| format!("{requests}: {decision} {rule:?}")).collect();
    assert_eq!(
        lines,
        [
            "any method to /admin/**: block Some(\"coder.toml:13\")",
            "POST to /repos/acme/**: hold Some(\"coder.toml:8\")",
            "GET, HEAD to /repos/**: allow Some(\"coder.toml:3\")",
            "any other: block None",
        ]
    );
}

#[test]
fn an_observed_agent_and_limits_are_told() {
    let text = "agent = \"coder\"\nobserve_until = \"2026-09-25\"\n[limits]\nopen = 8\n[[allow]]\nhost = \"a.example.com\"\nlimits = { per_minute = 5, bytes_per_day = \"2GiB\" }\n";
    let policy = policy("[limits]\nopen = 9\n", text);
    let (code, told) = said(&policy, "b.example.com");
    assert!(code == 0 && told.contains("the agent is observed: without that it would be block\nuntil: 2026-09-25T00:00:00Z\n"), "{told}");
    assert!(told.contains("to allow it:\n  [[allow]]\n  host = \"b.example.com\"\n  port = [443]\n"), "{told}");
    let (_, told) = said(&policy, "a.example.com");
    assert!(
        told.contains("at most: 9 open at once, by the floor's [limits]\nat most: 8 open at once, by the agent's [limits]\nat most: 5 a minute and 2GiB a day, by the limits of coder.toml:5\n"),
        "{told}"
    );
}

#[test]
fn what_stands_in_the_way_is_said_in_place_of_a_rule() {
    let floor = "private = [\"10.1.0.0/16\"]\n[[block]]\nhost = \"f.example.com\"\n";
    let policy = policy(floor, CODER.replace("10.20.0.0/16", "10.1.0.0/16").as_str());
    for (target, words) in [
        ("ask.example.com", "the hold rule coder.toml:11 asks even where a rule allows"),
        ("a.gist.example.com", "the block coder.toml:14 comes before every allow rule and every person; narrow or remove it"),
        ("f.example.com", "the floor's block floor.toml:2 comes before every allow rule and every person; have the floor changed"),
        ("http://169.254.169.254/", "metadata services are never dialled"),
        ("10.2.0.1:80", "the floor floor.toml does not list 10.2.0.1 as private"),
        ("x.onion:80", "names of this zone are never dialled"),
        ("localhost:80", "a special name needs an allow rule that spells it"),
    ] {
        let explanation = explained(&policy, target);
        assert_eq!(explanation.to_allow, None, "{target}");
        assert!(explanation.in_the_way.as_deref().is_some_and(|told| told.starts_with(words)), "{target}: {explanation:?}");
    }
}

#[test]
fn rules_about_other_hosts_are_told_nearest_first_and_counted() {
    let mut text = "agent = \"coder\"\n".to_owned();
    for number in 0..2000 {
        text.push_str(&format!("[[allow]]\nhost = \"n{number}.example.org\"\n"));
    }
    text.push_str("[[allow]]\nhost = \"near.a.example.com\"\n[[allow]]\nhost = \"example.com\"\n");
    let explanation = explained(&policy("", &text), "far.a.example.com");
    let told: Vec<&str> = explanation.others.iter().map(|other| other.why.as_str()).collect();
    assert_eq!(told[..3], ["its host is near.a.example.com", "its host is example.com", "its host is n0.example.org"]);
    assert_eq!((told.len(), explanation.others_left_out), (5, 1997));
}

#[test]
fn json_has_stable_fields() {
    let explanation = explained(&policy("", CODER), "https://api.example.com");
    let mut out = Vec::new();
    explanation.write(&mut out, true).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let other = serde_json::json!({"rule": "coder.toml:6", "kind": "allow", "floor": false, "why": "its host is db.example.com"});
    assert_eq!(json["others"][0], other);
    json["others"] = serde_json::Value::Null;
    let expected = serde_json::json!({
        "agent": "coder", "host": "api.example.com", "port": 443, "scheme": null, "through": null, "method": null, "path": null, "path_unclear": null, "decision": "allow",
        "reason": "listed", "rule": "coder.toml:4", "by_floor": false, "because": null, "would": null, "until": null, "addresses": ["public"],
        "credentials": null, "limits": [], "looked_at": [], "others": null, "others_left_out": 0, "to_allow": null, "in_the_way": null,
    });
    assert_eq!(json, expected);
}

#[test]
fn what_cannot_be_explained_is_said() {
    let of = |agent: &str, target: &str| {
        explain(&policy("", CODER), &AgentId::parse(agent).unwrap(), target, now(), true).unwrap_err().to_string()
    };
    assert_eq!(of("other", "a.example.com:1"), "no allowlist is in force for agent other; there are: coder");
    for target in ["ftp://a.example.com/", "GET"] {
        assert!(of("coder", target).starts_with("the target is not a URL that exeat carries"), "{target}");
    }
    for target in ["a.example.com:", "a.example.com:0", "http://u:p@a.example.com/", "", "https://"] {
        assert!(of("coder", target).starts_with("the target cannot be read"), "{target}");
    }
}

/// Where there is a CA: requests inside TLS are looked at, and a credential is put in.
const INSIDE_TLS: &str = r#"
agent = "coder"
[[allow]]
host = "api.example.com"
method = ["GET", "HEAD"]
[[hold]]
host = "api.example.com"
method = "POST"
[[inject]]
host = "api.example.com"
header = "authorization"
value = { env = "API_TOKEN" }
path = "/repos/**"
"#;

#[test]
fn a_request_inside_tls_is_explained_in_two_steps_and_its_tunnel_in_one() {
    let floor = Floor::none();
    let reading = Reading { now: now(), floor: &floor, library: &NoLibrary, inspects: true };
    let allowlist = Allowlist::read("coder.toml", INSIDE_TLS, &reading).unwrap().0;
    let policy = Policy::under(floor.into(), vec![allowlist], Guard::default()).unwrap();
    let look = "look: coder to api.example.com:443 by coder.toml:3 (inspect)\n";
    for (target, code, start) in [
        ("api.example.com:443", 12, look.to_owned()),
        ("CONNECT https://api.example.com/x", 12, look.to_owned()),
        (
            "https://api.example.com/repos/x?token=secret",
            0,
            format!(
                "{look}allow: coder to GET https://api.example.com:443/repos/x by coder.toml:3 (listed)\nmay resolve to: public\n\
                 credentials: the agent's own are taken out; put in: authorization by coder.toml:9\n"
            ),
        ),
        (
            "HEAD https://api.example.com/user",
            0,
            format!(
                "{look}allow: coder to HEAD https://api.example.com:443/user by coder.toml:3 (listed)\nmay resolve to: public\n\
                 credentials: the agent's own are taken out; nothing is put in\n"
            ),
        ),
        (
            "POST https://api.example.com/repos/x",
            10,
            format!("{look}hold: coder to POST https://api.example.com:443/repos/x by coder.toml:6\n"),
        ),
        ("PUT https://api.example.com/", 11, format!("{look}block: coder to PUT https://api.example.com:443/ (unlisted)\n")),
        ("https://other.example.com/", 11, "block: coder to other.example.com:443 (unlisted)\n".to_owned()),
    ] {
        let (exit, text) = said(&policy, target);
        assert!(exit == code && text.starts_with(&start) && !text.contains("secret"), "{target}: {exit} {text}");
    }
    let put = explained(&policy, "PUT https://api.example.com/x").to_allow.unwrap();
    assert_eq!(put, "[[allow]]\nhost = \"api.example.com\"\nport = [443]\nmethod = [\"PUT\"]\npath = [\"/x\"]");
    let tunnel = explained(&policy, "api.example.com").in_the_way.unwrap();
    assert!(tunnel.ends_with("explain a request, as in \"GET https://api.example.com/PATH\""), "{tunnel}");
}

const HOSTS: [&str; 9] =
    ["a.example.com", "b.example.com", "*.example.com", "**.b.example.com", "localhost", "10.0.0.1", "8.8.8.8", "10.0.0.0/16", "[fd00::1]"];

fn rule() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["allow", "allow", "hold", "block"]);
    let host = prop::sample::select(HOSTS.to_vec());
    let port = prop::sample::select(vec!["", "port = 80\n", "port = [80, 8080]\n", "port = 8080\n"]);
    let request = prop::sample::select(vec!["", "", "method = \"GET\"\n", "method = \"POST\"\npath = \"/a/**\"\n", "path = \"/b/*\"\n"]);
    let addresses = prop::sample::select(vec!["", "addresses = [\"10.0.0.0/16\", \"public\", \"fd00::/16\"]\n"]);
    (kind, host, port, request, addresses).prop_map(|(kind, host, port, request, addresses)| {
        let addresses = if kind == "block" { "" } else { addresses };
        format!("[[{kind}]]\nhost = \"{host}\"\n{port}{request}{addresses}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_said_to_allow_it_does_once_it_stands_in_the_file(
        rules in prop::collection::vec(rule(), 0..6),
        unlisted in prop::sample::select(vec!["block", "hold"]),
        host in prop::sample::select(vec!["a.example.com", "b.example.com", "c.b.example.com", "localhost", "10.0.0.1", "8.8.8.8", "[fd00::1]", "new.example.org"]),
        request in prop::sample::select(vec!["CONNECT", "GET /a/x", "POST /a/y", "GET /b/.ci", "DELETE /b/../a/%7Ez", "GET /a*b"]),
        port in prop::sample::select(vec![80, 443, 8080]),
    ) {
        let head = format!("agent = \"coder\"\nunlisted = \"{unlisted}\"\n");
        let rules: Vec<&String> = rules.iter().filter(|rule| Allowlist::parse("coder.toml", &format!("{head}{rule}")).is_ok()).collect();
        let text = rules.iter().fold(head, |text, rule| format!("{text}{rule}"));
        prop_assume!(Allowlist::parse("coder.toml", &text).is_ok());
        let target = match request.split_once(' ') {
            Some((method, path)) => format!("{method} http://{host}:{port}{path}"),
            None => format!("CONNECT {host}:{port}"),
        };
        let before = explained(&policy("", &text), &target);
        prop_assert!(before.to_allow.is_none() || before.in_the_way.is_none());
        prop_assert_eq!(before.decision == "allow", before.to_allow.is_none() && before.in_the_way.is_none());
        if let Some(rule) = &before.to_allow {
            let after = explained(&policy("", &format!("{text}{rule}\n")), &target);
            prop_assert_eq!(after.decision, "allow", "{}\n{}", text, rule);
        }
    }
}

#[test]
fn a_request_inside_tls_that_no_ca_shows_is_refused_as_serve_refuses_it() {
    let policy = policy("", "agent = \"coder\"\n[[allow]]\nhost = \"x.example.com\"\nport = 8443\nmethod = \"GET\"\n");
    for (target, inspects, wanted) in [
        ("GET https://x.example.com:8443/", true, ("allow", Some(Reason::Listed), 0)),
        ("GET https://x.example.com:8443/", false, ("block", Some(Reason::Inspect), 11)),
        ("GET http://x.example.com:8443/", false, ("allow", Some(Reason::Listed), 0)),
        ("x.example.com:8443", false, ("look", Some(Reason::Inspect), 12)),
    ] {
        let explained = explain(&policy, &coder(), target, now(), inspects).unwrap();
        assert_eq!((explained.decision, explained.reason, explained.exit_code()), wanted, "{target} {inspects}");
        let advised = explained.in_the_way.is_some_and(|words| words.contains("`exeat ca init`"));
        assert_eq!(advised, wanted.0 == "block", "{target} {inspects}");
    }
}

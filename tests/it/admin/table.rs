//! Every route that is described, for every role, over all agents and over another one than it is about.

use super::{Office, json};
use crate::hold::ask;
use crate::support::p0::{a, b};

/// A caller, and the arguments that add him.
const CALLERS: [(&str, &[&str]); 6] = [
    ("viewer", &["--role", "viewer"]),
    ("approver", &["--role", "approver"]),
    ("admin", &["--role", "admin"]),
    ("viewer-b", &["--role", "viewer", "--agents", "b"]),
    ("approver-b", &["--role", "approver", "--agents", "b"]),
    ("admin-b", &["--role", "admin", "--agents", "b"]),
];

const LOOKS: [u16; 6] = [200; 6];
const RULES: [u16; 6] = [403, 403, 200, 403, 403, 403];

/// Route, body, and the status for each caller. `{id}` is a question of agent `a`.
const TABLE: [(&str, &str, [u16; 6]); 25] = [
    ("GET approvals", "", LOOKS),
    ("DELETE approvals/{id}", "", [403, 404, 404, 403, 404, 404]),
    ("GET approvers", "", RULES),
    ("POST approvers", r#"{"name": "no name"}"#, [403, 403, 400, 403, 403, 403]),
    ("DELETE approvers/{name}", "", [403, 403, 404, 403, 403, 403]),
    ("GET attempts", "", LOOKS),
    ("GET events", "", LOOKS),
    ("POST explain", r#"{"agent": "a", "try": "x.test:443"}"#, [200, 200, 200, 404, 404, 404]),
    ("POST freeze", r#"{"note": "\n"}"#, [403, 403, 400, 403, 403, 403]),
    ("POST thaw", "", RULES),
    ("POST agents/{name}/freeze", r#"{"note": "\n"}"#, [403, 403, 400, 403, 403, 404]),
    ("POST agents/{name}/thaw", "", [403, 403, 200, 403, 403, 404]),
    ("GET agents", "", LOOKS),
    ("GET holds", "", LOOKS),
    ("GET holds/{id}", "", [200, 200, 200, 404, 404, 404]),
    ("POST holds/{id}/approve", r#"{"facts": "0"}"#, [403, 409, 409, 403, 404, 404]),
    ("POST holds/{id}/deny", r#"{"facts": "0"}"#, [403, 409, 409, 403, 404, 404]),
    ("POST login", "[", [400; 6]),
    ("POST logout", "", LOOKS),
    ("GET me", "", LOOKS),
    ("GET policy", "", LOOKS),
    ("POST reload", "", RULES),
    ("POST tokens/reload", "", RULES),
    ("GET tunnels", "", LOOKS),
    ("DELETE tunnels/{id}", "", [403, 403, 404, 403, 403, 404]),
];

#[test]
fn every_route_gives_each_role_what_is_its_own_and_nothing_of_another_agent() {
    let office = Office::new();
    let tokens = CALLERS.map(|(name, rest)| office.approver(&[&[name], rest].concat()));
    let mut open = office.proxy.talk();
    assert_eq!(open.connect(&office.p0.at_secure("api.allowed.test"), &a()).status, 200);
    let _inside = open.split();
    let given = office.question("evil.test");
    office.proxy.said(&["approve", given["id"].as_str().unwrap(), "--for", "1h"]);
    let hold = office.question("held.test");
    let document = json(&office.send("GET", "openapi.json", &format!("Host: {}\r\n", office.at), ""));
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let path = path.strip_prefix("/api/v1/").unwrap();
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
    });
    let (mut described, mut listed): (Vec<String>, Vec<_>) = (described.collect(), TABLE.map(|(route, ..)| route.to_owned()).into());
    described.sort_unstable();
    listed.sort_unstable();
    assert_eq!(described, listed, "a route that nobody tried");
    for (route, body, wanted) in TABLE {
        let (method, path) = route.split_once(' ').unwrap();
        // A stream does not end; its head says as much.
        let method = if path == "events" { "HEAD" } else { method };
        let id = if path.starts_with("holds") { hold["id"].as_str().unwrap() } else { "zzzzzzzz" };
        let path = path.replace("{id}", id).replace("{name}", if path.starts_with("agents") { "a" } else { "nobody" });
        for ((token, status), (name, _)) in tokens.iter().zip(wanted).zip(CALLERS) {
            let answer = office.call(token, method, &path, body);
            assert_eq!(answer.status, status, "{method} {path} as {name}: {}", answer.text());
            if name.ends_with("-b") {
                let text = answer.text();
                let leaks = ["held.test", "evil.test", "api.allowed.test", "a.toml", "\"a\"", given["id"].as_str().unwrap()];
                assert_eq!(leaks.iter().find(|leak| text.contains(**leak)), None, "{method} {path} as {name}: {text}");
            }
        }
        let unknown = office.send(method, &path, &format!("Host: {}\r\n", office.at), body);
        assert_eq!(unknown.status, if path == "login" { 400 } else { 401 }, "{method} {path} as nobody: {}", unknown.text());
    }
    assert_eq!(office.proxy.holds().len(), 1, "answered by who may not");
}

#[test]
fn events_and_explanations_tell_nothing_of_another_agent() {
    let office = Office::new();
    let bob = office.approver(&["bob", "--role", "admin", "--agents", "b"]);
    let mut events = office.events(&bob);
    super::answers::until(&mut events, "event: snapshot");
    let refused = ask(&office.p0, &office.proxy, "held.test").answer();
    assert_eq!(refused.reason(), "unattended", "who answers for b is present for a");
    let hold = office.proxy.holds().remove(0);
    office.proxy.said(&["approve", hold["id"].as_str().unwrap(), "--for", "1h"]);
    office.proxy.said(&["revoke", hold["id"].as_str().unwrap()]);
    office.proxy.said(&["freeze", "a"]);
    office.proxy.get(&office.p0.url("blocked.test", "/b"), &b());
    let seen = super::answers::until(&mut events, "\"host\":\"blocked.test\"");
    for leak in ["held.test", "\"a\"", "hold-opened", "approval-ended", "event: frozen", hold["id"].as_str().unwrap()] {
        assert!(!seen.contains(leak), "{leak} in {seen}");
    }
    let answer = office.call(&bob, "POST", "explain", r#"{"agent": "b", "try": "api.allowed.test:443"}"#);
    assert!(answer.status == 200 && !answer.text().contains("a.toml"), "{}", answer.text());
}

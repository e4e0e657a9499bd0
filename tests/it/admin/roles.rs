//! Roles, and what does not exist for whom; the command that adds people.

use serde_json::{Value, json};

use super::{Office, shown};
use crate::support::p0::b;
use crate::support::proxy::of_kind;
use crate::support::pty::Terminal;

#[test]
fn what_is_of_other_agents_does_not_exist_for_a_caller_over_named_ones() {
    let office = Office::new();
    let bob = office.approver(&["bob", "--role", "admin", "--agents", "b"]);
    let hold = office.question("held.test");
    let id = hold["id"].as_str().unwrap();
    let get = |route: &str| {
        let answer = office.call(&bob, "GET", route, "");
        (answer.status, answer.text())
    };
    assert_eq!(get("holds"), (200, "[]".to_owned()));
    assert_eq!(get("attempts?agent=a"), (200, "[]".to_owned()));
    let (_, agents) = get("agents");
    assert!(agents.contains("\"b\"") && !agents.contains("\"a\""), "{agents}");
    let (_, policy) = get("policy");
    assert!(!policy.contains("a.toml"), "{policy}");
    for (method, route, body) in [
        ("GET", format!("holds/{id}"), String::new()),
        ("POST", format!("holds/{id}/approve"), shown(&hold)),
        ("POST", format!("holds/{id}/deny"), shown(&hold)),
        ("POST", "explain".to_owned(), r#"{"agent": "a", "try": "example.com:443"}"#.to_owned()),
        ("POST", "agents/a/freeze".to_owned(), String::new()),
        ("POST", "agents/a/thaw".to_owned(), String::new()),
    ] {
        let answer = office.call(&bob, method, &route, &body);
        assert_eq!(answer.status, 404, "{route}: {}", answer.text());
        assert!(!answer.text().contains("held.test"));
    }
    assert_eq!(office.call(&office.admin, "POST", &format!("holds/{id}/approve"), &shown(&hold)).status, 200);
    assert_eq!(get("approvals"), (200, "[]".to_owned()));
    assert_eq!(office.call(&bob, "DELETE", &format!("approvals/{id}"), "").status, 404);
    assert_eq!(office.call(&bob, "POST", &format!("holds/{id}/deny"), &shown(&hold)).status, 404);
    for (method, route) in [("POST", "freeze"), ("POST", "thaw"), ("POST", "reload"), ("GET", "approvers"), ("DELETE", "approvers/alice")] {
        assert_eq!(office.call(&bob, method, route, "").status, 403, "{route}");
    }
    office.proxy.get(&office.p0.url("evil.test", "/"), &b());
    assert!(get("attempts").1.contains("evil.test"));
}

#[test]
fn each_role_may_what_it_may() {
    let office = Office::new();
    let tokens = ["viewer", "approver", "admin"].map(|role| office.approver(&[role, "--role", role]));
    let rows = [
        ("GET", "me", [200, 200, 200]),
        ("GET", "holds", [200, 200, 200]),
        ("GET", "tunnels", [200, 200, 200]),
        ("POST", "holds/zzzzzz/deny", [403, 400, 400]),
        ("DELETE", "approvals/zzzzzz", [403, 404, 404]),
        ("DELETE", "tunnels/zzzzzz", [403, 403, 404]),
        ("POST", "reload", [403, 403, 200]),
        ("POST", "tokens/reload", [403, 403, 200]),
        ("GET", "approvers", [403, 403, 200]),
        ("DELETE", "approvers/nobody", [403, 403, 404]),
        ("PUT", "holds", [405, 405, 405]),
        ("GET", "nothing", [404, 404, 404]),
    ];
    for (method, route, wanted) in rows {
        let got = tokens.each_ref().map(|token| office.call(token, method, route, "").status);
        assert_eq!(got, wanted, "{method} {route}");
    }
}

#[test]
fn people_are_added_listed_and_removed_whether_or_not_serve_runs() {
    let mut office = Office::new();
    let (carol, listed) = (office.approver(&["carol", "--agents", "a,b"]), |office: &Office| -> Vec<Value> {
        serde_json::from_str(&office.proxy.said(&["approver", "list", "--json"])).unwrap()
    });
    assert!(carol.starts_with("exeat-approver_"), "{carol}");
    let names: Vec<Value> = listed(&office).iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["alice", "carol"]);
    for wrong in [vec!["approver", "add", "carol"], vec!["approver", "add", "no spaces"], vec!["approver", "remove", "nobody"]] {
        let output = office.proxy.exeat(&wrong);
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
    }
    assert!(office.proxy.stop().success());
    let dave = office.approver(&["dave", "--role", "viewer"]);
    office.proxy.said(&["approver", "remove", "carol"]);
    assert_eq!(listed(&office).iter().map(|one| one["name"].clone()).collect::<Vec<_>>(), ["alice", "dave"]);
    let records = office.proxy.journal();
    let changes: Vec<_> = of_kind(&records, "approver").iter().map(|record| (record["name"].clone(), record["change"].clone())).collect();
    let wanted = [("alice", "added"), ("carol", "added"), ("dave", "added"), ("carol", "removed")];
    assert_eq!(changes, wanted.map(|(name, change)| (json!(name), json!(change))));
    office.proxy = office.p0.start();
    office.at = office.proxy.people_at();
    assert_eq!(office.call(&dave, "GET", "me", "").text(), r#"{"name":"dave","role":"viewer"}"#);
    assert_eq!(office.call(&carol, "GET", "me", "").status, 401);
}

#[test]
fn a_terminal_shows_a_link_that_logs_in_once() {
    let p0 = crate::support::p0::P0::new();
    let config = p0.site.config();
    let argv = [env!("CARGO_BIN_EXE_exeat"), "--config", config.to_str().unwrap(), "serve"];
    let terminal = Terminal::run(&argv, p0.site.path(), &[]);
    terminal.expect(" (once, within 60 s)");
    let screen = terminal.shown();
    let link = screen.split_whitespace().find(|word| word.contains("#login=")).unwrap_or_else(|| panic!("{screen}"));
    let (at, code) = link.strip_prefix("http://").unwrap().split_once("/#login=").unwrap();
    let at: std::net::SocketAddr = at.parse().unwrap();
    assert!(at.ip().is_loopback());
    let log_in = || {
        let mut talk = crate::support::talk::Talk::to(at);
        let body = format!("{{\"code\": \"{code}\"}}");
        talk.send(format!(
            "POST /api/v1/login HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        talk.answer()
    };
    let answer = log_in();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = super::json(&answer)["token"].as_str().unwrap().to_owned();
    assert_eq!(log_in().status, 401, "a link logs in once");
    let mut talk = crate::support::talk::Talk::to(at);
    talk.send(format!("GET /api/v1/me HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"));
    assert_eq!(super::json(&talk.answer())["role"], "admin");
}

//! What outlives the process: questions, answers and silences, also when it is killed.

use serde_json::{Value, json};

use super::{ask, id, knock};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{exeat, of_kind};

#[test]
fn after_a_kill_a_question_has_its_id_and_its_answer_passes_the_retry() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    let watcher = proxy.watch();
    let talk = ask(&p0, &proxy, "held.test");
    let before = proxy.until_held(1, 1).remove(0);
    proxy.kill();
    drop((talk, watcher));

    let proxy = p0.start();
    let after = proxy.until_held(1, 0).remove(0);
    let told = |hold: &Value| ["id", "agent", "instance", "host", "port", "scheme", "request", "opened_at"].map(|key| hold[key].clone());
    assert_eq!(told(&after), told(&before));
    let _watcher = proxy.watch();
    let mut retry = ask(&p0, &proxy, "held.test");
    assert_eq!(id(&proxy.until_held(1, 1)[0]), id(&before), "a retry asks no second question");
    proxy.said(&["approve", id(&before)]);
    assert_eq!(retry.answer().status, 200);
    assert_eq!(of_kind(&proxy.settled(), "held").len(), 1);
}

#[test]
fn after_a_kill_yeses_hold_unless_they_were_used_or_taken_back() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    for (host, scope) in [("evil.test", "--for"), ("held.test", "--always"), ("only-b.allowed.test", "--always"), ("x.evil.test", "--once")]
    {
        assert_refused(&ask(&p0, &proxy, host).answer(), 403, "unattended");
        let holds = proxy.holds();
        let hold = holds.iter().find(|hold| hold["host"] == host).unwrap();
        proxy.said(&["approve", id(hold), scope, "--note", "for the test"]);
        if host == "only-b.allowed.test" {
            proxy.said(&["revoke", id(hold)]);
        }
    }
    p0.site.dns.script("x.evil.test", [crate::support::dns::Reply::to(["127.0.0.1"])]);
    assert_eq!(ask(&p0, &proxy, "x.evil.test").answer().status, 200);
    let granted = p0.site.state().join("granted/a.toml");
    let text = std::fs::read_to_string(&granted).unwrap();
    assert!(text.contains("host = \"held.test\"") && !text.contains("only-b") && !text.contains("evil.test"), "{text}");
    let rules = proxy.said(&["approvals", "--toml"]);
    proxy.kill();
    let kept = exeat(Some(&p0.site.config())).args(["approvals", "--toml"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), rules, "the same without a running exeat");
    assert!(rules.contains("host = \"held.test\"") && rules.contains("for the test") && !rules.contains("evil"), "{rules}");

    let mut proxy = p0.start();
    for (host, status) in [("evil.test", 200), ("held.test", 200), ("only-b.allowed.test", 403), ("x.evil.test", 403)] {
        assert_eq!(ask(&p0, &proxy, host).answer().status, status, "{host}");
    }
    let holds = proxy.holds();
    let denied = id(holds.iter().find(|hold| hold["host"] == "x.evil.test").unwrap());
    proxy.said(&["deny", denied]);
    proxy.kill();
    let proxy = p0.start();
    assert_refused(&ask(&p0, &proxy, "x.evil.test").answer(), 403, "quiet");
    assert_eq!(proxy.holds().len(), 1, "the one of only-b.allowed.test");

    p0.write_agents(&rules.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    let check = exeat(Some(&p0.site.config())).arg("check").output().unwrap();
    assert!(check.status.success(), "what it prints is no allowlist: {check:?}");
}

#[test]
fn a_second_serve_on_the_same_state_does_not_start_and_says_why() {
    let p0 = P0::new();
    let proxy = p0.start();
    let second = exeat(Some(&p0.site.config())).arg("serve").output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    let wanted = |pid: i32| {
        format!("approvals.db is in use by another process (PID {pid}), most likely another exeat; stop that one, or name another `state`")
    };
    let pid = proxy.pid().as_raw_nonzero().get();
    assert!(said.contains(&wanted(pid)) && said.contains(p0.site.path().to_str().unwrap()), "{said}");
    drop(proxy);

    let held = rusqlite::Connection::open(p0.site.state().join("approvals.db")).unwrap();
    held.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE holds SET id = id; COMMIT").unwrap();
    let locked = exeat(Some(&p0.site.config())).arg("serve").output().unwrap();
    let said = String::from_utf8_lossy(&locked.stderr);
    assert_eq!(locked.status.code(), Some(1), "{said}");
    assert!(said.contains(&wanted(std::process::id() as i32)), "{said}");
    drop(held);
    assert!(p0.start().stop().success());
}

#[test]
fn a_second_serve_with_the_same_addresses_speaks_of_the_state_that_is_in_use() {
    let mut p0 = P0::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    p0.site.set("listen.main", "address", &format!("\"{}\"", taken.local_addr().unwrap()));
    let second = || {
        let output = exeat(Some(&p0.site.config())).arg("serve").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = second();
    assert!(said.contains("exeat: listen.main: ") && said.contains("cannot be listened on"), "{said}");
    drop(taken);
    let proxy = p0.start();
    let (said, pid) = (second(), proxy.pid().as_raw_nonzero().get());
    let wanted = format!("is in use by process {pid}, most likely an exeat that runs already: stop that one first");
    assert!(said.contains(&wanted) && said.contains(p0.site.state().to_str().unwrap()) && !said.contains("listened on"), "{said}");
    proxy.get(&p0.url("plain.allowed.test", "/"), &a());
}

#[test]
fn an_agent_that_needs_two_people_gets_nothing_by_one_of_them() {
    let p0 = P0::new();
    p0.site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]\napprovers = 2", "");
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "evil.test");
    let holds = proxy.until_held(1, 1);
    let said = proxy.said(&["approve", id(&holds[0]), "--always"]);
    assert!(said.contains("1 of 2 yes"), "{said}");
    let again = proxy.exeat(&["approve", id(&holds[0]), "--always"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("you said yes to it already"), "{again:?}");
    let shown = proxy.until_held(1, 1).remove(0);
    assert_eq!(shown["yes_by"].as_array().map(Vec::len), Some(1), "{shown}");
    assert!(proxy.said(&["holds"]).contains("waits for another"));
    assert_eq!(proxy.said(&["approvals", "--json"]).trim(), "[]");
    let answered = proxy.journal().into_iter().find(|record| record["kind"] == "answered").unwrap();
    assert_eq!((&answered["of"], &answered["approval"]), (&json!(2), &json!(null)));
    proxy.said(&["deny", id(&holds[0])]);
    assert_refused(&talk.answer_to("CONNECT"), 403, "refused");
}

//! Agents stopped and let go on by command: at once, over a kill, and beside the file `freeze`.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, ended, exeat, of_kind};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `exeat` with no exeat running there.
fn alone(p0: &P0, arguments: &[&str]) -> Output {
    exeat(Some(&p0.site.config())).args(arguments).output().unwrap()
}

fn status(p0: &P0, proxy: &Proxy, host: &str, credentials: &str) -> u16 {
    proxy.get(&p0.url(host, "/"), credentials).status
}

#[test]
fn a_freeze_cuts_what_is_open_survives_a_kill_and_ends_with_a_thaw() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let mut open = talk.tls(&p0.authority, "api.allowed.test").unwrap();

    assert_eq!(proxy.said(&["freeze", "a", "--note", "it loops"]), "a is frozen, until exeat thaw a\n");
    assert!(open.is_closed());
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 403, "frozen");
    assert_eq!(status(&p0, &proxy, "only-b.allowed.test", &b()), 200);
    assert_eq!(proxy.said(&["freeze", "a"]), "a was frozen already\n");
    let records = proxy.until("the end of the tunnel", |records| of_kind(records, "ended").len() >= 3);
    let end = ended(&records, &decided(&records, "api.allowed.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("frozen")));
    let frozen = of_kind(&records, "frozen");
    assert_eq!((frozen.len(), &frozen[0]["whom"], &frozen[0]["note"]), (1, &json!("a"), &json!("it loops")));
    let seq = |record: &Value| record["seq"].as_u64().unwrap();
    assert!(seq(frozen[0]) < seq(end), "written before its effect");

    let who = frozen[0]["who"].as_str().unwrap().to_owned();
    let ready = proxy.readyz();
    assert!(ready.status == 200 && ready.text().contains(&format!("agent a is frozen by {who} since 20")), "{}", ready.text());
    let agents: Vec<Value> = serde_json::from_str(&proxy.said(&["agents", "--json"])).unwrap();
    assert_eq!((&agents[0]["frozen"][0]["by"], &agents[0]["frozen"][0]["note"]), (&json!(who), &json!("it loops")));
    assert_eq!(agents[1]["frozen"], json!([]));

    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::KILL).unwrap();
    drop(proxy);
    let proxy = p0.start();
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 403, "frozen");
    assert_eq!(proxy.said(&["thaw", "a"]), "a is no longer frozen by exeat freeze\n");
    assert_eq!(status(&p0, &proxy, "plain.allowed.test", &a()), 200);
    assert_eq!(proxy.said(&["thaw", "a"]), "a was not frozen by exeat freeze\n");
    let records = proxy.journal();
    let thawed = of_kind(&records, "thawed");
    assert_eq!((thawed.len(), &thawed[0]["whom"], &thawed[0]["who"]), (1, &json!("a"), &json!(who)));
}

#[test]
fn who_waits_is_told_frozen_and_the_question_lives_on() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut waiting = crate::hold::ask(&p0, &proxy, "held.test");
    let id = proxy.until_held(1, 1)[0]["id"].clone();
    proxy.said(&["freeze", "--all"]);
    assert_refused(&waiting.answer(), 403, "frozen");
    assert_eq!(proxy.until_held(1, 0)[0]["id"], id);
    assert_refused(&proxy.get(&p0.url("only-b.allowed.test", "/"), &b()), 403, "frozen");
    proxy.said(&["thaw", "--all"]);
    let mut again = crate::hold::ask(&p0, &proxy, "held.test");
    assert_eq!(proxy.until_held(1, 1)[0]["id"], id);
    proxy.said(&["approve", id.as_str().unwrap()]);
    assert_eq!(again.answer().status, 200);
}

#[test]
fn the_file_and_the_command_stop_together_and_a_thaw_says_what_is_left() {
    let p0 = P0::new();
    let file = p0.site.path().join("allowlists/freeze");
    fs::write(&file, "a\n").unwrap();
    let proxy = p0.start();
    proxy.said(&["freeze", "b"]);
    for (host, credentials) in [("plain.allowed.test", a()), ("only-b.allowed.test", b())] {
        assert_refused(&proxy.get(&p0.url(host, "/"), &credentials), 403, "frozen");
    }
    let left = "a is still frozen by the file freeze; take it out of the file freeze in the allowlist folder\n";
    let output = proxy.exeat(&["thaw", "a"]);
    assert_eq!((text(&output), output.status.code()), (format!("a was not frozen by exeat freeze\n{left}"), Some(1)));
    proxy.said(&["thaw", "b"]);
    assert_eq!(status(&p0, &proxy, "only-b.allowed.test", &b()), 200);
    proxy.said(&["freeze", "a"]);
    fs::remove_file(&file).unwrap();
    proxy.until("the file is gone", |_| !proxy.readyz().text().contains("by the file freeze"));
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 403, "frozen");
    proxy.said(&["thaw", "a"]);
    assert_eq!(status(&p0, &proxy, "plain.allowed.test", &a()), 200);
}

#[test]
fn with_none_running_a_freeze_binds_the_next_start() {
    let p0 = P0::new();
    let said = alone(&p0, &["freeze", "nobdy"]);
    assert_eq!(
        (text(&said), said.status.code()),
        ("exeat: no agent is named nobdy, so nobody is frozen; there are a, b\n".to_owned(), Some(1))
    );
    let usage = alone(&p0, &["freeze"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(alone(&p0, &["freeze", "a", "--note", "before the start"]).status.success());
    assert!(text(&alone(&p0, &["agents"])).contains(": before the start)"));
    let proxy = p0.start();
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 403, "frozen");
    let records = proxy.journal();
    assert_eq!(of_kind(&records, "frozen").len(), 1);
    assert_eq!(text(&proxy.exeat(&["freeze", "nobdy"])), "exeat: no agent is named nobdy, so nobody is frozen; there are a, b\n");
    drop(proxy);
    assert!(alone(&p0, &["thaw", "a"]).status.success());
    let proxy = p0.start();
    assert_eq!(status(&p0, &proxy, "plain.allowed.test", &a()), 200);
}

#[test]
fn a_store_that_cannot_be_read_is_no_start() {
    let p0 = P0::new();
    drop(p0.start());
    fs::write(p0.site.state().join("approvals.db"), "this is no store, and was one").unwrap();
    let output = alone(&p0, &["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("approvals.db cannot be used"), "{}", text(&output));
}

//! Limits of the policy: enforced after an allow, told with whose they are, given back when what is open ends.

use serde_json::json;

use super::{Way, c, world};
use crate::support::origin::{Gate, Origin, Step, ok};
use crate::support::p0::assert_refused;
use crate::support::proxy::{decided, of_kind};

#[test]
fn what_is_open_counts_until_it_ends_whatever_way_it_came_in() {
    let mut p0 = world("", "");
    let gate = Gate::default();
    let wait = gate.clone();
    p0.plain = Origin::http(move |request| match request.target() {
        "/slow" => [vec![Step::Wait(wait.clone())], ok("slow")].concat(),
        _ => ok("fast"),
    });
    super::write(&p0, "", "[[allow]]\nhost = [\"rules.test\", \"open.test\"]\nLOCAL\nlimits = { open = 1 }");
    let proxy = p0.start();
    let mut slow = Way::Forward.send(&p0, &proxy, "rules.test", ("GET /slow", ""));
    p0.plain.until("the slow request", |origin| origin.requests().len() == 1);
    let refused = Way::Forward.ask(&p0, &proxy, "open.test", ("GET /", ""));
    assert_refused(&refused, 403, "budget");
    let problem = refused.problem();
    assert_eq!((&problem["retryable"], &problem["retry_after"]), (&json!(true), &json!(null)));
    assert!(problem["rule"].as_str().is_some_and(|rule| rule.contains("c.toml:")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("1 open at once")), "{problem}");
    assert_refused(&proxy.talk().connect(&p0.at_plain("open.test"), &c()), 403, "budget");
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"policy.open\""]), 2.0);
    gate.open();
    assert_eq!(slow.answer().text(), "slow");
    let records = proxy.settled();
    let blocked: Vec<_> = decided(&records, "open.test");
    assert!(blocked.iter().all(|record| record["reason"] == "budget" && record["decision"] == "block" && record["rule"].is_string()));
    assert!(!p0.site.dns.was_asked("open.test"), "a refused attempt was looked up");

    let mut tunnel = proxy.talk();
    assert_eq!(tunnel.connect(&p0.at_plain("open.test"), &c()).status, 200);
    assert_refused(&Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")), 403, "budget");
    tunnel.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", p0.at_plain("open.test")));
    assert_eq!(tunnel.answer().text(), "fast", "a tunnel's own share stood in the way of its requests");
    drop(tunnel);
    proxy.settled();
    assert_eq!(Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")).status, 200);
}

#[test]
fn a_minute_lets_as_many_begin_as_it_says_and_tells_when_the_next_may() {
    let p0 = world("limits = { per_minute = 3 }", "[[allow]]\nhost = [\"rules.test\", \"open.test\"]\nLOCAL");
    let proxy = p0.start();
    for _ in 0..3 {
        assert_eq!(Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")).status, 200);
        assert_refused(&Way::Forward.ask(&p0, &proxy, "evil.test", ("GET /", "")), 403, "unlisted");
    }
    for refused in [Way::Forward.ask(&p0, &proxy, "open.test", ("GET /", "")), proxy.talk().connect(&p0.at_plain("open.test"), &c())] {
        assert_refused(&refused, 403, "budget");
        let problem = refused.problem();
        assert!(problem["retry_after"].as_u64().is_some_and(|seconds| (30..=60).contains(&seconds)), "{problem}");
        assert_eq!((&problem["rule"], &problem["retryable"]), (&json!(null), &json!(true)));
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("began 3 within a minute")), "{problem}");
    }
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"policy.per_minute\""]), 2.0);
}

#[test]
fn a_pending_question_takes_nothing() {
    let keys = "unlisted = \"hold\"\nlimits = { open = 1, per_minute = 2 }";
    let p0 = world(keys, "[[allow]]\nhost = \"rules.test\"\nLOCAL");
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut held = Way::Forward.send(&p0, &proxy, "open.test", ("GET /held", ""));
    let holds = proxy.until_held(1, 1);
    assert_eq!(Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")).status, 200);
    proxy.settled();
    proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
    assert_eq!(held.answer().text(), "plain /held");
    assert_refused(&Way::Forward.ask(&p0, &proxy, "rules.test", ("GET /", "")), 403, "budget");
    assert_eq!(of_kind(&proxy.journal(), "held").len(), 1);
}

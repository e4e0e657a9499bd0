//! How far a yes reaches: once, for a time, always; and how it ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ask, id, knock};
use crate::support::origin::{Gate, Origin, Step};
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::talk::{Talk, TlsTalk};

fn approved_tunnel(p0: &P0, proxy: &Proxy, scope: &[&str]) -> TlsTalk {
    let mut talk = knock(p0, proxy, "evil.test");
    let holds = proxy.until_held(1, 1);
    proxy.said(&[&["approve", id(&holds[0])], scope].concat());
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    talk.tls(&p0.authority, "evil.test").unwrap()
}

fn fetch_inside(inside: &mut TlsTalk) -> u16 {
    inside.send("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    inside.answer().status
}

fn approvals(proxy: &Proxy) -> Vec<Value> {
    serde_json::from_str(&proxy.said(&["approvals", "--json"])).unwrap()
}

#[test]
fn once_is_used_up_but_its_tunnel_lives_until_it_ends() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut inside = approved_tunnel(&p0, &proxy, &["--once"]);
    let _second = knock(&p0, &proxy, "evil.test");
    proxy.until_held(1, 1);
    assert_eq!(fetch_inside(&mut inside), 200);
}

#[test]
fn for_a_time_serves_every_attempt_until_its_end_and_then_cuts_the_tunnel() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut inside = approved_tunnel(&p0, &proxy, &["--for", "3s"]);
    let mut second = knock(&p0, &proxy, "evil.test");
    assert_eq!(second.answer_to("CONNECT").status, 200, "the same yes serves the next attempt");
    drop(second);
    assert_eq!(fetch_inside(&mut inside), 200);
    let records = proxy.until("the cut", |records| of_kind(records, "ended").iter().any(|ended| ended["outcome"] == "cut"));
    let expiry = of_kind(&records, "answered")[0]["expiry"].as_str().unwrap().to_owned();
    assert_eq!(expiry.len(), "2026-01-01T00:00:00.000000Z".len(), "times have microseconds: {expiry}");
    let first = decided(&records, "evil.test")[0];
    let end = ended(&records, &first["id"]);
    assert!(["expired", "policy-changed"].contains(&end["reason"].as_str().unwrap()), "{end}");
    assert!(inside.rest().is_empty());
    let third = knock(&p0, &proxy, "evil.test");
    proxy.until_held(1, 1);
    third.finish();
}

#[test]
fn a_yes_taken_back_cuts_its_tunnel_and_serves_nobody_after() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut inside = approved_tunnel(&p0, &proxy, &["--for", "1h"]);
    assert_eq!(fetch_inside(&mut inside), 200);
    let all = approvals(&proxy);
    assert_eq!(all.len(), 1, "{all:?}");
    proxy.said(&["revoke", id(&all[0])]);
    let records = proxy.settled();
    let first = decided(&records, "evil.test")[0];
    assert_eq!(
        (&ended(&records, &first["id"])["outcome"], &ended(&records, &first["id"])["reason"]),
        (&json!("cut"), &json!("policy-changed"))
    );
    assert_eq!(of_kind(&records, "revoked").len(), 1);
    assert!(approvals(&proxy).is_empty());
    let _again = knock(&p0, &proxy, "evil.test");
    proxy.until_held(1, 1);
}

/// Sends a chunked upload under a yes that lasts, and the first piece of it.
fn approved_upload(p0: &P0, proxy: &Proxy) -> Talk {
    let (mut talk, host) = (proxy.talk(), p0.at_plain("held.test"));
    talk.send(format!("POST http://{host}/up HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n{}\r\n", a()));
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", id(&holds[0]), "--for", "1h"]);
    talk.send("6\r\nbefore\r\n");
    p0.plain.until("the first piece", |origin| origin.connections().concat().windows(6).any(|six| six == b"before"));
    talk
}

#[test]
fn a_yes_taken_back_stops_an_upload_that_rests_on_it() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = approved_upload(&p0, &proxy);
    proxy.said(&["revoke", id(&approvals(&proxy)[0])]);
    talk.is_quiet(Duration::from_millis(300));
    talk.send("5\r\nafter\r\n0\r\n\r\n");
    assert_refused(&talk.answer_to("POST"), 403, "policy-changed");
    let records = proxy.settled();
    let end = ended(&records, &decided(&records, "held.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("policy-changed")));
    assert!(!p0.plain.connections().concat().windows(5).any(|five| five == b"after"), "bytes left after the yes was taken back");
}

#[test]
fn a_yes_taken_back_cuts_a_download_that_rests_on_it_also_while_it_is_silent() {
    let p0 = P0::new();
    let gate = Gate::default();
    let waits = gate.clone();
    let slow = Origin::http(move |_| {
        vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()), Step::Wait(waits.clone()), Step::Close]
    });
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let (mut talk, host) = (proxy.talk(), format!("held.test:{}", slow.port()));
    talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", id(&holds[0]), "--for", "1h"]);
    slow.until("the request", |slow| slow.requests().len() == 1);
    assert!(!talk.is_quiet(Duration::from_secs(5)), "the answer's head did not come");
    proxy.said(&["revoke", id(&approvals(&proxy)[0])]);
    assert!(talk.try_answer("GET").is_none(), "a cut answer was passed on as whole");
    let records = proxy.settled();
    let end = ended(&records, &decided(&records, "held.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("policy-changed")));
    gate.open();
}

#[test]
fn always_has_no_end_and_is_the_agents_alone() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut inside = approved_tunnel(&p0, &proxy, &["--always"]);
    assert_eq!(fetch_inside(&mut inside), 200);
    assert_eq!(knock(&p0, &proxy, "evil.test").answer_to("CONNECT").status, 200);
    assert_refused(&proxy.talk().connect(&p0.at_secure("evil.test"), &b()), 403, "unlisted");
}

#[test]
fn a_yes_covers_exactly_what_was_shown() {
    let p0 = P0::new();
    let echo = Origin::echo();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let _inside = approved_tunnel(&p0, &proxy, &["--for", "1h"]);
    for target in [p0.at_plain("evil.test"), p0.at_secure("x.evil.test"), format!("evil.test:{}", echo.port())] {
        let mut talk = proxy.talk();
        talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
        proxy.until("a question of its own", |records| {
            of_kind(records, "held").iter().any(|held| {
                let place = &held["destination"];
                format!("{}:{}", place["host"].as_str().unwrap(), place["port"]) == target
            })
        });
    }
    assert!(echo.connections().is_empty());
}

#[test]
fn a_hold_rule_asks_although_an_allow_rule_matches() {
    let p0 = P0::new();
    let port = p0.plain.port();
    p0.write_agents(&format!(
        "[[hold]]\nhost = \"plain.allowed.test\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]\nnote = \"look twice\""
    ));
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = ask(&p0, &proxy, "plain.allowed.test");
    let holds = proxy.until_held(1, 1);
    assert!(holds[0].to_string().contains("look twice"), "the rule's note is not shown: {}", holds[0]);
    proxy.said(&["approve", id(&holds[0])]);
    assert_eq!(talk.answer().status, 200);
    let records = proxy.settled();
    assert_eq!(decided(&records, "plain.allowed.test")[0]["reason"], "approved");
}

#[test]
fn a_plain_request_in_an_approved_tunnel_is_covered_by_the_tunnels_yes() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let target = p0.at_plain("evil.test");
    let mut talk = proxy.talk();
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", id(&holds[0]), "--once"]);
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    talk.send(format!("GET /inner HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(talk.answer().text(), "plain /inner");
}

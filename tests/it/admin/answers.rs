//! Answers over the API: each counts once, means what was shown, and comes from who it says.

use std::sync::{Arc, Barrier};
use std::thread;

use serde_json::json;

use super::{Office, json, shown};
use crate::hold::ask;
use crate::support::p0::a;
use crate::support::proxy::of_kind;
use crate::support::talk::Talk;

#[test]
fn an_answer_counts_once_and_names_who_gave_it() {
    let office = Office::new();
    let hold = office.question("held.test");
    let route = format!("holds/{}/approve", hold["id"].as_str().unwrap());
    let answer = office.call(&office.admin, "POST", &route, &shown(&hold));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = office.call(&office.admin, "POST", &route, &shown(&hold));
    assert_eq!(again.status, 409, "{}", again.text());
    let records = office.proxy.journal();
    let answered = of_kind(&records, "answered");
    assert_eq!(answered.iter().map(|record| &record["approver"]).collect::<Vec<_>>(), [&json!("alice")]);
    assert_eq!(office.call(&office.admin, "POST", "holds/zzzzzz/approve", &shown(&hold)).status, 404);
}

#[test]
fn an_answer_to_another_question_than_was_shown_has_no_effect() {
    let office = Office::new();
    let hold = office.question("held.test");
    let id = hold["id"].as_str().unwrap();
    for verb in ["approve", "deny"] {
        let route = format!("holds/{id}/{verb}");
        for (body, status) in [("", 400), ("{}", 400), (r#"{"facts": "0000000000000000"}"#, 409), (r#"{"facts": ""}"#, 409)] {
            let answer = office.call(&office.admin, "POST", &route, body);
            assert_eq!(answer.status, status, "{verb} {body}: {}", answer.text());
        }
    }
    assert_eq!(office.proxy.holds().len(), 1);
    assert_eq!(of_kind(&office.proxy.journal(), "answered").len(), 0);
}

#[test]
fn of_many_answers_at_once_exactly_one_has_effect() {
    let office = Office::new();
    for round in 0..3 {
        let hold = office.question(&format!("held{round}.evil.test"));
        let route = format!("holds/{}/approve", hold["id"].as_str().unwrap());
        let (together, body) = (Arc::new(Barrier::new(8)), shown(&hold));
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let answers: Vec<_> = (0..8)
                .map(|_| {
                    let (together, office, route, body) = (Arc::clone(&together), &office, &route, &body);
                    scope.spawn(move || {
                        together.wait();
                        office.call(&office.admin, "POST", route, body).status
                    })
                })
                .collect();
            answers.into_iter().map(|answer| answer.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200], vec![409; 7]].concat());
    }
    assert_eq!(of_kind(&office.proxy.journal(), "answered").len(), 3);
}

#[test]
fn a_yes_to_who_is_frozen_is_kept_and_says_that_it_has_no_effect_yet() {
    let office = Office::new();
    let [once, later] = ["held.test", "evil.test"].map(|host| office.question(host));
    let approve = |hold: &serde_json::Value| {
        let answer = office.call(&office.admin, "POST", &format!("holds/{}/approve", hold["id"].as_str().unwrap()), &shown(hold));
        assert_eq!(answer.status, 200, "{}", answer.text());
        json(&answer)["warnings"].clone()
    };
    assert_eq!(office.call(&office.admin, "POST", "agents/a/freeze", "{}").status, 200);
    assert_eq!(approve(&once), json!(["the agent is frozen: the yes takes effect when it is thawed, and its time runs meanwhile"]));
    assert_eq!(ask(&office.p0, &office.proxy, "held.test").answer().reason(), "frozen");
    assert_eq!(office.call(&office.admin, "POST", "agents/a/thaw", "{}").status, 200);
    assert_eq!(ask(&office.p0, &office.proxy, "held.test").answer().status, 200);
    assert_eq!(approve(&later), json!(null));
}

#[test]
fn who_reads_events_is_present_and_is_told_what_happens() {
    let office = Office::new();
    let mut events = office.events(&office.admin);
    let head = until(&mut events, "event: snapshot");
    assert!(head.contains("text/event-stream") && head.contains("no-store"), "{head}");
    let mut waiting = ask(&office.p0, &office.proxy, "held.test");
    until(&mut events, "event: hold-opened");
    let hold = office.proxy.until_held(1, 1).remove(0);
    let route = format!("holds/{}/approve", hold["id"].as_str().unwrap());
    assert_eq!(office.call(&office.admin, "POST", &route, &shown(&hold)).status, 200);
    assert_eq!(waiting.answer().status, 200);
    until(&mut events, "event: attempt");
    let listed = office.get("attempts?host=held.test&decision=allow");
    assert_eq!((&listed[0]["agent"], &listed[0]["reason"]), (&json!("a"), &json!("approved")));
}

#[test]
fn a_viewer_who_reads_events_is_not_present_and_answers_nothing() {
    let office = Office::new();
    let viewer = office.approver(&["vic", "--role", "viewer"]);
    let mut events = office.events(&viewer);
    until(&mut events, "event: snapshot");
    let hold = office.question("held.test");
    let route = format!("holds/{}/deny", hold["id"].as_str().unwrap());
    assert_eq!(office.call(&viewer, "POST", &route, &shown(&hold)).status, 403);
    until(&mut events, "event: hold-opened");
}

#[test]
fn streams_are_bounded_and_end_with_their_approver() {
    let office = Office::new();
    let bob = office.approver(&["bob"]);
    let mut open: Vec<Talk> = (0..8).map(|_| office.events(&bob)).collect();
    for events in &mut open {
        until(events, "event: snapshot");
    }
    let more = office.call(&bob, "GET", "events", "");
    assert_eq!((more.status, more.header("retry-after").is_some()), (429, true));
    office.proxy.said(&["approver", "remove", "bob"]);
    for events in &mut open {
        until(events, "\r\n0\r\n\r\n");
    }
    assert_eq!(office.call(&bob, "GET", "me", "").status, 401);
}

#[test]
fn a_tunnel_that_is_cut_ends_at_once_and_its_records_say_who() {
    let office = Office::new();
    let mut talk = office.proxy.talk();
    let target = office.p0.at_secure("api.allowed.test");
    assert_eq!(talk.connect(&target, &a()).status, 200);
    let _inside = talk.split();
    let open = office.get("tunnels");
    let id = open[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((&open[0]["agent"], &open[0]["host"]), (&json!("a"), &json!("api.allowed.test")));
    let viewer = office.approver(&["vic", "--role", "approver"]);
    assert_eq!(office.call(&viewer, "DELETE", &format!("tunnels/{id}"), "").status, 403);
    let cut = office.call(&office.admin, "DELETE", &format!("tunnels/{id}"), "");
    assert_eq!((cut.status, &json(&cut)["id"]), (200, &json!(id)));
    assert!(!talk.is_quiet(super::PATIENCE), "it goes on");
    let records = office.proxy.settled();
    let order: Vec<_> = records
        .iter()
        .filter(|record| record["id"] == id.as_str() || record["attempt"] == id.as_str())
        .map(|record| record["kind"].clone())
        .collect();
    assert_eq!(order, ["decided", "cut", "ended"]);
    let ended = of_kind(&records, "ended").into_iter().find(|record| record["id"] == id.as_str()).unwrap();
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("cut"), &json!("refused")));
    assert_eq!(of_kind(&records, "cut")[0]["who"], json!("alice"));
    assert_eq!(office.call(&office.admin, "DELETE", &format!("tunnels/{id}"), "").status, 404);
}

/// Reads until a text has come, and gives all that came.
pub(super) fn until(events: &mut Talk, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let byte = events.exactly(1).unwrap_or_else(|| panic!("no {text} in {seen}"));
        seen.push_str(&String::from_utf8_lossy(&byte));
    }
    seen
}

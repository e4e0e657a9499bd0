//! What becomes of a question: yes, no, silence, an approver who leaves, an agent who leaves.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ask, id, knock};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{decided, ended, of_kind};

#[test]
fn a_held_attempt_that_is_approved_passes_and_its_records_say_in_which_order() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    let mut talk = ask(&p0, &proxy, "held.test");
    let holds = proxy.until_held(1, 1);
    assert_eq!((&holds[0]["agent"], &holds[0]["host"], &holds[0]["port"]), (&json!("a"), &json!("held.test"), &json!(p0.plain.port())));
    proxy.said(&["approve", id(&holds[0]), "--note", "for the test"]);
    let answer = talk.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "plain /asked?secret=1"));
    assert!(watcher.shown().contains("held.test"), "{}", watcher.shown());
    let records = proxy.settled();
    let kinds = ["held", "answered", "decided", "ended"];
    let order: Vec<_> = records.iter().filter_map(|record| kinds.iter().find(|kind| record["kind"] == **kind)).collect();
    assert_eq!(order, kinds.iter().collect::<Vec<_>>());
    let answered = of_kind(&records, "answered")[0];
    assert_eq!((&answered["answer"], &answered["approver_kind"], &answered["scope"]), (&json!("yes"), &json!("person"), &json!("once")));
    assert_eq!((&answered["note"], &answered["waiting"]), (&json!("for the test"), &json!(1)));
    assert_eq!(answered["expiry"], json!(null), "once, for those who waited");
    let decided = decided(&records, "held.test")[0];
    assert_eq!(
        (&decided["decision"], &decided["reason"], &decided["approval"]),
        (&json!("allow"), &json!("approved"), &answered["approval"])
    );
    assert!(ended(&records, &decided["id"])["ms"]["hold"].as_f64() > Some(0.0));
    assert!(proxy.holds().is_empty());
}

#[test]
fn a_held_tunnel_that_is_approved_opens() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "evil.test");
    assert!(talk.is_quiet(Duration::from_millis(300)), "something was said while holding");
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", id(&holds[0])]);
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    let mut inside = talk.tls(&p0.authority, "evil.test").unwrap();
    inside.send("GET /in HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
    assert_eq!(inside.answer().text(), "secure /in");
}

#[test]
fn a_denied_attempt_is_told_what_and_why_in_phrase_and_body() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "denied.evil.test");
    let holds = proxy.until_held(1, 1);
    proxy.said(&["deny", id(&holds[0]), "--note", "use the mirror"]);
    let answer = talk.answer_to("CONNECT");
    assert_refused(&answer, 403, "refused");
    assert!(answer.phrase.contains("denied.evil.test"), "{}", answer.phrase);
    assert!(answer.text().contains("use the mirror"), "the approver's words did not reach the agent: {}", answer.text());
    assert_eq!(p0.site.dns.queries(), []);
    let records = proxy.settled();
    let decided = decided(&records, "denied.evil.test")[0];
    assert_eq!((&decided["decision"], &decided["reason"]), (&json!("block"), &json!("refused")));
    assert_eq!(ended(&records, &decided["id"])["outcome"], "refused");
}

#[test]
fn without_anyone_to_answer_it_is_refused_at_once_and_the_question_waits() {
    let p0 = P0::new();
    let proxy = p0.start();
    let start = Instant::now();
    let answer = ask(&p0, &proxy, "held.test").answer();
    assert!(start.elapsed() < Duration::from_secs(5), "it waited for nobody");
    assert_refused(&answer, 403, "unattended");
    let holds = proxy.until_held(1, 0);
    assert_eq!(holds[0]["host"], "held.test");
    assert_eq!(answer.problem()["hold"]["id"], holds[0]["id"], "the refusal names the question people see");
    proxy.said(&["approve", id(&holds[0])]);
    assert_eq!(ask(&p0, &proxy, "held.test").answer().status, 200, "a late yes serves the next try");
    assert_refused(&ask(&p0, &proxy, "held.test").answer(), 403, "unattended");
}

#[test]
fn when_the_wait_is_over_the_question_lives_and_a_late_yes_serves_the_next_try() {
    let mut p0 = P0::new();
    p0.site.set("hold", "wait", "\"1s\"");
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let answer = knock(&p0, &proxy, "evil.test").answer_to("CONNECT");
    assert_refused(&answer, 403, "pending");
    assert_eq!(answer.problem()["retryable"], true);
    let holds = proxy.until_held(1, 0);
    proxy.said(&["approve", id(&holds[0])]);
    assert_eq!(knock(&p0, &proxy, "evil.test").answer_to("CONNECT").status, 200);
    assert_refused(&knock(&p0, &proxy, "evil.test").answer_to("CONNECT"), 403, "pending");
}

#[test]
fn a_question_nobody_answers_dies_and_denies_nothing() {
    let mut p0 = P0::new();
    p0.site.set("hold", "wait", "\"1s\"");
    p0.site.set("hold", "pending", "\"2s\"");
    let proxy = p0.start();
    assert_refused(&knock(&p0, &proxy, "evil.test").answer_to("CONNECT"), 403, "unattended");
    let first = id(&proxy.until_held(1, 0)[0]).to_owned();
    proxy.until_held(0, 0);
    assert!(!proxy.exeat(&["approve", &first]).status.success(), "a dead question was approved");
    assert_refused(&knock(&p0, &proxy, "evil.test").answer_to("CONNECT"), 403, "unattended");
    assert_ne!(id(&proxy.until_held(1, 0)[0]), first, "a short id is not used again");
    assert!(of_kind(&proxy.journal(), "answered").is_empty());
}

#[test]
fn ten_attempts_share_one_question_and_one_yes() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let talks: Vec<_> = (0..10).map(|_| ask(&p0, &proxy, "held.test")).collect();
    let holds = proxy.until_held(1, 10);
    let said = proxy.said(&["approve", id(&holds[0]), "--once"]);
    assert!(said.contains("10"), "it does not say how many it releases: {said}");
    for mut talk in talks {
        assert_eq!(talk.answer().status, 200);
    }
    let records = proxy.settled();
    assert_eq!((of_kind(&records, "held").len(), decided(&records, "held.test").len()), (1, 10));
    assert_eq!(of_kind(&records, "answered")[0]["waiting"], 10);
}

#[test]
fn an_agent_that_hangs_up_leaves_its_question_and_dials_nothing() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let talk = knock(&p0, &proxy, "evil.test");
    proxy.until_held(1, 1);
    drop(talk);
    let holds = proxy.until_held(1, 0);
    let records = proxy.settled();
    let gone = decided(&records, "evil.test")[0];
    assert_eq!(ended(&records, &gone["id"])["outcome"], "abandoned");
    proxy.said(&["approve", id(&holds[0])]);
    assert_eq!(p0.site.dns.queries(), [], "an orphan was looked up");
    assert_eq!(knock(&p0, &proxy, "evil.test").answer_to("CONNECT").status, 200);
}

#[test]
fn when_the_last_approver_leaves_those_who_wait_are_refused_as_unattended() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "evil.test");
    proxy.until_held(1, 1);
    drop(watcher);
    assert_refused(&talk.answer_to("CONNECT"), 403, "unattended");
}

#[test]
fn after_a_no_the_same_question_stays_quiet_for_its_time() {
    let mut p0 = P0::new();
    p0.site.set("hold", "quiet_after_deny", "\"2s\"");
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "evil.test");
    let holds = proxy.until_held(1, 1);
    proxy.said(&["deny", id(&holds[0])]);
    assert_refused(&talk.answer_to("CONNECT"), 403, "refused");
    assert_refused(&knock(&p0, &proxy, "evil.test").answer_to("CONNECT"), 403, "quiet");
    assert!(proxy.holds().is_empty());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut talk = knock(&p0, &proxy, "evil.test");
        if talk.is_quiet(Duration::from_millis(500)) {
            break;
        }
        assert!(Instant::now() < deadline, "it never asks again");
    }
}

#[test]
fn an_explicit_block_and_an_unknown_question_cannot_be_approved() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    assert_refused(&proxy.get(&p0.url("blocked.test", "/"), &a()), 403, "blocked");
    assert!(proxy.holds().is_empty());
    for command in ["approve", "deny"] {
        let output = proxy.exeat(&[command, "nosuch"]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nosuch"), "{output:?}");
    }
}

#[test]
fn who_asks_again_after_a_no_is_told_its_words_and_until_when_and_when_a_question_ends_is_said_in_one_way() {
    let p0 = P0::new();
    let proxy = p0.start();
    let pending = knock(&p0, &proxy, "evil.test").answer_to("CONNECT").problem();
    let hold = proxy.holds().remove(0);
    assert_eq!(pending["hold"]["expires_at"], hold["expires_at"]);
    proxy.said(&["deny", id(&hold), "--note", "use the \u{202e}mirror"]);
    let quiet = knock(&p0, &proxy, "evil.test").answer_to("CONNECT").problem();
    let detail = quiet["detail"].as_str().unwrap();
    assert_eq!(quiet["reason"], "quiet");
    assert!(detail.contains("The approver says: \"use the \\u{202e}mirror\"."), "{detail}");
    let until = detail.split("It is not asked again before ").nth(1).unwrap().split(". ").next().unwrap();
    let until: jiff::Timestamp = until.parse().unwrap();
    let left = until.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((500..=600).contains(&left), "{detail}");
}

//! Floods of refusals: each is answered, few are written one by one, and the rest is summed up exactly.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, of_kind};
use crate::support::site::token;
use crate::support::wait::until;

const RATE: u64 = 5;

fn world() -> (P0, Proxy) {
    let mut p0 = P0::new();
    p0.site.set("limits", "refusal_records", &format!("\"{RATE}/s\""));
    let proxy = p0.start();
    (p0, proxy)
}

/// The refusals that summaries tell of, of an agent or a source.
fn summed(records: &[Value], whose: (&str, &str)) -> u64 {
    let (key, name) = whose;
    let summaries = of_kind(records, "refused_summary").into_iter().filter(|summary| summary[key] == name);
    summaries
        .map(|summary| {
            let by = summary["by"].as_array().unwrap().iter().map(|by| by["count"].as_u64().unwrap()).sum::<u64>();
            assert_eq!(summary["count"], by, "{summary}");
            assert!(summary["from"].as_str().unwrap() <= summary["until"].as_str().unwrap(), "{summary}");
            by
        })
        .sum()
}

/// The refusals of an agent that are written one by one.
fn one_by_one<'a>(records: &'a [Value], agent: &Value) -> Vec<&'a Value> {
    of_kind(records, "decided").into_iter().filter(|record| record["agent"] == *agent).collect()
}

fn count(all: usize) -> u64 {
    u64::try_from(all).unwrap()
}

#[test]
fn five_thousand_refusals_of_a_real_client_fill_no_journal_and_none_is_missing() {
    const FLOOD: usize = 5_000;
    let (p0, mut proxy) = world();
    let began = Instant::now();
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}\n", "--noproxy", "", "--proxy-user", &format!("a:{}", token("a"))]);
    curl.args(["-x", &format!("http://{}", proxy.address), &p0.url("blocked.test", &format!("/[1-{FLOOD}]"))]);
    let curl = curl.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let other = proxy.get(&p0.url("evil.test", "/"), &b());
    let output = curl.wait_with_output().unwrap();
    let seconds = began.elapsed().as_secs() + 2;
    let statuses = String::from_utf8(output.stdout).unwrap();
    assert_eq!(statuses.lines().filter(|status| *status == "403").count(), FLOOD, "{:.200}", statuses);
    assert!(proxy.stop().success());

    let records = proxy.journal();
    let written = one_by_one(&records, &json!("a"));
    assert_eq!(count(written.len()) + summed(&records, ("agent", "a")), count(FLOOD));
    assert!(!written.is_empty() && count(written.len()) <= RATE * seconds, "{} written in {seconds} s", written.len());
    assert!(count(of_kind(&records, "refused_summary").len()) <= seconds, "more than one summary a second");
    assert_eq!(of_kind(&records, "ended").len(), of_kind(&records, "decided").len());
    for summary in of_kind(&records, "refused_summary") {
        let host = json!([{"host": "blocked.test", "port": p0.plain.port(), "count": summary["count"]}]);
        assert_eq!((&summary["hosts"], &summary["elsewhere"]), (&host, &Value::Null));
    }
    for by in of_kind(&records, "refused_summary").iter().flat_map(|summary| summary["by"].as_array().unwrap()) {
        assert_eq!((&by["reason"], &by["front"]), (&json!("blocked"), &json!("forward")));
    }
    let stands = one_by_one(&records, &json!("b"));
    assert_eq!((stands.len(), &stands[0]["id"]), (1, &json!(other.attempt())), "the other agent's record");
    assert_eq!(records.last().unwrap()["kind"], "stopped", "something stands behind the last record");
}

#[test]
fn what_is_summed_up_is_answered_as_ever_by_every_front() {
    let (p0, mut proxy) = world();
    let mut ids = BTreeSet::new();
    let target = p0.at_plain("blocked.test");
    let (mut forward, mut connect) = (proxy.talk(), proxy.talk());
    for _ in 0..100 {
        let known = [forward.get(&format!("http://{target}/"), &a()), connect.connect(&target, &a())];
        let unknown = [forward.get(&format!("http://{target}/"), ""), connect.connect(&target, "")];
        for (answers, status, reason) in [(known, 403, "blocked"), (unknown, 407, "unknown-agent")] {
            for answer in answers {
                assert_refused(&answer, status, reason);
                assert!(ids.insert(answer.attempt()), "an id twice");
            }
        }
    }
    assert!(proxy.stop().success());
    let records = proxy.journal();
    for (agent, whose) in [(json!("a"), ("agent", "a")), (Value::Null, ("source", "127.0.0.1"))] {
        let (written, summed) = (one_by_one(&records, &agent), summed(&records, whose));
        assert_eq!(count(written.len()) + summed, 200, "{whose:?}");
        assert!(summed > 0, "{whose:?}");
        assert!(written.iter().all(|record| ids.contains(record["id"].as_str().unwrap())));
    }
    let fronts: BTreeSet<&str> = of_kind(&records, "refused_summary")
        .iter()
        .flat_map(|summary| summary["by"].as_array().unwrap())
        .map(|by| by["front"].as_str().unwrap())
        .collect();
    assert_eq!(fronts, BTreeSet::from(["connect", "forward"]));
}

#[test]
fn malformed_targets_and_questions_nobody_answers_are_summed_up_but_for_the_one_that_opened_the_question() {
    let (p0, mut proxy) = world();
    for _ in 0..100 {
        assert_refused(&proxy.talk().connect("127.1:80", &a()), 400, "malformed");
    }
    let mut talk = proxy.talk();
    for _ in 0..100 {
        assert_refused(&talk.get(&p0.url("evil.test", "/"), &a()), 403, "unattended");
    }
    assert!(proxy.stop().success());
    let records = proxy.journal();
    let malformed = one_by_one(&records, &Value::Null);
    assert_eq!(count(malformed.len()) + summed(&records, ("source", "127.0.0.1")), 100);
    let held = of_kind(&records, "held");
    assert_eq!(held.len(), 1);
    let unattended = decided(&records, "evil.test");
    assert_eq!(unattended.iter().filter(|record| record["id"] == held[0]["id"]).count(), 1, "the attempt that a `held` names");
    assert_eq!(count(unattended.len()) + summed(&records, ("agent", "a")), 100);
}

#[test]
fn what_is_counted_while_the_journal_cannot_be_written_is_written_once_it_can() {
    let (p0, proxy) = world();
    let (folder, aside) = (p0.site.state().join("journal/proxy-1"), p0.site.state().join("aside"));
    let mut talk = proxy.talk();
    let (mut refused, mut failed) = (0, 0);
    let mut knock = |times: usize| {
        for _ in 0..times {
            let answer = talk.get(&p0.url("blocked.test", "/"), &a());
            match answer.status {
                403 => refused += 1,
                // One that was to be written by itself, and could not be.
                503 => {
                    assert_refused(&answer, 503, "internal");
                    failed += 1;
                }
                status => panic!("{status}"),
            }
        }
        (refused, failed)
    };
    knock(50);
    std::fs::rename(&folder, &aside).unwrap();
    knock(50);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 503, "what is allowed is refused too");
    let errors = proxy.metric("exeat_journal_errors_total", &[]);
    until("the summary is tried", || proxy.metric("exeat_journal_errors_total", &[]) > errors);
    std::fs::rename(&aside, &folder).unwrap();
    let (refused, failed) = knock(50);
    assert!(refused > 100, "{refused} {failed}");
    let records = proxy.until("every refusal, and those the journal did not take", |records| {
        count(one_by_one(records, &json!("a")).len()) + summed(records, ("agent", "a")) == 151
    });
    let by = of_kind(&records, "refused_summary").into_iter().flat_map(|summary| summary["by"].as_array().unwrap());
    let internal: u64 = by.filter(|by| by["reason"] == "internal").map(|by| by["count"].as_u64().unwrap()).sum();
    let told = proxy.metric("exeat_failed_closed_total", &["reason=\"internal\""]);
    assert_eq!((internal, told.to_string()), (failed + 1, (failed + 1).to_string()));
}

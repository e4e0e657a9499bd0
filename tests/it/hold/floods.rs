//! Questions in numbers: an agent at its limits, one that hangs up, and more questions than anybody reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::id;
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::talk::Talk;

/// Against hanging; how soon anything comes is for the benchmarks.
const SOON: Duration = Duration::from_secs(60);

/// Agent `b` may ask for everything as well.
fn both() -> P0 {
    let p0 = P0::new();
    p0.site.agent("b", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]", "");
    p0
}

/// Sends a `CONNECT`, and does not wait for the answer.
fn knock(proxy: &Proxy, target: &str, credentials: &str) -> Talk {
    let mut talk = proxy.talk();
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n"));
    talk
}

/// The question of an agent, once it is there.
fn question_of(proxy: &Proxy, agent: &str) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        let holds = proxy.holds();
        if let Some(hold) = holds.iter().find(|hold| hold["agent"] == agent && hold["waiting"] != 0) {
            return hold.clone();
        }
        assert!(Instant::now() < deadline, "no question of {agent} among {}", holds.len());
    }
}

/// Agent `b` asks, is answered, and passes.
fn b_asks_and_passes(p0: &P0, proxy: &Proxy) {
    let mut talk = knock(proxy, &p0.at_secure("evil.test"), &b());
    let hold = question_of(proxy, "b");
    proxy.said(&["approve", id(&hold), "--once"]);
    assert_eq!(talk.answer_to("CONNECT").status, 200);
}

#[test]
fn an_agent_at_its_limits_of_questions_and_attempts_delays_nobody_elses_answer() {
    let mut p0 = both();
    p0.site.set("hold", "per_agent", "4");
    p0.site.set("limits", "per_agent", "16");
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let waiting: Vec<Talk> = (0..16).map(|number| knock(&proxy, &format!("host-{}.test:443", number % 4), &a())).collect();
    let deadline = Instant::now() + SOON;
    while proxy.holds().iter().map(|hold| hold["waiting"].as_u64().unwrap()).sum::<u64>() < 16 {
        assert!(Instant::now() < deadline, "{:?}", proxy.holds());
    }
    for _ in 0..50 {
        assert_refused(&proxy.talk().connect("host-0.test:443", &a()), 503, "overloaded");
    }
    b_asks_and_passes(&p0, &proxy);
    assert_eq!(proxy.holds().len(), 4);
    drop(waiting);
}

#[test]
fn while_one_agent_asks_and_hangs_up_as_fast_as_it_can_another_is_answered_and_people_are() {
    let p0 = both();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (proxy, over) = (&proxy, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    // More hosts than it may ask about.
                    drop(knock(proxy, &format!("host-{}.of-{thread}.test:443", number % 40), &a()));
                }
            });
        }
        for _ in 0..3 {
            b_asks_and_passes(&p0, &proxy);
            proxy.said(&["holds"]);
            proxy.said(&["approvals"]);
        }
        over.store(true, Ordering::SeqCst);
    });
    let deadline = Instant::now() + SOON;
    while proxy.holds().iter().any(|hold| hold["waiting"] != 0) {
        assert!(Instant::now() < deadline, "somebody waits who hung up: {:?}", proxy.holds());
    }
}

#[test]
fn two_hundred_that_hang_up_leave_no_waiter_and_are_each_decided_once() {
    let p0 = both();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let waiting: Vec<Talk> = (0..200).map(|number| knock(&proxy, &format!("host-{}.test:443", number % 10), &a())).collect();
    let count = || proxy.holds().iter().map(|hold| hold["waiting"].as_u64().unwrap()).sum::<u64>();
    let until = |wanted: u64| {
        let deadline = Instant::now() + SOON;
        while count() != wanted {
            assert!(Instant::now() < deadline, "{} wait, not {wanted}", count());
        }
    };
    until(200);
    drop(waiting);
    until(0);
    assert_eq!(proxy.holds().len(), 10, "the questions stay");
    let records = proxy.settled();
    let mut each = BTreeMap::<String, usize>::new();
    for number in 0..10 {
        for one in decided(&records, &format!("host-{number}.test")) {
            assert_eq!((&one["decision"], &one["reason"]), (&json!("block"), &json!("pending")));
            assert_eq!(ended(&records, &one["id"])["outcome"], "abandoned");
            *each.entry(one["id"].to_string()).or_default() += 1;
        }
    }
    assert_eq!((each.len(), each.values().sum::<usize>()), (200, 200));
    assert_eq!(of_kind(&records, "held").len(), 10);
}

#[test]
fn ten_thousand_questions_are_listed_and_answered() {
    const QUESTIONS: usize = 10_000;
    let mut p0 = both();
    p0.site.set("hold", "per_agent", &QUESTIONS.to_string());
    p0.site.set("hold", "per_source", &QUESTIONS.to_string());
    p0.site.set("hold", "total", &(QUESTIONS + 1).to_string());
    let proxy = p0.start();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut talk = proxy.talk();
                for number in 0..QUESTIONS / 4 {
                    let host = format!("host-{number}.of-{thread}.test:443");
                    assert_refused(&talk.connect(&host, &a()), 403, "unattended");
                }
            });
        }
    });
    let holds = proxy.holds();
    assert_eq!(holds.len(), QUESTIONS);
    assert_refused(&proxy.talk().connect("one-more.test:443", &a()), 503, "overloaded");
    let _watcher = proxy.watch();
    b_asks_and_passes(&p0, &proxy);
    proxy.said(&["deny", id(&holds[QUESTIONS / 2])]);
}

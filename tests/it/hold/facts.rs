//! What an approver is shown beside the question, and what a flood of questions costs others.

use super::{id, knock};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::site::{Site, credentials};

#[test]
fn a_question_tells_who_was_seen_to_ask_and_what_speaks_against_it() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let _talks: Vec<_> = ["one.test", "two.test"].map(|host| knock(&p0, &proxy, host)).into();
    let holds = proxy.until_held(2, 1);
    for hold in &holds {
        assert_eq!(hold["facts"].as_str().map(str::len), Some(16), "{hold}");
        assert_eq!(hold["risk"][0]["code"], "port", "{hold}");
        // A machine that is too busy to look in time says nothing; it never says another.
        if hold["process"].is_object() {
            assert_eq!(hold["process"]["pid"], std::process::id(), "{hold}");
            assert!(!hold["process"]["called"].as_str().unwrap().contains(' '), "{hold}");
        }
    }
    let shown = proxy.said(&["holds"]);
    assert!(shown.contains("  risk: port "), "{shown}");
}

#[test]
fn a_look_alike_of_a_listed_name_is_marked() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let _talk = knock(&p0, &proxy, "plain.a1lowed.test");
    let holds = proxy.until_held(1, 1);
    assert_eq!(holds[0]["lookalike"]["of"], "plain.allowed.test", "{}", holds[0]);
    let shown = proxy.said(&["holds"]);
    assert!(shown.contains("LOOKS LIKE plain.allowed.test"), "{shown}");
}

#[test]
fn a_flood_of_one_agent_costs_another_neither_its_place_nor_its_answer() {
    let mut site = Site::new();
    site.set("hold", "per_agent", "20");
    site.set("hold", "per_source", "10");
    for agent in ["a", "b"] {
        site.agent(agent, "unlisted = \"hold\"", "");
    }
    let proxy = site.start();
    let _watcher = proxy.watch();
    let floods: Vec<_> = (0..10)
        .map(|number| {
            let mut talk = proxy.talk();
            talk.send(format!("CONNECT nbswy3dpeb3w64tmmq{number}.flood.test:443 HTTP/1.1\r\nHost: x\r\n{}\r\n", a()));
            talk
        })
        .collect();
    let held = proxy.until_held(10, 1);
    assert!(held.iter().all(|hold| hold["similar"]["count"] == 9), "{held:?}");
    for number in 10..30 {
        assert_refused(&proxy.talk().connect(&format!("more{number}.test:443"), &a()), 503, "overloaded");
    }
    let mut talk = proxy.talk();
    talk.send(format!("CONNECT calm.test:443 HTTP/1.1\r\nHost: calm.test:443\r\n{}\r\n", credentials("b")));
    let holds = proxy.until_held(11, 1);
    let calm = holds.iter().find(|hold| hold["host"] == "calm.test").unwrap();
    proxy.said(&["deny", id(calm)]);
    assert_eq!(talk.answer_to("CONNECT").status, 403);
    assert_eq!(proxy.holds().len(), 10);
    assert!(proxy.metric("exeat_limit_hits_total", &["limit=\"hold.per_source\""]) >= 20.0, "{}", proxy.metrics());
    assert_eq!(proxy.metric("exeat_questions_total", &["agent=\"a\""]), 10.0);
    assert_eq!(proxy.metric("exeat_answers_total", &["agent=\"b\"", "answer=\"no\""]), 1.0);
    let shown = proxy.said(&["holds"]);
    assert!(shown.starts_with("10 questions that are nearly the same;") && shown.lines().count() == 11, "{shown}");
    drop(floods);
}

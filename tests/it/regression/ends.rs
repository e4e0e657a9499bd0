//! After `ended` nothing flows, and an end is written as what it was.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Stage;
use crate::support::p0::{a, assert_refused};
use crate::support::proxy::{decided, ended, of_kind};
use crate::support::talk::Talk;

const PIECE: &[u8] = &[b'x'; 1000];

fn outcome(end: &Value) -> (&Value, &Value) {
    (&end["outcome"], &end["reason"])
}

fn cut_by_policy() -> (Value, Value) {
    (json!("cut"), json!("policy-changed"))
}

/// What the agent sends on, once its attempt has ended, reaches nobody.
#[track_caller]
fn assert_nothing_more(agent: &mut Talk, origin: &mut Talk) {
    for _ in 0..20 {
        agent.send(PIECE);
        thread::sleep(Duration::from_millis(5));
    }
    let more = origin.rest();
    assert!(more.is_empty(), "{} bytes reached the origin after `ended`", more.len());
}

#[test]
fn an_answer_before_the_end_of_the_upload_ends_both() {
    let stage = Stage::new(&[]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("POST", "listed.test", "Content-Length: 1000000\r\n"));
    agent.send(PIECE);
    let mut origin = stage.accept();
    origin.head();
    origin.exactly(PIECE.len()).unwrap();
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(agent.answer().text(), "ok");
    let records = stage.proxy.settled();
    assert_nothing_more(&mut agent, &mut origin);
    let end = ended(&records, &decided(&records, "listed.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["bytes_up"]), (&json!("completed"), &json!(PIECE.len())));

    let mut next = stage.proxy.talk();
    next.send(stage.request("GET", "listed.test", ""));
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
    assert_eq!(next.answer().text(), "next");
}

#[test]
fn a_yes_taken_back_cuts_an_upload_whose_answer_is_waited_for() {
    let stage = Stage::attended(&[]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("POST", "held.test", "Content-Length: 1000000\r\n"));
    agent.send(PIECE);
    let approval = stage.approve(&["--for", "1h"]);
    let mut origin = stage.accept();
    origin.head();
    origin.exactly(PIECE.len()).unwrap();
    stage.proxy.said(&["revoke", &approval]);
    assert_refused(&agent.answer(), 403, "policy-changed");
    let records = stage.proxy.settled();
    assert_nothing_more(&mut agent, &mut origin);
    let end = ended(&records, &decided(&records, "held.test")[0]["id"]);
    assert_eq!(outcome(end), (&cut_by_policy().0, &cut_by_policy().1));
    assert_eq!(end["bytes_up"], json!(PIECE.len()));
}

#[test]
fn an_upload_that_keeps_moving_outlasts_the_idle_limit() {
    let stage = Stage::new(&[("idle", "\"1s\"")]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("POST", "listed.test", "Content-Length: 12000\r\n"));
    let mut origin = stage.accept();
    origin.head();
    for _ in 0..12 {
        agent.send(PIECE);
        assert_eq!(origin.exactly(PIECE.len()).as_deref(), Some(PIECE), "a moving upload was cut");
        // The pace is the point: all pieces together take twice the limit.
        thread::sleep(Duration::from_millis(200));
    }
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(agent.answer().text(), "ok");
    let records = stage.proxy.settled();
    let end = ended(&records, &decided(&records, "listed.test")[0]["id"]);
    assert_eq!((&end["outcome"], &end["bytes_up"]), (&json!("completed"), &json!(12_000)));
}

#[test]
fn a_silent_download_is_cut_when_its_yes_ends() {
    let stage = Stage::attended(&[]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("GET", "held.test", ""));
    stage.approve(&["--for", "2s"]);
    let began = Instant::now();
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    assert!(agent.head()[0].contains("200"));
    agent.rest();
    assert!(began.elapsed() < Duration::from_secs(6), "it was cut only after {:?}", began.elapsed());
    assert!(origin.is_closed());
    let records = stage.proxy.settled();
    let end = ended(&records, &decided(&records, "held.test")[0]["id"]);
    assert_eq!(outcome(end), (&cut_by_policy().0, &cut_by_policy().1));
}

#[test]
fn an_agent_that_never_reads_is_cut_after_the_idle_limit() {
    let stage = Stage::new(&[("idle", "\"1s\"")]);
    let mut agent = stage.proxy.talk();
    agent.send(stage.request("GET", "listed.test", ""));
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\n\r\n");
    let pouring = thread::spawn(move || {
        let mut poured = 0;
        while origin.pour(&[b'x'; 64 * 1024]) {
            poured += 64 * 1024;
        }
        poured
    });
    let records = stage.proxy.settled();
    let end = ended(&records, &decided(&records, "listed.test")[0]["id"]);
    assert_eq!(outcome(end), (&json!("cut"), &json!("overloaded")));
    let poured: usize = pouring.join().unwrap();
    assert!(agent.rest().len() < poured, "the agent got all that was sent");
}

#[test]
fn a_download_is_cut_with_its_own_yes_although_a_tunnel_has_one() {
    let stage = Stage::attended(&[("peek", "\"20s\"")]);
    let mut tunnel = stage.proxy.talk();
    let target = stage.at("held.test");
    tunnel.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    stage.approve(&["--for", "1h"]);
    assert_eq!(tunnel.answer_to("CONNECT").status, 200);
    let _tunnelled = stage.accept();

    let mut agent = stage.proxy.talk();
    agent.send(stage.request("GET", "held.test", ""));
    let approval = stage.approve(&["--for", "1h"]);
    let mut origin = stage.accept();
    origin.head();
    origin.send("HTTP/1.1 200 OK\r\n\r\nbegun");
    assert!(agent.head()[0].contains("200"));
    stage.proxy.said(&["revoke", &approval]);
    agent.rest();
    assert!(origin.is_closed());
    let records = stage.proxy.until("the cut", |records| !of_kind(records, "ended").is_empty());
    let both = decided(&records, "held.test");
    let download = both.iter().find(|record| record["front"] == "forward").unwrap();
    assert_eq!(outcome(ended(&records, &download["id"])), (&cut_by_policy().0, &cut_by_policy().1));
    assert!(tunnel.is_quiet(Duration::from_millis(200)), "the tunnel's own yes is in force");
}

/// A tunnel with HTTP in it, under a yes that is taken back once `underway` has begun something in it. How each attempt ended.
fn http_in_a_tunnel_cut(underway: impl FnOnce(&Stage, &mut Talk)) -> Vec<Value> {
    let stage = Stage::attended(&[]);
    let target = stage.at("held.test");
    let mut tunnel = stage.proxy.talk();
    tunnel.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    let approval = stage.approve(&["--for", "1h"]);
    assert_eq!(tunnel.answer_to("CONNECT").status, 200);
    // The connection opened before the 200; requests found in the tunnel have their own.
    drop(stage.accept());
    underway(&stage, &mut tunnel);
    stage.proxy.said(&["revoke", &approval]);
    tunnel.rest();
    let records = stage.proxy.settled();
    let ends = decided(&records, "held.test").into_iter().map(|record| ended(&records, &record["id"]).clone());
    ends.collect()
}

#[test]
fn a_tunnel_with_http_in_it_ends_as_cut_when_its_yes_is_taken_back() {
    let ends = http_in_a_tunnel_cut(|stage, tunnel| {
        tunnel.send(format!("GET /inner HTTP/1.1\r\nHost: {}\r\n\r\n", stage.at("held.test")));
        let mut origin = stage.accept();
        origin.head();
        origin.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ninner");
        assert_eq!(tunnel.answer().text(), "inner");
    });
    assert_eq!(outcome(&ends[0]), (&cut_by_policy().0, &cut_by_policy().1));
    assert_eq!((ends.len(), &ends[1]["outcome"]), (2, &json!("completed")));
}

#[test]
fn what_is_under_way_in_a_tunnel_is_cut_with_it_and_recorded_as_cut() {
    let answers = ["", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"];
    for answer in answers {
        let ends = http_in_a_tunnel_cut(|stage, tunnel| {
            tunnel.send(format!("GET /inner HTTP/1.1\r\nHost: {}\r\n\r\n", stage.at("held.test")));
            let mut origin = stage.accept();
            origin.head();
            origin.send(answer);
            if !answer.is_empty() {
                tunnel.head();
            }
            thread::spawn(move || assert!(origin.is_closed()));
        });
        assert_eq!(ends.len(), 2, "{ends:?}");
        for end in &ends {
            assert_eq!(outcome(end), (&cut_by_policy().0, &cut_by_policy().1), "{answer:?}");
        }
    }
}

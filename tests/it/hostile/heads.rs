//! d.7 and d.11: versions, garbage, heads that are too long, too slow or never end.

use std::time::{Duration, Instant};

use super::Lab;
use crate::support::p0::a;

#[test]
fn http_1_0_is_served_and_not_kept_open_unasked() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let mut talk = lab.proxy.talk();
    talk.send(format!("GET http://{host}/old HTTP/1.0\r\n{}\r\n", a()));
    assert_eq!(talk.answer().text(), "plain /old");
    assert!(talk.is_closed());
    let target = lab.p0.at_secure("api.allowed.test");
    let mut talk = lab.proxy.talk();
    talk.send(format!("CONNECT {target} HTTP/1.0\r\n{}\r\n", a()));
    assert_eq!(talk.answer_to("CONNECT").status, 200, "Python's http.client sends CONNECT with 1.0");
}

#[test]
fn a_head_over_the_limit_is_refused_and_recorded() {
    let mut lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    for filler in [format!("X-Long: {}\r\n", "x".repeat(40_000)), "X-Many: y\r\n".repeat(4_000), format!("{}: y\r\n", "n".repeat(40_000))] {
        lab.assert_bad(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}{filler}\r\n", a()).as_bytes());
    }
    lab.assert_bad(format!("GET http://{host}/{} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "p".repeat(70_000), a()).as_bytes());
    lab.assert_bad(format!("CONNECT {}:443 HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "h".repeat(40_000), a()).as_bytes());
}

#[test]
fn a_head_under_the_limit_passes() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let filler = format!("X-Long: {}\r\n", "x".repeat(16_000));
    let answers = lab.throw(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}{filler}\r\n", a()).as_bytes());
    assert_eq!(answers[0].status, 200);
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let mut lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    for start in [String::new(), "GET".to_owned(), format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}", a())] {
        let begun = Instant::now();
        let mut talk = lab.proxy.talk();
        talk.send(&start);
        // One byte at a time does not move the deadline: it is for the whole head.
        for _ in 0..8 {
            talk.is_quiet(Duration::from_millis(500));
            talk.send("X");
        }
        talk.rest();
        assert!(begun.elapsed() < Duration::from_secs(10), "{start:?} was waited for");
    }
    assert!(lab.proxy.is_alive());
    assert!(lab.p0.plain.connections().is_empty());
}

#[test]
fn many_idle_connections_of_one_source_leave_the_metrics_reachable_and_the_process_alive() {
    let mut lab = Lab::new();
    let idle: Vec<_> = (0..300).filter_map(|_| crate::support::talk::Talk::try_to(lab.proxy.address)).collect();
    assert_eq!(lab.proxy.page("/livez").status, 200);
    drop(idle);
    let host = lab.p0.at_plain("plain.allowed.test");
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.proxy.get(&format!("http://{host}/"), &a()).status != 200 {
        assert!(Instant::now() < deadline, "it does not recover");
    }
    assert!(lab.proxy.is_alive());
}

#[test]
fn a_head_that_does_not_end_in_time_is_told_so_and_a_silent_connection_is_not() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let mut slow = lab.proxy.talk();
    slow.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: "));
    let mut idle = lab.proxy.talk();
    assert_eq!(idle.get(&format!("http://{host}/kept"), &a()).status, 200);
    let answer = String::from_utf8_lossy(&slow.rest()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(idle.rest().is_empty(), "an idle connection was answered");
    assert_eq!(lab.proxy.metric("exeat_limit_hits_total", &["limits.head_timeout"]), 2.0);
}

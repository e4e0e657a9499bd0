//! What the metrics of a running exeat say, where a unit test cannot know it.

use std::fs;
use std::time::Duration;

use crate::support::p0::{P0, a, assert_refused};
use crate::support::site::credentials;
use crate::support::wait::until;

#[test]
fn what_exeat_adds_leaves_out_the_wait_for_an_answer() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let (mut talk, host) = (proxy.talk(), p0.at_plain("held.test"));
    talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    let holds = proxy.until_held(1, 1);
    assert!(talk.is_quiet(Duration::from_secs(1)), "it did not wait");
    proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
    assert_eq!(talk.answer().status, 200);
    proxy.settled();
    let of = |name: &str, label: &str| proxy.metric(name, &[label]);
    assert_eq!(of("exeat_added_duration_seconds_count", "decision=\"allow\""), 1.0);
    let (added, waited) = (of("exeat_added_duration_seconds_sum", "allow"), of("exeat_hold_duration_seconds_sum", "approved"));
    assert!(waited > 1.0 && added > 0.0 && added < waited / 2.0, "added {added}, waited {waited}");
}

#[test]
fn what_cannot_be_recorded_fails_closed_and_counts_at_once_and_among_decisions_when_a_summary_tells_of_it() {
    let p0 = P0::new();
    let proxy = p0.start();
    let url = p0.url("plain.allowed.test", "/");
    assert_eq!(proxy.get(&url, &a()).status, 200);
    proxy.settled();
    let (folder, aside) = (p0.site.state().join("journal/proxy-1"), p0.site.path().join("aside"));
    let internal = || proxy.metric("exeat_failed_closed_total", &["reason=\"internal\""]);
    assert_eq!((internal(), proxy.metric("exeat_journal_healthy", &[])), (0.0, 1.0));
    fs::rename(&folder, &aside).unwrap();
    for _ in 0..3 {
        assert_refused(&proxy.get(&url, &a()), 503, "internal");
    }
    assert_eq!((internal(), proxy.metric("exeat_journal_healthy", &[])), (3.0, 0.0));
    fs::rename(&aside, &folder).unwrap();
    assert_eq!(proxy.get(&url, &a()).status, 200);
    assert_eq!((internal(), proxy.metric("exeat_journal_healthy", &[])), (3.0, 1.0));
    until("the summary", || proxy.metric("exeat_decisions_total", &["decision=\"block\"", "reason=\"internal\""]) == 3.0);
    assert_eq!((proxy.metric("exeat_decisions_total", &[]), internal()), (5.0, 3.0));
}

#[test]
fn without_a_label_for_agents_no_name_is_told_in_either_form() {
    let mut p0 = P0::new();
    p0.site.set("telemetry", "agent_label", "\"off\"");
    p0.site.set("journal", "max", "\"3GiB\"");
    p0.site.agent("secret-project", "", "[[alow]]");
    let proxy = p0.start();
    proxy.get(&p0.url("plain.allowed.test", "/"), &a());
    proxy.get(&p0.url("held.test", "/"), &a());
    proxy.get(&p0.url("plain.allowed.test", "/"), &credentials("secret-project"));
    proxy.settled();
    until("the question in the gauge", || proxy.metric("exeat_holds_pending", &[]) == 1.0);
    let mut talk = crate::support::talk::Talk::to(proxy.watched);
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    talk.send(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n", proxy.watched));
    let open = talk.answer();
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("\n# EOF\n") && open.text().contains(" # {trace_id=\""), "{}", open.text());
    for page in [open.text(), proxy.metrics()] {
        assert!(!page.contains("agent=\"a\"") && !page.contains("secret-project"), "{page}");
        assert!(page.contains("exeat_holds_pending{agent=\"*\"} 1\n") && page.contains("exeat_policy_broken{agent=\"*\"} 1\n"), "{page}");
    }
    assert_eq!(proxy.metric("exeat_journal_max_bytes", &[]), f64::from(3 << 10) * f64::from(1 << 20));
    assert!(proxy.metric("exeat_journal_bytes", &[]) > 0.0 && proxy.metric("process_open_fds", &[]) > 0.0);
}

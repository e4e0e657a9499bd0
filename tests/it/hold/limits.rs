//! Bounded and fair: caps on questions, what is shown of them, who may answer.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use super::{id, knock};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, of_kind};
use crate::support::site::{Site, credentials};

#[test]
fn an_agent_at_its_cap_is_refused_and_costs_no_other_agent_its_place() {
    let mut site = Site::new();
    site.set("hold", "per_agent", "2");
    for agent in ["a", "b"] {
        site.agent(agent, "unlisted = \"hold\"", "");
    }
    let proxy = site.start();
    for (host, reason) in
        [("one.test:443", "unattended"), ("two.test:443", "unattended"), ("three.test:443", "overloaded"), ("one.test:443", "unattended")]
    {
        let status = if reason == "overloaded" { 503 } else { 403 };
        assert_refused(&proxy.talk().connect(host, &a()), status, reason);
    }
    assert_refused(&proxy.talk().connect("one.test:443", &credentials("b")), 403, "unattended");
    assert_eq!(proxy.holds().len(), 3);
    assert!(proxy.metric("exeat_limit_hits_total", &[]) >= 1.0, "{}", proxy.metrics());
    assert_eq!(proxy.metric("exeat_holds_pending", &["agent=\"a\""]), 2.0);
}

#[test]
fn the_queue_is_capped_in_all() {
    let mut site = Site::new();
    site.set("hold", "total", "1");
    site.agent("a", "unlisted = \"hold\"", "");
    site.agent("b", "unlisted = \"hold\"", "");
    let proxy = site.start();
    assert_refused(&proxy.talk().connect("one.test:443", &a()), 403, "unattended");
    assert_refused(&proxy.talk().connect("one.test:443", &credentials("b")), 503, "overloaded");
}

#[test]
fn a_look_alike_is_its_own_name_and_is_shown_as_what_it_is() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    let _talk = knock(&p0, &proxy, "api.xn--llowed-2nf.test");
    let holds = proxy.until_held(1, 1);
    assert_eq!(holds[0]["host"], "api.xn--llowed-2nf.test", "{}", holds[0]);
    proxy.until("the question", |records| of_kind(records, "held").len() == 1);
    assert!(proxy.said(&["holds"]).contains("xn--llowed-2nf"));
    drop(watcher);
}

#[test]
fn what_an_agent_sends_is_malformed_or_held_and_never_shown_raw() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    let mut held = 0;
    for (path, agent, status) in [
        ("/\u{1b}[2Jclear", "curl", Some(400)),
        ("/\u{7f}", "curl", Some(400)),
        ("/", "\u{1b}[31mroot", Some(400)),
        ("/%1b%5b2Jclear%e2%80%aetxt", "curl", None),
        ("/\u{202e}txt", "curl", None),
        ("/\u{9b}31m", "curl", None),
        ("/", "\u{202e}toor \u{9b}31m", None),
    ] {
        // A name for each: the same question would be quiet after its no.
        let host = p0.at_plain(&format!("held{held}.test"));
        let mut talk = proxy.talk();
        talk.send(format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{}\r\n", a()));
        match status {
            Some(status) => assert_eq!(talk.answer().status, status, "{path:?} {agent:?}"),
            None => {
                held += 1;
                let records = proxy.until("the question", |records| of_kind(records, "held").len() == held);
                assert!(!format!("{records:?}").contains("secret"));
                let holds = proxy.until_held(1, 1);
                let shown = proxy.said(&["holds"]) + &proxy.said(&["deny", id(&holds[0])]) + &proxy.said(&["log"]);
                let steers = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
                assert!(!shown.contains(steers), "{shown:?}");
                assert_eq!(talk.answer().status, 403, "{path:?} {agent:?}");
            }
        }
    }
    let shown = watcher.shown() + &proxy.stderr();
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown:?}");
}

#[test]
fn only_the_same_user_reaches_the_admin_socket() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&p0.site.state()), 0o700);
    assert_eq!(mode(&p0.site.state().join("admin.sock")) & 0o077, 0, "others may open the socket");
    assert!(proxy.holds().is_empty());
}

#[test]
fn the_commands_say_so_when_no_proxy_runs() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    assert!(proxy.stop().success());
    for arguments in [&["holds"][..], &["approve", "x"], &["deny", "x"], &["approvals"], &["revoke", "x"]] {
        let output = proxy.exeat(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("serve"), "no way out is named: {output:?}");
    }
}

/// What the process has in memory, in KiB.
fn resident(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_is_sent_while_a_question_is_pending_is_not_read_but_waits() {
    const SENT: usize = 64 << 20;
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let (plain, secure) = (p0.at_plain("held.test"), p0.at_secure("evil.test"));
    for (number, head, target) in [
        (1, format!("CONNECT {secure} HTTP/1.1\r\nHost: {secure}\r\n{}\r\n", a()), &secure),
        (2, format!("POST http://{plain}/ HTTP/1.1\r\nHost: {plain}\r\n{}Content-Length: {SENT}\r\n\r\n", a()), &plain),
    ] {
        let mut talk = proxy.talk();
        talk.send(head);
        proxy.until("the question", |records| of_kind(records, "held").len() == number);
        let before = resident(&proxy);
        let mut writer = talk.split();
        let sending = std::thread::spawn(move || writer.send(vec![b'x'; SENT]));
        // What goes through would go through at once; nothing tells that it does not but time.
        assert!(talk.is_quiet(Duration::from_secs(1)));
        assert!(!sending.is_finished(), "{target}: all of it was read before the answer");
        let grown = resident(&proxy).saturating_sub(before);
        assert!(grown < 4 << 10, "{target}: {grown} KiB more in memory");
        let holds = proxy.holds();
        let hold = holds.iter().find(|hold| target.starts_with(hold["host"].as_str().unwrap())).unwrap();
        proxy.said(&[if number == 1 { "deny" } else { "approve" }, id(hold)]);
        assert_eq!(talk.answer_to("POST").status, if number == 1 { 403 } else { 200 }, "{target}");
        drop(talk);
        sending.join().unwrap();
        let grown = resident(&proxy).saturating_sub(before);
        assert!(grown < 8 << 10, "{target}: {grown} KiB more in memory after it passed");
    }
    assert_eq!(p0.plain.requests()[0].body.len(), SENT);
}

#[test]
fn holds_are_counted() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = knock(&p0, &proxy, "evil.test");
    let holds = proxy.until_held(1, 1);
    assert_eq!(proxy.metric("exeat_holds_pending", &["agent=\"a\""]), 1.0);
    proxy.said(&["deny", id(&holds[0])]);
    assert_eq!(talk.answer_to("CONNECT").status, 403);
    assert_eq!(proxy.metric("exeat_holds_pending", &["agent=\"a\""]), 0.0);
    assert_eq!(
        proxy.metric("exeat_decisions_total", &["agent=\"a\"", "decision=\"block\"", "reason=\"refused\"", "front=\"connect\""]),
        1.0
    );
    assert_eq!(json!(proxy.holds()), json!([]));
}

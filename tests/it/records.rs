//! Nothing unrecorded: decided before any effect, ended always, whatever dies; and no secret in any of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::dns::Reply;
use crate::support::origin::{Gate, Origin, Step, ok};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, journal, of_kind};
use crate::support::site::{offer, token};
use crate::support::talk::Talk;

#[test]
fn an_attempt_is_decided_before_it_reaches_the_origin() {
    let p0 = P0::new();
    let state = p0.site.state();
    let early = Origin::http(move |_| {
        let known = decided(&journal(&state), "early.test").len();
        ok(&format!("{known} decided"))
    });
    p0.site.dns.script("early.test", [Reply::to(["127.0.0.1"])]);
    p0.write_agents(&format!("[[allow]]\nhost = \"early.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", early.port()));
    let proxy = p0.start();
    assert_eq!(proxy.get(&format!("http://early.test:{}/", early.port()), &a()).text(), "1 decided");
}

#[test]
fn an_attempt_is_decided_before_its_name_is_looked_up() {
    let p0 = P0::new();
    p0.site.dns.script("silent.wild.test", [Reply::Silence]);
    let proxy = p0.start();
    for turn in 1..=2 {
        let (mut talk, asked) = (proxy.talk(), p0.site.dns.queries().len());
        talk.send(format!("GET http://{0}/ HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", p0.at_plain("silent.wild.test"), a()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while p0.site.dns.queries().len() == asked {
            assert!(Instant::now() < deadline, "nothing was asked");
        }
        // The name server is silent for a while yet.
        assert_eq!(decided(&proxy.journal(), "silent.wild.test").len(), turn);
        assert_refused(&talk.answer(), 504, "dns-failed");
    }
}

#[test]
fn a_record_has_the_promised_frame_and_fields() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/path?query=1"), &a()).status, 200);
    let records = proxy.settled();
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["v"], 1, "{record}");
        assert!(record["at"].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == "2026-01-01T00:00:00.000000Z".len()), "{record}");
        let before = number.checked_sub(1).map(|before| records[before]["seq"].as_u64().unwrap());
        assert!(before.is_none_or(|before| record["seq"] == before + 1), "sequence numbers have gaps: {record}");
    }
    assert_eq!((&records[0]["kind"], &records[1]["kind"]), (&json!("segment"), &json!("started")));
    assert_eq!(of_kind(&records, "policy").len(), 1);
    let decided = decided(&records, "plain.allowed.test")[0];
    assert_eq!(uuid::Uuid::parse_str(decided["id"].as_str().unwrap()).unwrap().get_version_num(), 7);
    assert_eq!(decided["destination"], json!({"host": "plain.allowed.test", "port": p0.plain.port(), "scheme": "http"}));
    assert_eq!(decided["request"]["method"], "GET");
    assert!(decided["peer"].as_str().unwrap().starts_with("127.0.0.1"), "{decided}");
    let ended = ended(&records, &decided["id"]);
    assert_eq!((&ended["status"], ended["bytes_down"].as_u64() > Some(0)), (&json!(200), true), "{ended}");
    assert!(ended["ms"]["total"].as_f64() > Some(0.0) && ended["ms"]["dial"].is_f64(), "{ended}");
}

#[test]
fn every_way_to_end_is_recorded_as_what_it_was() {
    let p0 = P0::new();
    let gate = Gate::default();
    let waits = gate.clone();
    let odd = Origin::http(move |request| match request.target() {
        "/cut-short" => vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()), Step::Close],
        "/no-answer" => vec![Step::Close],
        "/not-http" => vec![Step::Send("SSH-2.0-nothing\r\n\r\n".into()), Step::Close],
        _ => vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()), Step::Wait(waits.clone()), Step::Close],
    });
    p0.site.dns.script("odd.test", [Reply::to(["127.0.0.1"])]);
    p0.write_agents(&format!("[[allow]]\nhost = \"odd.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", odd.port()));
    let proxy = p0.start();
    let url = |path: &str| format!("http://odd.test:{}{path}", odd.port());
    let mut talk = proxy.talk();
    talk.send(format!("GET {} HTTP/1.1\r\nHost: odd.test:{}\r\n{}\r\n", url("/cut-short"), odd.port(), a()));
    assert!(talk.try_answer("GET").is_none(), "a cut answer was passed on as whole");
    for path in ["/no-answer", "/not-http"] {
        assert_refused(&proxy.get(&url(path), &a()), 502, "unreachable");
    }
    let mut leaver = proxy.talk();
    leaver.send(format!("GET {} HTTP/1.1\r\nHost: odd.test:{}\r\n{}\r\n", url("/waits"), odd.port(), a()));
    odd.until("four requests", |odd| odd.requests().len() == 4);
    drop(leaver);
    let records = proxy.settled();
    gate.open();
    let outcomes: Vec<_> = decided(&records, "odd.test").iter().map(|record| ended(&records, &record["id"])["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("failed"), json!("failed"), json!("failed"), json!("abandoned")]);
}

#[test]
fn an_orderly_stop_ends_what_is_open_and_says_so() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let _inside = talk.tls(&p0.authority, "api.allowed.test").unwrap();
    assert!(proxy.stop().success());
    let records = proxy.journal();
    assert_eq!(records.last().unwrap()["kind"], "stopped");
    let decided = decided(&records, "api.allowed.test")[0];
    assert_eq!(ended(&records, &decided["id"])["outcome"], "cut");
}

#[test]
fn an_orderly_stop_ends_questions_and_downloads_too_and_leaves_nothing_to_be_lost() {
    let p0 = P0::new();
    let gate = Gate::default();
    let waits = gate.clone();
    let slow = Origin::http(move |_| {
        vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()), Step::Wait(waits.clone()), Step::Close]
    });
    p0.site.dns.script("slow.test", [Reply::to(["127.0.0.1"])]);
    p0.write_agents(&format!("[[allow]]\nhost = \"slow.test\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", slow.port()));
    let mut proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talks = [proxy.talk(), proxy.talk()];
    for (talk, host) in talks.iter_mut().zip([p0.at_plain("held.test"), format!("slow.test:{}", slow.port())]) {
        talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    }
    proxy.until_held(1, 1);
    slow.until("the request", |slow| slow.requests().len() == 1);
    assert!(proxy.stop().success(), "{}", proxy.stderr());
    gate.open();
    let records = proxy.journal();
    assert_eq!(records.last().unwrap()["kind"], "stopped");
    for host in ["held.test", "slow.test"] {
        let decided = decided(&records, host);
        assert_eq!(decided.len(), 1, "{host}");
        assert_ne!(ended(&records, &decided[0]["id"])["outcome"], "completed", "{host}");
    }
    assert!(!p0.site.dns.was_asked("held.test"), "the stop let a question pass");
    let records = p0.start().settled();
    assert!(of_kind(&records, "ended").iter().all(|record| record["outcome"] != "lost"), "{records:?}");
}

/// Sends `GET`s to `n0.wild.test`, `n1.wild.test` … until the numbers are used up or the proxy is gone.
fn hammer(p0: &P0, proxy: &Proxy, numbers: &AtomicUsize) {
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >= 1000 {
            return;
        }
        let Some(mut talk) = Talk::try_to(proxy.address) else { return };
        let host = format!("n{number}.wild.test");
        talk.send(format!("GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n", p0.url(&host, "/"), p0.at_plain(&host), a()));
        if talk.try_answer("GET").is_none() {
            return;
        }
    }
}

#[test]
fn a_kill_in_the_middle_of_a_thousand_attempts_loses_no_record() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
        open.push(talk.tls(&p0.authority, "api.allowed.test").unwrap());
    }
    let numbers = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| hammer(&p0, &proxy, &numbers));
        }
        p0.plain.until("400 requests", |origin| origin.requests().len() >= 400);
        rustix::process::kill_process(proxy.pid(), rustix::process::Signal::KILL).unwrap();
    });
    proxy.kill();
    let proxy = p0.start();
    let records = proxy.settled();
    let known: BTreeSet<&str> = of_kind(&records, "decided").iter().map(|record| record["destination"]["host"].as_str().unwrap()).collect();
    for request in p0.plain.requests() {
        let host = request.header("host").unwrap().split(':').next().unwrap().to_owned();
        assert!(known.contains(host.as_str()), "{host} reached the origin without a record");
    }
    for record in of_kind(&records, "decided") {
        ended(&records, &record["id"]);
    }
    let lost = of_kind(&records, "ended").iter().filter(|record| record["outcome"] == "lost").count();
    assert!((3..=3 + 8).contains(&lost), "{lost} are lost, and eight agents asked one thing at a time beside three tunnels");
    assert_eq!(decided(&records, "api.allowed.test").len(), 3);
    for record in decided(&records, "api.allowed.test") {
        assert_eq!(ended(&records, &record["id"])["outcome"], "lost");
    }
}

#[test]
fn a_torn_last_line_is_repaired_and_reported() {
    let p0 = P0::new();
    let mut proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    proxy.settled();
    proxy.kill();
    let segment = segments(&p0.site.state().join("journal")).pop().unwrap();
    let mut text = fs::read(&segment).unwrap();
    text.extend(b"{\"v\":1,\"seq\":99,\"id");
    fs::write(&segment, text).unwrap();
    let proxy = p0.start();
    let records = proxy.settled();
    let started = of_kind(&records, "started");
    assert_eq!(started.len(), 2);
    assert_eq!(started[1]["repaired"], 19, "{}", started[1]);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(segments(&path));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn a_journal_on_a_full_disk_refuses_everything_with_503_and_says_so() {
    let p0 = P0::new();
    // The process may write files of 400 blocks and no more, for which the store has room; the signal that says so is ignored, so that writes fail instead.
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some("trap '' XFSZ; ulimit -f 400"));
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_eq!(proxy.readyz().status, 200);
    let (plain, secure) = (p0.url("plain.allowed.test", "/"), p0.at_secure("api.allowed.test"));
    let mut reached = 1;
    // The longer of the two records no longer fits first; then neither does.
    for turn in 0..2000 {
        let (forwarded, opened) = (proxy.get(&plain, &a()), proxy.talk().connect(&secure, &a()));
        reached += usize::from(forwarded.status == 200);
        if forwarded.status != 200 && opened.status != 200 {
            assert_refused(&forwarded, 503, "internal");
            assert_refused(&opened, 503, "internal");
            break;
        }
        assert!(turn < 1999, "the disk never filled");
    }
    let ready = proxy.readyz();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("journal"), "{}", ready.text());
    assert!(proxy.metric("exeat_journal_errors_total", &[]) >= 1.0);
    assert_eq!(p0.plain.requests().len(), reached, "something passed without a record");
    assert!(proxy.is_alive());
}

#[test]
fn a_journal_folder_that_goes_away_refuses_everything_with_503() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    proxy.settled();
    let folder = p0.site.state().join("journal");
    fs::rename(&folder, p0.site.state().join("away")).unwrap();
    fs::write(&folder, "in the way").unwrap();
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 503, "internal");
    assert_refused(&proxy.talk().connect(&p0.at_secure("api.allowed.test"), &a()), 503, "internal");
    assert_eq!(proxy.readyz().status, 503);
    assert!(p0.plain.requests().len() == 1 && p0.secure.connections().is_empty());
}

#[test]
fn a_journal_that_cannot_be_opened_refuses_everything_until_it_can() {
    let p0 = P0::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).recursive(true).create(p0.site.state()).unwrap();
    let in_the_way = p0.site.state().join("journal");
    fs::write(&in_the_way, "in the way").unwrap();
    let proxy = p0.start();
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 503, "internal");
    let ready = proxy.readyz();
    assert!(ready.status == 503 && ready.text().contains("journal"), "{}", ready.text());
    fs::remove_file(&in_the_way).unwrap();
    assert_eq!(proxy.readyz().status, 200);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_eq!(p0.plain.requests().len(), 1);
}

#[test]
fn no_secret_stands_in_records_logs_metrics_or_any_other_file() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let host = p0.at_plain("plain.allowed.test");
    let secrets = ["CANARY-query", "CANARY-header", "CANARY-cookie", "CANARY-body", "CANARY-userinfo", "CANARY-wrong", "CANARY-fragment"];
    let mut talk = proxy.talk();
    talk.send(format!(
        "POST http://{host}/p?key=CANARY-query HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer CANARY-header\r\nCookie: CANARY-cookie\r\nContent-Length: 11\r\n{}\r\nCANARY-body",
        a()
    ));
    assert_eq!(talk.answer().status, 200);
    proxy.talk().get(&format!("http://user:CANARY-userinfo@{host}/"), &a());
    proxy.talk().connect(&format!("user:CANARY-userinfo@{host}"), &a());
    proxy.get(&format!("http://{host}/"), &offer("a", "CANARY-wrong"));
    let mut held = proxy.talk();
    held.send(format!("GET http://held.test/x?key=CANARY-query#CANARY-fragment HTTP/1.1\r\nHost: held.test\r\n{}\r\n", a()));
    proxy.until_held(1, 1);
    let mut texts = vec![
        ("stderr", proxy.stderr()),
        ("metrics", proxy.metrics()),
        ("holds", proxy.said(&["holds", "--json"])),
        ("log", proxy.said(&["log"])),
    ];
    texts.extend(segments(&p0.site.state()).iter().map(|path| ("journal", fs::read_to_string(path).unwrap())));
    let token = token("a");
    for (place, text) in &texts {
        for secret in secrets.iter().copied().chain([token.as_str(), token.trim_start_matches("exeat_")]) {
            assert!(!text.contains(secret), "{secret} stands in {place}:\n{text}");
        }
    }
    assert_eq!(texts.iter().filter(|(place, _)| *place == "journal").count(), 1);
    let coded = a();
    let coded = coded.trim_start_matches("Proxy-Authorization: Basic ").trim();
    assert!(texts.iter().all(|(_, text)| !text.contains(coded)), "a credential as it was sent");
}

//! Being told to stop: who watches hears of it first, what is open has its time, who waits is told, and the journal is closed last.

use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::support::dns::Reply;
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, of_kind};
use crate::support::site::Site;
use crate::support::talk::{Talk, TlsTalk};
use crate::support::tls::{Authority, Terms};
use crate::support::visit::{Way, piece};
use crate::support::wait::until;
use crate::support::web::body::Flow;
use crate::support::web::{Web, run};

fn p0(notice: &str, time: &str) -> (P0, Proxy) {
    let mut p0 = P0::new();
    p0.site.set("drain", "notice", &format!("\"{notice}\""));
    p0.site.set("drain", "time", &format!("\"{time}\""));
    let proxy = p0.start();
    (p0, proxy)
}

fn terminate(proxy: &Proxy) {
    kill_process(proxy.pid(), Signal::TERM).unwrap();
}

/// Tells it to stop, and waits until whoever watches it knows.
fn begin_to_drain(proxy: &Proxy) {
    terminate(proxy);
    until("it drains", || proxy.readyz().status == 503);
    assert!(proxy.readyz().text().starts_with("draining"), "{}", proxy.readyz().text());
}

/// A tunnel that TLS is spoken in.
fn tunnel(p0: &P0, proxy: &Proxy) -> TlsTalk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    talk.tls(&p0.authority, "api.allowed.test").unwrap()
}

fn speaks(tunnel: &mut TlsTalk) -> bool {
    tunnel.send("GET /within HTTP/1.1\r\nHost: api.allowed.test\r\n\r\n");
    tunnel.try_answer("GET").is_some_and(|answer| answer.status == 200)
}

#[track_caller]
fn outcome(proxy: &Proxy, host: &str) -> (String, String) {
    let records = proxy.settled();
    let end = ended(&records, &decided(&records, host)[0]["id"]).clone();
    (end["outcome"].as_str().unwrap().to_owned(), end["reason"].as_str().unwrap().to_owned())
}

fn pair(outcome: &str, reason: &str) -> (String, String) {
    (outcome.to_owned(), reason.to_owned())
}

#[test]
fn during_the_notice_it_accepts_and_each_answer_ends_its_connection() {
    let (p0, mut proxy) = p0("5m", "5m");
    let url = p0.url("plain.allowed.test", "/");
    let mut kept = proxy.talk();
    assert_eq!(kept.get(&url, &a()).header("connection"), None);
    let mut tunnel = tunnel(&p0, &proxy);
    let _watcher = proxy.watch();
    let mut held = proxy.talk();
    held.send(format!("GET {} HTTP/1.1\r\nHost: held.test\r\n{}\r\n", p0.url("held.test", "/"), a()));
    proxy.until_held(1, 1);

    begin_to_drain(&proxy);
    let told = held.answer();
    assert_refused(&told, 403, "pending");
    assert_eq!((told.problem()["retryable"].clone(), told.header("connection")), (json!(true), Some("close")));
    for talk in [&mut kept, &mut proxy.talk()] {
        let answer = talk.get(&url, &a());
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(talk.is_closed());
    }
    let again = proxy.get(&p0.url("held.test", "/"), &a());
    assert_refused(&again, 403, "pending");
    assert_eq!((proxy.until_held(1, 0).len(), again.problem()["hold"]["id"].clone()), (1, told.problem()["hold"]["id"].clone()));
    assert!(speaks(&mut tunnel) && proxy.page("/livez").status == 200);

    terminate(&proxy);
    until("it ends", || !proxy.is_alive());
    assert!(tunnel.is_closed());
    assert_eq!(outcome(&proxy, "api.allowed.test"), pair("cut", "internal"));
    assert_eq!(of_kind(&proxy.journal(), "stopped").len(), 1, "a second signal leaves the journal in order");
}

#[test]
fn after_the_notice_nothing_is_accepted_and_what_is_open_goes_on_to_its_end() {
    let (p0, mut proxy) = p0("0s", "5m");
    let url = p0.url("plain.allowed.test", "/");
    let mut idle = proxy.talk();
    idle.get(&url, &a());
    let mut unasked = proxy.talk();
    let mut tunnel = tunnel(&p0, &proxy);

    begin_to_drain(&proxy);
    assert!(idle.is_closed());
    until("the listener closes", || Talk::try_to(proxy.address).is_none());
    let answer = unasked.get(&url, &a());
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "it had connected before");
    assert!(speaks(&mut tunnel) && speaks(&mut tunnel) && proxy.is_alive());
    drop(tunnel);
    until("it ends by itself", || !proxy.is_alive());
    assert_eq!(outcome(&proxy, "api.allowed.test"), pair("completed", "listed"));
    assert_eq!(proxy.status().unwrap().code(), Some(0));
}

#[test]
fn what_is_open_past_its_time_is_cut_and_recorded_so() {
    let (p0, mut proxy) = p0("0s", "0s");
    let mut tunnel = tunnel(&p0, &proxy);
    assert!(speaks(&mut tunnel));
    terminate(&proxy);
    assert!(tunnel.is_closed());
    until("it ends", || !proxy.is_alive());
    assert_eq!(outcome(&proxy, "api.allowed.test"), pair("cut", "internal"));
    assert_eq!((of_kind(&proxy.journal(), "stopped").len(), proxy.status().unwrap().code()), (1, Some(0)));
}

#[test]
fn requests_of_http2_inside_a_tunnel_are_answered_to_their_ends_and_then_it_ends() {
    let (ours, origins) = (Authority::named("exeat"), Authority::named("origins"));
    let alpn: &[&str] = &["h2", "http/1.1"];
    let web = Web::secure(&origins.present(&Terms { alpn, ..Terms::of(&["web.test"]) }));
    let mut site = Site::new();
    site.set("drain", "time", "\"5m\"");
    site.inspecting(&ours, &origins);
    site.dns.script("web.test", [Reply::to(["127.0.0.1"])]);
    let port = web.port();
    site.agent("c", "", &format!("[[allow]]\nhost = \"web.test\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]\nmethod = [\"GET\"]"));
    for spoken in [alpn, &["http/1.1"]] {
        let mut proxy = site.start();
        let way = Way::through(proxy.address, "c", "web.test", port, ours.trusting(spoken));
        let (visit, idle) = run(async { (way.visit().await.unwrap(), way.visit().await.unwrap()) });
        let name = format!("/gated/{}", spoken[0].replace('/', "-"));
        let mut body = run(async {
            let request = visit.request("GET", &name).body(Flow::whole("")).unwrap();
            let mut body = visit.send(request).await.unwrap().into_body();
            assert_eq!(piece(&mut body).await.unwrap(), "first");
            assert_eq!(idle.get("/page").await.unwrap().status, 200);
            body
        });
        begin_to_drain(&proxy);
        until("the idle one is told to go away", || run(idle.get("/page")).is_err());
        assert!(proxy.is_alive());
        web.signal(&name["/gated/".len()..]);
        let rest = run(async {
            let mut rest = Vec::new();
            while let Some(bytes) = piece(&mut body).await {
                rest.extend(bytes);
            }
            rest
        });
        assert_eq!(String::from_utf8(rest).unwrap(), " rest");
        until("it ends by itself", || !proxy.is_alive());
        let records = proxy.settled();
        let ends = of_kind(&records, "ended");
        // How an agent leaves a tunnel in which it was told to go away is its own affair.
        assert!(
            ends.iter().all(|end| end["outcome"] == "completed" || end["status"].is_null() && end["outcome"] == "abandoned"),
            "{ends:?}"
        );
        assert_eq!(proxy.status().unwrap().code(), Some(0));
    }
}

#[test]
fn a_second_signal_takes_the_time_away_and_the_journal_is_sealed_all_the_same() {
    for second in [Signal::TERM, Signal::INT] {
        let (p0, mut proxy) = p0("0s", "60s");
        let mut tunnel = tunnel(&p0, &proxy);
        assert!(speaks(&mut tunnel));
        begin_to_drain(&proxy);
        until("the listener closes", || Talk::try_to(proxy.address).is_none());
        assert!(speaks(&mut tunnel) && proxy.is_alive(), "the first leaves it its time");
        let began = Instant::now();
        kill_process(proxy.pid(), second).unwrap();
        until("it ends", || !proxy.is_alive());
        // Of the sixty seconds nearly all are left.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert!(tunnel.is_closed());
        assert_eq!(proxy.status().unwrap().code(), Some(0));
        assert_eq!(outcome(&proxy, "api.allowed.test"), pair("cut", "internal"));
        assert_eq!(proxy.journal().last().unwrap()["kind"], "stopped");
        let said = proxy.said(&["verify"]);
        assert!(!said.contains("covered by none yet"), "it is not sealed to its end: {said}");
    }
}

#[test]
fn a_third_signal_waits_for_nothing_though_something_hangs() {
    let mut p0 = P0::new();
    p0.site.inspecting(&Authority::named("exeat"), &Authority::named("origins"));
    p0.site.set("drain", "time", "\"0s\"");
    let mut proxy = p0.start();
    // A file whose reader waits without end, as on a disk that is gone.
    let file = p0.site.state().join("trust/ca-bundle.pem");
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
    kill_process(proxy.pid(), Signal::HUP).unwrap();
    let mut hangs = None;
    until("it reads", || {
        hangs = rustix::fs::open(&file, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
        hangs.is_some()
    });
    terminate(&proxy);
    until("the listener closes", || Talk::try_to(proxy.address).is_none());
    // Two of one kind might be taken for one.
    kill_process(proxy.pid(), Signal::INT).unwrap();
    assert!(proxy.is_alive(), "it waits for what hangs");
    terminate(&proxy);
    until("it stops at once", || !proxy.is_alive());
    assert_eq!((proxy.status().unwrap().code(), of_kind(&proxy.journal(), "stopped").len()), (Some(1), 0));
    drop(hangs);
    std::fs::remove_file(&file).unwrap();
    let mut next = p0.start();
    assert!(next.stop().success());
    next.said(&["verify"]);
}

//! `limits.idle`: what is silent for too long is cut and recorded as cut; what moves is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::origin::{Gate, Origin, Step, ok};
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended};
use crate::support::talk::Talk;

/// `limits.idle` here.
const IDLE: Duration = Duration::from_secs(1);
/// Well over it, in steps well under it.
const STEPS: u32 = 5;
const STEP: Duration = Duration::from_millis(400);

struct World {
    proxy: Proxy,
    echo: Origin,
    slow: Origin,
    gate: Gate,
    p0: P0,
}

impl World {
    fn new() -> Self {
        let mut p0 = P0::new();
        p0.site.set("limits", "idle", "\"1s\"");
        let gate = Gate::default();
        let waits = gate.clone();
        let slow = Origin::http(move |request| match request.target() {
            "/silent" => vec![Step::Wait(waits.clone()), Step::Close],
            "/stalls" => {
                vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".into()), Step::Wait(waits.clone()), Step::Close]
            }
            _ => ok("took it"),
        });
        let echo = Origin::echo();
        for name in ["opaque.test", "slow.test"] {
            p0.site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let here = "addresses = [\"127.0.0.0/8\"]";
        p0.write_agents(&format!(
            "[[allow]]\nhost = \"opaque.test\"\nport = [{}]\nopaque = true\n{here}\n[[allow]]\nhost = \"slow.test\"\nport = [{}]\n{here}",
            echo.port(),
            slow.port()
        ));
        let proxy = p0.start();
        Self { proxy, echo, slow, gate, p0 }
    }

    /// The head of a request to the slow origin.
    fn ask(&self, method: &str, path: &str, more: &str) -> Talk {
        let (mut talk, host) = (self.proxy.talk(), format!("slow.test:{}", self.slow.port()));
        talk.send(format!("{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{}{more}\r\n", a()));
        talk
    }

    /// `outcome` and `reason` of the one attempt at a host.
    fn end_of(&self, host: &str) -> (Value, Value) {
        let records = self.proxy.settled();
        let all = decided(&records, host);
        assert_eq!(all.len(), 1, "{all:?}");
        let end = ended(&records, &all[0]["id"]);
        (end["outcome"].clone(), end["reason"].clone())
    }
}

#[track_caller]
fn assert_idle_long_enough(since: Instant) {
    assert!(since.elapsed() >= IDLE && since.elapsed() < 8 * IDLE, "it took {:?}", since.elapsed());
}

#[test]
fn a_silent_tunnel_is_cut_and_one_that_moves_is_not() {
    let world = World::new();
    let mut talk = world.proxy.talk();
    assert_eq!(talk.connect(&format!("opaque.test:{}", world.echo.port()), &a()).status, 200);
    for _ in 0..STEPS {
        talk.send("x");
        assert_eq!(talk.exactly(1).expect("a tunnel that moves was cut"), b"x");
        talk.is_quiet(STEP);
    }
    let silent = Instant::now();
    assert!(talk.is_closed());
    assert!(silent.elapsed() < 8 * IDLE, "{:?}", silent.elapsed());
    assert_eq!(world.end_of("opaque.test"), (json!("cut"), json!("overloaded")));
    world.echo.until("the end of the tunnel", |echo| echo.open() == 0);
}

#[test]
fn a_silent_tunnel_of_tls_is_cut() {
    let world = World::new();
    let mut talk = world.proxy.talk();
    assert_eq!(talk.connect(&world.p0.at_secure("api.allowed.test"), &a()).status, 200);
    let since = Instant::now();
    let mut inside = talk.tls(&world.p0.authority, "api.allowed.test").unwrap();
    assert!(inside.is_closed());
    assert_idle_long_enough(since);
    assert_eq!(world.end_of("api.allowed.test"), (json!("cut"), json!("overloaded")));
}

#[test]
fn a_download_that_falls_silent_is_cut_and_never_looks_whole() {
    let world = World::new();
    let since = Instant::now();
    let mut talk = world.ask("GET", "/stalls", "");
    assert!(talk.try_answer("GET").is_none(), "a cut answer was passed on as whole");
    assert_idle_long_enough(since);
    assert_eq!(world.end_of("slow.test"), (json!("cut"), json!("overloaded")));
    world.gate.open();
}

#[test]
fn an_origin_that_never_answers_is_given_up_with_504() {
    let world = World::new();
    let since = Instant::now();
    let answer = world.ask("GET", "/silent", "").answer();
    assert_refused(&answer, 504, "unreachable");
    assert_idle_long_enough(since);
    assert_eq!(world.end_of("slow.test"), (json!("failed"), json!("unreachable")));
    world.gate.open();
}

#[test]
fn an_upload_that_falls_silent_is_given_up() {
    let world = World::new();
    let since = Instant::now();
    let mut talk = world.ask("POST", "/upload", "Content-Length: 10\r\n");
    talk.send("short");
    let answer = talk.try_answer("POST");
    assert!(answer.is_none_or(|answer| answer.status >= 400));
    assert_idle_long_enough(since);
    assert_ne!(world.end_of("slow.test").0, "completed");
}

#[test]
fn an_upload_that_moves_may_take_longer_than_that() {
    let world = World::new();
    let mut talk = world.ask("POST", "/upload", &format!("Content-Length: {STEPS}\r\n"));
    for _ in 0..STEPS {
        talk.is_quiet(STEP);
        talk.send("x");
    }
    let answer = talk.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "took it"), "{answer:?}");
    assert_eq!(world.end_of("slow.test"), (json!("completed"), json!("listed")));
}

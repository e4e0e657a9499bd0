//! Reading again every 100 ms while agents work: what both policies allow never fails, what neither allows never passes.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::support::site::token;

const RELOADS: usize = 30;
const EVERY: Duration = Duration::from_millis(100);

#[test]
#[expect(clippy::too_many_lines, reason = "one scene of five agents at work")]
fn reloads_every_100_ms_lose_nothing_that_both_allow_and_pass_nothing_that_neither_does() {
    let p0 = P0::new();
    let proxy = p0.start();
    let good = text_of_a(&p0);
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let mut tunnel = talk.tls(&p0.authority, "api.allowed.test").unwrap();
    let (stop, served, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let working = || !stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut talk = proxy.talk();
                while working() {
                    let answer = talk.get(&p0.url("plain.allowed.test", "/x"), &a());
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while working() {
                let answer = proxy.talk().connect(&p0.at_secure("x.wild.test"), &a());
                assert_eq!(answer.status, 200, "{}", answer.text());
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let mut talk = proxy.talk();
            while working() {
                assert_refused(&talk.get(&p0.url("evil.test", "/"), &a()), 403, "unattended");
                assert_refused(&proxy.talk().connect(&p0.at_secure("blocked.test"), &a()), 403, "blocked");
                refused.fetch_add(2, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while working() {
                let url = p0.url("plain.allowed.test", "/curl");
                let through = format!("http://a:{}@{}", token("a"), proxy.address);
                let argv = ["-sS", "--fail", "--noproxy", "", "--max-time", "20", "--proxy", &through, &url];
                let Ok(output) = Command::new("curl").args(argv).stdin(Stdio::null()).output() else { return };
                assert!(output.status.success(), "{output:?}");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (_kept, pace) = mpsc::channel::<()>();
        for number in 0..RELOADS {
            let host = if number % 2 == 0 { "one.test" } else { "two.test" };
            put(&file(&p0, "a.toml"), good.clone() + &listed(&p0, host));
            let told = reload(&p0);
            assert_eq!(told["faults"], json!([]), "{told}");
            let _ = pace.recv_timeout(EVERY);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let policies = of_kind(&proxy.journal(), "policy").len();
    assert_eq!(policies, 1 + RELOADS);
    let (served, refused) = (served.into_inner(), refused.into_inner());
    assert!(served > RELOADS && refused > RELOADS, "{served} served, {refused} refused");
    tunnel.send("GET /still HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(tunnel.answer().text(), "secure /still");
    assert!(p0.plain.requests().iter().all(|request| request.header("host").is_some_and(|host| host.starts_with("plain.allowed.test"))));
}

//! Traffic of every kind, round after round: what a dashboard has to show.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::p0::{P0, a};
use crate::support::proxy::Proxy;
use crate::support::site::{credentials, offer};
use crate::support::talk::TlsTalk;
use crate::support::tls::Authority;

/// Agents `a` and `b` of P0, `busy` who has a limit, and `torn` whose file breaks once the proxy runs.
pub(super) struct Traffic {
    pub(super) p0: P0,
    pub(super) proxy: Proxy,
    _open: TlsTalk,
}

const GOOD: &str = "[[allow]]\nhost = \"plain.allowed.test\"\naddresses = [\"127.0.0.0/8\"]\nport = PORT";

impl Traffic {
    pub(super) fn start() -> Self {
        let mut p0 = P0::new();
        p0.site.set("hold", "quiet_after_deny", "\"0s\"");
        // Nobody listens at the one; the other takes all.
        p0.site.set("telemetry", "otlp", "\"http://127.0.0.1:1\"");
        p0.site.set("telemetry.ocsf", "file", "\"ocsf.jsonl\"");
        p0.site.inspecting(&Authority::new(), &p0.authority);
        let tables = GOOD.replace("PORT", &p0.plain.port().to_string());
        p0.site.agent("busy", "limits = { per_minute = 3 }", &tables);
        p0.site.agent("torn", "", &tables);
        let proxy = p0.start();
        p0.site.agent("torn", "", "[[alow]]");
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
        let open = talk.tls(&p0.authority, "api.allowed.test").unwrap();
        // The question outlives the attempt, and is pending from here on.
        assert_eq!(proxy.get(&p0.url("evil.test", "/"), &a()).reason(), "unattended");
        Self { p0, proxy, _open: open }
    }

    /// Rounds until `over`, at least one. Before an answer there are as many requests more as `thought` says of the round.
    pub(super) fn go_on(&self, over: &AtomicBool, thought: impl Fn(u64) -> u64) {
        for round in 0.. {
            self.round(thought(round));
            if over.load(Ordering::Acquire) {
                return;
            }
        }
    }

    fn round(&self, thought: u64) {
        let Self { p0, proxy, _open } = self;
        for host in ["plain.allowed.test", "blocked.test", "unlisted.test"] {
            proxy.get(&p0.url(host, "/a/page"), &a());
        }
        proxy.get(&p0.url("plain.allowed.test", "/"), &offer("a", "exeat_wrong"));
        proxy.get(&p0.url("plain.allowed.test", "/"), &credentials("b"));
        for _ in 0..5 {
            proxy.get(&p0.url("plain.allowed.test", "/"), &credentials("busy"));
        }
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
        let mut inside = talk.tls(&p0.authority, "api.allowed.test").unwrap();
        inside.send("GET /in HTTP/1.1\r\nHost: api.allowed.test\r\nConnection: close\r\n\r\n");
        inside.answer();
        self.questions(thought);
    }

    /// One is approved and one denied while somebody watches.
    fn questions(&self, thought: u64) {
        let Self { p0, proxy, _open } = self;
        let _watcher = proxy.watch();
        for answer in ["approve", "deny"] {
            let (mut talk, host) = (proxy.talk(), p0.at_plain("held.test"));
            talk.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
            let asked = loop {
                let holds = proxy.holds();
                if let Some(hold) = holds.iter().find(|hold| hold["host"] == "held.test" && hold["waiting"] == 1) {
                    break hold["id"].as_str().unwrap().to_owned();
                }
                // The watcher has a terminal's patience; so has this.
                assert!(talk.is_quiet(std::time::Duration::from_millis(20)), "it was answered by nobody: {holds:?}");
            };
            for _ in 0..thought {
                proxy.get(&p0.url("plain.allowed.test", "/"), &a());
                proxy.get(&p0.url("only-b.allowed.test", "/"), &credentials("b"));
            }
            proxy.said(&[answer, &asked]);
            talk.answer();
        }
    }
}

//! Rules that look at requests, on the wire: method, path and query, content, upgrades, limits, questions about one request.

mod budgets;
mod content;
mod look;
mod observed;
mod paths;
mod questions;
mod websocket;

use crate::support::dns::Reply;
use crate::support::p0::P0;
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::talk::{Answer, Talk};

/// P0 with an agent `c`, whose rules say `PORT` for the port of the plain origin. `rules.test` and `open.test` lead to it.
fn world(keys: &str, rules: &str) -> P0 {
    let p0 = P0::new();
    for name in ["rules.test", "open.test"] {
        p0.site.dns.script(name, [Reply::to(["127.0.0.1"])]);
    }
    write(&p0, keys, rules);
    p0
}

fn write(p0: &P0, keys: &str, rules: &str) {
    let local = "port = [PORT]\naddresses = [\"127.0.0.0/8\"]";
    let rules = rules.replace("LOCAL", local).replace("PORT", &p0.plain.port().to_string());
    p0.site.agent("c", &format!("addresses = [\"127.0.0.0/8\"]\n{keys}"), &rules);
}

fn c() -> String {
    credentials("c")
}

/// The ways a request can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In absolute form.
    Forward,
    /// In plain sight in a tunnel.
    Inside,
}

const WAYS: [Way; 2] = [Way::Forward, Way::Inside];

impl Way {
    /// Sends a request for `rules.test` and the like: `line` is method and target, `fields` end each with a line break.
    fn send(self, p0: &P0, proxy: &Proxy, host: &str, (line, fields): (&str, &str)) -> Talk {
        let (mut talk, host) = (proxy.talk(), p0.at_plain(host));
        let (method, target) = line.split_once(' ').unwrap();
        match self {
            Way::Forward => talk.send(format!("{method} http://{host}{target} HTTP/1.1\r\nHost: {host}\r\n{}{fields}\r\n", c())),
            Way::Inside => {
                assert_eq!(talk.connect(&host, &c()).status, 200);
                talk.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
            }
        }
        talk
    }

    fn ask(self, p0: &P0, proxy: &Proxy, host: &str, (line, fields): (&str, &str)) -> Answer {
        self.send(p0, proxy, host, (line, fields)).answer()
    }
}

//! What hostile readers of the source found: a test for each finding, which fails where its fix is taken out.

mod bounds;
mod ends;
mod heads;
mod held;
mod living;
mod starts;
mod stops;

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::dns::Reply;
use crate::support::p0::a;
use crate::support::proxy::{Proxy, Watcher};
use crate::support::site::Site;
use crate::support::talk::Talk;

/// Agent `a`, which may ask, and an origin whose side of each connection the test itself speaks.
struct Stage {
    watcher: Option<Watcher>,
    proxy: Proxy,
    site: Site,
    origin: TcpListener,
}

impl Stage {
    /// Starts with these keys of `[limits]`, and nobody to answer.
    fn new(limits: &[(&str, &str)]) -> Self {
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        origin.set_nonblocking(true).unwrap();
        let mut site = Site::new();
        for (key, value) in limits {
            site.set("limits", key, value);
        }
        for name in ["listed.test", "held.test"] {
            site.dns.script(name, [Reply::to(["127.0.0.1"])]);
        }
        let port = origin.local_addr().unwrap().port();
        let listed = format!("[[allow]]\nhost = \"listed.test\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]");
        site.agent("a", "unlisted = \"hold\"\naddresses = [\"127.0.0.0/8\"]", &listed);
        let proxy = site.start();
        Self { watcher: None, proxy, site, origin }
    }

    /// As `new`, with somebody there to answer.
    fn attended(limits: &[(&str, &str)]) -> Self {
        let mut stage = Self::new(limits);
        stage.watcher = Some(stage.proxy.watch());
        stage
    }

    /// A name of the origin with its port.
    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.origin.local_addr().unwrap().port())
    }

    /// The origin's side of the next connection to it.
    fn accept(&self) -> Talk {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match self.origin.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return Talk::over(stream);
                }
                Err(_nobody) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("nobody came: {error}"),
            }
        }
    }

    /// The head of a request of agent `a`, with more header lines.
    fn request(&self, method: &str, host: &str, more: &str) -> String {
        let host = self.at(host);
        format!("{method} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}{more}\r\n", a())
    }

    /// Says yes to the only question, which one attempt waits for; the name of the approval.
    fn approve(&self, scope: &[&str]) -> String {
        approve(&self.proxy, scope)
    }
}

fn approve(proxy: &Proxy, scope: &[&str]) -> String {
    let before = approvals(proxy);
    let holds = proxy.until_held(1, 1);
    proxy.said(&[&["approve", holds[0]["id"].as_str().unwrap()], scope].concat());
    approvals(proxy).into_iter().find(|id| !before.contains(id)).unwrap_or_default()
}

fn approvals(proxy: &Proxy) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(&proxy.said(&["approvals", "--json"])).unwrap();
    all.iter().map(|approval| approval["id"].as_str().unwrap().to_owned()).collect()
}

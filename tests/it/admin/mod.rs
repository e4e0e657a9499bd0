//! Page and API over TCP, against agents that run web servers on the same host: what they may not reach, forge, replay or read.

mod answers;
mod conformance;
mod fronts;
mod gates;
mod names;
mod questions;
mod roles;
mod table;

pub(crate) use names::{READ, asked, steers};

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::hold::ask;
use super::support::p0::P0;
use super::support::proxy::Proxy;
use super::support::talk::{Answer, Talk};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running exeat with page and API, and an approver who is admin.
struct Office {
    p0: P0,
    proxy: Proxy,
    at: SocketAddr,
    admin: String,
}

impl Office {
    fn new() -> Self {
        Self::of(P0::new())
    }

    fn of(mut p0: P0) -> Self {
        p0.site.set("admin", "address", "\"127.0.0.1:0\"");
        p0.site.set("admin", "hosts", "[\"exeat.corp.example\"]");
        let proxy = p0.start();
        let at = proxy.people_at();
        let admin = token(&proxy, &["alice", "--role", "admin"]);
        Self { p0, proxy, at, admin }
    }

    /// One request as a program sends it.
    fn call(&self, token: &str, method: &str, route: &str, body: &str) -> Answer {
        self.send(method, route, &format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", self.at), body)
    }

    /// One request with the header lines as they are.
    fn send(&self, method: &str, route: &str, headers: &str, body: &str) -> Answer {
        let mut talk = Talk::to(self.at);
        let length = body.len();
        talk.send(format!("{method} /api/v1/{route} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"));
        talk.answer_to(method)
    }

    /// What the admin gets.
    fn get(&self, route: &str) -> Value {
        let answer = self.call(&self.admin, "GET", route, "");
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        json(&answer)
    }

    /// An approver's token.
    fn approver(&self, arguments: &[&str]) -> String {
        token(&self.proxy, arguments)
    }

    /// The question that an attempt of agent `a` opens while nobody is there to answer it.
    fn question(&self, host: &str) -> Value {
        let refused = ask(&self.p0, &self.proxy, host).answer();
        assert_eq!(refused.status, 403, "{}", refused.text());
        let holds = self.proxy.holds();
        holds.into_iter().find(|hold| hold["host"] == host).unwrap_or_else(|| panic!("no question for {host}"))
    }

    /// Events as they come.
    fn events(&self, token: &str) -> Talk {
        let mut talk = Talk::to(self.at);
        talk.send(format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n", self.at));
        talk
    }
}

fn token(proxy: &Proxy, arguments: &[&str]) -> String {
    proxy.said(&[&["approver", "add"], arguments].concat()).trim().to_owned()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error} in {}", answer.text()))
}

/// `{"facts": …}` of a question.
fn shown(hold: &Value) -> String {
    format!("{{\"facts\": {}}}", hold["facts"])
}

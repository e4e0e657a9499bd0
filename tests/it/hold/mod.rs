//! Questions: asked before DNS and before CONNECT is answered, only while somebody can answer, once for all who wait.

mod answers;
mod facts;
mod floods;
mod limits;
mod listed;
mod restart;
mod scopes;

use serde_json::Value;

use crate::support::p0::{P0, a};
use crate::support::proxy::Proxy;
use crate::support::talk::Talk;

/// Sends a `CONNECT` of agent `a` to the secure origin under a name, and does not wait for the answer.
fn knock(p0: &P0, proxy: &Proxy, host: &str) -> Talk {
    let mut talk = proxy.talk();
    let target = p0.at_secure(host);
    talk.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a()));
    talk
}

/// Sends a `GET` of agent `a` to the plain origin under a name, and does not wait for the answer.
pub(crate) fn ask(p0: &P0, proxy: &Proxy, host: &str) -> Talk {
    let mut talk = proxy.talk();
    talk.send(format!("GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n", p0.url(host, "/asked?secret=1"), p0.at_plain(host), a()));
    talk
}

/// The short id of a question.
fn id(hold: &Value) -> &str {
    hold["id"].as_str().unwrap_or_else(|| panic!("no id in {hold}"))
}

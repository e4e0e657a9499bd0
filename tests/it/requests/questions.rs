//! Where rules look at requests a question is about one of them, and so is its answer.

use serde_json::json;

use super::{Way, world};
use crate::support::p0::{P0, assert_refused};
use crate::support::proxy::{Proxy, of_kind};
use crate::support::talk::Talk;

const RULES: &str = "
[[allow]]
host = \"rules.test\"
LOCAL
method = [\"GET\"]
[[hold]]
host = \"rules.test\"
LOCAL
method = [\"POST\", \"DELETE\"]
";

fn post(p0: &P0, proxy: &Proxy, line: &str) -> Talk {
    Way::Forward.send(p0, proxy, "rules.test", (line, "Content-Length: 0\r\n"))
}

fn hold<'a>(holds: &'a [serde_json::Value], method: &str, path: &str) -> &'a str {
    let only = json!({"method": method, "path": path});
    holds.iter().find(|hold| hold["only"] == only).and_then(|hold| hold["id"].as_str()).unwrap_or_else(|| panic!("no {only} in {holds:?}"))
}

#[test]
fn two_requests_wait_on_two_questions_and_a_yes_to_one_covers_no_other() {
    let p0 = world("", RULES);
    let proxy = p0.start();
    let watcher = proxy.watch();
    let mut first = post(&p0, &proxy, "POST /a?secret=1");
    let mut other = post(&p0, &proxy, "POST /b");
    let mut delete = post(&p0, &proxy, "DELETE /a");
    let holds = proxy.until_held(3, 1);
    let id = hold(&holds, "POST", "/a");
    let said = proxy.said(&["approve", id, "--for", "1h"]);
    assert!(said.contains("(http, POST /a only)"), "{said}");
    assert_eq!(first.answer().text(), "plain /a?secret=1");
    assert_eq!(proxy.until_held(2, 1).len(), 2, "the yes spread");
    assert_eq!(post(&p0, &proxy, "POST /a").answer().status, 200, "the same request again");

    for (shown, what) in
        [(proxy.said(&["holds"]), "POST /b only"), (watcher.shown(), "POST /a only"), (proxy.said(&["approvals"]), "POST /a only")]
    {
        assert!(shown.contains(what) && !shown.contains("secret") && !shown.contains("any request"), "{shown}");
    }
    let approvals: serde_json::Value = serde_json::from_str(&proxy.said(&["approvals", "--json"])).unwrap();
    assert_eq!(approvals[0]["only"], json!({"method": "POST", "path": "/a"}));

    proxy.said(&["deny", hold(&holds, "POST", "/b")]);
    assert_refused(&other.answer(), 403, "refused");
    proxy.said(&["approve", hold(&holds, "DELETE", "/a")]);
    assert_eq!(delete.answer().status, 200);
    let records = proxy.settled();
    assert!(of_kind(&records, "held").iter().all(|held| held["only"] == true && held["rule"].is_string()), "{records:?}");
    let answered: Vec<_> = of_kind(&records, "answered").iter().map(|answered| answered["request"].clone()).collect();
    let line = |method: &str, path: &str| json!({"method": method, "path": path});
    assert_eq!(answered, [line("POST", "/a"), line("POST", "/b"), line("DELETE", "/a")]);
    let text = proxy.said(&["log"]);
    assert!(text.contains("POST /a only"), "{text}");
}

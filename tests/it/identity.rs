//! Who asks: all that is offered must be valid and agree, for each request anew, and nothing else stands in for it.

use serde_json::json;

use crate::support::dns::Reply;
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{decided, of_kind};
use crate::support::site::{Site, credentials, offer, token};

#[test]
fn one_agents_token_cannot_use_the_others_allowlist() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &b()), 403, "unlisted");
    assert_refused(&proxy.get(&p0.url("only-b.allowed.test", "/"), &a()), 403, "unattended");
    assert_refused(&proxy.get(&p0.url("only-b.allowed.test", "/"), &offer("b", &token("a"))), 407, "unknown-agent");
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &offer("a", &token("b"))), 407, "unknown-agent");
    assert_eq!(p0.plain.requests().len(), 1);
}

#[test]
fn without_a_token_it_is_407_and_the_connection_stays_usable() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    for _ in 0..2 {
        let answer = talk.get(&p0.url("plain.allowed.test", "/"), "");
        assert_refused(&answer, 407, "unknown-agent");
        assert_eq!(answer.header("proxy-authenticate"), Some("Basic realm=\"exeat\""));
    }
    assert_refused(&talk.connect(&p0.at_secure("api.allowed.test"), ""), 407, "unknown-agent");
    assert_eq!(talk.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
}

#[test]
fn a_body_sent_without_a_token_is_consumed_or_the_connection_closed_never_read_as_a_request() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    let inner =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n{}\r\n", p0.url("plain.allowed.test", "/inner"), p0.at_plain("plain.allowed.test"), a());
    let host = p0.at_plain("plain.allowed.test");
    talk.send(format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()));
    assert_refused(&talk.answer(), 407, "unknown-agent");
    talk.finish();
    assert!(talk.is_closed(), "the body was answered as a request");
    assert!(p0.plain.requests().is_empty());
}

#[test]
fn a_wrong_token_is_refused_even_where_source_or_listener_would_do() {
    for proof in ["source = \"127.0.0.0/8\"", "listener = \"main\""] {
        let p0 = P0::new();
        let ports = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", p0.plain.port());
        p0.site.allowlist("c", &format!("agent = \"c\"\n[[identify]]\n{proof}\n[[allow]]\nhost = \"plain.allowed.test\"\n{ports}"));
        let proxy = p0.start();
        let url = p0.url("plain.allowed.test", "/");
        assert_eq!(proxy.get(&url, "").status, 200, "{proof}");
        for wrong in [offer("c", "exeat_wrong"), offer("a", "exeat_wrong"), offer("", ""), "Proxy-Authorization: Bearer x\r\n".to_owned()] {
            assert_refused(&proxy.get(&url, &wrong), 407, "unknown-agent");
        }
        let records = proxy.settled();
        let agents: Vec<_> = decided(&records, "plain.allowed.test").iter().map(|record| record["agent"].clone()).collect();
        assert_eq!(agents[0], "c");
    }
}

#[test]
fn the_listeners_agent_is_everyone_there() {
    let mut p0 = P0::new();
    p0.site.set("listen.main", "agent", "\"b\"");
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), "").status, 200);
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), ""), 403, "unlisted");
    // Evidence for two agents does not agree.
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 407, "unknown-agent");
}

#[test]
fn on_one_connection_each_request_is_its_own_agents() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert_refused(&talk.get(&p0.url("plain.allowed.test", "/"), &b()), 403, "unlisted");
    assert_refused(&talk.get(&p0.url("plain.allowed.test", "/"), ""), 407, "unknown-agent");
    assert_eq!(talk.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
    let records = proxy.settled();
    let agents: Vec<_> = of_kind(&records, "decided").iter().map(|record| record["agent"].clone()).collect();
    assert_eq!(agents, [json!("a"), json!("b"), json!(null), json!("b")]);
}

#[test]
fn two_credentials_on_one_request_are_none() {
    let p0 = P0::new();
    let proxy = p0.start();
    let answer = proxy.get(&p0.url("plain.allowed.test", "/"), &(a() + &b()));
    assert!([400, 407].contains(&answer.status), "{answer:?}");
    assert!(p0.plain.requests().is_empty());
}

#[test]
fn a_token_made_while_the_proxy_runs_works_at_once_and_not_after_it_is_revoked() {
    let p0 = P0::new();
    let proxy = p0.start();
    let url = proxy.said(&["token", "a", "--address", &proxy.address.to_string()]);
    let (name, token) = url.trim().strip_prefix("http://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
    assert!(name == "a" && token.starts_with("exeat_"), "{url}");
    let target = p0.url("plain.allowed.test", "/");
    assert_eq!(proxy.get(&target, &offer("a", token)).status, 200);
    let listed = proxy.said(&["agents", "--json"]);
    assert!(!listed.contains(token), "the token is shown twice: {listed}");
    let state = std::process::Command::new("grep").args(["-r", token]).arg(p0.site.state()).output().unwrap();
    assert!(state.stdout.is_empty(), "the token itself is kept: {state:?}");

    let mut kept_open = proxy.talk();
    assert_eq!(kept_open.get(&target, &offer("a", token)).status, 200);
    assert!(proxy.said(&["agents", "--revoke", "a"]).contains('1'));
    assert_refused(&kept_open.get(&target, &offer("a", token)), 407, "unknown-agent");
    assert_refused(&proxy.get(&target, &offer("a", token)), 407, "unknown-agent");
    assert_refused(&proxy.talk().connect(&p0.at_secure("api.allowed.test"), &offer("a", token)), 407, "unknown-agent");
    assert_eq!(proxy.get(&target, &a()).status, 200, "the token of the allowlist went with it");
    let mut again = proxy;
    assert!(again.stop().success());
    assert_refused(&p0.start().get(&target, &offer("a", token)), 407, "unknown-agent");
}

#[test]
fn no_agent_at_all_refuses_everyone_and_is_not_ready() {
    let site = Site::new();
    let proxy = site.start();
    for credentials in [String::new(), credentials("a")] {
        assert_refused(&proxy.get("http://plain.allowed.test/", &credentials), 407, "unknown-agent");
    }
    assert_eq!(proxy.readyz().status, 503);
    assert_eq!(site.dns.queries(), []);
}

#[test]
fn an_empty_allowlist_allows_nothing() {
    let site = Site::new();
    site.agent("a", "", "");
    site.dns.script("plain.allowed.test", [Reply::to(["127.0.0.1"])]);
    let proxy = site.start();
    assert_refused(&proxy.get("http://plain.allowed.test/", &credentials("a")), 403, "unlisted");
    assert_refused(&proxy.talk().connect("plain.allowed.test:443", &credentials("a")), 403, "unlisted");
    assert_eq!(proxy.readyz().status, 200);
}

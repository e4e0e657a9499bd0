//! Bytes a day: what is over is not carried, what is spent stays spent over restarts and edits, and others pay nothing.

use std::fs;

use serde_json::{Value, json};

use crate::support::dns::Reply;
use crate::support::origin::{Origin, Request, Step};
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, ended};

const BODY: usize = 3 << 20;
const MOST: usize = 300 << 10;

fn big(request: &Request) -> Vec<Step> {
    let length = if request.target() == "/big" { BODY } else { 1 };
    vec![Step::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into()), Step::Send(vec![b'x'; length]), Step::Close]
}

/// `limited.test` over tunnels and in plain sight, by a rule with a limit of bytes.
fn world() -> P0 {
    let mut p0 = P0::new();
    p0.plain = Origin::http(big);
    p0.site.dns.script("limited.test", [Reply::to(["127.0.0.1"])]);
    write(&p0, "", MOST);
    p0
}

fn write(p0: &P0, above: &str, most: usize) {
    let port = p0.plain.port();
    p0.write_agents(&format!(
        "{above}[[allow]]\nhost = \"limited.test\"\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]\nopaque = true\n\
        limits = {{ bytes_per_day = \"{most}B\" }}\n"
    ));
}

fn spent(proxy: &Proxy, p0: &P0) {
    let answer = proxy.get(&p0.url("limited.test", "/"), &a());
    assert_refused(&answer, 403, "budget");
    let problem = answer.problem();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("a has moved 300KiB since 00:00 UTC, the most a day that the limits of a.toml:"), "{detail}");
    let left = problem["retry_after"].as_u64().unwrap();
    assert!((1..=86_400).contains(&left) && problem["retryable"] == json!(true), "{problem}");
}

fn end_of_first(proxy: &Proxy) -> (Value, u64) {
    let records = proxy.until("the end of the first", |records| {
        decided(records, "limited.test")
            .first()
            .is_some_and(|first| records.iter().any(|end| end["kind"] == "ended" && end["id"] == first["id"]))
    });
    let end = ended(&records, &decided(&records, "limited.test")[0]["id"]).clone();
    let total = end["bytes_up"].as_u64().unwrap() + end["bytes_down"].as_u64().unwrap();
    (json!([end["outcome"], end["reason"]]), total)
}

#[test]
fn a_tunnel_carries_what_is_left_and_not_a_byte_more_and_no_start_forgets_it() {
    let p0 = world();
    let mut proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_plain("limited.test"), &a()).status, 200);
    let request = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
    talk.send(request);
    assert_eq!(talk.rest().len(), MOST - request.len());
    assert_eq!(end_of_first(&proxy), (json!(["cut", "budget"]), MOST as u64));
    spent(&proxy, &p0);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200, "another rule of the agent");
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"policy.bytes_per_day\""]), 2.0);

    proxy.stop();
    let proxy = p0.start();
    spent(&proxy, &p0);
    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::KILL).unwrap();
    drop(proxy);
    let proxy = p0.start();
    spent(&proxy, &p0);
    // The rule moves down, and is the same rule.
    write(&p0, "[[block]]\nhost = \"other.test\"\n", MOST);
    proxy.until("the files read again", |_| proxy.metric("exeat_policy_reloads_total", &["result=\"ok\""]) >= 1.0);
    spent(&proxy, &p0);
    write(&p0, "", 2 * MOST);
    proxy.until("a new limit in force", |_| proxy.get(&p0.url("limited.test", "/"), &a()).status == 200);
}

#[test]
fn a_download_and_an_upload_are_cut_where_the_budget_ends() {
    for method in ["GET", "POST"] {
        let p0 = world();
        let proxy = p0.start();
        let host = p0.at_plain("limited.test");
        let mut talk = proxy.talk();
        if method == "GET" {
            talk.send(format!("GET http://{host}/big HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
            assert!(talk.head()[0].contains(" 200 "));
            assert!(talk.rest().len() <= MOST);
        } else {
            talk.send(format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {BODY}\r\n{}\r\n", a()));
            talk.pour(&vec![b'x'; BODY]);
        }
        assert_eq!(end_of_first(&proxy), (json!(["cut", "budget"]), MOST as u64), "{method}");
        spent(&proxy, &p0);
        if method == "POST" {
            let seen: usize = p0.plain.connections().iter().map(Vec::len).sum();
            assert!(seen < MOST + 1024, "{seen}");
        }
    }
}

#[test]
fn the_limits_of_agent_and_floor_count_all_that_the_agent_moves() {
    let p0 = world();
    fs::write(p0.site.path().join("allowlists/floor.toml"), format!("[limits]\nbytes_per_day = \"{}B\"\n", MOST / 2)).unwrap();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    let host = p0.at_plain("plain.allowed.test");
    talk.send(format!("GET http://{host}/big HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()));
    assert!(talk.rest().len() < MOST);
    let refused = proxy.get(&p0.url("limited.test", "/"), &a());
    assert_refused(&refused, 403, "budget");
    assert!(
        refused.text().contains("a has moved 150KiB since 00:00 UTC, the most a day that the floor's [limits] allow"),
        "{}",
        refused.text()
    );
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
}

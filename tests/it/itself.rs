//! exeat is never its own destination, at any of its listeners, under any name; and two processes share one `state` in order.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::support::dns::Reply;
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, decided, ended, exeat, of_kind};

struct Doors {
    proxy: Proxy,
    p0: P0,
    /// `listen.main`, `listen.wide` on every address, the metrics.
    ports: [u16; 3],
}

/// Three listeners, and rules that list all three by address and by name.
fn doors() -> Doors {
    let mut p0 = P0::new();
    let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
    drop(free);
    p0.site.set("listen.main", "address", &format!("[\"127.0.0.1:{}\"]", ports[0]));
    p0.site.set("listen.main", "known_as", "[\"egress.test\"]");
    p0.site.set("listen.wide", "address", &format!("[\"0.0.0.0:{}\"]", ports[1]));
    p0.site.set("metrics", "address", &format!("\"127.0.0.1:{}\"", ports[2]));
    for (name, address) in
        [("own.test", "127.0.0.1"), ("second.test", "127.0.0.2"), ("mapped.test", "::ffff:127.0.0.1"), ("egress.test", "127.0.0.1")]
    {
        p0.site.dns.script(name, [Reply::to([address])]);
    }
    p0.write_agents(&format!(
        "[[allow]]\nhost = [\"own.test\", \"second.test\", \"mapped.test\", \"egress.test\", \"127.0.0.1\", \"127.0.0.2\", \"0.0.0.0\", \"[::ffff:127.0.0.1]\"]\nport = {ports:?}\naddresses = [\"127.0.0.0/8\", \"0.0.0.0/32\", \"::ffff:0:0/96\"]"
    ));
    let proxy = p0.start();
    Doors { proxy, p0, ports }
}

#[test]
fn no_listener_of_exeat_is_reached_by_any_address_or_name() {
    let Doors { proxy, p0, ports: [main, wide, metrics] } = doors();
    for (host, port) in [
        ("127.0.0.1", main),
        ("0.0.0.0", main),
        ("[::ffff:127.0.0.1]", main),
        ("own.test", main),
        ("mapped.test", main),
        ("egress.test", main),
        ("127.0.0.1", wide),
        ("127.0.0.2", wide),
        ("0.0.0.0", wide),
        ("own.test", wide),
        ("second.test", wide),
        ("127.0.0.1", metrics),
        ("0.0.0.0", metrics),
        ("own.test", metrics),
        ("mapped.test", metrics),
    ] {
        let target = format!("{host}:{port}");
        eprintln!("{target}");
        assert_refused(&proxy.get(&format!("http://{target}/metrics"), &a()), 403, "self");
        assert_refused(&proxy.talk().connect(&target, &a()), 403, "self");
    }
    // Another address of this machine, at a port where exeat does not listen on it: only nobody is there.
    let answer = proxy.get(&format!("http://second.test:{main}/"), &a());
    assert_refused(&answer, 502, "unreachable");
    let records = proxy.settled();
    assert!(decided(&records, "own.test").iter().all(|record| ended(&records, &record["id"])["outcome"] == "refused"));
    let scrapes = of_kind(&records, "decided").iter().filter(|record| record["agent"].is_null()).count();
    assert_eq!(scrapes, 0, "exeat answered itself");
    assert!(p0.plain.connections().is_empty());
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_second_serve_of_the_same_state_says_what_is_wrong_and_the_first_goes_on() {
    let p0 = P0::new();
    let proxy = p0.start();
    let second = exeat(Some(&p0.site.config())).arg("serve").stdin(Stdio::null()).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(err(&second).contains("another exeat") && err(&second).contains("state"), "{second:?}");
    assert!(second.stdout.is_empty(), "it said that it listens: {second:?}");
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    assert!(proxy.holds().is_empty(), "the second took the first one's admin socket away");
    let lost: Vec<_> = proxy.settled().into_iter().filter(|record| record["outcome"] == "lost").collect();
    assert!(lost.is_empty(), "the second ended what the first has open: {lost:?}");
}

#[test]
fn a_second_serve_on_the_same_port_with_a_state_of_its_own_names_the_port() {
    let mut p0 = P0::new();
    let proxy = p0.start();
    p0.site.set("listen.main", "address", &format!("[\"{}\"]", proxy.address));
    let config = p0.site.path().join("second.toml");
    let same = std::fs::read_to_string(p0.site.config()).unwrap();
    std::fs::write(&config, same.replace("state = \"state\"", "state = \"another\"")).unwrap();
    let second = exeat(Some(&config)).arg("serve").stdin(Stdio::null()).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(err(&second).contains(&proxy.address.to_string()), "{second:?}");
}

#[test]
fn run_works_beside_serve_and_both_journals_are_kept() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut tunnel = proxy.talk();
    assert_eq!(tunnel.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let mut inside = tunnel.tls(&p0.authority, "api.allowed.test").unwrap();
    let mut run = exeat(Some(&p0.site.config()));
    run.args(["run", "--allow", &p0.at_plain("plain.allowed.test"), "--addresses", "127.0.0.0/8", "--unlisted", "block", "--"]);
    let output = run.args(["curl", "-sS", &p0.url("plain.allowed.test", "/beside")]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "plain /beside", "{output:?}");
    inside.send("GET /on HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(inside.answer().text(), "secure /on");
    let records = proxy.until("the run's end", |records| of_kind(records, "stopped").len() == 1);
    assert_eq!(of_kind(&records, "started").len(), 2);
    let beside = decided(&records, "plain.allowed.test");
    assert_eq!((beside.len(), &beside[0]["agent"]), (1, &json!("this-run")));
    assert!(of_kind(&records, "ended").iter().all(|record| record["outcome"] == "completed"), "one took the other's attempts for lost");
}

//! Policy read again while it is used: what changed is in force, what is broken changes nothing, and nobody else notices.

mod broken;
mod floor;
mod folder;
mod half;
mod load;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{Proxy, decided, of_kind};

/// Longer than the longest wait for quiet, and for a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds of the proxy.
#[track_caller]
fn until(proxy: &Proxy, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}\n{}\n{}", proxy.readyz().text(), proxy.stderr());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Puts a file in place at once.
fn put(path: &Path, text: impl AsRef<[u8]>) {
    let beside = path.with_extension("new~");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn file(p0: &P0, name: &str) -> PathBuf {
    p0.site.path().join("allowlists").join(name)
}

/// Agent `a`'s file as it stands.
fn text_of_a(p0: &P0) -> String {
    fs::read_to_string(file(p0, "a.toml")).unwrap()
}

/// A rule that lists a host at the plain origin.
fn listed(p0: &P0, host: &str) -> String {
    format!("[[allow]]\nhost = \"{host}\"\nport = [{}, {}]\naddresses = [\"127.0.0.0/8\"]\n", p0.plain.port(), p0.secure.port())
}

/// Asks the admin socket to read again, and gives its answer.
fn reload(p0: &P0) -> Value {
    let mut stream = UnixStream::connect(p0.site.state().join("admin.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"POST /api/v1/reload HTTP/1.1\r\nHost: exeat\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn status(p0: &P0, proxy: &Proxy, host: &str) -> u16 {
    proxy.get(&p0.url(host, "/"), &a()).status
}

fn reloads(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric("exeat_policy_reloads_total", &[&format!("result=\"{result}\"")])
}

#[test]
fn a_file_that_is_written_is_in_force_and_what_waits_for_it_passes() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut waiting: Vec<_> = (0..3).map(|_| crate::hold::ask(&p0, &proxy, "held.test")).collect();
    let id = proxy.until_held(1, 3)[0]["id"].as_str().unwrap().to_owned();
    put(&file(&p0, "a.toml"), text_of_a(&p0) + &listed(&p0, "held.test"));
    for talk in &mut waiting {
        assert_eq!(talk.answer().status, 200);
    }
    proxy.until_held(0, 0);
    let late = proxy.exeat(&["approve", &id]);
    assert!(String::from_utf8_lossy(&late.stderr).contains("the policy changed"), "{late:?}");
    let records = proxy.settled();
    for decided in decided(&records, "held.test") {
        assert_eq!((&decided["decision"], &decided["reason"]), (&json!("allow"), &json!("listed")));
    }
    let policies = of_kind(&records, "policy");
    assert_eq!((policies.len(), &policies[1]["who"], &policies[1]["old"]), (2, &json!("reload"), &policies[0]["new"]));
    assert_eq!((policies[1]["new"] != policies[1]["old"], &policies[1]["unread"]), (true, &Value::Null));
    until(&proxy, "a reload that is counted", || reloads(&proxy, "ok") == 1.0);
}

#[test]
fn a_question_that_is_still_asked_keeps_its_id_and_those_who_wait() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = crate::hold::ask(&p0, &proxy, "held.test");
    let id = proxy.until_held(1, 1)[0]["id"].clone();
    put(&file(&p0, "a.toml"), text_of_a(&p0) + &listed(&p0, "other.test"));
    until(&proxy, "a reload", || reloads(&proxy, "ok") == 1.0);
    assert_eq!(proxy.until_held(1, 1)[0]["id"], id);
    proxy.said(&["approve", id.as_str().unwrap()]);
    assert_eq!(talk.answer().status, 200);
}

#[test]
fn a_tunnel_is_cut_only_where_its_host_is_listed_no_more() {
    let p0 = P0::new();
    let proxy = p0.start();
    let open = |host: &str| {
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&p0.at_secure(host), &a()).status, 200);
        talk.tls(&p0.authority, host).unwrap()
    };
    let (mut kept, mut cut) = (open("api.allowed.test"), open("x.wild.test"));
    put(&file(&p0, "a.toml"), text_of_a(&p0).replace("\"*.wild.test\"", "\"*.gone.test\"").replace("unlisted = \"hold\"", ""));
    assert!(cut.is_closed());
    let records = proxy.until("the end of the one", |records| of_kind(records, "ended").len() == 1);
    let end = of_kind(&records, "ended")[0];
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("policy-changed")));
    assert_eq!(end["id"], decided(&records, "x.wild.test")[0]["id"]);
    kept.send("GET /kept HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(kept.answer().text(), "secure /kept");
}

#[test]
fn a_signal_and_the_admin_socket_read_again_and_say_who_it_was() {
    let p0 = P0::new();
    let proxy = p0.start();
    let first = reload(&p0);
    assert_eq!((&first["result"], &first["faults"]), (&json!("unchanged"), &json!([])));
    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::HUP).unwrap();
    until(&proxy, "two readings", || reloads(&proxy, "unchanged") >= 2.0);
    assert_eq!(of_kind(&proxy.journal(), "policy").len(), 1, "nothing changed");

    put(&file(&p0, "a.toml"), text_of_a(&p0) + &listed(&p0, "held.test"));
    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::HUP).unwrap();
    until(&proxy, "in force", || status(&p0, &proxy, "held.test") == 200);
    let policies = of_kind(&proxy.journal(), "policy").len();
    assert_eq!(policies, 2);
    std::fs::remove_file(file(&p0, "b.toml")).unwrap();
    reload(&p0);
    // Whoever was removed is nobody.
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 407);
    let whos: Vec<Value> = of_kind(&proxy.journal(), "policy").iter().map(|record| record["who"].clone()).collect();
    assert!(
        ["sighup", "reload"].contains(&whos[1].as_str().unwrap()) && ["admin", "reload"].contains(&whos[2].as_str().unwrap()),
        "{whos:?}"
    );
    let mut stream = UnixStream::connect(p0.site.state().join("admin.sock")).unwrap();
    stream.write_all(b"GET /api/v1/reload HTTP/1.1\r\nHost: exeat\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn a_freeze_stops_at_once_whatever_else_is_broken_and_thaws_when_it_goes() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let mut open = talk.tls(&p0.authority, "api.allowed.test").unwrap();
    put(&file(&p0, "b.toml"), "agent = \"b\"\nbroken\n");
    put(&file(&p0, "freeze"), "a # an incident\n");
    assert!(open.is_closed());
    assert_refused(&proxy.get(&p0.url("plain.allowed.test", "/"), &a()), 403, "frozen");
    // `b` is not named, and goes on by its last good allowlist.
    until(&proxy, "b is kept", || proxy.readyz().text().contains("agent b keeps its last good allowlist"));
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200);
    assert!(proxy.readyz().text().contains("agent a is frozen"));
    put(&file(&p0, "freeze"), "nobdy\n");
    until(&proxy, "a slip of the pen is told", || proxy.readyz().text().contains("freeze names nobdy, who is no agent here"));
    assert!(!proxy.readyz().text().contains("nobdy is frozen"));
    until(&proxy, "a warning in the log", || proxy.stderr().lines().any(|line| line.contains("WARN") && line.contains("nobdy")));
    put(&file(&p0, "freeze"), "a\nB?\n");
    until(&proxy, "everyone is frozen", || proxy.readyz().text().contains("everyone is frozen"));
    assert_refused(&proxy.get(&p0.url("only-b.allowed.test", "/"), &b()), 403, "frozen");
    fs::remove_file(file(&p0, "freeze")).unwrap();
    until(&proxy, "thawed", || status(&p0, &proxy, "plain.allowed.test") == 200);
}

#[test]
fn tokens_issued_and_revoked_between_readings_stay_so() {
    let p0 = P0::new();
    let proxy = p0.start();
    let url = proxy.said(&["token", "a", "--address", &proxy.address.to_string()]);
    let token = url.trim().rsplit_once('@').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    let offered = crate::support::site::offer("a", &token);
    let code = || proxy.get(&p0.url("plain.allowed.test", "/"), &offered).status;
    assert_eq!(code(), 200);
    put(&file(&p0, "a.toml"), text_of_a(&p0) + &listed(&p0, "held.test"));
    until(&proxy, "in force", || status(&p0, &proxy, "held.test") == 200);
    assert_eq!(code(), 200);
    proxy.said(&["agents", "--revoke", "a"]);
    assert_eq!(code(), 407);
    reload(&p0);
    assert_eq!((code(), status(&p0, &proxy, "held.test")), (407, 200));
}

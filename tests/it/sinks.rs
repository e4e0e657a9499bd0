//! What was recorded arrives, whatever its receiver does and whichever side dies.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::support::dns::Reply;
use crate::support::p0::{P0, a, assert_refused};
use crate::support::proxy::{Proxy, exeat, journal};
use crate::support::talk::Talk;
use crate::support::wait::until;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Fails,
    Hangs,
    Babbles,
    Refuses,
    Works,
}

/// A receiver of batches.
pub(super) struct Hook {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    does: Does,
    /// Batches that came since it does that.
    batches: usize,
    /// The records of the batches it took, each as it came.
    records: Vec<Value>,
    open: Vec<TcpStream>,
}

impl Hook {
    pub(super) fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { does, batches: 0, records: Vec::new(), open: Vec::new() }));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&shared);
                thread::spawn(move || drop(serve(stream, &seen)));
            }
        });
        Self { address, seen }
    }

    /// Does something else from now on, once it has done that for a batch.
    fn then(&self, does: Does) {
        until("a batch", || self.seen.lock().unwrap().batches > 0);
        let mut seen = self.seen.lock().unwrap();
        (seen.does, seen.batches) = (does, 0);
    }

    /// All it took.
    pub(super) fn text(&self) -> String {
        self.seen.lock().unwrap().records.iter().map(Value::to_string).collect()
    }

    /// The `seq`s of what it took.
    pub(super) fn seqs(&self) -> Vec<u64> {
        self.seen.lock().unwrap().records.iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut headers) = (String::new(), HeaderMap::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        line.clear();
    }
    let mut body = vec![0; headers["content-length"].to_str().unwrap().parse().unwrap()];
    reader.read_exact(&mut body)?;
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).unwrap();
    let mut seen = seen.lock().unwrap();
    seen.batches += 1;
    let answer: &[u8] = match seen.does {
        Does::Fails => b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        Does::Babbles => b"\x16\x03\x01 what?\r\n\r\n",
        Does::Refuses => b"HTTP/1.1 401 Who\r\ncontent-length: 0\r\n\r\n",
        Does::Works => {
            let batch: Value = serde_json::from_slice(&body)?;
            seen.records.extend(batch["records"].as_array().unwrap().iter().cloned());
            b"HTTP/1.1 204 Thanks\r\n\r\n"
        }
        Does::Hangs => {
            seen.open.push(stream);
            return Ok(());
        }
    };
    (&stream).write_all(answer)
}

fn with_hook(hook: &Hook) -> P0 {
    let mut p0 = P0::new();
    posting(&mut p0, hook);
    p0
}

/// Has batches posted.
pub(super) fn posting(p0: &mut P0, hook: &Hook) {
    let secret = p0.site.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    p0.site.set("telemetry.webhook", "url", &format!("\"http://{}/in\"", hook.address));
    p0.site.set("telemetry.webhook", "secret_file", "\"secret\"");
}

fn asked(proxy: &Proxy, p0: &P0) {
    for _ in 0..5 {
        assert_eq!(proxy.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    }
}

fn seqs(state: &Path) -> Vec<u64> {
    journal(state).iter().map(|record| record["seq"].as_u64().unwrap()).collect()
}

#[test]
fn every_record_arrives_though_the_receiver_fails_and_exeat_is_killed() {
    let hook = Hook::start(Does::Fails);
    let p0 = with_hook(&hook);
    for next in [Does::Hangs, Does::Babbles, Does::Refuses, Does::Works, Does::Fails, Does::Works] {
        let mut proxy = p0.start();
        asked(&proxy, &p0);
        hook.then(next);
        proxy.kill();
    }
    let mut proxy = p0.start();
    asked(&proxy, &p0);
    let last = *seqs(&p0.site.state()).last().unwrap();
    until("the newest record", || hook.seqs().contains(&last));
    assert!(proxy.stop().success());

    let (arrived, written) = (hook.seqs(), seqs(&p0.site.state()));
    let mut newest = 0;
    for seq in &arrived {
        assert!(*seq <= newest + 1, "{seq} came after {newest}: {arrived:?}");
        newest = newest.max(*seq);
    }
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), written.into_iter().collect::<BTreeSet<_>>());
    let identities: BTreeSet<String> =
        hook.seen.lock().unwrap().records.iter().map(|record| record["record"].as_str().unwrap().to_owned()).collect();
    assert_eq!(identities.len() as u64, newest);
    assert!(identities.iter().all(|identity| identity.contains("proxy-1/")), "{identities:?}");
    assert!(!proxy.stderr().contains(&SECRET[6..]));
}

#[test]
fn a_receiver_that_is_away_costs_agents_nothing_and_is_told() {
    let hook = Hook::start(Does::Hangs);
    let p0 = with_hook(&hook);
    let proxy = p0.start();
    until("a batch", || hook.seen.lock().unwrap().batches > 0);
    asked(&proxy, &p0);
    hook.then(Does::Fails);
    until("a failed delivery", || proxy.metric("exeat_sink_deliveries_total", &["sink=\"webhook\"", "result=\"later\""]) >= 1.0);
    until("the lag", || proxy.metric("exeat_sink_lag_records", &["sink=\"webhook\""]) >= 10.0);
    assert!(proxy.stderr().contains("records are not taken, and wait in the journal"), "{}", proxy.stderr());
    hook.then(Does::Works);
    until("no lag", || proxy.metric("exeat_sink_lag_records", &["sink=\"webhook\""]) == 0.0);
}

#[test]
fn no_agent_reaches_a_receiver_by_its_address_or_a_name_of_it() {
    // By a name it is closed wherever the name leads.
    for by in ["127.0.0.1", "localhost"] {
        let hook = Hook::start(Does::Works);
        let mut p0 = with_hook(&hook);
        p0.site.dns.script("alias.test", [Reply::to(["127.0.0.1"])]);
        let port = hook.address.port();
        p0.site.set("telemetry.webhook", "url", &format!("\"http://{by}:{port}/in\""));
        p0.write_agents(&format!("[[allow]]\nhost = [\"127.0.0.1\", \"alias.test\"]\nport = [{port}]\naddresses = [\"127.0.0.0/8\"]"));
        let proxy = p0.start();
        assert_refused(&proxy.get(&format!("http://{}/in", hook.address), &a()), 403, "self");
        assert_refused(&proxy.get(&format!("http://alias.test:{port}/in"), &a()), 403, "self");
        assert_refused(&proxy.talk().connect(&format!("alias.test:{port}"), &a()), 403, "self");
        until("a batch", || !hook.seqs().is_empty());
    }
}

#[test]
fn another_process_of_the_state_folder_exports_once_the_one_that_did_is_gone() {
    let hook = Hook::start(Does::Works);
    let p0 = with_hook(&hook);
    let has = |slot: &str, kind: &str| {
        let seen = hook.seen.lock().unwrap();
        seen.records.iter().any(|record| record["record"].as_str().unwrap().contains(slot) && record["kind"] == kind)
    };
    let mut first = p0.start();
    until("the first's start", || has("proxy-1/", "started"));
    let mut command = exeat(Some(&p0.site.config()));
    let command = command.args(["run", "--isolate", "off", "--allow", "x.test", "--", "cat"]);
    let mut second = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the second's start, by the first", || has("proxy-2/", "started"));
    assert!(!has("proxy-2/", "stopped"));
    first.kill();
    // It takes over within 2 s, and seals its log after 10.
    let sealed = || hook.seen.lock().unwrap().records.iter().filter(|record| record["kind"] == "sealed").count();
    let before = sealed();
    until("a record of the second, by itself", || sealed() > before);
    drop(second.stdin.take());
    assert!(second.wait().unwrap().success());
    until("its end", || has("proxy-2/", "stopped"));
}

#[test]
fn a_standard_output_that_nobody_reads_holds_up_no_attempt_and_loses_no_record() {
    let mut p0 = P0::new();
    p0.site.set("telemetry", "stdout", "true");
    let mut child =
        exeat(Some(&p0.site.config())).arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let address: SocketAddr = loop {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(address) = line.trim_end().strip_prefix("proxy main http://") {
            break address.parse().unwrap();
        }
    };
    let wrote = || seqs(&p0.site.state()).len();
    // A pipe holds 64 KiB.
    while wrote() < 400 {
        assert_eq!(Talk::to(address).get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    }
    let last = *seqs(&p0.site.state()).last().unwrap();
    let mut told = BTreeSet::new();
    while !told.contains(&last) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended");
        told.extend(serde_json::from_str::<Value>(&line).ok().and_then(|line| line["seq"].as_u64()));
    }
    assert!((1..=last).all(|seq| told.contains(&seq)), "{told:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn events_stand_in_the_file_once_each_over_a_stop_and_a_start() {
    let mut p0 = P0::new();
    p0.site.set("telemetry.ocsf", "file", "\"ocsf.jsonl\"");
    for _ in 0..2 {
        let mut proxy = p0.start();
        asked(&proxy, &p0);
        assert!(proxy.stop().success());
    }
    let path = p0.site.path().join("ocsf.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<u64> = events.iter().map(|event| event["metadata"]["sequence"].as_u64().unwrap()).collect();
    assert_eq!(told, seqs(&p0.site.state()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(p0.site.state().join("sinks/ocsf.json").is_file());
}

#[test]
fn lines_on_standard_output_go_on_after_a_kill() {
    let mut p0 = P0::new();
    p0.site.set("telemetry", "stdout", "true");
    let config = p0.site.config();
    let out = p0.site.path().join("out");
    let lines = || -> Vec<Value> {
        let text = fs::read_to_string(&out).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    for turn in 1..=2 {
        let output = File::options().create(true).append(true).open(&out).unwrap();
        let mut child = exeat(Some(&config)).arg("serve").stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().unwrap();
        until("a start on standard output", || lines().iter().filter(|line| line["kind"] == "policy").count() >= turn);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let told: BTreeSet<u64> = lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!((1..=*told.last().unwrap()).all(|seq| told.contains(&seq)), "{told:?}");
    assert!(lines().iter().all(|line| line["record"].as_str().is_some_and(|record| record.contains("proxy-1/"))));
}

#[test]
fn a_secret_that_others_can_read_stops_the_start_and_is_not_shown() {
    let hook = Hook::start(Does::Works);
    let p0 = with_hook(&hook);
    fs::set_permissions(p0.site.path().join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let output = exeat(Some(&p0.site.config())).arg("serve").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("telemetry.webhook: secret_file: ") && said.contains("chmod 600"), "{said}");
    assert!(!said.contains(&SECRET[6..]), "{said}");
}

//! Canaries: what an agent writes where a secret may stand comes out nowhere but at the origin it was sent to.
//!
//! Every output of exeat is in one list, `World::outputs`: a sink is one line more.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::otlp::collector::{Collector, Protocol, is_here};
use crate::sinks::{Does, Hook, posting};
use crate::support::dns::Reply;
use crate::support::origin::{Origin, Request, Step, ok, raw};
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, exeat, journal, of_kind};
use crate::support::site::{Site, base64, offer, token};
use crate::support::talk::{Answer, Talk};
use crate::support::wait::until;

/// All of them begin so. Letters and digits alone, so that nothing escapes or cuts it.
const STEM: &str = "c4n4ry";

/// The example of RFC 6455 section 1.3.
const HANDSHAKE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A token that names its place, as long as a secret is.
fn canary(place: &str) -> String {
    format!("{STEM}{place}{}", "0a1b2c3d4e5f6g7h8j9k".repeat(2))
}

/// Every field of a head in which an agent may carry something of its own.
fn fields(place: &str) -> String {
    let of = |field: &str| canary(&format!("{place}{field}"));
    format!(
        "Authorization: Bearer {}\r\nCookie: session={}\r\nX-{}: v\r\nX-Key: {}\r\nReferer: http://h/{}\r\nUser-Agent: {}\r\n\
         traceparent: {}\r\ntracestate: v={}\r\nbaggage: k={}\r\nX-Forwarded-For: {}\r\n",
        of("authorization"),
        of("cookie"),
        of("name"),
        of("value"),
        of("referer"),
        of("useragent"),
        of("traceparent"),
        of("tracestate"),
        of("baggage"),
        of("forwarded"),
    )
}

/// A target with a secret in its path and in its query.
fn target(place: &str) -> String {
    format!("/{}/a?q={}&{}", canary(&format!("{place}path")), canary(&format!("{place}query")), canary(&format!("{place}key")))
}

fn origin(request: &Request) -> Vec<Step> {
    let target = request.target();
    match request.header("upgrade") {
        Some(_) => vec![Step::Send(SWITCHING.into()), Step::Echo],
        None if target.contains("garbage") => raw(&format!("{} is no HTTP\r\n\r\n", canary("garbage"))),
        None if target.contains("twice") => {
            raw(&format!("HTTP/1.1 200 {}\r\nX-{}: v\r\nTransfer-Encoding: x\r\n\r\n", canary("phrase"), canary("answered")))
        }
        None => ok(&canary("answer")),
    }
}

struct World {
    p0: P0,
    proxy: Proxy,
    hook: Hook,
    /// Where its parts are.
    collector: Option<Collector>,
    received: tempfile::TempDir,
    /// What was said to the agent by exeat itself.
    told: Vec<Answer>,
    /// What was shown to whoever watched.
    shown: String,
}

impl World {
    fn new() -> Self {
        let mut p0 = P0::new();
        p0.plain = Origin::http(origin);
        p0.site.set("hold", "wait", "\"300ms\"");
        p0.site.dns.script("refusing.test", [Reply::to(["127.0.0.1"])]);
        p0.site.dns.script("sockets.test", [Reply::to(["127.0.0.1"])]);
        p0.site.dns.script("broken.test", [Reply::ServFail]);
        let (port, local) = (p0.plain.port(), "addresses = [\"127.0.0.0/8\"]");
        p0.write_agents(&format!(
            "[[allow]]\nhost = [\"refusing.test\", \"broken.test\"]\nport = [1]\n{local}\n\
             [[allow]]\nhost = \"sockets.test\"\nport = [{port}]\n{local}\nwebsocket = true\n\
             [[allow]]\nhost = \"paths.test\"\nport = [{port}]\n{local}\npath = [\"/pub/**\"]"
        ));
        let (hook, received) = (Hook::start(Does::Works), tempfile::tempdir().unwrap());
        posting(&mut p0, &hook);
        p0.site.set("telemetry", "stdout", "true");
        p0.site.set("telemetry.ocsf", "file", "\"ocsf.jsonl\"");
        let collector = is_here().then(|| Collector::start(received.path(), Protocol::Grpc, 0, "takes"));
        if let Some(collector) = &collector {
            p0.site.set("telemetry", "otlp", &format!("\"http://127.0.0.1:{}\"", collector.port));
            p0.site.set("telemetry", "metrics", "\"1s\"");
        }
        let proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some("export EXEAT_LOG=trace"));
        Self { p0, proxy, hook, collector, received, told: Vec::new(), shown: String::new() }
    }

    /// What the sinks exported, once each has the newest record. Each name says `journal`, as they hold what it does.
    fn exported(&self) -> Vec<(&'static str, String)> {
        let records = journal(&self.p0.site.state());
        let (last, ended) = (records.last().unwrap()["seq"].as_u64().unwrap(), of_kind(&records, "ended"));
        let events = || fs::read_to_string(self.p0.site.path().join("ocsf.jsonl")).unwrap_or_default();
        self.proxy.until("the journal with every sink", |_| {
            self.hook.seqs().contains(&last)
                && events().contains(&format!("\"sequence\":{last},"))
                && self.proxy.stdout().contains(&format!("/proxy-1/{last}\""))
        });
        let mut outputs = vec![
            ("the journal by webhook", self.hook.text()),
            ("the journal as OCSF", events()),
            ("the journal on stdout", self.proxy.stdout()),
        ];
        if let Some(collector) = &self.collector {
            let span = ended.last().map(|record| record["id"].as_str().unwrap().replace('-', ""));
            collector.until("the journal", |received| {
                let log = |item: &serde_json::Value| {
                    item["attributes"]["exeat.record.id"].as_str().is_some_and(|id| id.ends_with(&format!("/{last}")))
                };
                received.iter().any(|item| item["signal"] == "log" && log(item))
                    && span
                        .as_ref()
                        .is_none_or(|span| received.iter().any(|item| item["signal"] == "span" && item["trace"] == span.as_str()))
            });
            outputs.push(("the journal by OTLP", all_files(self.received.path())));
        }
        outputs
    }

    /// Everything that leaves exeat but for the way to an origin and back.
    fn outputs(&self) -> Vec<(&'static str, String)> {
        let said = |arguments: &[&str]| text(&self.proxy.exeat(arguments));
        let at = self.p0.at_plain("plain.allowed.test");
        let mut outputs = self.exported();
        outputs.extend([
            ("the state folder, the journal in it", self.state()),
            ("the log, as loud as it gets", self.proxy.stderr()),
            ("/metrics", self.proxy.metrics()),
            ("/readyz", self.proxy.readyz().text()),
            ("what agents are told", self.told.iter().map(|answer| format!("{answer:?} {}", answer.text())).collect()),
            ("holds --watch", self.shown.clone()),
            ("holds", said(&["holds"])),
            ("holds --json", said(&["holds", "--json"])),
            ("approvals", said(&["approvals"])),
            ("approvals --json", said(&["approvals", "--json"])),
            ("agents --json", said(&["agents", "--json"])),
            ("log", said(&["log"])),
            ("log --json", said(&["log", "--json"])),
            ("check", said(&["check"])),
            ("explain", said(&["explain", "a", &format!("GET http://{at}/")])),
        ]);
        outputs
    }

    /// The files of the state folder. The store holds the path of a question about one request in full, as it is what an answer is about.
    fn state(&self) -> String {
        let state = self.p0.site.state();
        let is_store = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("approvals.db");
        let entries = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap());
        let texts = entries.map(|entry| match entry.path() {
            path if path.is_dir() => all_files(&path),
            path => {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
                if is_store(&entry.file_name()) { text.replace("c4n4rytargetpath", "") } else { text }
            }
        });
        texts.collect()
    }

    /// No output holds a canary, or an agent's own credentials in any form.
    fn assert_silent(&self) {
        let own = [token("a"), base64(format!("a:{}", token("a")).as_bytes()), base64(format!("a:{STEM}").as_bytes())[..8].to_owned()];
        for (output, text) in self.outputs() {
            assert_silent(output, &text);
            for secret in &own {
                assert!(!text.contains(secret), "{secret} is in {output}");
            }
        }
    }

    /// A request in absolute form, and its answer.
    fn forward(&mut self, line: &str, rest: &str) {
        let mut talk = self.proxy.talk();
        talk.send(format!("{line} HTTP/1.1\r\n{rest}"));
        self.hear(&mut talk, line);
    }

    /// What exeat itself says is kept; of what an origin said nothing is.
    fn hear(&mut self, talk: &mut Talk, line: &str) {
        let method = line.split(' ').next().unwrap();
        if let Some(answer) = talk.try_answer(method).filter(|answer| answer.status >= 400) {
            self.told.push(answer);
        }
    }

    /// As `forward`, in a tunnel.
    fn inside(&mut self, host: &str, line: &str, rest: &str) {
        let (mut talk, at) = (self.proxy.talk(), self.p0.at_plain(host));
        let opened = talk.connect(&at, &format!("{}{}", a(), fields("connect")));
        if opened.status != 200 {
            return self.told.push(opened);
        }
        talk.send(format!("{line} HTTP/1.1\r\nHost: {at}\r\n{rest}"));
        self.hear(&mut talk, line);
    }
}

#[track_caller]
fn assert_silent(output: &str, text: &str) {
    let low = text.to_ascii_lowercase();
    let found: Vec<String> = low.match_indices(STEM).map(|(at, _)| low[at..].chars().take(60).collect()).collect();
    assert!(found.is_empty(), "{output} holds {} canaries, such as {:?}", found.len(), &found[..found.len().min(5)]);
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn all_files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let path = entry.path();
        text += &path.display().to_string();
        if path.is_dir() {
            text += &all_files(&path);
        } else if path.is_file() {
            text += &String::from_utf8_lossy(&fs::read(path).unwrap());
        }
    }
    text
}

#[test]
fn a_request_leaves_no_secret_behind_however_it_ends() {
    let mut world = World::new();
    for (host, port) in [
        ("plain.allowed.test", world.p0.plain.port()),
        ("blocked.test", world.p0.plain.port()),
        ("evil.test", world.p0.plain.port()),
        ("paths.test", world.p0.plain.port()),
        ("refusing.test", 1),
        ("broken.test", 1),
    ] {
        let (at, sent) = (format!("{host}:{port}"), target("target"));
        let body = canary("body");
        let rest = format!("{}Content-Length: {}\r\n\r\n{body}", fields("inner"), body.len());
        world.forward(&format!("POST http://{at}{sent}"), &format!("Host: {at}\r\n{}{rest}", a()));
        let mut talk = world.proxy.talk();
        let answer = talk.connect(&at, &format!("{}{}", a(), fields("tunnel")));
        if answer.status != 200 {
            world.told.push(answer);
        }
        world.inside(host, &format!("POST {sent}"), &rest);
    }
    for what in ["garbage", "twice"] {
        let line = format!("GET {}{}", world.p0.url("plain.allowed.test", "/"), what);
        world.forward(&line, &format!("Host: x\r\n{}{}\r\n", a(), fields(what)));
        world.inside("plain.allowed.test", &format!("GET /{what}"), &format!("{}\r\n", fields(what)));
    }
    let chunked =
        format!("Transfer-Encoding: chunked\r\n\r\n5;{}\r\nhello\r\n0\r\nX-T: {}\r\n\r\n", canary("extension"), canary("trailer"));
    let line = format!("PUT {}", world.p0.url("plain.allowed.test", &target("chunked")));
    world.forward(&line, &format!("Host: x\r\n{}{chunked}", a()));
    world.proxy.settled();
    assert!(world.p0.plain.connections().concat().windows(STEM.len()).any(|bytes| bytes == STEM.as_bytes()), "nothing reached the origin");
    assert!(world.told.len() > 10, "{} refusals", world.told.len());
    world.assert_silent();
}

#[test]
fn what_cannot_be_read_or_is_not_identified_is_repeated_nowhere() {
    let mut world = World::new();
    let plain = world.p0.at_plain("plain.allowed.test");
    let secret = canary("malformed");
    let (own, host) = (a(), format!("Host: {plain}\r\n"));
    let heads = [
        format!("GET http://user:{secret}@{plain}/ HTTP/1.1\r\n{host}{own}\r\n"),
        format!("GET http://{secret}@{plain}/{secret} HTTP/1.1\r\n{host}{own}\r\n"),
        format!("GET ftp://{plain}/{secret} HTTP/1.1\r\n{host}{own}\r\n"),
        format!("GET /{secret} HTTP/1.1\r\nHost: {secret}@{plain}\r\n{own}\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\nHost: {secret}@{plain}\r\n{own}\r\n"),
        format!("GET http://{plain}/{secret} HTTP/7.7\r\n{host}{own}\r\n"),
        format!("GET http://{plain}/{secret} {secret} HTTP/1.1\r\n{host}{own}\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}X {secret}: v\r\n\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}X: a\0{secret}\r\n\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}Content-Length: {secret}\r\n\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}Expect: {secret}\r\n\r\n"),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}Transfer-Encoding: {secret}\r\n\r\n"),
        format!("{} http://{plain}/ HTTP/1.1\r\n{host}{own}\r\n", &secret[..40]),
        format!("GET http://{plain}/{} HTTP/1.1\r\n{host}{own}\r\n", secret.repeat(2000)),
        format!("GET http://{plain}/ HTTP/1.1\r\n{host}{own}X: {}\r\n\r\n", secret.repeat(2000)),
        format!("CONNECT user:{secret}@{plain} HTTP/1.1\r\n{host}{own}\r\n"),
        format!("CONNECT {plain}/{secret} HTTP/1.1\r\n{host}{own}\r\n"),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}{own}Content-Length: 9\r\n\r\n{secret}"),
        format!("GET http://{plain}/{secret} HTTP/1.1\r\n{host}{}\r\n", offer("a", &secret)),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}{}\r\n", offer("a", &secret)),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}{}\r\n", offer(&secret, &secret)),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}Proxy-Authorization: Bearer {secret}\r\n\r\n"),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}Proxy-Authorization: Basic {secret}\r\n\r\n"),
        format!("CONNECT {plain} HTTP/1.1\r\n{host}{own}{}\r\n", offer("a", &secret)),
        format!("{secret}\r\n\r\n"),
    ];
    for head in &heads {
        let mut talk = world.proxy.talk();
        talk.send(head);
        world.hear(&mut talk, head);
    }
    world.proxy.settled();
    assert!(world.told.len() >= heads.len() - 2, "{} of {} were answered", world.told.len(), heads.len());
    world.assert_silent();
}

#[test]
fn what_flows_in_tunnels_and_sockets_leaves_nothing() {
    let world = World::new();
    let mut talk = world.proxy.talk();
    assert_eq!(talk.connect(&world.p0.at_secure("api.allowed.test"), &format!("{}{}", a(), fields("tls"))).status, 200);
    let mut tls = talk.tls(&world.p0.authority, "api.allowed.test").unwrap();
    tls.send(format!("GET {} HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n", target("tls"), fields("tls")));
    assert_eq!(tls.answer().status, 200);
    drop(tls);
    for way in ["forward", "inside"] {
        let (mut talk, at) = (world.proxy.talk(), world.p0.at_plain("sockets.test"));
        let rest = format!("Host: {at}\r\n{HANDSHAKE}{}", fields("socket"));
        if way == "inside" {
            assert_eq!(talk.connect(&at, &a()).status, 200);
            talk.send(format!("GET {} HTTP/1.1\r\n{rest}\r\n", target("socket")));
        } else {
            talk.send(format!("GET http://{at}{} HTTP/1.1\r\n{rest}{}\r\n", target("socket"), a()));
        }
        assert_eq!(talk.answer().status, 101, "{way}");
        let frame = canary("frame");
        talk.send(&frame);
        assert_eq!(talk.exactly(frame.len()).unwrap(), frame.as_bytes());
    }
    for first in [format!("SSH-2.0-{}\r\n", canary("ssh")), format!("GET {}", canary("cut"))] {
        let mut talk = world.proxy.talk();
        assert_eq!(talk.connect(&world.p0.at_plain("plain.allowed.test"), &a()).status, 200);
        talk.send(first);
        talk.finish();
        talk.rest();
    }
    world.proxy.settled();
    world.assert_silent();

    // What a ClientHello asks for is a destination: it stands in the record of the tunnel, and nowhere an agent or a metric could carry it to.
    let name = format!("{}.test", canary("sni"));
    let mut talk = world.proxy.talk();
    assert_eq!(talk.connect(&world.p0.at_secure("api.allowed.test"), &a()).status, 200);
    assert!(talk.tls(&world.p0.authority, &name).is_err());
    let records = world.proxy.settled();
    assert_eq!(of_kind(&records, "ended").last().unwrap()["tls"]["sni"], name.as_str());
    for (output, text) in world.outputs().into_iter().filter(|(output, _)| !output.contains("journal") && !output.contains("log --json")) {
        assert_silent(output, &text);
    }
}

#[test]
fn what_is_held_shows_no_secret_to_whoever_is_asked() {
    let mut world = World::new();
    let watcher = world.proxy.watch();
    for place in ["asked", "again"] {
        let line = format!("POST {}", world.p0.url("held.test", &target(place)));
        let body = canary("asked");
        world.forward(&line, &format!("Host: x\r\n{}{}Content-Length: {}\r\n\r\n{body}", a(), fields(place), body.len()));
    }
    assert_eq!(world.told.last().unwrap().reason(), "pending");
    assert_eq!(world.proxy.holds().len(), 1);
    world.shown = watcher.shown();
    assert!(world.shown.contains("held.test"), "{}", world.shown);
    world.assert_silent();
}

#[test]
fn the_log_says_much_of_exeat_and_little_of_the_crates_that_see_heads() {
    let world = World::new();
    let mut talk = world.proxy.talk();
    assert_eq!(talk.connect(&world.p0.at_secure("api.allowed.test"), &format!("{}{}", a(), fields("log"))).status, 200);
    drop(talk);
    world.proxy.settled();
    // The watch over folders has a thread of its own.
    let is_loud = |log: &str| log.contains("DEBUG exeat::") && log.contains("TRACE notify::");
    until("the log is as loud as it gets", || is_loud(&world.proxy.stderr()));
    let log = world.proxy.stderr();
    for of in ["hyper", "h2", "rustls", "tokio", "mio", "tower"] {
        for level in ["DEBUG", "TRACE"] {
            assert!(!log.contains(&format!("{level} {of}")), "{of} is heard at {level}: {log}");
        }
    }
}

#[test]
fn a_file_that_is_broken_is_told_of_without_what_is_secret_in_it() {
    let world = World::new();
    let secret = format!("exeat_{}", canary("file"));
    for (name, text) in [
        ("one", format!("agent = \"one\"\n[[identify]]\ntoken = \"{secret}\"\n[[allow]]\nhost = \"{secret}\"\ntokn = \"{secret}\"\n")),
        ("two", format!("agent = \"two\"\n[[identify]]\ntoken = \"{secret}\n")),
        ("three", format!("agent = \"three\"\n[[identify]]\ntoken = {secret}\n")),
        ("four", format!("agent = \"{secret}\"\n[[identify]]\ntoken = [\"{secret}\"]\n")),
    ] {
        world.p0.site.allowlist(name, &text);
        world.proxy.until("that a file is broken", |records| {
            of_kind(records, "policy").iter().any(|record| record["unread"].to_string().contains(&format!("{name}.toml")))
        });
    }
    world.assert_silent();
}

#[test]
fn a_command_and_its_environment_stay_out_of_what_run_writes() {
    let site = Site::new();
    let seen = site.path().join("seen");
    let script = format!("printf %s \"$HTTP_PROXY\" > {}; curl -sS http://unlisted.test/{} || true", seen.display(), canary("run"));
    let mut command = exeat(Some(&site.config()));
    command.env("EXEAT_LOG", "trace").env("SECRET", canary("environment"));
    command.env_remove("NO_PROXY").args(["run", "--allow", "listed.test", "--", "sh", "-c", &script]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let proxy = fs::read_to_string(seen).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let (name, token) = proxy.strip_prefix("http://").unwrap().split_once('@').unwrap().0.split_once(':').unwrap();
    assert!(!journal(&site.state()).is_empty());
    for (output, text) in [("stderr", String::from_utf8_lossy(&output.stderr).into_owned()), ("the state", all_files(&site.state()))] {
        assert_silent(output, &text);
        for secret in [token.to_owned(), base64(format!("{name}:{token}").as_bytes())] {
            assert!(!text.contains(&secret), "the token of the run is in {output}");
        }
    }
}

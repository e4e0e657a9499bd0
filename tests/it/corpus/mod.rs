//! The attack corpus, row by row: exact bytes through every way in, judged by what the agent, the journal, the name server and the origins saw.
//!
//! `rows.tsv` names the test of each row and what it gives; `to-come.tsv` the rows that wait for a part of exeat; `docs/corpus.md` shows both.

mod fields;
mod framing;
mod hosts;
mod list;
mod literals;
mod targets;
mod ways;

pub(crate) use hosts::{DENIED, SAME};

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::origin::Origin;
use crate::support::p0::{P0, a};
use crate::support::proxy::Proxy;
use crate::support::strict::{self, Message};
use crate::support::talk::{Answer, Talk, TlsTalk};
use crate::support::tls::Authority;

/// Statuses a malformed request may get.
const MALFORMED: [u16; 7] = [400, 405, 414, 417, 431, 501, 505];
const PATIENCE: Duration = Duration::from_secs(20);

/// Text that is no host, by row.
pub(crate) fn no_hosts() -> impl Iterator<Item = (u16, Vec<u8>)> {
    let literals = literals::BAD.iter().flat_map(|(row, hosts)| hosts.iter().map(|host| (*row, host.as_bytes().to_vec())));
    hosts::bad().into_iter().chain(literals)
}

/// A way in that a row goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The target of a CONNECT.
    Connect,
    /// An absolute form.
    Forward,
    /// Plain HTTP in a tunnel to `plain.allowed.test`.
    Inside,
    /// HTTP within TLS that exeat terminates, in a tunnel to `seen.wild.test`.
    Secure,
}

/// The ways a request with headers and a body has.
const REQUESTS: [Way; 3] = [Way::Forward, Way::Inside, Way::Secure];

/// A rule that looks at requests, and matches none that is tried: its host is inspected.
const LOOKS: &str = "[[block]]\nhost = \"seen.wild.test\"\nport = [PORT]\nmethod = [\"NEVER\"]\n";

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Connect => "connect",
            Way::Forward => "forward",
            Way::Inside => "inside",
            Way::Secure => "inside TLS",
        }
    }

    /// A host that may be asked for in this way.
    fn host(self) -> &'static str {
        match self {
            Way::Connect | Way::Forward | Way::Inside => "plain.allowed.test",
            Way::Secure => "seen.wild.test",
        }
    }

    /// The head of a request to an origin under a name, open for more fields.
    fn head(self, method: &str, host: &str, path: &str) -> String {
        match self {
            Way::Connect => format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{}", a()),
            Way::Forward => format!("{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{}", a()),
            Way::Inside | Way::Secure => format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n"),
        }
    }
}

/// P0, running, and what has been tried at it. The proxy comes first: it is ended before its folder goes.
struct Bench {
    proxy: Proxy,
    p0: P0,
    /// Signs what an agent sees of an inspected host.
    ours: Authority,
    tail: Tail,
    tried: BTreeSet<(u16, Way)>,
}

impl Bench {
    fn new() -> Self {
        let p0 = P0::new();
        p0.write_agents(&LOOKS.replace("PORT", &p0.secure.port().to_string()));
        Self::over(p0)
    }

    fn over(mut p0: P0) -> Self {
        let ours = Authority::named("exeat");
        p0.site.inspecting(&ours, &p0.authority);
        let proxy = p0.start();
        let tail = Tail::of(&p0.site.state());
        Self { proxy, p0, ours, tail, tried: BTreeSet::new() }
    }

    /// `plain.allowed.test` with its port.
    fn listed(&self) -> String {
        self.p0.at_plain("plain.allowed.test")
    }

    /// The host of a way with its port.
    fn at(&self, way: Way) -> String {
        format!("{}:{}", way.host(), self.origin(way).port())
    }

    /// Where a way leads.
    fn origin(&self, way: Way) -> &Origin {
        match way {
            Way::Connect | Way::Forward | Way::Inside => &self.p0.plain,
            Way::Secure => &self.p0.secure,
        }
    }

    /// Sends bytes on a connection of their own, and then no more; gives what everyone saw of it.
    fn shoot(&mut self, row: u16, way: Way, bytes: impl AsRef<[u8]>) -> Seen {
        self.throw(row, way, bytes.as_ref(), false)
    }

    /// As `shoot`, where exeat waits for more than it is given: the end of the stream is told at once.
    fn shoot_and_finish(&mut self, row: u16, way: Way, bytes: impl AsRef<[u8]>) -> Seen {
        self.throw(row, way, bytes.as_ref(), true)
    }

    fn throw(&mut self, row: u16, way: Way, bytes: &[u8], at_once: bool) -> Seen {
        self.tried.insert((row, way));
        let shown = format!("row {row:03}, {}: {:?}", way.name(), String::from_utf8_lossy(&bytes[..bytes.len().min(400)]));
        let mut talk = self.proxy.talk();
        let in_a_tunnel = matches!(way, Way::Inside | Way::Secure);
        if in_a_tunnel {
            let answer = talk.connect(&self.at(way), &a());
            assert_eq!(answer.status, 200, "{shown}: no tunnel");
        }
        let asked = self.p0.site.dns.queries().len();
        let marks = [self.p0.plain.mark(), self.p0.secure.mark()];
        let answers = if way == Way::Secure {
            let talk = talk.tls(&self.ours, way.host());
            answers(talk.unwrap_or_else(|alert| panic!("{shown}: no TLS: {alert:?}")), TlsTalk::finish, bytes, at_once)
        } else {
            answers(talk, |talk| talk.finish(), bytes, at_once)
        };
        // The requests in a tunnel are over before it is.
        let (mut records, held) = self.tail.settled(1, &shown);
        let mut cut = false;
        if in_a_tunnel {
            let tunnel = records.iter().position(|(decided, _)| decided["within"].is_null());
            let (_, ended) = records.remove(tunnel.unwrap_or_else(|| panic!("{shown}: no record of the tunnel in {records:?}")));
            assert_eq!(ended["tls"]["inspected"] == true, way == Way::Secure, "{shown}: {ended}");
            cut = ended["outcome"] == "cut" && ended["reason"] == "not-tls";
        }
        let upstream = [self.p0.plain.since(&marks[0]), self.p0.secure.since(&marks[1])].concat();
        let asked = self.p0.site.dns.queries().len() - asked;
        assert!(self.proxy.is_alive(), "{shown} ended the process");
        Seen { shown, answers, records, cut, held, upstream, asked }
    }

    /// What was tried is what `rows.tsv` says of this test, no more and no less; and nothing was recorded late.
    fn done(mut self, test: &str) {
        assert!(self.proxy.stop().success());
        self.tail.pull();
        assert_eq!((&self.tail.ended, &self.tail.open), (&Vec::new(), &Vec::new()), "recorded late");
        let listed = list::cells_of(test);
        let tried: BTreeSet<_> = self.tried.iter().map(|(row, way)| (format!("{row:03}"), way.name().to_owned())).collect();
        assert_eq!(tried, listed, "what {test} tries is not what rows.tsv says of it");
    }
}

/// Sends bytes; every answer until the proxy closes. A tunnel's bytes are none.
fn answers<S: Read + Write>(mut talk: Talk<S>, finish: fn(&mut Talk<S>), bytes: &[u8], at_once: bool) -> Vec<Answer> {
    talk.send(bytes);
    if at_once {
        finish(&mut talk);
    }
    let method = String::from_utf8_lossy(bytes.split(|byte| *byte == b' ').next().unwrap_or_default()).into_owned();
    let mut answers: Vec<Answer> = talk.try_answer(&method).into_iter().collect();
    while answers.last().is_some_and(|answer| answer.status == 100) {
        answers.extend(talk.try_answer(&method));
    }
    let tunnel = method == "CONNECT" && answers.first().is_some_and(|answer| answer.status == 200);
    if !at_once {
        finish(&mut talk);
    }
    if !tunnel {
        while let Some(answer) = talk.try_answer("GET") {
            answers.push(answer);
        }
    }
    talk.rest();
    answers
}

/// What everyone saw of one try.
struct Seen {
    shown: String,
    answers: Vec<Answer>,
    /// Each attempt's `decided` and `ended`.
    records: Vec<(Value, Value)>,
    /// The tunnel was cut: what is in it is neither HTTP nor TLS.
    cut: bool,
    /// How many questions were opened.
    held: usize,
    /// What the origins got, a piece a connection.
    upstream: Vec<Vec<u8>>,
    /// How many questions the name server got.
    asked: usize,
}

impl Seen {
    /// BAD: one answer that says so, one record, no question of any kind, nothing sent on. In a tunnel, what is no HTTP from its first word ends it.
    #[track_caller]
    fn bad(&self) {
        let Self { shown, answers, records, cut, held, upstream, asked } = self;
        assert_eq!((*held, *asked, upstream.len()), (0, 0, 0), "{shown} was held, looked up, or sent on: {upstream:?}");
        if *cut {
            assert!(answers.is_empty() && records.is_empty(), "{shown} got {answers:?}, recorded as {records:?}");
            return;
        }
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(answers.len() == 1 && MALFORMED.contains(&statuses[0]), "{shown} got {statuses:?}");
        assert!(!answers[0].text().contains("evil"), "{shown} is echoed: {}", answers[0].text());
        assert!(records.len() == 1, "{shown} recorded as {records:?}");
        let decided = &records[0].0;
        assert_eq!((&decided["decision"], &decided["reason"]), (&json!("block"), &json!("malformed")), "{shown} recorded as {decided}");
    }

    /// DENY or HOLD: one answer 403 with one of these reasons, recorded with it and the host, no lookup, nothing sent on.
    #[track_caller]
    fn denied(&self, reasons: &[&str], host: &str) {
        let Self { shown, answers, records, cut: _, held: _, upstream, asked } = self;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [403], "{shown}");
        assert_eq!(records.len(), 1, "{shown} recorded as {records:?}");
        let decided = &records[0].0;
        assert!(reasons.contains(&answers[0].reason().as_str()), "{shown} denied as {}", answers[0].reason());
        assert_eq!((&decided["decision"], decided["reason"].as_str()), (&json!("block"), Some(answers[0].reason().as_str())), "{shown}");
        assert_eq!(decided["destination"]["host"], host, "{shown}");
        assert_eq!((*asked, upstream.len()), (0, 0), "{shown} was looked up, or sent on: {upstream:?}");
    }

    /// ALLOW: one answer 200, one record of the host that was dialled, one whole request at the origin.
    #[track_caller]
    fn passed(&self, host: &str) -> Message {
        let Self { shown, answers, records, cut: _, held, upstream, asked: _ } = self;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200], "{shown}: {:?}", answers.iter().map(Answer::text).collect::<Vec<_>>());
        assert_eq!(records.len(), 1, "{shown} recorded as {records:?}");
        let (decided, ended) = &records[0];
        assert_eq!((&decided["decision"], &decided["reason"]), (&json!("allow"), &json!("listed")), "{shown}");
        assert_eq!(decided["destination"]["host"], host, "{shown}");
        assert_eq!(ended["outcome"], "completed", "{shown}: {ended}");
        assert_eq!((*held, upstream.len()), (0, 1), "{shown}: {upstream:?}");
        let reading = strict::read(&upstream[0]).unwrap_or_else(|fault| panic!("{shown} reached the origin with {fault}"));
        assert!(reading.messages.len() == 1 && !reading.unfinished, "{shown} reached the origin as {reading:?}");
        reading.messages.into_iter().next().unwrap()
    }

    /// CLOSE: it began well and broke; the origin got no whole request, and nothing after the break.
    #[track_caller]
    fn broke(&self) {
        let Self { shown, answers, records, cut: _, held, upstream, asked: _ } = self;
        assert!(answers.iter().all(|answer| answer.status >= 400) && answers.len() <= 1, "{shown}: {answers:?}");
        assert_eq!((records.len(), *held), (1, 0), "{shown} recorded as {records:?}");
        assert!(["failed", "abandoned", "refused"].contains(&records[0].1["outcome"].as_str().unwrap()), "{shown}: {records:?}");
        for piece in upstream {
            let reading = strict::read(piece).unwrap_or_else(|fault| panic!("{shown} reached the origin with {fault}"));
            assert!(reading.messages.is_empty(), "{shown} reached the origin as {reading:?}");
            assert!(!piece.windows(9).any(|window| window == b"/smuggled"), "{shown}: bytes after the break were sent on: {reading:?}");
        }
    }
}

/// The journal, read on from where it was left.
struct Tail {
    state: PathBuf,
    file: Option<File>,
    partial: Vec<u8>,
    open: Vec<Value>,
    ended: Vec<(Value, Value)>,
    held: usize,
}

impl Tail {
    fn of(state: &Path) -> Self {
        Self { state: state.to_owned(), file: None, partial: Vec::new(), open: Vec::new(), ended: Vec::new(), held: 0 }
    }

    /// Waits until so many attempts are over, and none is open; gives all that are, and how many were held.
    fn settled(&mut self, wanted: usize, shown: &str) -> (Vec<(Value, Value)>, usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.pull();
            if self.ended.len() >= wanted && self.open.is_empty() {
                return (std::mem::take(&mut self.ended), std::mem::take(&mut self.held));
            }
            assert!(Instant::now() < deadline, "{shown}: {wanted} records were wanted; over {:?}, open {:?}", self.ended, self.open);
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn pull(&mut self) {
        let file = self.file.get_or_insert_with(|| File::open(self.state.join("journal/proxy-1/00000001.jsonl")).unwrap());
        file.read_to_end(&mut self.partial).unwrap();
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.partial.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: Value = serde_json::from_slice(line).unwrap();
            match record["kind"].as_str().unwrap() {
                "decided" => self.open.push(record),
                "held" => self.held += 1,
                "ended" => {
                    let at = self.open.iter().position(|decided| decided["id"] == record["id"]);
                    let decided = self.open.swap_remove(at.unwrap_or_else(|| panic!("ended without a decision: {record}")));
                    self.ended.push((decided, record));
                }
                _ => {}
            }
        }
    }
}

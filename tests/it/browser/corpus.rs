//! The corpus on the page in Chromium: every host of it, and every hostile character of it in all that an agent or a person may say.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Stage, Tools};
use crate::admin::{READ, asked, steers};
use crate::corpus::{DENIED, no_hosts};
use crate::support::dns::Reply;
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, of_kind};
use crate::support::talk::Talk;

/// A port that no rule lists.
const PORT: u16 = 9443;

/// The row of hosts with one letter of another script.
const LOOK_ALIKES: u16 = 27;

/// As many characters stand in one name of a file, one path and one note.
const AT_ONCE: usize = 30;

/// What would tell that a name became markup.
const CANARY: &str = "<img/src=x/onerror=window.owned=1>";

/// Blocks that hold what steers or is drawn as nothing; the rest of the corpus comes from its hosts.
const BLOCKS: [(u32, u32); 14] = [
    (0x01, 0x1f),
    (0x7f, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0xfe00, 0xfe0f),
    (0xfff0, 0xfffb),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

/// Letters of the corpus that are none of a plain name, and whatever steers what shows it.
fn characters() -> Vec<char> {
    let hosts = no_hosts().map(|(_, host)| String::from_utf8_lossy(&host).into_owned());
    let read = READ.iter().map(|(_, reads, _)| (*reads).to_owned());
    let mut found: BTreeSet<char> = hosts.chain(read).flat_map(|text| text.chars().collect::<Vec<_>>()).collect();
    found.extend(BLOCKS.iter().flat_map(|(first, last)| *first..=*last).filter_map(char::from_u32));
    found.extend(['\u{2800}', '\u{3000}', '\u{3164}', '\u{feff}', '\u{ffa0}', '\u{1d5ba}', '\u{e0100}', '\u{10fffd}']);
    found.retain(|letter| !letter.is_ascii_alphanumeric() && *letter != '\0');
    found.into_iter().collect()
}

/// Characters in texts of a bounded length each.
fn texts(wanted: impl Fn(&char) -> bool) -> Vec<String> {
    let wanted: Vec<char> = characters().into_iter().filter(wanted).collect();
    wanted.chunks(AT_ONCE).map(|some| some.iter().collect()).collect()
}

/// A world where tunnels stay open while people look at them.
fn stage() -> Stage {
    let mut p0 = P0::new();
    p0.site.set("limits", "peek", "\"1m\"");
    for (name, ..) in READ {
        p0.site.dns.script(name, [Reply::to(["127.0.0.1"])]);
    }
    Stage::of(p0)
}

/// The port that a host is asked about at: where a yes can lead to an origin, if it has one.
fn port(stage: &Stage, host: &str) -> u16 {
    let leads = READ.iter().any(|(name, ..)| *name == host) && !host.ends_with(".wild.test");
    if leads { stage.p0.secure.port() } else { PORT }
}

fn knock(proxy: &Proxy, host: &[u8], port: u16) -> Talk {
    let mut talk = proxy.talk();
    let end = format!(":{port} HTTP/1.1\r\nHost: api.allowed.test:{port}\r\n{}\r\n", a());
    talk.send([b"CONNECT ", host, end.as_bytes()].concat());
    talk
}

#[test]
fn every_host_of_the_corpus_is_drawn_as_its_a_label_escaped_and_marked() {
    let Some(tools) = Tools::find() else { return };
    let mut stage = stage();
    let watcher = stage.proxy.watch();
    for (row, host) in no_hosts() {
        assert_eq!(knock(&stage.proxy, &host, PORT).answer_to("CONNECT").status, 400, "row {row}");
    }
    let waiting: Vec<Talk> = asked().iter().map(|(spelled, name)| knock(&stage.proxy, spelled.as_bytes(), port(&stage, name))).collect();
    let names: BTreeSet<&str> = asked().into_iter().map(|(_, name)| name).collect();
    stage.proxy.until("all to be asked", |records| of_kind(records, "held").len() == names.len());
    let holds = stage.proxy.holds();
    assert_eq!(holds.iter().map(|hold| hold["host"].as_str().unwrap()).collect::<BTreeSet<_>>(), names);
    let alike = DENIED.iter().filter(|(row, ..)| *row == LOOK_ALIKES).flat_map(|(.., hosts)| hosts.iter().copied());
    let mixed: BTreeSet<&str> = READ.iter().filter(|(.., mixed)| *mixed).map(|(name, ..)| *name).chain(alike).collect();
    let read: Vec<Value> = READ.iter().map(|(name, reads, _)| json!([name, reads])).collect();
    stage.environment.push(("PAGE_SHOWN", json!({"holds": holds, "mixed": mixed, "read": read}).to_string()));
    stage.play("hosts", &tools);
    for hold in &holds {
        stage.proxy.said(&["approve", hold["id"].as_str().unwrap(), "--for", "1h", "--note", CANARY]);
    }
    stage.play("answered", &tools);
    drop((waiting, watcher));
}

/// Something an agent said, and the question that shows it.
fn claim(hold: &Value, part: &str, text: &str) -> Value {
    json!({"id": hold["id"], "part": part, "text": text})
}

#[test]
fn every_character_of_the_corpus_is_drawn_escaped_in_whatever_an_agent_or_a_person_says() {
    let Some(tools) = Tools::find() else { return };
    let mut stage = stage();
    let watcher = stage.proxy.watch();
    let folder = tempfile::tempdir().unwrap();
    let (mut claims, mut children, mut talks) = (Vec::new(), Vec::new(), Vec::new());
    for (number, text) in texts(|letter| !"/ \t\n".contains(*letter)).into_iter().enumerate() {
        let (child, hold) = run(&stage, folder.path(), number, &text);
        claims.extend([claim(&hold, ".claimed", &text), claim(&hold, ".facts", &text)]);
        children.push(child);
    }
    let carried = carried(&stage);
    let raw = carried.chunks(AT_ONCE).map(|some| some.iter().map(|letter| format!("/{letter}")).collect());
    let encoded = texts(|_| true).into_iter().map(|text| text.chars().map(encoded).collect());
    for (number, path) in raw.chain(encoded).enumerate() {
        let path: String = path;
        let host = format!("path{number}.held.test");
        let mut talk = stage.proxy.talk();
        talk.send(format!("M!#$%&'*+-.^_`|~ {} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", stage.p0.url(&host, &path), a()));
        let hold = question(&stage, &host);
        claims.extend(["method", "path"].map(|part| claim(&hold, ".request", told(&hold, part))));
        talks.push(talk);
    }
    stage.environment.push(("PAGE_SHOWN", json!({"claims": claims}).to_string()));
    stage.play("claims", &tools);

    let notes = answer(&stage);
    stage.environment.retain(|(name, _)| *name != "PAGE_SHOWN");
    stage.environment.push(("PAGE_SHOWN", json!({"notes": notes}).to_string()));
    stage.play("notes", &tools);
    drop((talks, watcher));
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn told<'a>(hold: &'a Value, part: &str) -> &'a str {
    hold["request"][part].as_str().unwrap_or_else(|| panic!("no {part} in {hold}"))
}

fn encoded(letter: char) -> String {
    let bytes = letter.to_string().into_bytes();
    format!("/{}", bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>())
}

/// The question about a host, once there is one.
fn question(stage: &Stage, host: &str) -> Value {
    stage.proxy.until(host, |records| of_kind(records, "held").iter().any(|held| held["destination"]["host"] == host));
    let holds = stage.proxy.holds();
    holds.into_iter().find(|hold| hold["host"] == host).unwrap_or_else(|| panic!("no question for {host}"))
}

/// A process that calls itself as the text says, from a folder called so. A busy machine does not look in time: another is then tried.
fn run(stage: &Stage, folder: &Path, number: usize, text: &str) -> (Child, Value) {
    let into = folder.join(text);
    std::fs::create_dir(&into).unwrap();
    let binary = into.join("curl");
    std::fs::copy("/usr/bin/curl", &binary).unwrap();
    let (_, through) = stage.environment.iter().find(|(name, _)| *name == "PAGE_PROXY").unwrap();
    for again in 0..20 {
        let host = format!("run{number}-{again}.held.test");
        let mut command = Command::new(&binary);
        command.arg0(format!("{CANARY}{text}")).args(["-sS", "--max-time", "80", "-x", through, &stage.p0.url(&host, "/")]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let hold = question(stage, &host);
        if hold["process"]["called"].is_string() {
            return (child, hold);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    panic!("no process was seen twenty times");
}

/// Sends every character as it is in a path, a method and fields; gives those that a path carries.
fn carried(stage: &Stage) -> Vec<char> {
    let (host, url) = (stage.p0.at_plain("plain.allowed.test"), stage.p0.url("plain.allowed.test", "/"));
    let mut carried = Vec::new();
    for letter in characters() {
        let status = |line: &str, fields: &str| {
            let mut talk = stage.proxy.talk();
            talk.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{}{fields}Connection: close\r\n\r\n", a()));
            talk.try_answer("GET").map(|answer| answer.status)
        };
        if status(&format!("GET {url}{letter}"), "") == Some(200) {
            carried.push(letter);
        }
        if steers(letter) {
            assert_eq!(status(&format!("G{letter}T {url}"), ""), Some(400), "{letter:?} in a method");
        }
        status(&format!("GET {url}"), &format!("User-Agent: {letter}{CANARY}\r\nReferer: {letter}\r\nX-Why: {letter}\r\n"));
    }
    carried
}

/// Answers with every character in a note, as far as a note may hold it; gives the notes.
fn answer(stage: &Stage) -> Vec<String> {
    let mut holds = stage.proxy.holds().into_iter().map(|hold| hold["id"].as_str().unwrap().to_owned());
    let mut notes: Vec<String> = texts(|letter| *letter != ' ' && !letter.is_control()).iter().map(|text| format!("a{text}b")).collect();
    notes.push(CANARY.to_owned());
    for note in &notes {
        stage.proxy.said(&["approve", &holds.next().unwrap(), "--for", "1h", "--note", note]);
    }
    stage.proxy.said(&["freeze", "b", "--note", &notes[0]]);
    let id = holds.next().unwrap();
    for letter in characters().into_iter().filter(|letter| letter.is_control()) {
        let output = stage.proxy.exeat(&["approve", &id, "--note", &format!("a{letter}b")]);
        assert!(!output.status.success(), "{letter:?} in a note");
    }
    notes
}

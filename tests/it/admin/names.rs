//! Every host of the corpus as it is shown to people: what is none opens no question, and what is one is escaped and marked on every surface.

use super::Office;
use crate::corpus::{DENIED, SAME, no_hosts};
use crate::support::p0::{P0, a};
use crate::support::proxy::{Proxy, journal, of_kind};
use crate::support::pty::Terminal;
use crate::support::talk::Talk;

/// A port that no rule lists, so that every name that is one is asked about.
const PORT: u16 = 9443;

/// Names that read as something else, what they read as where that is told, and whether they mix scripts.
pub(crate) const READ: [(&str, &str, bool); 9] = [
    ("xn--mgba3gch31f060k.test", "نامه\u{200c}ای.test", false),
    ("xn--11b2ezcw70k.test", "क्\u{200d}ष.test", false),
    ("xn--l-7sba6dbr.test", "раураl.test", true),
    ("xn--aypal-2ce.test", "ρaypal.test", true),
    ("xn--nstagram-skb.test", "ınstagram.test", false),
    ("xn--ab-pyb.test", "a\u{335}b.test", false),
    ("xn--4dbrk0ce.test", "ישראל.test", false),
    ("api.xn--llowed-2nf.test", "api.аllowed.test", true),
    ("xn--ls8h.wild.test", "💩.wild.test", false),
];

/// Whether a character steers what shows it, turns its order round, or is drawn as nothing.
pub(crate) fn steers(letter: char) -> bool {
    letter.is_control() && letter != '\n'
        || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[track_caller]
fn is_plain(surface: &str, text: &str) {
    let found = text.chars().position(steers);
    let around = found.map(|at| text.chars().skip(at.saturating_sub(40)).take(80).collect::<String>());
    assert_eq!(around, None, "{surface} shows a character that steers it");
}

/// What the journal and the log hold, as they stand on the disk and on standard error.
fn written(proxy: &Proxy, state: &std::path::Path) {
    is_plain("the log", &proxy.stderr());
    let segment = std::fs::read_to_string(state.join("journal/proxy-1/00000001.jsonl")).unwrap();
    is_plain("the journal", &segment);
    is_plain("exeat log", &proxy.said(&["log"]));
    is_plain("exeat log --json", &proxy.said(&["log", "--json"]));
}

/// Sends a CONNECT to a host as it is spelled.
fn knock(proxy: &Proxy, host: &[u8]) -> Talk {
    let mut talk = proxy.talk();
    let end = format!(":{PORT} HTTP/1.1\r\nHost: api.allowed.test:{PORT}\r\n{}\r\n", a());
    talk.send([b"CONNECT ", host, end.as_bytes()].concat());
    talk
}

#[test]
fn what_is_no_host_opens_no_question_and_is_nowhere_shown_raw() {
    let p0 = P0::new();
    let proxy = p0.start();
    let watcher = proxy.watch();
    for (row, host) in no_hosts() {
        let shown = String::from_utf8_lossy(&host).into_owned();
        let answer = knock(&proxy, &host).answer_to("CONNECT");
        assert_eq!(answer.status, 400, "row {row}, {shown:?}: {}", answer.text());
        is_plain("a refusal", &answer.text().replace('\r', ""));
    }
    assert_eq!(proxy.holds().len(), 0);
    is_plain("holds --watch", &watcher.shown());
    written(&proxy, &p0.site.state());
}

/// What becomes a question, by the name it is asked about.
pub(crate) fn asked() -> Vec<(&'static str, &'static str)> {
    let unlisted = DENIED.iter().filter(|(_, reason, _)| *reason == "unattended").flat_map(|(_, _, hosts)| hosts.iter().copied());
    let mut asked: Vec<_> = SAME.iter().map(|(_, spelled, name)| (*spelled, *name)).collect();
    asked.extend(unlisted.chain(READ.iter().map(|(name, ..)| *name)).map(|name| (name, name)));
    asked
}

#[test]
fn what_is_no_public_name_is_refused_at_once_and_opens_no_question() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    for (row, reason, hosts) in DENIED.iter().filter(|(_, reason, _)| *reason != "unattended") {
        for host in *hosts {
            let answer = knock(&proxy, host.as_bytes()).answer_to("CONNECT");
            assert_eq!((answer.status, answer.reason().as_str()), (403, *reason), "row {row}, {host}");
        }
    }
    assert_eq!(proxy.holds().len(), 0);
}

#[test]
fn a_name_that_is_asked_about_is_escaped_and_marked_on_every_surface() {
    let office = Office::new();
    let watcher = office.proxy.watch();
    let waiting: Vec<Talk> = asked().iter().map(|(spelled, _)| knock(&office.proxy, spelled.as_bytes())).collect();
    let mut names: Vec<&str> = asked().into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    names.dedup();
    office.proxy.until("all to be asked", |records| of_kind(records, "held").len() == names.len());
    office.proxy.until("all to be on the terminal", |_| watcher.shown().lines().count() > names.len());
    let holds = office.proxy.holds();
    let mut found: Vec<&str> = holds.iter().map(|hold| hold["host"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, names);

    let text = office.proxy.said(&["holds"]);
    for (surface, text) in [("holds", &text), ("holds --watch", &watcher.shown())] {
        is_plain(surface, text);
        for name in &names {
            assert!(text.contains(&format!("{name}:{PORT} (")), "{surface} does not name {name}:\n{text}");
        }
    }
    is_plain("holds --json", &office.proxy.said(&["holds", "--json"]));
    for (name, reads, mixed) in READ {
        let hold = holds.iter().find(|hold| hold["host"] == name).unwrap();
        assert_eq!((hold["unicode"].as_str(), hold["mixed_script"].as_bool().unwrap_or_default()), (Some(reads), mixed), "{name}");
        let line = text.lines().find(|line| line.contains(&format!("{name}:{PORT} ("))).unwrap();
        assert_eq!((line.contains(", reads "), line.contains("MIXED SCRIPTS")), (true, mixed), "{line}");
    }

    let answer = office.call(&office.admin, "GET", "holds", "");
    let body = String::from_utf8(answer.body.clone()).unwrap();
    is_plain("the API", &body);
    assert!(names.iter().all(|name| body.contains(name)));
    is_plain("the events of the page", &snapshot(&office));

    for hold in &holds {
        office.proxy.said(&["approve", hold["id"].as_str().unwrap(), "--always", "--note", "so it is"]);
    }
    for arguments in [&["approvals"][..], &["approvals", "--toml"], &["approvals", "--json"]] {
        let text = office.proxy.said(arguments);
        is_plain(&arguments.join(" "), &text);
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }
    is_plain("the text in the state", &std::fs::read_to_string(office.p0.site.state().join("granted/a.toml")).unwrap());
    for mut talk in waiting {
        is_plain("a refusal", &talk.answer_to("CONNECT").text().replace('\r', ""));
    }
    written(&office.proxy, &office.p0.site.state());
}

/// What the page is told first.
fn snapshot(office: &Office) -> String {
    let (mut events, mut bytes) = (office.events(&office.admin), Vec::new());
    while !String::from_utf8_lossy(&bytes).contains("event: snapshot") || !bytes.ends_with(b"\n\n") {
        bytes.extend(events.exactly(1).unwrap());
    }
    let told = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    assert!(told.contains("xn--ls8h.wild.test"), "{told}");
    told
}

#[test]
fn the_prompt_of_a_run_shows_a_name_escaped_and_marked() {
    let p0 = P0::new();
    let config = p0.site.config();
    for (name, _, mixed) in READ {
        let url = format!("http://{name}:{PORT}/");
        let argv = [env!("CARGO_BIN_EXE_exeat"), "--config", config.to_str().unwrap(), "run", "--", "curl", "-sS", &url];
        let mut terminal = Terminal::run(&argv, p0.site.path(), &[("NO_COLOR", "1"), ("EXEAT_LOG", "error")]);
        terminal.expect("reads ");
        terminal.expect(&format!("{name}:{PORT}"));
        terminal.press("n\n");
        let (_, shown) = terminal.end();
        is_plain("the prompt", &shown.replace('\r', ""));
        assert_eq!(shown.contains("MIXED SCRIPTS") || shown.contains("MIXED\r\nSCRIPTS"), mixed, "{shown}");
        assert!(journal(&p0.site.state()).iter().any(|record| record["kind"] == "answered" && record["destination"]["host"] == name));
    }
}

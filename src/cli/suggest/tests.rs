//! What is suggested of small journals, as text that has to load.

use super::*;
use crate::egress::record::{
    Answer, Answered, Decided, Ended, Front, Held, Outcome, Place, Record, RefusedCount, RefusedSummary, Revoked, Ruling, Would,
};
use crate::journal::Journal;
use crate::journal::sample::{decided, ended};
use crate::policy::attempt::{RequestLine, Scheme};
use crate::policy::reason::Reason;

/// Host, port, what it got, where it led.
type Row = (&'static str, u16, Reason, Option<&'static str>);

const PASSED: [Reason; 3] = [Reason::Listed, Reason::Approved, Reason::Observed];

fn records(rows: &[Row]) -> Vec<Record> {
    let both = (1..).zip(rows).flat_map(|(id, (host, port, reason, address))| {
        let scheme = (*port == 80).then_some(Scheme::Http);
        let destination = Some(Place { host: (*host).into(), port: *port, scheme });
        let decision = if PASSED.contains(reason) { Ruling::Allow } else { Ruling::Block };
        let outcome = if decision == Ruling::Allow { Outcome::Completed } else { Outcome::Refused };
        let address = address.map(|address| format!("{address}:{port}"));
        [
            Record::Decided(Decided { destination, decision, reason: *reason, rule: None, ..decided(id) }),
            Record::Ended(Ended { outcome, reason: *reason, address, ..ended(id) }),
        ]
    });
    both.collect()
}

struct World {
    folder: tempfile::TempDir,
    config: Config,
}

impl World {
    fn new(records: &[Record]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("allowlists")).unwrap();
        std::fs::write(folder.path().join("allowlists/coder.toml"), "agent = \"coder\"\n").unwrap();
        let file = folder.path().join("exeat.toml");
        let text = "state = \"state\"\nallowlists = \"allowlists\"\n[listen.main]\naddress = \"127.0.0.1:3128\"\nknown_as = [\"proxy.example\"]\n\
             [telemetry]\notlp = \"http://collector.example:4317\"\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        std::fs::create_dir(&config.state).unwrap();
        let journal = Journal::open(&config.state, 1 << 20).unwrap().journal;
        for record in records {
            journal.record(record, &mut |_| ()).unwrap();
        }
        Self { folder, config }
    }

    fn suggested(&self) -> anyhow::Result<String> {
        let args = SuggestArgs { agent: AgentId::parse("coder").unwrap(), period: Period::default() };
        let mut out = Vec::new();
        suggest(&args, &self.config, &mut out, &mut std::io::sink())?;
        Ok(String::from_utf8(out).unwrap())
    }
}

/// The suggestion, and its rules in force: as text they have nothing but these lines.
fn suggested(rows: &[Row]) -> (String, Vec<String>) {
    let text = World::new(&records(rows)).suggested().unwrap();
    let live = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    (text, live)
}

#[test]
fn hosts_of_presets_that_were_reached_are_in_force_and_all_else_is_a_comment() {
    let rows: [Row; 9] = [
        ("github.com", 443, Reason::Observed, None),
        ("api.github.com", 443, Reason::Listed, Some("140.82.121.6")),
        ("codeload.github.com", 443, Reason::Unlisted, None),
        ("raw.githubusercontent.com", 443, Reason::Observed, Some("10.0.0.1")),
        ("lfs.github.com", 443, Reason::Refused, None),
        ("github.com", 80, Reason::Observed, None),
        ("other.test", 443, Reason::Approved, None),
        ("paste.test", 443, Reason::Unlisted, None),
        ("github.com", 443, Reason::Observed, None),
    ];
    let (text, live) = suggested(&rows);
    let wanted =
        ["agent = \"coder\"", "[[allow]]", "host = [\"github.com\", \"api.github.com\"]", "port = [443]", "note = \"of preset github\""];
    assert_eq!(live, wanted, "{text}");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
    let reached = at("# Reached, and of no preset or");
    let refused = at("# REFUSED, AND NEVER ALLOWED.");
    for rule in ["#host = \"other.test\"", "#host = \"raw.githubusercontent.com\"", "#host = \"github.com\"\n#port = [80]"] {
        assert!((reached..refused).contains(&at(rule)), "{rule}");
    }
    for rule in ["#host = \"paste.test\"", "#host = \"codeload.github.com\"", "#host = \"lfs.github.com\""] {
        assert!(at(rule) > refused, "{rule}");
    }
    assert!(text.contains("# github.com:443: 2 allowed, 0 refused; 2 observed\n"), "{text}");
    assert!(text.contains("20 B up, 40 B down\n"), "{text}");
}

#[test]
fn every_risk_is_said_and_a_rule_for_a_private_address_names_it() {
    let rows: [(Row, &str); 10] = [
        (("bucket.ngrok.io", 443, Reason::Listed, None), "risk: shared hosting: ngrok.io"),
        (("acme.js.org", 443, Reason::Listed, None), "risk: anyone can have a name under js.org"),
        (("8.8.8.8", 443, Reason::Listed, None), "risk: a bare address"),
        (("2606:4700::1111", 443, Reason::Listed, None), "#host = \"[2606:4700::1111]\""),
        (("plain.test", 80, Reason::Listed, None), "risk: plain HTTP"),
        (("db.test", 5432, Reason::Listed, None), "risk: port 5432 is not one of the web"),
        (("xn--pypal-4ve.test", 443, Reason::Listed, None), "risk: a label mixes scripts"),
        (("in.test", 443, Reason::Listed, Some("10.1.2.3")), "risk: inside your own network or machine: 10.1.2.3 (private use, RFC 1918)"),
        (("in.test", 443, Reason::Listed, Some("10.1.2.3")), "#addresses = [\"10.1.2.3\"]"),
        (("webhook.site", 443, Reason::Listed, None), "risk: preset exfil-watch blocks it"),
    ];
    for (row, wanted) in rows {
        let (text, live) = suggested(&[row]);
        assert!(text.contains(wanted), "{row:?}: {text}");
        assert_eq!(live.len(), 1, "{text}");
    }
    let mut records = records(&[("up.test", 443, Reason::Listed, None)]);
    if let Record::Ended(ended) = &mut records[1] {
        ended.bytes_up = 11 << 20;
    }
    assert!(World::new(&records).suggested().unwrap().contains("risk: large uploads: 11.0 MiB"));
}

#[test]
fn what_is_never_dialled_is_a_comment_without_a_rule() {
    let rows: [(Row, &str); 7] = [
        (("169.254.169.254", 80, Reason::ForbiddenAddress, None), "metadata services are never dialled"),
        (("metadata.google.internal", 80, Reason::SpecialName, None), "a special name"),
        (("x.onion", 443, Reason::SpecialName, None), "names of this zone are never dialled"),
        (("proxy.example", 443, Reason::OwnAddress, None), "it is exeat itself"),
        (("collector.example", 4317, Reason::Unlisted, None), "it is exeat itself"),
        (("rebind.test", 443, Reason::Listed, Some("169.254.169.254")), "it led to a metadata service"),
        (("not a host", 443, Reason::Unlisted, None), "it is no host"),
    ];
    for (row, why) in rows {
        let (text, _) = suggested(&[row]);
        assert!(text.contains("# No rule is suggested for these.") && text.contains(why), "{row:?}: {text}");
        assert!(!text.contains("[[allow]]") && !text.contains("host ="), "{row:?}: {text}");
    }
}

#[test]
fn a_rule_that_is_uncommented_loads_and_allows() {
    let rows = [
        ("other.test", 443, Reason::Approved, None),
        ("10.1.2.3", 8080, Reason::Approved, None),
        ("in.test", 80, Reason::Listed, Some("::1")),
    ];
    let (text, _) = suggested(&rows);
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let (allowlist, _) = Allowlist::parse("coder.toml", &uncommented).unwrap_or_else(|faults| panic!("{faults:?}\n{uncommented}"));
    assert_eq!(allowlist.rules.len(), 3);
}

#[test]
fn nothing_that_was_recorded_can_leave_its_comment() {
    let hostile = [
        "evil.test\"]\n[[allow]]\nhost = \"evil.test",
        "evil\r[[allow]]",
        "evil\u{2028}host = \"x\"",
        "evil\u{0}\u{1b}[2J",
        "\n\n\n",
        "'''\n\"\"\"",
    ];
    for host in hostile {
        let mut of = records(&[("x.test", 443, Reason::Unlisted, None)]);
        if let Record::Decided(decided) = &mut of[0] {
            decided.destination = Some(Place { host: host.into(), port: 443, scheme: None });
            decided.rule = Some(format!("coder.toml\n{host}"));
            decided.request = Some(RequestLine { method: host.into(), path: host.into() });
        }
        let text = World::new(&of).suggested().unwrap();
        let live: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
        assert_eq!(live, ["agent = \"coder\"", "#unlisted = \"hold\""], "{text}");
        assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    }
}

#[test]
fn what_the_journal_does_not_tell_is_said() {
    let mut all = records(&[("x.test", 443, Reason::Unlisted, None)]);
    let by = vec![RefusedCount { reason: Reason::Unlisted, front: Front::Connect, count: 7 }];
    let (from, until) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::UNIX_EPOCH);
    let (agent, source, hosts, elsewhere) = (AgentId::parse("coder").ok(), None, Vec::new(), 7);
    all.push(Record::RefusedSummary(RefusedSummary { agent, source, from, until, count: 7, by, hosts, elsewhere }));
    let gap = crate::egress::record::Gap {
        slot: "proxy-1".into(),
        first: 1,
        last: 9,
        sinks: Vec::new(),
        why: crate::egress::record::GapWhy::Full,
    };
    all.push(Record::Gap(gap));
    let text = World::new(&all).suggested().unwrap();
    for wanted in ["records are missing: 1 to 9 of proxy-1", "7 attempts refused that no record names a host of"] {
        assert!(text.contains(wanted), "{text}");
    }
    let nobody = World::new(&[]).suggested().unwrap_err().to_string();
    assert_eq!(nobody, "the journal tells of no attempt of coder; it tells of nobody's in that time; say an earlier --since");
}

#[test]
fn what_the_floor_refuses_is_not_suggested() {
    let world = World::new(&records(&[("github.com", 443, Reason::Listed, None), ("in.test", 443, Reason::Listed, Some("10.1.2.3"))]));
    let floor = "private = []\n[[block]]\nhost = \"github.com\"\n";
    std::fs::write(world.folder.path().join("allowlists/floor.toml"), floor).unwrap();
    let text = world.suggested().unwrap();
    assert!(text.contains("floor.toml:2 refuses it as blocked") && text.contains("a rule for it does not load"), "{text}");
    assert!(!text.contains("[[allow]]"), "{text}");
}

#[test]
fn what_a_person_or_a_hold_rule_spoke_against_is_not_in_force() {
    let place = || Place { host: "github.com".into(), port: 443, scheme: None };
    let coder = || AgentId::parse("coder").unwrap();
    let of = |decision, reason, rule: Option<&str>, would| {
        let rule = rule.map(str::to_owned);
        Record::Decided(Decided { destination: Some(place()), decision, reason, rule, would, ..decided(9) })
    };
    let no = Answered {
        hold: "ab12".into(),
        approval: None,
        answer: Answer::No,
        approver: "ann".into(),
        approver_kind: "person".into(),
        of: None,
        scope: None,
        expiry: None,
        note: None,
        agent: coder(),
        destination: place(),
        request: None,
        waiting: 0,
    };
    let held = Held {
        id: decided(9).id,
        hold: "ab12".into(),
        agent: coder(),
        instance: "i".into(),
        destination: place(),
        request: None,
        only: false,
        rule: Some("coder.toml:3".into()),
    };
    let back = Revoked { approval: uuid::Uuid::nil(), agent: coder(), destination: place(), request: None, who: "ann".into() };
    let (person, rule) = ("a person said no to it", "a hold rule asks for it");
    let table = [
        (Record::Answered(no), person),
        (Record::Revoked(back), person),
        (of(Ruling::Block, Reason::Quiet, None, None), person),
        (Record::Held(held), rule),
        (of(Ruling::Block, Reason::Pending, Some("coder.toml:3"), None), rule),
        (of(Ruling::Allow, Reason::Observed, Some("coder.toml:3"), Some(Would::Hold)), rule),
        (of(Ruling::Look, Reason::Inspect, Some("coder.toml:3"), None), "requests to it were judged one by one"),
    ];
    for (record, why) in table {
        let mut all = records(&[("github.com", 443, Reason::Listed, None)]);
        // Before and after: the answer to the first attempt's question stands before its decision.
        for at in [0, all.len()] {
            all.insert(at, record.clone());
            let text = World::new(&all).suggested().unwrap();
            assert!(!text.contains("\n[[allow]]") && text.contains("\n#[[allow]]") && text.contains(why), "{record:?}: {text}");
            all.remove(at);
        }
    }
    let unlisted = of(Ruling::Allow, Reason::Observed, None, Some(Would::Hold));
    assert!(World::new(&[unlisted]).suggested().unwrap().contains("\n[[allow]]"), "to be asked as unlisted speaks against nothing");
}

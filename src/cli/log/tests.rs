//! What `exeat log` shows of a small journal.

use clap::{Args, Command, FromArgMatches};
use uuid::Uuid;

use super::*;
use crate::egress::record::{
    Answer, Answered, Decided, Ended, Front, Gap, GapWhy, Held, Outcome, Place, PolicyInForce, Progress, Record, RefusedCount, RefusedHost,
    RefusedSummary, Ruling, Sealed, Segment, Started, Stopped, Unread,
};
use crate::journal::sample::{decided, ended};
use crate::journal::{Entry, Journal, Line, Position};
use crate::policy::attempt::RequestLine;
use crate::policy::reason::Reason;

#[test]
fn an_attempt_is_a_line_when_decided_and_one_when_ended_and_a_refusal_one_in_all() {
    let at: Timestamp = "2026-11-22T12:00:00.654321Z".parse().unwrap();
    let blocked = Decided { decision: Ruling::Block, reason: Reason::Unlisted, rule: None, ..decided(2) };
    let request = RequestLine { method: "GET".into(), path: "/x".into() };
    let lines = shown_lines(
        &[],
        at,
        &[
            Record::Started(Started { version: "0.1.0".into(), pid: 1, repaired: Some(7) }),
            Record::Policy(PolicyInForce { old: None, new: "abc".into(), who: "start".into(), unread: Vec::new() }),
            Record::Decided(Decided { request: Some(request), ..decided(1) }),
            Record::Decided(blocked),
            Record::Ended(Ended { outcome: Outcome::Refused, ..ended(2) }),
            Record::Held(held()),
            Record::Answered(answered()),
            Record::Ended(Ended { bytes_down: 1_300_000, status: Some(200), ..ended(1) }),
            Record::Ended(ended(9)),
        ],
    );
    let wanted = [
        "2026-11-22T12:00:00Z  -            started   proxy-1        exeat 0.1.0, 7 torn bytes cut away",
        "2026-11-22T12:00:00Z  -            policy    start          abc",
        "2026-11-22T12:00:00Z  coder        allow     listed         api.example:443                  coder.toml:3 GET /x",
        "2026-11-22T12:00:00Z  coder        block     unlisted       api.example:443",
        "2026-11-22T12:00:00Z  coder        held                     [2001:db8::1]:443                hold k3f coder.toml:9",
        "2026-11-22T12:00:00Z  coder        approved  once           [2001:db8::1]:443                hold k3f by ada go on",
        "2026-11-22T12:00:00Z  coder        completed listed         api.example:443                  200, 10 B up, 1.2 MiB down, 5 ms",
        "2026-11-22T12:00:00Z  coder        completed listed         -                                10 B up, 20 B down, 5 ms",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn what_of_the_files_is_not_in_force_stands_beside_the_policy() {
    let unread = |agent: &str, kept, why: &str| Unread { agent: AgentId::parse(agent).ok(), kept, why: why.into() };
    let unread = vec![unread("coder", true, "coder.toml:3:1: found x"), unread("", false, "b.toml: found \u{1b}")];
    let policy = PolicyInForce { old: Some("abc".into()), new: "abd".into(), who: "reload".into(), unread };
    let lines = shown_lines(&[], Timestamp::UNIX_EPOCH, &[Record::Policy(policy)]);
    assert_eq!(lines.len(), 1);
    let wanted = "-            policy    reload         abd                              coder keeps its last good allowlist: coder.toml:3:1: found x; \
        a file of no agent not in force: b.toml: found \\u{1b}";
    assert!(lines[0].ends_with(wanted), "{}", lines[0]);
}

#[test]
fn what_an_agent_had_a_hand_in_is_escaped() {
    let request = RequestLine { method: "GET".into(), path: "/\u{202e}gpj\u{1b}[31m\n".into() };
    let record = Record::Decided(Decided { request: Some(request), rule: None, ..decided(1) });
    let lines = shown_lines(&[], Timestamp::UNIX_EPOCH, &[record]);
    assert!(lines[0].ends_with("GET /\\u{202e}gpj\\u{1b}[31m\\u{a}"), "{}", lines[0]);
    assert_eq!(lines.len(), 1);
    assert_eq!(shown("Ä ok\u{200b}\u{2066}\u{85}"), "Ä ok\\u{200b}\\u{2066}\\u{85}");
    assert_eq!(shown("a\u{3164}b\u{345}c\\"), "a\\u{3164}b\\u{345}c\\\\");
}

#[test]
#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are told by their names")]
fn filters_choose_attempts_with_their_ends() {
    let other = Decided { agent: AgentId::parse("other").ok(), decision: Ruling::Block, ..decided(2) };
    let host = Place { host: "b.example".into(), port: 443, scheme: None };
    let records = [
        Record::Started(Started { version: "0.1.0".into(), pid: 1, repaired: None }),
        Record::Decided(decided(1)),
        Record::Decided(other),
        Record::Decided(Decided { destination: Some(host), ..decided(3) }),
        Record::Ended(ended(1)),
        Record::Ended(ended(2)),
        Record::Ended(ended(3)),
    ];
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["started", "decided 1", "decided 2", "decided 3", "ended 1", "ended 2", "ended 3"]),
        (&["--agent", "other"], &["decided 2", "ended 2"]),
        (&["--decision", "block"], &["decided 2", "ended 2"]),
        (&["--decision", "allow", "--host", "B.example."], &["decided 3", "ended 3"]),
        (&["--host", "example"], &[]),
        (&["--since", "2026-11-22T12:00:03Z"], &["decided 3", "ended 1", "ended 2", "ended 3"]),
        (&["--since", "1h"], &[]),
        (&["--since", "2026-11-22T12:00:02Z", "--until", "2026-11-22T12:00:05Z"], &["decided 2", "decided 3", "ended 1"]),
    ];
    for (flags, wanted) in cases {
        let args = args(&[flags, &["--json"]].concat());
        let now = "2026-11-22T14:00:00Z".parse().unwrap();
        let mut view = View::new(&args, now);
        let mut seen = Vec::new();
        for (second, record) in records.iter().enumerate() {
            let at = format!("2026-11-22T12:00:0{second}Z").parse().unwrap();
            let mut out = Vec::new();
            let any = view.show(&entry(at, record), &mut out).unwrap();
            assert_eq!(any, !out.is_empty(), "{flags:?}");
            if any {
                seen.push(match record {
                    Record::Decided(decided) => format!("decided {}", decided.id.0.as_u128()),
                    Record::Ended(ended) => format!("ended {}", ended.id.0.as_u128()),
                    other => other.kind().to_owned(),
                });
            }
        }
        assert_eq!(seen, wanted, "{flags:?}");
    }
}

#[test]
fn what_was_allowed_by_name_and_refused_afterwards_is_among_the_blocked() {
    let records = [
        Record::Decided(decided(1)),
        Record::Decided(decided(2)),
        Record::Decided(Decided { agent: AgentId::parse("other").ok(), ..decided(3) }),
        Record::Ended(ended(1)),
        Record::Ended(Ended { outcome: Outcome::Refused, reason: Reason::ForbiddenAddress, bytes_up: 0, bytes_down: 0, ..ended(2) }),
        Record::Ended(Ended { agent: AgentId::parse("other").ok(), outcome: Outcome::Refused, ..ended(3) }),
    ];
    let refused = "1970-01-01T00:00:00Z  coder        refused   forbidden-address api.example:443                  0 B up, 0 B down, 5 ms";
    let block = ["--decision", "block", "--agent", "coder"];
    assert_eq!(shown_lines(&block, Timestamp::UNIX_EPOCH, &records), [refused]);
    let elsewhere = [&block[..], &["--host", "other.example"]].concat();
    assert_eq!(shown_lines(&elsewhere, Timestamp::UNIX_EPOCH, &records), [""; 0]);
    let json = [&block[..], &["--json"]].concat();
    assert_eq!(shown_lines(&json, Timestamp::UNIX_EPOCH, &records), ["line"]);
    assert_eq!(shown_lines(&block, Timestamp::UNIX_EPOCH, &records[4..]).len(), 1, "an end whose beginning is gone");
    let allow = ["--decision", "allow", "--agent", "coder"];
    assert_eq!(shown_lines(&allow, Timestamp::UNIX_EPOCH, &records).len(), 4);
}

#[test]
fn an_attempt_of_nobody_known_is_shown_with_where_it_came_from() {
    let nobody = Decided { agent: None, decision: Ruling::Block, reason: Reason::UnknownAgent, rule: None, ..decided(1) };
    let passed = Decided { agent: None, ..decided(2) };
    let records = [Record::Decided(nobody), Record::Decided(passed), Record::Ended(Ended { agent: None, ..ended(2) })];
    let wanted = [
        "1970-01-01T00:00:00Z  -            block     unknown-agent  api.example:443                  from 127.0.0.1:50000",
        "1970-01-01T00:00:00Z  -            allow     listed         api.example:443                  from 127.0.0.1:50000 coder.toml:3",
        "1970-01-01T00:00:00Z  -            completed listed         api.example:443                  from 127.0.0.1:50000 10 B up, 20 B down, 5 ms",
    ];
    assert_eq!(shown_lines(&[], Timestamp::UNIX_EPOCH, &records), wanted);
}

#[test]
fn a_start_and_a_stop_say_which_slot_they_are_of() {
    let started = |repaired| Record::Started(Started { version: "0.1.0".into(), pid: 1, repaired });
    let records = [started(None), Record::Stopped(Stopped {}), started(Some(1))];
    let wanted = [
        "1970-01-01T00:00:00Z  -            started   proxy-1        exeat 0.1.0",
        "1970-01-01T00:00:00Z  -            stopped   proxy-1",
        "1970-01-01T00:00:00Z  -            started   proxy-1        exeat 0.1.0, 1 torn byte cut away",
    ];
    assert_eq!(shown_lines(&[], Timestamp::UNIX_EPOCH, &records), wanted);
}

#[test]
fn long_tunnels_floods_and_gaps_are_lines_and_the_journal_for_itself_only_as_json() {
    let at = Timestamp::UNIX_EPOCH;
    let agent = AgentId::parse("coder").ok();
    let by = vec![
        RefusedCount { reason: Reason::Unlisted, front: Front::Connect, count: 900 },
        RefusedCount { reason: Reason::Quiet, front: Front::Forward, count: 100 },
    ];
    let summary =
        RefusedSummary { agent: agent.clone(), source: None, from: at, until: at, count: 1000, by, hosts: Vec::new(), elsewhere: 0 };
    let host = |host: &str, count| RefusedHost { host: host.into(), port: 443, count };
    let hosts = vec![host("a.example", 600), host("2001:db8::1", 300)];
    let progress = Progress { id: decided(1).id, agent: agent.clone(), bytes_up: 5, bytes_down: 1 << 20 };
    let gap = |sinks: Vec<String>, why| Record::Gap(Gap { slot: "proxy-2".into(), first: 3, last: 9, sinks, why });
    let records = [
        Record::Segment(Segment { size: 0, peaks: Vec::new() }),
        Record::Decided(decided(1)),
        Record::Progress(progress.clone()),
        Record::Progress(Progress { id: decided(2).id, ..progress }),
        Record::RefusedSummary(RefusedSummary { hosts, elsewhere: 100, ..summary.clone() }),
        Record::RefusedSummary(RefusedSummary { agent: None, source: Some("10.0.0.9".into()), count: 1, ..summary }),
        gap(Vec::new(), GapWhy::Full),
        gap(vec!["webhook".into(), "ocsf".into()], GapWhy::Rejected),
        Record::Sealed(Sealed { size: 1, root: "r".into(), note: "n".into() }),
    ];
    let wanted = [
        "1970-01-01T00:00:00Z  coder        allow     listed         api.example:443                  coder.toml:3",
        "1970-01-01T00:00:00Z  coder        progress                 api.example:443                  5 B up, 1.0 MiB down so far",
        "1970-01-01T00:00:00Z  coder        progress                 -                                5 B up, 1.0 MiB down so far",
        "1970-01-01T00:00:00Z  coder        block     summary        -                                1000 attempts from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z: 900 unlisted by connect, 100 quiet by forward to a.example:443 600, [2001:db8::1]:443 300, elsewhere 100",
        "1970-01-01T00:00:00Z  -            block     summary        -                                from 10.0.0.9 1 attempt from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z: 900 unlisted by connect, 100 quiet by forward",
        "1970-01-01T00:00:00Z  -            gap       full           proxy-2                          records 3 to 9",
        "1970-01-01T00:00:00Z  -            gap       rejected       proxy-2                          records 3 to 9 for webhook, ocsf",
    ];
    assert_eq!(shown_lines(&[], at, &records), wanted);
    assert_eq!(shown_lines(&["--json"], at, &records).len(), records.len());
    assert_eq!(shown_lines(&["--decision", "block"], at, &records), wanted[3..5]);
    assert_eq!(shown_lines(&["--agent", "coder"], at, &records), wanted[..4]);
    assert_eq!(shown_lines(&["--agent", "other"], at, &records), [""; 0]);
}

#[test]
fn json_is_the_journal_as_it_stands_and_damage_is_an_error_after_the_rest() {
    let state = tempfile::tempdir().unwrap();
    let journal = Journal::open(state.path(), 1 << 20).unwrap().journal;
    journal.record(&Record::Decided(decided(1)), &mut |_| ()).unwrap();
    journal.stop(&mut |_| ()).unwrap();
    let path = state.path().join("journal/proxy-1/00000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let args = args(&["--json"]);
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    log(state.path(), &args, &mut out, &mut complaints).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(complaints, b"");

    std::fs::write(&path, format!("{{}}\n{text}")).unwrap();
    let mut out = Vec::new();
    let error = log(state.path(), &args, &mut out, &mut complaints).unwrap_err().to_string();
    assert!(error.starts_with("1 of the journal's lines cannot be read"), "{error}");
    assert_eq!(String::from_utf8(out).unwrap(), text);
    assert_eq!(String::from_utf8(complaints).unwrap(), format!("{}:1: not a record\n", path.display()));
}

#[test]
fn no_journal_is_an_empty_one_and_a_closed_pipe_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let state = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    log(state.path(), &args(&[]), &mut out, &mut io::sink()).unwrap();
    assert_eq!(out, b"");
    let _journal = Journal::open(state.path(), 1 << 20).unwrap();
    log(state.path(), &args(&["--follow"]), &mut Closed, &mut io::sink()).unwrap();
}

#[test]
fn where_nothing_is_left_of_a_journal_that_is_said() {
    let state = tempfile::tempdir().unwrap();
    let _journal = Journal::open(state.path(), 1 << 20).unwrap();
    for (flags, wanted) in [
        (&[][..], ""),
        (&["--json"], ""),
        (&["--agent", "coder"], "exeat: nothing is recorded of that\n"),
        (&["--decision", "block", "--json"], "exeat: nothing is recorded of that\n"),
    ] {
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        log(state.path(), &args(flags), &mut out, &mut complaints).unwrap();
        assert_eq!((out.is_empty(), String::from_utf8(complaints).unwrap().as_str()), (!wanted.is_empty(), wanted), "{flags:?}");
    }
}

fn held() -> Held {
    let destination = Place { host: "2001:db8::1".into(), port: 443, scheme: None };
    let agent = AgentId::parse("coder").unwrap();
    let rule = Some("coder.toml:9".into());
    Held { id: decided(5).id, hold: "k3f".into(), agent, instance: "i".into(), destination, request: None, only: false, rule }
}

fn answered() -> Answered {
    let Held { hold, agent, destination, .. } = held();
    Answered {
        hold,
        approval: Some(Uuid::nil()),
        answer: Answer::Yes,
        approver: "ada".into(),
        approver_kind: "person".into(),
        of: None,
        scope: Some("once".into()),
        expiry: None,
        note: Some("go on".into()),
        agent,
        destination,
        request: None,
        waiting: 1,
    }
}

fn args(flags: &[&str]) -> LogArgs {
    let matches = LogArgs::augment_args(Command::new("log").no_binary_name(true)).try_get_matches_from(flags).unwrap();
    LogArgs::from_arg_matches(&matches).unwrap()
}

fn entry(at: Timestamp, record: &Record) -> Entry {
    let (line, after) = (Line { v: 1, seq: 1, at, record: record.clone() }, Position { segment: 1, offset: 5, seq: 1 });
    Entry { log: None, slot: "proxy-1".into(), text: "line".into(), line, after }
}

fn shown_lines(flags: &[&str], at: Timestamp, records: &[Record]) -> Vec<String> {
    let args = args(flags);
    let mut view = View::new(&args, at);
    let mut out = Vec::new();
    for record in records {
        view.show(&entry(at, record), &mut out).unwrap();
    }
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

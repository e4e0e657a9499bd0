//! What would become of small pasts.

use super::*;
use crate::egress::record::{Decided, Ended, Outcome, Place, Record, Ruling};
use crate::journal::sample::{decided, ended};
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::RequestLine;

/// What a past attempt was: host, port, method and path, what it got.
type Row = (&'static str, u16, Option<(&'static str, &'static str)>, Ruling, Reason);

fn report(rules: &str, rows: &[Row], whole: bool) -> Report {
    let text = format!("agent = \"coder\"\n{rules}");
    let (allowlist, _) = Allowlist::parse("coder.toml", &text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let judge = Judge::new(Policy::new(vec![allowlist], Guard::default()).unwrap(), whole, Timestamp::UNIX_EPOCH);
    let mut past = Past::default();
    for (host, port, request, decision, reason) in rows.iter().copied() {
        let request = request.map(|(method, path)| RequestLine { method: method.into(), path: path.into() });
        let scheme = request.as_ref().map(|_| Scheme::Http);
        let destination = Some(Place { host: host.into(), port, scheme });
        let record = Decided { destination, request, decision, reason, ..decided(1) };
        past.saw(Timestamp::UNIX_EPOCH, &Record::Decided(record), None);
    }
    Report::of(past, &judge)
}

fn group_of(report: &Report) -> String {
    let groups = [
        ("allowed", &report.newly_allowed),
        ("held", &report.newly_held),
        ("blocked", &report.newly_blocked),
        ("depends", &report.depends),
    ];
    let found = groups.iter().find(|(_, rows)| !rows.is_empty());
    found.map_or("same".to_owned(), |(name, rows)| format!("{name} {}", rows[0].depends_on.unwrap_or_default()).trim().to_owned())
}

#[test]
fn what_an_attempt_got_is_held_against_what_it_would_get() {
    use Reason::{Approved, Blocked, Listed, Observed, Pending, Unlisted};
    use Ruling::{Allow, Block, Look};
    let rules = "unlisted = \"hold\"\n[[allow]]\nhost = \"a.example\"\n[[block]]\nhost = \"b.example\"
[[allow]]\nhost = \"l.example\"\nport = [80]\nmethod = [\"GET\"]\n";
    let table: [(Row, &str, bool); 16] = [
        (("a.example", 443, None, Allow, Listed), "same", false),
        (("a.example", 443, None, Block, Unlisted), "allowed", true),
        (("a.example", 443, None, Allow, Approved), "allowed", true),
        (("a.example", 443, None, Look, Reason::Inspect), "allowed", true),
        (("a.example", 443, None, Allow, Observed), "same", false),
        (("b.example", 443, None, Allow, Listed), "blocked", false),
        (("b.example", 443, None, Allow, Approved), "blocked", false),
        (("b.example", 443, None, Block, Unlisted), "same", false),
        (("c.example", 443, None, Allow, Listed), "held", false),
        (("c.example", 443, None, Block, Unlisted), "held", true),
        (("c.example", 443, None, Allow, Approved), "same", false),
        (("c.example", 443, None, Block, Pending), "same", false),
        (("l.example", 80, None, Allow, Listed), "depends the requests in the tunnel: each is judged by itself", false),
        (("l.example", 80, None, Block, Unlisted), "depends the requests in the tunnel: each is judged by itself", true),
        (("l.example", 80, Some(("GET", "/")), Block, Unlisted), "allowed", true),
        (("l.example", 80, Some(("GET", "/")), Block, Blocked), "depends its content or its fields, which are not recorded", true),
    ];
    for (row, wanted, widens) in table {
        let report = report(rules, &[row], true);
        assert_eq!((group_of(&report).as_str(), report.widens), (wanted, widens), "{row:?}");
        assert_eq!(report.exit_code(), if widens { 10 } else { 0 });
    }
}

#[test]
fn what_is_not_recorded_is_not_guessed() {
    let rules = "[[allow]]\nhost = \"p.example\"\nport = [80]\nmethod = [\"GET\"]\npath = [\"/a/*/c\"]
[[allow]]\nhost = \"q.example\"\nport = [80]\nmethod = [\"GET\"]\npath = [\"/q\"]\nquery = { s = [\"1\"] }
[[allow]]\nhost = \"r.example\"\nport = [80]\n";
    let (path, query) = ("depends the path, of which long segments are not recorded", "depends the query, which is not recorded");
    let table = [
        (("p.example", "GET", "/a/b/c"), "allowed"),
        (("p.example", "GET", "/a/***/c"), path),
        (("p.example", "GET", "/a/b/..."), path),
        (("p.example", "POST", "/a/***/c"), "same"),
        (("q.example", "GET", "/q"), query),
        (("q.example", "GET", "/other"), "same"),
        (("q.example", "POST", "/q"), "same"),
        (("r.example", "GET", "/***"), "allowed"),
    ];
    for ((host, method, path), wanted) in table {
        let row = (host, 80, Some((method, path)), Ruling::Block, Reason::Unlisted);
        assert_eq!(group_of(&report(rules, &[row], true)), wanted, "{row:?}");
    }
}

#[test]
fn attempts_that_rules_did_not_decide_are_left_out_and_counted() {
    use Reason::{Frozen, Listed, Malformed};
    let rows = [
        ("a.example", 443, None, Ruling::Block, Frozen),
        ("a.example", 443, None, Ruling::Block, Malformed),
        ("not a host", 443, None, Ruling::Allow, Listed),
    ];
    assert_eq!(report("", &rows, true).left_out, LeftOut { not_by_rules: 3, ..LeftOut::default() });
    let judge = |whole| {
        let (allowlist, _) = Allowlist::parse("other.toml", "agent = \"other\"").unwrap();
        let judge = Judge::new(Policy::new(vec![allowlist], Guard::default()).unwrap(), whole, Timestamp::UNIX_EPOCH);
        let mut past = Past::default();
        past.saw(Timestamp::UNIX_EPOCH, &Record::Decided(decided(1)), None);
        past.saw(Timestamp::UNIX_EPOCH, &Record::Decided(Decided { agent: None, ..decided(2) }), None);
        Report::of(past, &judge)
    };
    assert_eq!(judge(false).left_out, LeftOut { other_agents: 1, not_identified: 1, ..LeftOut::default() });
    assert_eq!(judge(true).newly_blocked.len(), 1, "an agent that a folder does not have is refused");
}

#[test]
fn what_becomes_reachable_is_told_first_and_loudest() {
    use Ruling::{Allow, Block};
    let rows = [
        ("gone.example", 443, None, Allow, Reason::Listed),
        ("new.example", 443, None, Block, Reason::Unlisted),
        ("new.example", 443, None, Block, Reason::Unlisted),
        ("2001:db8::1", 443, None, Allow, Reason::Approved),
        ("evil\u{1b}[2J.example", 80, Some(("GET", "/\n")), Block, Reason::Unlisted),
    ];
    let report = report("[[allow]]\nhost = \"new.example\"\n", &rows, true);
    let mut out = Vec::new();
    report.write(&mut out, false).unwrap();
    let wanted = "\
NEWLY ALLOWED: 1 kind in 2 attempts
  + coder        new.example:443   2 times, last 1970-01-01T00:00:00Z; was block (unlisted), allow by coder.toml:2
newly blocked: 2 kinds in 2 attempts
  - coder        [2001:db8::1]:443    1 time, last 1970-01-01T00:00:00Z; was hold (approved), block as forbidden-address
  - coder        gone.example:443     1 time, last 1970-01-01T00:00:00Z; was allow (listed), block as unlisted
unchanged: 0 kinds in 0 attempts
passed by an approval, and decided without it as held: 1 attempt
left out: 1 attempt refused for other reasons than rules
something may be reachable that was not
";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
    let json = serde_json::to_value(&report).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        ["by_approval", "depends", "left_out", "missing", "newly_allowed", "newly_blocked", "newly_held", "unchanged", "widens"]
    );
    let row = serde_json::json!({
        "agent": "coder", "host": "new.example", "port": 443, "was": "block", "was_reason": "unlisted", "would_be": "allow",
        "reason": "listed", "rule": "coder.toml:2", "widens": true, "count": 2, "last_seen": "1970-01-01T00:00:00Z",
    });
    assert_eq!(json["newly_allowed"][0], row);
}

#[test]
fn what_was_allowed_by_name_and_refused_for_where_it_led_is_judged_there_again() {
    use Reason::{ForbiddenAddress, NameMismatch, NotTls};
    let rules = "[[allow]]\nhost = \"in.example\"\naddresses = [\"10.0.0.0/8\"]\n[[allow]]\nhost = \"plain.example\"
[[allow]]\nhost = \"raw.example\"\nport = [22]\nopaque = true\n";
    let (allowlist, _) = Allowlist::parse("coder.toml", &format!("agent = \"coder\"\n{rules}")).unwrap();
    let judge = Judge::new(Policy::new(vec![allowlist], Guard::default()).unwrap(), true, Timestamp::UNIX_EPOCH);
    let table = [
        ("in.example", 443, Outcome::Refused, ForbiddenAddress, "10.1.2.3:443", "allowed"),
        ("in.example", 443, Outcome::Refused, ForbiddenAddress, "192.168.0.1:443", "same"),
        ("plain.example", 443, Outcome::Refused, ForbiddenAddress, "10.1.2.3:443", "same"),
        ("plain.example", 443, Outcome::Completed, Reason::Listed, "8.8.8.8:443", "same"),
        ("plain.example", 443, Outcome::Refused, NameMismatch, "8.8.8.8:443", "same"),
        ("raw.example", 22, Outcome::Refused, NotTls, "8.8.8.8:22", "allowed"),
        ("gone.example", 443, Outcome::Refused, ForbiddenAddress, "10.1.2.3:443", "same"),
    ];
    for (host, port, outcome, reason, address, wanted) in table {
        let mut past = Past::default();
        let destination = Some(Place { host: host.into(), port, scheme: None });
        past.saw(Timestamp::UNIX_EPOCH, &Record::Decided(Decided { destination, ..decided(1) }), None);
        past.saw(Timestamp::UNIX_EPOCH, &Record::Ended(Ended { outcome, reason, address: Some(address.into()), ..ended(1) }), None);
        let report = Report::of(past, &judge);
        assert_eq!((group_of(&report).as_str(), report.widens), (wanted, wanted == "allowed"), "{host} {reason:?}");
        for row in &report.newly_allowed {
            assert_eq!((row.was, row.was_reason, row.count), ("block", reason, 1));
        }
        assert_eq!(report.unchanged.attempts + report.newly_allowed.len() as u64, 1, "{host} {reason:?}");
    }
}

#[test]
fn what_was_not_decided_again_is_not_said_to_be_unreachable() {
    let told = |report: &Report| {
        let mut out = Vec::new();
        report.write(&mut out, false).unwrap();
        (String::from_utf8(out).unwrap().lines().last().unwrap().to_owned(), report.exit_code())
    };
    let left_out = |left_out| Report { left_out, ..Report::default() };
    let some = "of what was decided again, nothing becomes reachable that was not".to_owned();
    assert_eq!(told(&Report::default()), ("nothing becomes reachable that was not".to_owned(), 0));
    assert_eq!(told(&left_out(LeftOut { summarised: 1, ..LeftOut::default() })), (some.clone(), 0));
    assert_eq!(told(&left_out(LeftOut { too_many: 1, ..LeftOut::default() })), (some, 1));
}

//! What sums a small journal has.

use std::net::IpAddr;

use super::*;
use crate::cli::recorded::tally::HOSTS;
use crate::egress::record::{
    Answer, Answered, Decided, Ended, Front, Held, Outcome, Progress, RefusedCount, RefusedSummary, Ruling, Would,
};
use crate::journal::sample::{decided, ended};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + 60 * minute).unwrap()
}

fn to(host: &str) -> Option<Place> {
    Some(Place { host: host.into(), port: 443, scheme: None })
}

fn answered() -> Answered {
    Answered {
        hold: "k3f".into(),
        approval: None,
        answer: Answer::Yes,
        approver: "ada".into(),
        approver_kind: "person".into(),
        of: None,
        scope: Some("for".into()),
        expiry: Some(at(60)),
        note: Some("go\non".into()),
        agent: AgentId::parse("coder").unwrap(),
        destination: to("b.example").unwrap(),
        request: None,
        waiting: 1,
    }
}

fn of(records: &[Record], from: i64) -> Summary {
    let mut tally = Tally::default();
    for (minute, record) in (0..).zip(records) {
        tally.count(at(minute), record, minute >= from);
    }
    let bounds = Bounds { start: Timestamp::MIN, end: Timestamp::MAX };
    Summary::of(tally, bounds, (Missing::default(), 0), false)
}

fn words(summary: &Summary) -> String {
    let mut out = Vec::new();
    summary.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn day() -> Vec<Record> {
    let agent = AgentId::parse("coder").ok();
    let held = Held {
        id: decided(2).id,
        hold: "k3f".into(),
        agent: agent.clone().unwrap(),
        instance: "i".into(),
        destination: to("b.example").unwrap(),
        request: None,
        only: false,
        rule: None,
    };
    let by = vec![RefusedCount { reason: Reason::Unlisted, front: Front::Connect, count: 70 }];
    vec![
        Record::Decided(decided(1)),
        Record::Progress(Progress { id: decided(1).id, agent: agent.clone(), bytes_up: 4, bytes_down: 1 }),
        Record::Held(held),
        Record::Answered(answered()),
        Record::Decided(Decided { destination: to("b.example"), reason: Reason::Approved, ..decided(2) }),
        Record::Ended(Ended { outcome: Outcome::Refused, reason: Reason::ForbiddenAddress, bytes_up: 0, bytes_down: 0, ..ended(2) }),
        Record::Decided(Decided { destination: to("c.example"), reason: Reason::Observed, would: Some(Would::Block), ..decided(3) }),
        Record::Decided(Decided { destination: to("2001:db8::1"), decision: Ruling::Block, reason: Reason::Unlisted, ..decided(4) }),
        Record::Decided(Decided { agent: None, decision: Ruling::Block, reason: Reason::UnknownAgent, ..decided(5) }),
        Record::RefusedSummary(RefusedSummary {
            agent,
            source: None,
            from: at(9),
            until: at(9),
            count: 70,
            by,
            hosts: Vec::new(),
            elsewhere: 0,
        }),
        Record::Ended(ended(1)),
        Record::Ended(Ended { outcome: Outcome::Failed, reason: Reason::DnsFailed, bytes_up: 0, bytes_down: 0, ..ended(3) }),
    ]
}

#[test]
fn a_day_of_an_agent_is_a_table_with_its_questions() {
    assert_eq!(
        words(&of(&day(), 0)),
        "\
not identified: 1 attempt, 0 allowed, 1 refused
  2026-11-18T11:14:40Z to 2026-11-18T11:14:40Z, 0 B up, 0 B down
  HOST             ALLOW  BLOCK   UP  DOWN  FIRST                 LAST                  REASONS
  api.example:443      0      1  0 B   0 B  2026-11-18T11:14:40Z  2026-11-18T11:14:40Z  1 unknown-agent
  refused most: api.example:443 (1)

coder: 4 attempts, 3 allowed (1 failed, 1 refused afterwards), 1 refused
  2026-11-18T11:06:40Z to 2026-11-18T11:17:40Z, 10 B up, 20 B down
  observed: 0 would have been held, 1 refused
  allowed, and refused afterwards: 1 forbidden-address
  allowed, and failed on the way: 1 dns-failed
  refused besides, without records of their own: 70 unlisted
  HOST               ALLOW  BLOCK    UP  DOWN  FIRST                 LAST                  REASONS
  [2001:db8::1]:443      0      1   0 B   0 B  2026-11-18T11:13:40Z  2026-11-18T11:13:40Z  1 unlisted
  api.example:443        1      0  10 B  20 B  2026-11-18T11:06:40Z  2026-11-18T11:16:40Z  1 listed
  b.example:443          1      0   0 B   0 B  2026-11-18T11:10:40Z  2026-11-18T11:11:40Z  1 approved; then 1 forbidden-address
  c.example:443          1      0   0 B   0 B  2026-11-18T11:12:40Z  2026-11-18T11:17:40Z  1 observed; then 1 dns-failed
  refused most: [2001:db8::1]:443 (1), b.example:443 (1)
  questions: 1 asked, 1 yes, 0 no; half of them within 60 s
    2026-11-18T11:09:40Z  yes for  b.example:443 until 2026-11-18T12:06:40Z  by ada: go\\u{a}on
"
    );
}

#[test]
fn a_reason_of_the_refused_and_of_the_failed_is_counted_once_for_each() {
    let came_to = |id, outcome| {
        let ended = Ended { outcome, reason: Reason::DnsFailed, bytes_up: 0, bytes_down: 0, ..ended(id) };
        [Record::Decided(decided(id)), Record::Ended(ended)]
    };
    let records = [came_to(1, Outcome::Refused), came_to(2, Outcome::Refused), came_to(3, Outcome::Failed)].concat();
    let words = words(&of(&records, 0));
    assert!(words.contains("  3 listed; then 3 dns-failed\n"), "{words}");
}

#[test]
fn of_an_attempt_that_began_before_only_what_it_carried_since_is_counted() {
    let summary = of(&day()[..], 10);
    let coder = &summary.agents[0];
    assert_eq!((coder.sums.attempts, coder.sums.bytes_up, coder.sums.bytes_down), (0, 6, 19));
    let hosts: Vec<_> = coder.hosts.iter().map(|of| (of.host.as_str(), of.sums.attempts, of.sums.bytes_up)).collect();
    assert_eq!(hosts, [("api.example", 0, 6), ("c.example", 0, 0)]);
    let unknown = of(&[Record::Ended(ended(1))], 0);
    assert_eq!((unknown.agents[0].elsewhere.bytes_up, unknown.agents[0].hosts.len()), (10, 0));
}

#[test]
fn a_flood_of_refused_names_is_summed_and_hides_no_host_that_was_reached() {
    let mut tally = Tally::default();
    let many = 2 * HOSTS as u128;
    for id in 0..many {
        let refused =
            Decided { destination: to(&format!("x{id}.example")), decision: Ruling::Block, reason: Reason::Unlisted, ..decided(id) };
        tally.count(at(0), &Record::Decided(refused), true);
        tally.count(at(0), &Record::Ended(Ended { outcome: Outcome::Refused, ..ended(id) }), true);
    }
    tally.count(at(1), &Record::Decided(decided(many)), true);
    tally.count(at(1), &Record::Ended(ended(many)), true);
    let summary = Summary::of(tally, Bounds { start: Timestamp::MIN, end: Timestamp::MAX }, (Missing::default(), 0), false);
    let coder = &summary.agents[0];
    assert_eq!((coder.hosts.len(), coder.sums.attempts, coder.elsewhere.attempts), (HOSTS + 1, 2001, 1000));
    assert!(coder.hosts.iter().any(|of| of.host == "api.example" && of.sums.allow == 1));
}

#[test]
fn json_has_stable_fields() {
    let json = serde_json::to_value(of(&day(), 0)).unwrap();
    let fields = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(fields(&json), "agents missing records since until");
    let coder = &json["agents"][1];
    assert_eq!(
        fields(coder),
        "agent allow answered_no answered_within answered_yes answers answers_left_out asked attempts block bytes_down bytes_up elsewhere failed first_seen hosts last_seen look reasons refused_later refused_most summarised would_block would_hold"
    );
    assert_eq!(
        fields(&coder["hosts"][0]),
        "allow attempts block bytes_down bytes_up failed first_seen host last_seen look port reasons refused_later would_block would_hold"
    );
    assert_eq!(coder["answers"][0]["destination"]["host"], "b.example");
    assert_eq!(coder["reasons"], serde_json::json!({"approved": 1, "listed": 1, "observed": 1, "unlisted": 1}));
}

#[test]
fn an_address_is_kept_with_or_without_its_port() {
    let mut tally = Tally::default();
    for (id, address) in [(1, "10.0.0.1:443"), (2, "10.0.0.2"), (3, "[::1]:80"), (4, "none")] {
        tally.count(at(0), &Record::Decided(decided(id)), true);
        tally.count(at(0), &Record::Ended(Ended { address: Some(address.into()), ..ended(id) }), true);
    }
    let wanted: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "::1".parse().unwrap()];
    assert_eq!(tally.agents.values().next().unwrap().hosts[0].addresses.iter().copied().collect::<Vec<_>>(), wanted);
}

mod inside;
mod leaks;
mod requests;

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::policy::address::Guard;
use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::approvals::{Scope, Subject};
use crate::policy::attempt::{AgentId, Seen, Sight};
use crate::policy::fault::Fault;
use crate::policy::floor::Floor;
use crate::policy::policy::Frozen;
use crate::policy::tried::Tried;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const HOUR: Duration = Duration::from_secs(3600);

fn floor(text: &str) -> Floor {
    Floor::parse("floor.toml", text).map_or_else(|faults| panic!("{}", said(&faults)), |(floor, _)| floor)
}

fn said(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn policy_under(floor: Floor, rules: &str) -> Policy {
    let text = format!("agent = \"a\"\n{rules}");
    let reading = Reading { now: NOW, floor: &floor, library: &NoLibrary, inspects: false };
    let (allowlist, _) = Allowlist::read("a.toml", &text, &reading).unwrap_or_else(|faults| panic!("{}", said(&faults)));
    Policy::under(floor.into(), vec![allowlist], Guard::default()).unwrap()
}

fn policy(rules: &str) -> Policy {
    policy_under(Floor::none(), rules)
}

fn attempt(text: &str) -> Attempt {
    Tried::parse(text).unwrap().attempt(&AgentId::parse("a").unwrap())
}

/// A yes without end.
fn always(attempt: &Attempt, asking: Asking) -> Approval {
    Approval {
        id: ApprovalId(Uuid::from_u128(1)),
        subject: Subject::asked(attempt, asking),
        scope: Scope::Always,
        addresses: Arc::new(Addresses::public()),
        at: NOW,
        approver: "ada".into(),
        note: None,
        claimed: BTreeSet::new(),
    }
}

fn word(decision: &Decision) -> String {
    let line = |rule: Option<&RuleRef>| rule.map(|rule| format!(" {rule}")).unwrap_or_default();
    match decision {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Listed(rule) => format!("allow {rule}"),
            Basis::Approved(_) => "approved".to_owned(),
            Basis::Observed(Would::Hold(rule)) => format!("observed hold{}", line(rule.as_ref())),
            Basis::Observed(Would::Block) => "observed block".to_owned(),
        },
        Decision::Look(look) => format!("look {}", look.rule),
        Decision::Hold(terms) => {
            format!("hold{}{}", line(terms.rule.as_ref()), if terms.asking == Asking::ThisRequest { " this" } else { "" })
        }
        Decision::Block(Block { reason, rule, because: _, echo: _ }) => format!("{reason}{}", line(rule.as_ref())),
    }
}

fn decided_at(policy: &Policy, attempt: &Attempt, now: SystemTime) -> String {
    word(&policy.decide(attempt, &Approvals::default(), now))
}

fn table(policy: &Policy, rows: &[(&str, &str)]) {
    for (tried, wanted) in rows {
        assert_eq!(decided_at(policy, &attempt(tried), NOW), *wanted, "{tried}");
    }
}

fn seen(change: impl FnOnce(&mut Seen), tried: &str) -> Attempt {
    let mut attempt = attempt(tried);
    let mut request = attempt.sight.seen().unwrap().clone();
    change(&mut request);
    attempt.sight = Sight::Seen(request.into());
    attempt
}

#[test]
fn what_the_floor_asks_about_is_asked_while_an_agent_is_observed() {
    let floor = || floor("[[hold]]\nhost = \"pay.example.com\"\n");
    let alone = policy_under(floor(), "observe_until = \"1970-01-08\"\n");
    table(&alone, &[("pay.example.com", "hold floor.toml:1"), ("x.example.com", "observed block")]);
    let both = policy_under(floor(), "observe_until = \"1970-01-08\"\n[[hold]]\nhost = [\"pay.example.com\", \"x.example.com\"]\n");
    table(&both, &[("pay.example.com", "hold a.toml:3"), ("x.example.com", "observed hold a.toml:3")]);
}

#[test]
fn a_rule_says_nothing_once_its_end_has_come() {
    let policy = policy(
        "unlisted = \"hold\"\n[[allow]]\nhost = \"a.example.com\"\nuntil = \"1970-01-01T01:00:00Z\"\n[[block]]\nhost = \"b.example.com\"\nuntil = 1970-01-02\n[[block]]\nhost = \"9.9.9.9\"\nuntil = 1970-01-02\n[[allow]]\nhost = \"c.example.com\"\n",
    );
    let day = NOW + 24 * HOUR;
    for (tried, early, late) in [
        ("a.example.com", "allow a.toml:3", "hold"),
        ("b.example.com", "blocked a.toml:6", "hold"),
        ("9.9.9.9", "blocked a.toml:9", "hold"),
    ] {
        assert_eq!(decided_at(&policy, &attempt(tried), day - HOUR * 23 - Duration::from_secs(1)), early, "{tried}");
        assert_eq!(decided_at(&policy, &attempt(tried), day), late, "{tried}");
    }
    let grant = |now| match policy.decide(&attempt("c.example.com"), &Approvals::default(), now) {
        Decision::Allow(grant) => grant,
        other @ (Decision::Look(_) | Decision::Hold(_) | Decision::Block(_)) => panic!("{}", word(&other)),
    };
    let nine = "9.9.9.9".parse().unwrap();
    assert!(!grant(NOW).covers(nine) && grant(day).covers(nine), "a name that resolves there");
    let Decision::Allow(ends) = policy.decide(&attempt("a.example.com"), &Approvals::default(), NOW) else { panic!("an allow") };
    assert_eq!(ends.until(), Some(NOW + HOUR));
}

#[test]
fn what_is_unlisted_or_held_passes_while_it_is_observed_and_what_is_blocked_does_not() {
    let rules = "observe_until = \"1970-01-08\"\n[[hold]]\nhost = \"a.example.com\"\n[[block]]\nhost = \"b.example.com\"\n[[allow]]\nhost = \"c.example.com\"\n";
    let policy = policy(rules);
    table(
        &policy,
        &[
            ("a.example.com", "observed hold a.toml:3"),
            ("b.example.com", "blocked a.toml:5"),
            ("c.example.com", "allow a.toml:7"),
            ("d.example.com", "observed block"),
            ("localhost", "special-name"),
            ("10.0.0.1", "forbidden-address"),
        ],
    );
    let later = NOW + 7 * 24 * HOUR;
    assert_eq!(decided_at(&policy, &attempt("d.example.com"), later), "unlisted");
    let Decision::Allow(grant) = policy.decide(&attempt("d.example.com"), &Approvals::default(), NOW) else { panic!("an allow") };
    assert_eq!(grant.until(), Some(later));
    assert!(!grant.covers("10.0.0.1".parse().unwrap()));
}

#[test]
fn the_floor_comes_before_the_allowlist() {
    let floor = floor(
        "private = [\"10.20.0.0/16\"]\n[[block]]\nhost = [\"paste.example.com\", \"10.20.9.0/24\"]\nbecause = \"never\"\n[[hold]]\nhost = \"*.ask.example.com\"\nnote = \"tell the team\"\n[limits]\nopen = 5\n",
    );
    let policy = policy_under(
        floor,
        "[limits]\nper_minute = 9\n[[allow]]\nhost = [\"paste.example.com\", \"x.ask.example.com\"]\nlimits = { open = 2 }\n[[allow]]\nhost = [\"db.example.com\", \"10.20.0.0/16\"]\nport = 5432\naddresses = \"10.20.0.0/16\"\nlimits = { open = 2 }\n",
    );
    table(
        &policy,
        &[
            ("paste.example.com", "blocked floor.toml:2"),
            ("x.ask.example.com", "hold floor.toml:5"),
            ("10.20.0.1:5432", "allow a.toml:7"),
            ("10.20.9.1:5432", "blocked floor.toml:2"),
        ],
    );
    let Decision::Allow(grant) = policy.decide(&attempt("db.example.com:5432"), &Approvals::default(), NOW) else { panic!("an allow") };
    assert!(grant.covers("10.20.0.1".parse().unwrap()) && !grant.covers("10.20.9.1".parse().unwrap()));
    let place = RuleRef { file: "a.toml".into(), line: 7 };
    let rule = grant.limits()[2].0.clone();
    assert!(matches!(&rule, LimitedBy::Rule { place: at, mark: _ } if *at == place));
    let wanted = [
        (LimitedBy::Floor, Limits { open: Some(5), ..Limits::default() }),
        (LimitedBy::Agent, Limits { per_minute: Some(9), ..Limits::default() }),
        (rule, Limits { open: Some(2), ..Limits::default() }),
    ];
    assert_eq!(grant.limits(), wanted);
}

fn yes(tried: &str, asking: Asking, scope: Scope) -> Approvals {
    let mut approvals = Approvals::default();
    approvals.insert(Approval {
        id: ApprovalId(Uuid::from_u128(7)),
        subject: Subject::asked(&attempt(tried), asking),
        scope,
        addresses: Arc::new(Addresses { public: true, networks: vec!["10.0.0.0/8".parse().unwrap()] }),
        approver: "p".into(),
        at: NOW,
        note: None,
        claimed: BTreeSet::new(),
    });
    approvals
}

#[test]
fn the_floor_bounds_every_yes() {
    let decided = |floor: &str, scope: Scope, now| {
        let policy = policy_under(self::floor(floor), "unlisted = \"hold\"");
        match policy.decide(&attempt("x.example.com"), &yes("x.example.com", Asking::EveryRequest, scope), now) {
            Decision::Allow(grant) => (true, grant.until(), grant.covers("10.0.0.1".parse().unwrap())),
            Decision::Look(_) | Decision::Hold(_) | Decision::Block(_) => (false, None, false),
        }
    };
    let long = || Scope::For { until: NOW + 9 * HOUR };
    assert_eq!(decided("", long(), NOW), (true, Some(NOW + 9 * HOUR), true));
    assert_eq!(decided("max_for = \"2h\"", long(), NOW), (true, Some(NOW + 2 * HOUR), true));
    assert_eq!(decided("max_for = \"2h\"", long(), NOW + 2 * HOUR), (false, None, false));
    assert_eq!(decided("max_for = \"2h\"", Scope::Always, NOW), (true, Some(NOW + 2 * HOUR), true));
    assert_eq!(decided("forbid = \"always\"", Scope::Always, NOW), (false, None, false));
    let waited = || Scope::Once { waiting: [attempt("x.example.com").id].into(), next_until: None };
    assert_eq!(decided("", waited(), NOW), (true, None, true));
    assert_eq!(decided("max_for = \"2h\"", waited(), NOW), (true, Some(NOW + 2 * HOUR), true), "its tunnel is cut then");
    assert_eq!(decided("max_for = \"1m\"", waited(), NOW + Duration::from_secs(60)), (false, None, false));
    assert_eq!(decided("max_for = \"213503982334601d\"", Scope::Always, NOW), (true, None, true), "past the end of time");
    assert_eq!(decided("private = []", long(), NOW), (true, Some(NOW + 9 * HOUR), false));
}

#[test]
fn a_yes_that_the_floor_ends_hides_none_that_is_in_force() {
    let policy = policy_under(floor("forbid = \"always\""), "unlisted = \"hold\"");
    let mut approvals = yes("x.example.com", Asking::EveryRequest, Scope::Always);
    let endless = approvals.get(ApprovalId(Uuid::from_u128(7))).unwrap().clone();
    approvals.insert(Approval { id: ApprovalId(Uuid::from_u128(8)), scope: Scope::For { until: NOW + HOUR }, ..endless });
    let Decision::Allow(grant) = policy.decide(&attempt("x.example.com"), &approvals, NOW) else { panic!("an allow") };
    assert_eq!((grant.basis(), grant.until()), (&Basis::Approved(ApprovalId(Uuid::from_u128(8))), Some(NOW + HOUR)));
}

#[test]
fn a_yes_to_every_request_is_none_where_a_rule_looks_at_requests() {
    let policy = policy("unlisted = \"hold\"\n[[hold]]\nhost = \"a.example.com\"\nport = 80\nmethod = \"POST\"\n");
    let decided = |tried: &str, approvals: &Approvals| word(&policy.decide(&attempt(tried), approvals, NOW));
    let (post, other) = ("POST http://a.example.com/x", "POST http://a.example.com/y");
    let every = yes(post, Asking::EveryRequest, Scope::Always);
    assert_eq!(decided(post, &every), "hold a.toml:3 this");
    let this = yes(post, Asking::ThisRequest, Scope::Always);
    assert_eq!(decided(post, &this), "approved");
    assert_eq!(decided(&format!("{post}?q=1"), &this), "approved", "a query is not shown, so not asked about");
    assert_eq!(decided(other, &this), "hold a.toml:3 this");
    assert_eq!(decided("PUT http://a.example.com/x", &this), "hold this");
    assert_eq!(decided("CONNECT a.example.com:80", &every), "look a.toml:3");
}

#[test]
fn an_agent_that_is_frozen_gets_nothing() {
    let policy = policy("[[allow]]\nhost = \"a.example.com\"\n");
    let (one, other) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
    for (frozen, wanted) in
        [(Frozen::Everyone, "frozen"), (Frozen::These([one].into()), "frozen"), (Frozen::These([other].into()), "allow a.toml:2")]
    {
        let frozen = policy.with_frozen(frozen);
        assert_eq!(decided_at(&frozen, &attempt("a.example.com"), NOW), wanted);
        assert_ne!(frozen.hash(), policy.hash());
        assert_eq!(frozen.with_frozen(Frozen::Nobody).hash(), policy.hash());
    }
}

#[test]
fn the_limits_of_a_rule_keep_their_key_where_the_rule_moves_and_its_limits_change() {
    let key = |text: &str| match policy(text).decide(&attempt("a.example.com"), &Approvals::default(), NOW) {
        Decision::Allow(grant) => grant.limits()[0].0.key(),
        other @ (Decision::Look(_) | Decision::Hold(_) | Decision::Block(_)) => panic!("{}", word(&other)),
    };
    let first = key("[[allow]]\nhost = \"a.example.com\"\nlimits = { bytes_per_day = \"1GiB\" }\n");
    for same in [
        "# words\n\n[[allow]]\nhost = \"a.example.com\"\nlimits = { bytes_per_day = \"2GiB\", open = 3 }\n",
        "[[allow]]\nhost = \"b.example.com\"\n[[allow]]\nlimits = { open = 1 }\nnote = \"x\"\nhost = \"a.example.com\"\nuntil = 1970-01-03\n",
    ] {
        assert_eq!(key(same), first, "{same}");
    }
    for other in
        ["host = [\"a.example.com\", \"b.example.com\"]", "host = \"*.example.com\"", "host = \"a.example.com\"\nport = [443, 8443]"]
    {
        assert_ne!(key(&format!("[[allow]]\n{other}\nlimits = {{ open = 1 }}\n")), first, "{other}");
    }
    assert_eq!(
        (first.split('#').next(), LimitedBy::Floor.key(), LimitedBy::Agent.key()),
        (Some("a.toml"), "floor".to_owned(), "agent".to_owned())
    );
}

#[test]
fn of_two_rules_for_one_host_the_lower_limits_and_the_earlier_end_speak_in_any_order() {
    let rules = |keys: &str| format!("[[allow]]\nhost = \"a.example.com\"\n{keys}\n");
    let said = |rules: String| match policy(&rules).decide(&attempt("a.example.com"), &Approvals::default(), NOW) {
        Decision::Allow(grant) => (grant.limits().first().map(|(_, limits)| *limits), grant.until()),
        other @ (Decision::Look(_) | Decision::Hold(_) | Decision::Block(_)) => panic!("{}", word(&other)),
    };
    let limits = |open, per_minute| Some(Limits { open, per_minute, bytes_per_day: None });
    let bytes = |bytes| Some(Limits { bytes_per_day: Some(bytes), ..Limits::default() });
    for (speaks, silent, wanted) in [
        ("limits = { open = 1 }", "limits = { open = 100 }", (limits(Some(1), None), None)),
        ("limits = { open = 1 }", "limits = { per_minute = 1 }", (limits(Some(1), None), None)),
        ("limits = { per_minute = 1 }", "limits = { per_minute = 2 }", (limits(None, Some(1)), None)),
        ("limits = { open = 9 }", "", (limits(Some(9), None), None)),
        ("limits = { bytes_per_day = \"1B\" }", "", (bytes(1), None)),
        ("limits = { bytes_per_day = \"1B\" }", "limits = { bytes_per_day = \"2B\" }", (bytes(1), None)),
        ("until = 1970-01-02", "until = 1970-01-03", (None, Some(NOW + 24 * HOUR))),
        ("until = 1970-01-02", "", (None, Some(NOW + 24 * HOUR))),
    ] {
        let (speaks, silent) = (rules(speaks), rules(silent));
        assert_eq!(said(format!("{speaks}{silent}")), wanted, "{speaks}{silent}");
        assert_eq!(said(format!("{silent}{speaks}")), wanted, "{silent}{speaks}");
    }
}

#[test]
fn a_request_to_a_literal_outside_the_addresses_is_refused_and_not_asked_about() {
    let rule = "[[allow]]\nhost = \"10.0.0.5\"\nport = 80\npath = \"/x\"\naddresses = \"10.0.0.5\"\n";
    for unlisted in ["unlisted = \"hold\"\n", "observe_until = \"1970-01-08\"\n"] {
        table(
            &policy(&format!("{unlisted}{rule}")),
            &[
                ("GET http://10.0.0.5/x", "allow a.toml:3"),
                ("GET http://10.0.0.5/y", "forbidden-address"),
                ("CONNECT 10.0.0.5:80", "look a.toml:3"),
            ],
        );
    }
}

mod identity;
mod networks;
mod scan;

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use uuid::Uuid;

use super::super::address::{AddressClass, AddressRefusal};
use super::super::approvals::{Approval, ApprovalId, Approvals, Scope, Subject};
use super::super::attempt::{Attempt, AttemptId, Instance, Offered, Sight};
use super::super::decide::{Basis, Block, Decision, Grant};
use super::super::destination::Destination;
use super::super::host::Host;
use super::super::rule::RuleRef;
use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn load(text: &str) -> Allowlist {
    match Allowlist::parse("f.toml", text) {
        Ok((allowlist, _)) => allowlist,
        Err(faults) => panic!("{faults:#?}"),
    }
}

fn policy(text: &str) -> Policy {
    Policy::new(vec![load(text)], guard()).unwrap()
}

fn guard() -> Guard {
    Guard {
        own: vec!["127.0.0.1:3128".parse().unwrap(), "0.0.0.0:9464".parse().unwrap()],
        machine: vec!["192.0.2.7".parse().unwrap()],
        known_as: vec![Host::parse("egress.corp.example").unwrap()],
        never: vec!["10.96.0.1/32".parse().unwrap()],
    }
}

fn attempt(target: &str) -> Attempt {
    let destination = Destination::parse(target).unwrap();
    Attempt {
        id: AttemptId(Uuid::from_u128(1)),
        agent: agent("a"),
        instance: Instance("peer".into()),
        destination,
        scheme: None,
        sight: Sight::NotYet,
        within: None,
        proven: true,
    }
}

fn approval(target: &str, addresses: &str, scope: Scope) -> Approval {
    let mut allowed = Addresses::none();
    allowed.add(addresses).unwrap();
    Approval {
        id: ApprovalId(Uuid::from_u128(7)),
        subject: Subject::of(&attempt(target)),
        scope,
        addresses: Arc::new(allowed),
        approver: "p".into(),
        at: NOW,
        note: None,
        claimed: BTreeSet::new(),
    }
}

/// A decision in one word: what, why, and the line of the rule.
fn word(decision: &Decision) -> String {
    let line = |rule: Option<&RuleRef>| rule.map(|rule| format!(" {}", rule.line)).unwrap_or_default();
    match decision {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Listed(rule) => format!("allow{}", line(Some(rule))),
            Basis::Observed(would) => format!("observed {would:?}"),
            Basis::Approved(_) => "approved".to_owned(),
        },
        Decision::Look(look) => format!("look {}", look.rule.line),
        Decision::Hold(terms) => format!("hold{}", line(terms.rule.as_ref())),
        Decision::Block(Block { reason, rule, because: _ }) => format!("{reason}{}", line(rule.as_ref())),
    }
}

fn decided(policy: &Policy, target: &str) -> String {
    word(&policy.decide(&attempt(target), &Approvals::default(), NOW))
}

fn grant(policy: &Policy, target: &str, approvals: &Approvals) -> Grant {
    match policy.decide(&attempt(target), approvals, NOW) {
        Decision::Allow(grant) => grant,
        other @ (Decision::Look(_) | Decision::Hold(_) | Decision::Block(_)) => panic!("{target}: {}", word(&other)),
    }
}

const ORDER: &str = r#"agent = "a"
unlisted = "hold"
[[allow]]
host = ["**.all.example.com", "localhost", "egress.corp.example", "blocked.example.com"]
addresses = ["public", "127.0.0.0/8"]
[[hold]]
host = ["hold.all.example.com", "both.all.example.com"]
[[block]]
host = ["block.all.example.com", "both.all.example.com", "blocked.example.com", "9.9.9.9", "localhost", "127.0.0.1"]
port = [80, 443]
because = "no"
[[allow]]
host = ["9.9.9.9", "10.0.0.1"]
addresses = ["public", "10.0.0.1"]
"#;

#[test]
fn the_first_that_speaks_decides() {
    let policy = policy(ORDER);
    for (target, plain, denied, approved) in [
        // Never allowed comes before everything.
        ("169.254.169.254:80", "forbidden-address", "forbidden-address", "forbidden-address"),
        ("[fd00:ec2::254]:80", "forbidden-address", "forbidden-address", "forbidden-address"),
        ("127.0.0.1:3128", "self", "self", "self"),
        ("[::ffff:127.0.0.1]:3128", "self", "self", "self"),
        ("192.0.2.7:9464", "self", "self", "self"),
        ("egress.corp.example:443", "self", "self", "self"),
        ("10.96.0.1:443", "forbidden-address", "forbidden-address", "forbidden-address"),
        ("10.0.0.2:443", "forbidden-address", "forbidden-address", "forbidden-address"),
        ("vault:443", "special-name", "special-name", "special-name"),
        ("x.onion:443", "special-name", "special-name", "special-name"),
        ("x.localhost:443", "special-name", "special-name", "special-name"),
        // Block.
        ("block.all.example.com:443", "blocked 8", "blocked 8", "blocked 8"),
        ("both.all.example.com:443", "blocked 8", "blocked 8", "blocked 8"),
        ("9.9.9.9:443", "blocked 8", "blocked 8", "blocked 8"),
        ("[64:ff9b::909:909]:443", "blocked 8", "blocked 8", "blocked 8"),
        ("localhost:80", "blocked 8", "blocked 8", "blocked 8"),
        ("blocked.example.com:80", "blocked 8", "blocked 8", "blocked 8"),
        // Quiet, then approval, then hold.
        ("hold.all.example.com:443", "hold 6", "quiet 6", "approved"),
        // Allow.
        ("x.all.example.com:443", "allow 3", "quiet", "approved"),
        ("10.0.0.1:443", "allow 12", "forbidden-address 12", "forbidden-address 12"),
        // Unlisted, also by port.
        ("x.all.example.com:22", "hold", "quiet", "approved"),
        ("other.example.com:443", "hold", "quiet", "approved"),
        ("8.8.8.8:53", "hold", "quiet", "approved"),
    ] {
        assert_eq!(decided(&policy, target), plain, "{target}");
        let mut approvals = Approvals::default();
        approvals.insert(approval(target, "public", Scope::Always));
        assert_eq!(word(&policy.decide(&attempt(target), &approvals, NOW)), approved, "{target} approved");
        approvals.silence(Subject::of(&attempt(target)), NOW + Duration::from_secs(1));
        assert_eq!(word(&policy.decide(&attempt(target), &approvals, NOW)), denied, "{target} denied");
    }
}

#[test]
fn unlisted_is_what_the_file_says() {
    assert_eq!(decided(&policy("agent = \"a\"\n"), "x.example.com:443"), "unlisted");
    assert_eq!(decided(&policy("agent = \"a\"\nunlisted = \"hold\"\n"), "x.example.com:443"), "hold");
    let mut other = attempt("x.example.com:443");
    other.agent = agent("b");
    assert_eq!(word(&policy("agent = \"a\"\nunlisted = \"hold\"\n").decide(&other, &Approvals::default(), NOW)), "unknown-agent");
}

#[test]
fn a_special_name_needs_a_rule_that_spells_it_with_addresses() {
    let policy = policy(
        "agent = \"a\"\nunlisted = \"hold\"\n[[allow]]\nhost = \"db.corp.internal\"\naddresses = \"10.0.0.0/8\"\n[[allow]]\nhost = \"*.svc.internal\"\naddresses = \"10.0.0.0/8\"\n[[hold]]\nhost = \"localhost\"\naddresses = \"127.0.0.0/8\"\n",
    );
    for (target, expected) in [
        ("db.corp.internal:443", "allow 3"),
        ("db.corp.internal:22", "special-name"),
        ("x.svc.internal:443", "special-name"),
        ("localhost:80", "hold 9"),
        ("localhost:81", "special-name"),
    ] {
        assert_eq!(decided(&policy, target), expected, "{target}");
    }
}

#[test]
fn the_more_specific_rule_speaks_whatever_the_order_of_the_file() {
    let blocks = [
        "[[allow]]\nhost = \"*.example.com\"\nport = [443]\nnote = \"wide\"\n",
        "[[allow]]\nhost = \"*.db.example.com\"\naddresses = \"10.0.0.0/8\"\nport = [443]\nnote = \"deep\"\n",
        "[[allow]]\nhost = \"a*.db.example.com\"\nopaque = true\nport = [443]\n",
        "[[allow]]\nhost = \"x.db.example.com\"\naddresses = \"192.168.0.0/16\"\nport = [443]\nnote = \"exact\"\n",
    ];
    let spoken = |order: [usize; 4], target: &str| {
        let text: String = order.iter().map(|at| blocks[*at]).collect();
        let grant = grant(&policy(&format!("agent = \"a\"\n{text}")), target, &Approvals::default());
        (grant.addresses().clone(), grant.opaque())
    };
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        for (target, network) in
            [("x.db.example.com:443", Some("192.168.0.0/16")), ("y.db.example.com:443", Some("10.0.0.0/8")), ("y.example.com:443", None)]
        {
            let mut expected = network.map_or_else(Addresses::public, |_| Addresses::none());
            network.map(|network| expected.add(network));
            assert_eq!(spoken(order, target), (expected, false), "{order:?} {target}");
        }
        assert!(!spoken(order, "ab.db.example.com:443").1, "{order:?}: where one rule says opaque and one does not, the check stays");
    }
}

#[test]
fn of_two_rules_with_networks_the_one_without_public_speaks() {
    let blocks = [
        "[[hold]]\nhost = \"*.a.example.com\"\naddresses = [\"192.168.0.0/16\"]\n",
        "[[hold]]\nhost = \"x.*.example.com\"\naddresses = [\"10.0.0.0/8\", \"public\"]\n",
    ];
    for order in [[0, 1], [1, 0]] {
        let text: String = order.iter().map(|at| blocks[*at]).collect();
        let Decision::Hold(terms) =
            policy(&format!("agent = \"a\"\n{text}")).decide(&attempt("x.a.example.com:443"), &Approvals::default(), NOW)
        else {
            panic!("not held")
        };
        assert!(!terms.addresses.public, "{order:?}");
    }
}

#[test]
fn rules_alike_are_named_by_the_first_in_the_file() {
    let policy = policy(
        "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\n[[allow]]\nhost = \"x.example.com\"\n[[block]]\nhost = \"*.b.example.com\"\n[[block]]\nhost = \"y.b.example.com\"\n\
         [[block]]\nhost = \"9.9.9.9\"\n[[block]]\nhost = \"[64:ff9b::909:909]\"\n",
    );
    assert_eq!(decided(&policy, "x.example.com:443"), "allow 2");
    assert_eq!(decided(&policy, "y.b.example.com:443"), "blocked 6");
    assert_eq!(decided(&policy, "[64:ff9b::909:909]:443"), "blocked 10");
}

#[test]
fn a_hold_asks_under_its_own_addresses_then_the_allow_rules_then_the_agents() {
    let text = |hold: &str, allow: &str| {
        format!(
            "agent = \"a\"\naddresses = \"172.16.0.0/12\"\n[[hold]]\nhost = \"x.example.com\"\nnote = \"ask\"\n{hold}\n[[allow]]\nhost = \"{allow}.example.com\"\naddresses = \"10.0.0.0/8\"\n"
        )
    };
    for (hold, allow, expected) in
        [("addresses = \"192.168.0.0/16\"", "x", "192.168.0.0/16"), ("", "x", "10.0.0.0/8"), ("", "y", "172.16.0.0/12")]
    {
        let Decision::Hold(terms) = policy(&text(hold, allow)).decide(&attempt("x.example.com:443"), &Approvals::default(), NOW) else {
            panic!("not held")
        };
        assert_eq!(terms.addresses.networks, [expected.parse().unwrap()]);
        assert_eq!((terms.rule.map(|rule| rule.line), terms.note.as_deref()), (Some(3), Some("ask")));
    }
}

#[test]
fn a_block_carries_its_words() {
    let Decision::Block(block) = policy(ORDER).decide(&attempt("block.all.example.com:443"), &Approvals::default(), NOW) else {
        panic!("not blocked")
    };
    assert_eq!(
        block,
        Block { reason: Reason::Blocked, rule: Some(RuleRef { file: "f.toml".into(), line: 8 }), because: Some("no".into()) }
    );
}

#[test]
fn a_grant_judges_every_address_in_full() {
    let text = "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nport = [443, 3128, 9464, 53]\naddresses = [\"public\", \"127.0.0.0/8\", \"10.0.0.0/8\", \"192.0.2.0/24\", \"169.254.0.0/16\"]\n[[block]]\nhost = [\"9.9.9.9\", \"10.1.1.1\", \"10.96.0.1\", \"172.16.0.1\"]\n[[block]]\nhost = \"8.8.8.8\"\nport = 53\n";
    let policy = policy(text);
    let blocked = |line| Err(AddressRefusal::Blocked(RuleRef { file: "f.toml".into(), line }));
    for (target, address, expected) in [
        ("x.example.com:443", "93.184.216.34", Ok(())),
        ("x.example.com:443", "127.0.0.1", Ok(())),
        ("x.example.com:3128", "127.0.0.1", Err(AddressRefusal::Own)),
        ("x.example.com:3128", "::ffff:127.0.0.1", Err(AddressRefusal::Own)),
        ("x.example.com:9464", "192.0.2.7", Err(AddressRefusal::Own)),
        ("x.example.com:443", "10.96.0.1", Err(AddressRefusal::Never)),
        ("x.example.com:443", "9.9.9.9", blocked(6)),
        ("x.example.com:443", "64:ff9b::909:909", blocked(6)),
        ("x.example.com:443", "10.1.1.1", blocked(6)),
        ("x.example.com:443", "172.16.0.1", blocked(6)),
        ("x.example.com:53", "8.8.8.8", blocked(8)),
        ("x.example.com:443", "8.8.8.8", Ok(())),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let grant = grant(&policy, target, &Approvals::default());
        assert_eq!(grant.judge(address), expected, "{target} {address}");
        assert_eq!(grant.covers(address), expected.is_ok());
    }
    let judged = |address: &str| grant(&policy, "x.example.com:443", &Approvals::default()).judge(address.parse().unwrap());
    assert!(matches!(judged("169.254.169.254"), Err(AddressRefusal::Metadata(_))));
    assert!(matches!(judged("172.16.0.2"), Err(AddressRefusal::Outside(AddressClass::Special(_)))));
    assert!(matches!(judged("64:ff9b::ac10:2"), Err(AddressRefusal::Outside(AddressClass::Special(_)))));
}

#[test]
fn an_approval_gives_its_own_addresses_and_end() {
    let policy = policy(
        "agent = \"a\"\n[[hold]]\nhost = \"db.example.com\"\nport = 5432\n[[allow]]\nhost = \"db.example.com\"\nport = 5432\naddresses = \"10.0.0.0/8\"\nopaque = true\n[[block]]\nhost = \"192.168.0.9\"\n",
    );
    let until = NOW + Duration::from_secs(60);
    for (target, scope, ends, opaque) in [
        ("db.example.com:5432", Scope::For { until }, Some(until), true),
        ("db.example.com:5432", Scope::Always, None, true),
        ("y.example.com:443", Scope::Once { waiting: BTreeSet::from([AttemptId(Uuid::from_u128(1))]), next_until: None }, None, false),
    ] {
        let mut approvals = Approvals::default();
        approvals.insert(approval(target, "192.168.0.0/16", scope));
        let grant = grant(&policy, target, &approvals);
        assert_eq!(grant.basis(), &Basis::Approved(ApprovalId(Uuid::from_u128(7))));
        assert_eq!((grant.until(), grant.opaque()), (ends, opaque), "{target}");
        assert!(grant.covers("192.168.1.1".parse().unwrap()) && !grant.covers("10.0.0.1".parse().unwrap()));
        assert!(!grant.covers("192.168.0.9".parse().unwrap()), "a block names the address");
    }
    let mut approvals = Approvals::default();
    approvals.insert(approval("10.1.2.3:443", "10.1.2.3", Scope::Always));
    let granted = grant(&policy, "10.1.2.3:443", &approvals);
    assert!(granted.covers("10.1.2.3".parse().unwrap()), "an address given with the yes opens a literal");
}

#[test]
fn two_files_for_one_agent_do_not_load() {
    let list = |file: &str| Allowlist::parse(file, "\nagent = \"a\"\n").unwrap().0;
    let faults = Policy::new(vec![list("x.toml"), list("y.toml")], Guard::default()).unwrap_err();
    assert_eq!(
        faults[0].to_string(),
        "y.toml:2: found a second file for agent a, beside x.toml; wanted one file an agent; fix: merge the two, or give one another agent"
    );
}

#[test]
fn the_hash_changes_with_what_is_in_force_and_with_nothing_else() {
    let base = policy(ORDER);
    assert_eq!(base.hash(), policy(ORDER).hash());
    assert_eq!(base.hash().len(), 16);
    let two = |first: &str, second: &str| Policy::new(vec![load(first), load(second)], Guard::default()).unwrap().hash().clone();
    assert_eq!(two("agent = \"a\"\n", "agent = \"b\"\n"), two("agent = \"b\"\n", "agent = \"a\"\n"));
    let token = (TokenDigest::of("t"), agent("a"));
    let hashes = [
        base.hash().clone(),
        policy(&ORDER.replace("unlisted = \"hold\"", "unlisted = \"block\"")).hash().clone(),
        policy(&ORDER.replace("9.9.9.9", "9.9.9.8")).hash().clone(),
        Policy::new(vec![load(ORDER)], Guard::default()).unwrap().hash().clone(),
        base.with_tokens([token.clone()]).hash().clone(),
        base.with_listener("main", agent("a")).hash().clone(),
    ];
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len(), "{hashes:?}");
    assert_eq!(base.with_tokens([token.clone()]).with_tokens([token]).hash(), &hashes[4]);
}

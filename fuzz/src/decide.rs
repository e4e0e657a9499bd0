//! The decision against a slow model of it: allowlist, approvals and attempts made from the bytes, the allowlist read from its text.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use exeat::policy::Policy;
use exeat::policy::address::{Addresses, Guard};
use exeat::policy::allowlist::Allowlist;
use exeat::policy::approvals::{Approval, ApprovalId, Approvals, Scope, Subject};
use exeat::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Scheme, Seen as SeenRequest, Sight};
use exeat::policy::decide::{Basis, Decision};
use exeat::policy::destination::Destination;
use exeat::policy::host::Host;
use exeat::policy::rule::RuleRef;
use uuid::Uuid;

use super::model::approval::{self, Ask, No, Shown, Yes};
use super::model::decide::{Answer, KNOWN_AS, LISTENERS, MACHINE, NEVER, World, decide, may_dial};
use super::model::{address, written};
use super::scene::{Scene, scene};

/// Judges every attempt of the scene twice.
pub fn check(data: &[u8]) {
    let Ok(scene) = scene(&mut Unstructured::new(data)) else { return };
    let Scene { file, loud, yeses, noes, asks, addresses, now } = &scene;
    let (text, lines) = file.written(*loud);
    let loaded = Allowlist::parse("f.toml", &text);
    assert_eq!(loaded.is_ok(), file.loads(), "{loaded:#?}\n{text}");
    let Ok((allowlist, _warnings)) = loaded else { return };
    let policy = Policy::new(vec![allowlist], guard()).expect("one file contradicts no other");
    let approvals = approvals(yeses, noes);
    let world = World { file, yeses, noes, now: *now };
    for ask in asks {
        let given = policy.decide(&attempt(ask, *loud), &approvals, at(*now));
        let Some(wanted) = decide(&world, ask) else { continue };
        let seen = Seen { scene: &scene, ask, text: &text };
        assert_alike(&given, &wanted, &lines, &seen);
        if let Decision::Allow(grant) = &given {
            let ours = |addresses: &Vec<&str>, address| may_dial(file, addresses, address, ask.port);
            for address in addresses {
                let wanted: BTreeSet<bool> = wanted.addresses.iter().map(|addresses| ours(addresses, *address)).collect();
                assert!(wanted.contains(&grant.covers(*address)), "{address} of {seen}");
            }
        }
    }
}

/// What a failure shows.
struct Seen<'a> {
    scene: &'a Scene,
    ask: &'a Ask,
    text: &'a str,
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scene, ask, text } = self;
        write!(f, "{ask:?}\n{:#?}\n{:#?}\nat {}\n{text}", scene.yeses, scene.noes, scene.now)
    }
}

/// The same word, the same rule, the same list of addresses.
fn assert_alike(given: &Decision, wanted: &Answer, lines: &[u32], seen: &Seen<'_>) {
    let (word, rule, addresses) = match given {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Listed(rule) => ("listed", Some(rule), Some(grant.addresses())),
            Basis::Approved(_) => ("approved", None, Some(grant.addresses())),
            Basis::Observed(_) => ("observed", grant.rule(), Some(grant.addresses())),
        },
        Decision::Look(look) => ("look", Some(&look.rule), None),
        Decision::Hold(terms) => ("hold", terms.rule.as_ref(), Some(&*terms.addresses)),
        Decision::Block(block) => (block.reason.as_str(), block.rule.as_ref(), None),
    };
    assert_eq!(word, wanted.word, "{seen}");
    let named = |rule: &RuleRef| wanted.rules.iter().any(|at| lines[*at] == rule.line);
    if ["listed", "hold", "blocked"].contains(&word) {
        assert!(rule.map_or(wanted.rules.is_empty(), named), "{rule:?} for {wanted:?}: {seen}");
    }
    if let Some(addresses) = addresses {
        assert!(wanted.addresses.iter().any(|wanted| listed(wanted) == *addresses), "{addresses:?} for {wanted:?}: {seen}");
    }
}

fn guard() -> Guard {
    Guard {
        own: LISTENERS.iter().map(|(ip, port)| (ip.parse::<IpAddr>().expect("an address"), *port).into()).collect(),
        machine: MACHINE.iter().map(|ip| ip.parse().expect("an address")).collect(),
        known_as: KNOWN_AS.iter().map(|host| Host::parse(host).expect("a host")).collect(),
        never: NEVER.iter().map(|network| Addresses::parse_entry(network).expect("a network")).collect(),
    }
}

fn listed(entries: &[&str]) -> Addresses {
    let mut addresses = Addresses::none();
    for entry in entries {
        addresses.add(entry).expect("entries of the scene are good");
    }
    addresses
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn attempt(ask: &Ask, loud: bool) -> Attempt {
    let Ask { host, port, http, id, within } = ask;
    // A final dot is no part of an address, so only rules are loud about those.
    let host = if loud && address::read(host).is_none() { written::louder(host) } else { host.clone() };
    Attempt {
        id: AttemptId(Uuid::from_u128(*id)),
        agent: AgentId::parse("a").expect("a name"),
        instance: Instance("peer".into()),
        destination: Destination::parse(&format!("{host}:{port}")).expect("hosts of the scene are good"),
        scheme: http.then_some(Scheme::Http),
        sight: if *http { Sight::Seen(SeenRequest::bare("GET", "/", None).into()) } else { Sight::NotYet },
        within: within.map(|tunnel| AttemptId(Uuid::from_u128(tunnel))),
    }
}

fn approvals(yeses: &[Yes], noes: &[No]) -> Approvals {
    let mut approvals = Approvals::default();
    for Yes { id, shown, scope, addresses, at: given, used_by } in yeses {
        let ids = |ids: &[u128]| ids.iter().map(|id| AttemptId(Uuid::from_u128(*id))).collect();
        let scope = match scope {
            approval::Scope::Waiting(waiting) => Scope::Once { waiting: ids(waiting), next_until: None },
            approval::Scope::Next { until } => Scope::Once { waiting: BTreeSet::new(), next_until: Some(at(*until)) },
            approval::Scope::For { until } => Scope::For { until: at(*until) },
            approval::Scope::Always => Scope::Always,
        };
        approvals.insert(Approval {
            id: ApprovalId(Uuid::from_u128(*id)),
            subject: subject(shown),
            scope,
            addresses: Arc::new(listed(addresses)),
            approver: "p".into(),
            at: at(*given),
            note: None,
            claimed: ids(used_by),
        });
    }
    for No { shown, until } in noes {
        approvals.silence(subject(shown), at(*until));
    }
    approvals
}

fn subject(shown: &Shown) -> Subject {
    let Shown { host, port, http, agent, instance } = shown;
    Subject {
        agent: AgentId::parse(if *agent { "a" } else { "b" }).expect("a name"),
        instance: Instance(if *instance { "peer" } else { "other" }.into()),
        destination: Destination::parse(&format!("{host}:{port}")).expect("hosts of the scene are good"),
        scheme: http.then_some(Scheme::Http),
        request: None,
    }
}

//! The decision against a slow model of it: allowlist, approvals and attempts made from the bytes, the allowlist read from its text.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use exeat::policy::address::{Addresses, Guard};
use exeat::policy::allowlist::{Allowlist, IncludeName, IncludedText, Library, Reading, Unfound};
use exeat::policy::approvals::{Approval, ApprovalId, Approvals, Scope, Subject};
use exeat::policy::attempt::{self, AgentId, Attempt, AttemptId, Instance, RequestLine, Scheme, Sight};
use exeat::policy::decide::{Basis, Decision};
use exeat::policy::destination::Destination;
use exeat::policy::floor::Floor;
use exeat::policy::host::Host;
use exeat::policy::rule::RuleRef;
use exeat::policy::{Frozen, Policy};
use uuid::Uuid;

use super::model::address;
use super::model::approval::{self, Ask, No, Shown, Yes};
use super::model::decide::{Answer, KNOWN_AS, LISTENERS, MACHINE, NEVER, Pass, World, decide, may_dial};
use super::model::loads::{floor_loads, loads};
use super::model::request::Request;
use super::model::written::{self, FILES, Place, Written};
use super::scene::{Scene, scene};

/// Judges every attempt of the scene twice.
pub fn check(data: &[u8]) {
    let Ok(scene) = scene(&mut Unstructured::new(data)) else { return };
    let Scene { floor, file, loud, frozen, yeses, noes, asks, addresses, now } = &scene;
    let texts = written::written(floor, file, *loud);
    let Some(policy) = policy(&scene, &texts) else { return };
    let approvals = approvals(yeses, noes);
    let world = World { floor, file, yeses, noes, now: Some(*now), guarded: true, frozen: *frozen };
    for ask in asks {
        let given = policy.decide(&attempt(ask, *loud), &approvals, at(*now));
        let Some(wanted) = decide(&world, ask) else { continue };
        let seen = Seen { scene: &scene, ask, texts: &texts };
        assert_alike(&given, &wanted, &seen);
        if let Decision::Allow(grant) = &given {
            for address in addresses {
                let ours: BTreeSet<bool> =
                    wanted.addresses.iter().map(|addresses| may_dial(&world, addresses, *address, ask.port)).collect();
                assert!(ours.contains(&grant.covers(*address)), "{address} of {seen}");
            }
        }
    }
}

/// The policy of the scene, if both agree that it is one.
fn policy(scene: &Scene, texts: &Written) -> Option<Policy> {
    let Written { base: _, file, floor, places: _ } = texts;
    let read = Floor::parse(FILES[2], floor);
    assert_eq!(read.is_ok(), floor_loads(&scene.floor), "{read:#?}\n{floor}");
    let (read, _warnings) = read.ok()?;
    let reading = Reading { now: at(scene.now), floor: &read, library: texts, inspects: false };
    let loaded = Allowlist::read(FILES[1], file, &reading);
    let wanted = loads(&scene.floor, &scene.file, scene.now);
    assert_eq!(loaded.is_ok(), wanted.unwrap_or(loaded.is_ok()), "{loaded:#?}\n{file}\n# base\n{}\n# floor\n{floor}", texts.base);
    let (allowlist, _warnings) = loaded.ok()?;
    let policy = Policy::under(read.into(), vec![allowlist], guard()).expect("one file contradicts no other");
    Some(if scene.frozen { policy.with_frozen(Frozen::Everyone) } else { policy })
}

impl Library for Written {
    fn text(&self, _name: &IncludeName) -> Result<IncludedText, Unfound> {
        Ok(IncludedText { file: FILES[0].into(), text: self.base.as_str().into() })
    }
}

/// What a failure shows.
struct Seen<'a> {
    scene: &'a Scene,
    ask: &'a Ask,
    texts: &'a Written,
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scene, ask, texts } = self;
        let Written { base, file, floor, places: _ } = texts;
        write!(f, "{ask:?}\n{:#?}\n{:#?}\nat {}\n{file}\n# base\n{base}\n# floor\n{floor}", scene.yeses, scene.noes, scene.now)
    }
}

/// The same word, the same rule, the same list of addresses, the same bounds.
fn assert_alike(given: &Decision, wanted: &Answer, seen: &Seen<'_>) {
    let (word, rule, addresses) = match given {
        Decision::Allow(grant) => match grant.basis() {
            Basis::Listed(_) => ("listed", grant.rule(), Some(grant.addresses())),
            Basis::Approved(_) => ("approved", None, Some(grant.addresses())),
            Basis::Observed(_) => ("observed", grant.rule(), Some(grant.addresses())),
        },
        Decision::Look(look) => ("look", Some(&look.rule), None),
        Decision::Hold(terms) => ("hold", terms.rule.as_ref(), Some(&*terms.addresses)),
        Decision::Block(block) => (block.reason.as_str(), block.rule.as_ref(), None),
    };
    assert_eq!(word, wanted.word, "{seen}");
    if ["listed", "observed", "hold", "look", "blocked"].contains(&word) {
        let first = ["look", "blocked"].contains(&word);
        let names: Vec<Place> = wanted.rules.iter().map(|at| seen.texts.places[*at]).collect();
        let named = |rule: &RuleRef| names.iter().any(|(file, line)| (*file, *line) == (&*rule.file, rule.line));
        let earlier = |rule: &RuleRef| names.iter().any(|(file, line)| *file == &*rule.file && *line < rule.line);
        assert!(rule.map_or(names.is_empty(), |rule| named(rule) && !(first && earlier(rule))), "{rule:?} for {wanted:?}: {seen}");
    }
    if let Some(addresses) = addresses {
        assert!(wanted.addresses.iter().any(|wanted| listed(wanted) == *addresses), "{addresses:?} for {wanted:?}: {seen}");
    }
    if let Decision::Allow(grant) = given {
        let until = grant.until().map(|until| until.duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs());
        let (opaque, websocket, limits, normal_path) = (grant.opaque(), grant.websocket(), grant.limits().len(), grant.normal_path());
        let pass = Pass { opaque, websocket, until, limits, normal_path };
        assert!(wanted.passes.contains(&pass), "{pass:?} for {wanted:?}: {seen}");
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
    let Ask { host, port, seen, id, within } = ask;
    // A final dot is no part of an address, so only rules are loud about those.
    let host = if loud && address::read(host).is_none() { written::louder(host) } else { host.clone() };
    let request = seen.as_ref().map(|seen| {
        let Request { method, path, query, content, websocket, rewrites } = *seen;
        attempt::Seen { content, websocket, rewrites, ..attempt::Seen::bare(method, path, query) }
    });
    Attempt {
        id: AttemptId(Uuid::from_u128(*id)),
        agent: AgentId::parse("a").expect("a name"),
        instance: Instance("peer".into()),
        destination: Destination::parse(&format!("{host}:{port}")).expect("hosts of the scene are good"),
        scheme: request.is_some().then_some(Scheme::Http),
        sight: request.map_or(Sight::NotYet, |request| Sight::Seen(request.into())),
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
    let Shown { host, port, http, line, agent, instance } = shown;
    Subject {
        agent: AgentId::parse(if *agent { "a" } else { "b" }).expect("a name"),
        instance: Instance(if *instance { "peer" } else { "other" }.into()),
        destination: Destination::parse(&format!("{host}:{port}")).expect("hosts of the scene are good"),
        scheme: http.then_some(Scheme::Http),
        request: line.map(|(method, path)| RequestLine { method: method.into(), path: path.into() }),
    }
}

//! What is judged of an allowlist as a whole: with all it includes, under its floor, at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Allowlist, Reading};
use crate::policy::address::Addresses;
use crate::policy::destination::{Destination, Port};
use crate::policy::fault::{Fault, host_shown};
use crate::policy::index::HostIndex;
use crate::policy::inject::{Inject, twice};
use crate::policy::pattern::HostPattern;
use crate::policy::rule::{Effect, Ports, Rule, RuleRef};

/// The longest an agent may be observed.
const OBSERVED_AT_MOST: Duration = Duration::from_secs(14 * 24 * 3600);

/// Everything that is wrong with the whole, but for its expectations.
pub(super) fn whole(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Fault> {
    let mut faults = between(&allowlist.rules);
    faults.extend(crowded(allowlist));
    faults.extend(twice(&allowlist.injects));
    faults.extend(unseen_beside_injects(allowlist));
    faults.extend(observation(allowlist, reading));
    faults.extend(beyond_the_floor(allowlist, reading));
    faults
}

/// What is wrong between rules that are each good alone.
pub(in crate::policy) fn between(rules: &[Rule]) -> Vec<Fault> {
    let mut faults = contradictions(rules);
    faults.extend(unseen_beside_requests(rules));
    faults
}

fn observation(allowlist: &Allowlist, reading: &Reading<'_>) -> Option<Fault> {
    let until = allowlist.observe_until?;
    let place = RuleRef { file: allowlist.file.clone(), line: allowlist.observe_line };
    if reading.floor.forbid.observe {
        let found = format!("observe_until, which the floor {} forbids", reading.floor.file);
        return Some(fault(&place, found, "no observation", "remove it, or have the floor changed"));
    }
    let too_long = until.duration_since(reading.now).is_ok_and(|left| left > OBSERVED_AT_MOST);
    too_long.then(|| {
        fault(&place, "observe_until more than 14 days ahead".into(), "14 days at most", "write an earlier day, and renew it when it comes")
    })
}

/// What the floor does not let an allowlist say.
fn beyond_the_floor(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Fault> {
    let floor = reading.floor;
    let mut faults = Vec::new();
    let mut outside = |place: &RuleRef, addresses: &Addresses| {
        for network in addresses.networks.iter().filter(|network| !floor.permits_network(network)) {
            let found = format!("addresses with {network}, which the floor {} does not list as private", floor.file);
            faults.push(fault(place, found, "networks within `private` of the floor", "narrow it, or have the floor changed"));
        }
    };
    outside(&RuleRef { file: allowlist.file.clone(), line: allowlist.agent_line }, &allowlist.addresses);
    for rule in &allowlist.rules {
        match &rule.effect {
            Effect::Allow(allow) => outside(&rule.place, &allow.addresses),
            Effect::Hold { addresses: Some(addresses) } => outside(&rule.place, addresses),
            Effect::Hold { addresses: None } | Effect::Block { because: _ } => {}
        }
    }
    let opaque = allowlist.rules.iter().filter(|rule| matches!(&rule.effect, Effect::Allow(allow) if allow.opaque));
    for rule in opaque.filter(|_| floor.forbid.opaque) {
        let found = format!("opaque = true, which the floor {} forbids", floor.file);
        faults.push(fault(&rule.place, found, "tunnels of TLS or HTTP", "remove it, or have the floor changed"));
    }
    for (unseen, request) in meetings(&allowlist.rules, &floor.rules) {
        let found = format!("{} = true where the floor {} looks at requests, at line {}", key(unseen), floor.file, request.place.line);
        faults.push(fault(&unseen.place, found, "tunnels that can be seen into", "remove it, or make the hosts or ports disjoint"));
    }
    faults
}

/// Allow rules that say of one host and port that it may resolve to this and to that, or is opaque and is not: one of them would never speak.
fn contradictions(rules: &[Rule]) -> Vec<Fault> {
    let mut said: HashMap<(&HostPattern, Option<Port>), &Rule> = HashMap::new();
    let mut faults = Vec::new();
    for rule in rules.iter().filter(|rule| matches!(rule.effect, Effect::Allow(_))) {
        let ports: Vec<Option<Port>> = match &rule.ports {
            Ports::Every => vec![None],
            Ports::These(ports) => ports.iter().copied().map(Some).collect(),
        };
        let clashes = rule.hosts.iter().find_map(|host| {
            let first = ports.iter().map(|port| *said.entry((host, *port)).or_insert(rule)).find(|first| said_of(first) != said_of(rule));
            first.map(|first| (host, first))
        });
        if let Some((host, first)) = clashes {
            let found = format!("a second [[allow]] for {}, unlike {}", host_shown(&host.to_string()), first.place);
            faults.push(fault(&rule.place, found, "one word on its addresses and opaque", "merge the two rules"));
        }
    }
    faults
}

/// Tunnels of bytes that nobody reads, where another rule wants to read requests.
fn unseen_beside_requests(rules: &[Rule]) -> Vec<Fault> {
    let told = |(unseen, request): (&Rule, &Rule)| {
        let found = format!("method, path or query where {} says {}", unseen.place, key(unseen));
        fault(&request.place, found, either(unseen), "make the hosts or ports disjoint, or drop one of the two")
    };
    meetings(rules, rules).into_iter().map(told).collect()
}

/// The same, where exeat wants to put a credential into requests.
fn unseen_beside_injects(allowlist: &Allowlist) -> Vec<Fault> {
    let told = |inject: &Arc<Inject>| {
        let Destination { host, port } = &inject.destination;
        let about = |rule: &&Rule| unseen(rule) && rule.ports.contain(*port) && rule.hosts.iter().any(|pattern| pattern.matches(host));
        let rule = allowlist.rules.iter().find(about)?;
        let found = format!("[[inject]] where {} says {}", rule.place, key(rule));
        let fix = format!("remove one of the two, or list {host} in a rule of its own, without {}", key(rule));
        Some(fault(&inject.place, found, either(rule), &fix))
    };
    allowlist.injects.iter().filter_map(told).collect()
}

/// Whether an allow rule says that its tunnels are not looked into. One that is about requests as well is wrong by itself.
fn unseen(rule: &Rule) -> bool {
    matches!(&rule.effect, Effect::Allow(allow) if (allow.opaque || allow.exclude) && rule.request.is_none())
}

/// By which key it says so.
fn key(rule: &Rule) -> &'static str {
    if matches!(&rule.effect, Effect::Allow(allow) if allow.opaque) { "opaque" } else { "exclude" }
}

fn either(rule: &Rule) -> &'static str {
    if key(rule) == "opaque" { "either: an opaque tunnel shows no request" } else { "either: what is never inspected shows no request" }
}

/// The rules of some that are not looked into and those of others that look at requests, where they are surely about one host and port; of each of the
/// latter the first.
fn meetings<'a>(some: &'a [Rule], others: &'a [Rule]) -> Vec<(&'a Rule, &'a Rule)> {
    let opaque: Vec<&Rule> = some.iter().filter(|rule| unseen(rule)).collect();
    let requests: Vec<&Rule> = others.iter().filter(|rule| rule.request.is_some()).collect();
    if opaque.is_empty() || requests.is_empty() {
        return Vec::new();
    }
    let filed = |rules: &[&Rule]| -> HostIndex<usize> {
        rules.iter().zip(0..).flat_map(|(rule, number)| rule.hosts.iter().map(move |host| (host.clone(), number))).collect()
    };
    let mut met: BTreeMap<usize, usize> = BTreeMap::new();
    let mut meet = |opaque_at: usize, request_at: usize| {
        if opaque[opaque_at].ports.meet(&requests[request_at].ports) {
            let first = met.entry(request_at).or_insert(opaque_at);
            *first = (*first).min(opaque_at);
        }
    };
    let samples = |rule: &Rule| rule.hosts.iter().flat_map(HostPattern::samples).collect::<Vec<_>>();
    let (of_opaque, of_requests) = (filed(&opaque), filed(&requests));
    for (rule, request_at) in requests.iter().zip(0..) {
        for host in samples(rule) {
            of_opaque.lookup(&host).for_each(|opaque_at| meet(*opaque_at, request_at));
        }
    }
    for (rule, opaque_at) in opaque.iter().zip(0..) {
        for host in samples(rule) {
            of_requests.lookup(&host).for_each(|request_at| meet(opaque_at, *request_at));
        }
    }
    met.into_iter().map(|(request_at, opaque_at)| (opaque[opaque_at], requests[request_at])).collect()
}

/// Rules of one place: what is cited, limited and counted by its place would be of both.
fn crowded(allowlist: &Allowlist) -> Vec<Fault> {
    let mut places = HashSet::new();
    let all = allowlist.rules.iter().map(|rule| &rule.place).chain(allowlist.injects.iter().map(|inject| &inject.place));
    let mut twice: Vec<&RuleRef> = all.filter(|place| !places.insert(*place)).collect();
    twice.dedup();
    let told = |place| fault(place, "a second rule on this line".into(), "a line for each rule", "put it on a line of its own");
    twice.into_iter().map(told).collect()
}

fn said_of(rule: &Rule) -> Option<(&Addresses, bool)> {
    match &rule.effect {
        Effect::Allow(allow) => Some((&allow.addresses, allow.opaque)),
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
    }
}

fn fault(place: &RuleRef, found: String, wanted: &str, fix: &str) -> Fault {
    let RuleRef { file, line } = place.clone();
    Fault { file, line, column: 1, found, wanted: wanted.to_owned(), fix: fix.to_owned() }
}

//! Which allowlists load: nothing that could never speak, contradicts itself, goes beyond the floor, or fails its own expectations.

use std::collections::BTreeSet;

use super::decide::{World, decide};
use super::written::{File, Floor, Kind, Rule};
use super::{address, name, pattern};

const DAY: u64 = 86_400;

/// Whether a floor loads.
pub fn floor_loads(floor: &Floor) -> bool {
    floor.rules.iter().all(rule_loads)
}

/// Whether an allowlist loads; `None` where an expectation is about what the language leaves open, or where two wildcards may meet.
pub fn loads(floor: &Floor, file: &File, now: u64) -> Option<bool> {
    if !file.rules.iter().all(rule_loads) || contradicts_itself(&file.rules) || !within(floor, file, now) {
        return Some(false);
    }
    if !shows_requests(floor, file)? {
        return Some(false);
    }
    let world = World { floor, file, yeses: &[], noes: &[], now: None, guarded: false, frozen: false };
    let mut met = true;
    for expect in &file.expects {
        let word = match decide(&world, &expect.ask)?.word {
            "listed" => "allow",
            "hold" => "hold",
            "look" => "look",
            _ => "block",
        };
        met &= word == expect.decision;
    }
    Some(met)
}

/// Whether a rule can hold the host: a block rule may name anything, the others what can pass.
pub fn may_open(rule: &Rule, host: &str) -> bool {
    if rule.kind == Kind::Block {
        return !rule.looks() || address::read(host).is_none() && !host.contains('/');
    }
    if let Some((first, _)) = host.split_once('/') {
        // Networks lie in each other or apart: of what two share the first address is the first of one of them.
        let Some(addresses) = rule.addresses() else { return true };
        let firsts = addresses.iter().filter_map(|entry| entry.split('/').next()).chain([first]).filter_map(|first| first.parse().ok());
        return firsts.filter(|one| address::inside(host, *one)).any(|one| address::covered(&addresses, one));
    }
    if pattern::is_wild(host) {
        return !name::is_never(host.trim_start_matches(['*', '.']));
    }
    match address::read(host) {
        Some(literal) => !address::is_metadata(literal) && rule.addresses().is_none_or(|addresses| address::covered(&addresses, literal)),
        None => !name::is_never(host) && (!name::is_local(host) || rule.addresses.is_some()),
    }
}

/// Requests are in plain sight on every port but that of TLS; what is opaque shows none; a WebSocket begins with GET.
fn rule_loads(rule: &Rule) -> bool {
    let hidden = rule.looks() && (rule.holds_for(443) || rule.opaque);
    let never_websocket = rule.websocket && !rule.methods.is_empty() && !rule.methods.contains(&"GET");
    !hidden && !never_websocket && rule.hosts.iter().all(|host| may_open(rule, host))
}

/// Two allow rules for one pattern and port that differ in `addresses` or `opaque`.
fn contradicts_itself(rules: &[Rule]) -> bool {
    let allows: Vec<&Rule> = rules.iter().filter(|rule| rule.kind == Kind::Allow).collect();
    let meet = |one: &Rule, other: &Rule| {
        one.hosts.iter().any(|host| other.hosts.contains(host)) && one.ports().iter().any(|port| other.ports().contains(port))
    };
    let said = |rule: &Rule| -> (BTreeSet<&'static str>, bool) { (rule.addresses().into_iter().flatten().collect(), rule.opaque) };
    allows.iter().any(|one| allows.iter().any(|other| meet(one, other) && said(one) != said(other)))
}

/// No opaque rule is about a host and port where another rule, or one of the floor, looks at requests.
fn shows_requests(floor: &Floor, file: &File) -> Option<bool> {
    let mut unclear = false;
    for opaque in file.rules.iter().filter(|rule| rule.opaque) {
        for looking in floor.rules.iter().chain(&file.rules).filter(|rule| rule.looks()) {
            if !opaque.ports().iter().any(|port| looking.holds_for(*port)) {
                continue;
            }
            for (one, other) in opaque.hosts.iter().flat_map(|one| looking.hosts.iter().map(move |other| (one, other))) {
                match meet(one, other) {
                    Some(true) => return Some(false),
                    Some(false) => {}
                    None => unclear = true,
                }
            }
        }
    }
    if unclear { None } else { Some(true) }
}

/// Whether a host is one of both patterns; `None` where both are wildcards and one may be.
fn meet(one: &str, other: &str) -> Option<bool> {
    let for_addresses = |host: &str| host.contains('/') || address::read(host).is_some();
    let network = |host: &str| address::read(host).map_or(host.to_owned(), |literal| literal.to_string());
    match (for_addresses(one), for_addresses(other), pattern::is_wild(one), pattern::is_wild(other)) {
        (true, true, ..) => Some(holds(&network(one), &network(other)) || holds(&network(other), &network(one))),
        (true, false, ..) | (false, true, ..) => Some(false),
        (false, false, false, _) => Some(one == other || pattern::matches(other, one)),
        (false, false, true, false) => Some(pattern::matches(one, other)),
        (false, false, true, true) if one == other => Some(true),
        (false, false, true, true) => None,
    }
}

fn within(floor: &Floor, file: &File, now: u64) -> bool {
    let forbidden = |word: &str| floor.forbid.contains(&word);
    let lists = file.rules.iter().filter_map(|rule| rule.addresses.as_ref()).chain(&file.addresses);
    let mut networks = lists.flatten().filter(|entry| **entry != "public");
    let private = floor.private.as_ref().is_none_or(|private| networks.all(|network| private.iter().any(|outer| holds(outer, network))));
    let observe = file.observe_until.is_none_or(|until| !forbidden("observe") && until <= now + 14 * DAY);
    private && observe && !(forbidden("opaque") && file.rules.iter().any(|rule| rule.opaque))
}

/// Whether all of a network is in another.
fn holds(outer: &str, inner: &str) -> bool {
    let length = |network: &str| network.split_once('/').map_or(u32::MAX, |(_, length)| length.parse().expect("a length"));
    let first = inner.split('/').next().unwrap_or_default().parse().expect("an address");
    address::inside(outer, first) && length(outer) <= length(inner)
}

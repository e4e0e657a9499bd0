//! Rules filed so that those about a host are found at a cost that does not grow with their number.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::SystemTime;

use super::address::{Addresses, readings};
use super::destination::Port;
use super::host::Host;
use super::index::{AddressIndex, HostIndex};
use super::limits::Limits;
use super::pattern::HostPattern;
use super::policy::digest_of;
use super::rule::{Effect, Rule, RuleRef};

/// The rules of an allowlist or of the floor.
#[derive(Debug)]
pub(super) struct Indexed {
    rules: Vec<Rule>,
    index: HostIndex<Entry>,
    /// Block rules about addresses.
    blocked: AddressIndex<usize>,
    /// Of rules with limits, what they are about.
    marks: HashMap<RuleRef, u64>,
}

/// One pattern of one rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    rule: usize,
    /// How exactly the pattern names the host; the lowest is the most exact, and rules of one number are equally so.
    pub(super) host: u32,
    /// The lowest of its kind speaks.
    pub(super) rank: u32,
    /// The pattern has no wildcard.
    pub(super) exact: bool,
}

impl Indexed {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let mut patterns: Vec<(Specificity<'_>, usize, &HostPattern)> = Vec::with_capacity(rules.len());
        let mut blocked = AddressIndex::default();
        for (number, rule) in rules.iter().enumerate() {
            for host in &rule.hosts {
                patterns.push((Specificity::of(rule, host), number, host));
                if let (Effect::Block { because: _ }, Some(network)) = (&rule.effect, host.addresses()) {
                    blocked.insert(network, number);
                }
            }
        }
        patterns.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let (mut host, mut last) = (0, None);
        let entry = |(rank, (specificity, rule, pattern)): (u32, (Specificity<'_>, usize, &HostPattern))| {
            let this = (specificity.exact, specificity.labels);
            host += u32::from(last.replace(this).is_some_and(|last| last != this));
            let exact = !pattern.is_wildcard();
            (pattern.clone(), Entry { rule, host, rank, exact })
        };
        let index = (0..).zip(patterns).map(entry).collect();
        let marks = rules.iter().filter_map(|rule| Some((rule.place.clone(), mark(rule)?))).collect();
        Self { rules, index, blocked, marks }
    }

    /// What a rule with limits is about, in a number that stays where its line moves or its limits change.
    pub(super) fn mark(&self, place: &RuleRef) -> u64 {
        self.marks.get(place).copied().unwrap_or_default()
    }

    /// The rules about the host, on whatever port and for whatever request, in no promised order.
    pub(super) fn about<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = (Entry, &'a Rule)> {
        self.index.lookup(host).filter_map(|entry| Some((*entry, self.rules.get(entry.rule)?)))
    }

    /// The first block rule of the file that names the address or a network it is in, also by an IPv4 address it carries.
    pub(super) fn blocked(&self, address: IpAddr, port: Port, now: SystemTime) -> Option<&Rule> {
        if self.blocked.is_empty() {
            return None;
        }
        let numbers = readings(address).flat_map(|address| self.blocked.lookup(address));
        let rules = numbers.filter_map(|number| self.rules.get(*number));
        rules.filter(|rule| rule.ports.contain(port) && rule.in_force(now)).min_by_key(|rule| &rule.place)
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// What makes one rule of a kind speak before another. The place comes last: it names a rule, and changes nothing else.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Specificity<'r> {
    exact: Reverse<bool>,
    labels: Reverse<usize>,
    request: Reverse<bool>,
    opaque: bool,
    has_networks: bool,
    public: bool,
    limits: (u32, u32, u64),
    until: (bool, Option<SystemTime>),
    networks: String,
    place: &'r RuleRef,
}

impl<'r> Specificity<'r> {
    fn of(rule: &'r Rule, host: &HostPattern) -> Self {
        let (speaks, opaque, limits, addresses) = match &rule.effect {
            Effect::Allow(allow) => (true, allow.opaque, allow.limits, Some(&allow.addresses)),
            Effect::Hold { addresses } => (true, false, Limits::default(), addresses.as_ref()),
            Effect::Block { because: _ } => (false, false, Limits::default(), None),
        };
        let until = rule.until.filter(|_| matches!(rule.effect, Effect::Allow(_)));
        let labels = if speaks { host.spelled() } else { 0 };
        let networks = addresses.map(|addresses| written(addresses)).unwrap_or_default();
        let public = addresses.is_some_and(|addresses| addresses.public);
        Self {
            exact: Reverse(speaks && !host.is_wildcard()),
            labels: Reverse(labels),
            request: Reverse(speaks && rule.request.is_some()),
            opaque,
            has_networks: !networks.is_empty(),
            public,
            limits: {
                let Limits { open, per_minute, bytes_per_day } = limits;
                (open.unwrap_or(u32::MAX), per_minute.unwrap_or(u32::MAX), bytes_per_day.unwrap_or(u64::MAX))
            },
            until: (until.is_none(), until),
            networks,
            place: &rule.place,
        }
    }
}

fn mark(rule: &Rule) -> Option<u64> {
    let Rule { place: _, hosts, ports, request, effect, until: _, note: _ } = rule;
    match effect {
        Effect::Allow(allow) if !allow.limits.is_none() => Some(digest_of(&(hosts, ports, request))),
        Effect::Allow(_) | Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
    }
}

fn written(addresses: &Addresses) -> String {
    let mut networks = addresses.networks.clone();
    networks.sort_unstable();
    networks.dedup();
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

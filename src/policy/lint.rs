//! Second looks at an allowlist that loads: rules that never change what is decided, what has ended, and what can be fronted.
//!
//! Only what is certain is said, and of a rule only by its own file or by the floor: a file may block what one that it includes allows.

mod fronting;

use std::collections::HashMap;

use super::address::Addresses;
use super::allowlist::{Allowlist, Reading};
use super::fault::{Warning, code};
use super::floor::Floor;
use super::index::HostIndex;
use super::pattern::HostPattern;
use super::rule::{Effect, Ports, Rule, RuleRef};

/// The most rules that one is held against.
const CANDIDATES_MAX: usize = 32;

/// Everything worth a second look that only the whole shows.
pub(super) fn second_looks(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Warning> {
    let mut warnings = past(allowlist, reading);
    warnings.extend(fronting::fronted(allowlist, reading));
    let own = Blocks::of(&allowlist.rules);
    let floor = Blocks::of(&reading.floor.rules);
    let plain = Blocks::allowing(&allowlist.rules);
    let twins = Twins::of(&allowlist.rules);
    for (rule, number) in allowlist.rules.iter().zip(0..) {
        let shadow = own.over(rule).filter(|block| comes_before(block, rule)).map(|block| shadowed(rule, block));
        let shadow = shadow.or_else(|| twins.of_rule(rule, number).map(|twin| repeated(rule, twin)));
        let shadow = shadow.or_else(|| plain.over(rule).map(|wider| void(rule, wider)));
        let by_floor = || floor.over(rule).filter(|_| !refuses(rule)).map(|block| under_the_floor(rule, block, reading.floor));
        warnings.extend(shadow.or_else(by_floor));
    }
    warnings
}

fn past(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if allowlist.observe_until.is_some_and(|until| until <= reading.now) {
        let place = RuleRef { file: allowlist.file.clone(), line: allowlist.observe_line };
        warnings.push(warning(
            &place,
            code::PAST_UNTIL,
            "observe_until has passed: nothing is observed; remove it, or renew it".to_owned(),
        ));
    }
    let ended = allowlist.rules.iter().filter(|rule| !rule.in_force(reading.now));
    let words =
        |rule: &Rule| format!("the until of this {} rule has passed: it says nothing; remove it, or renew it", rule.effect.as_str());
    warnings.extend(ended.map(|rule| warning(&rule.place, code::PAST_UNTIL, words(rule))));
    warnings
}

fn shadowed(rule: &Rule, block: &Rule) -> Warning {
    let (kind, fix) = match rule.effect {
        Effect::Block { because: _ } => ("block", "it is named before this one"),
        Effect::Allow(_) => ("allow", "a block comes before every allow"),
        Effect::Hold { addresses: _ } => ("hold", "a block comes before every hold"),
    };
    warning(&rule.place, code::SHADOWED_RULE, format!("this {kind} rule never speaks: {} blocks all it is about, and {fix}", block.place))
}

fn repeated(rule: &Rule, twin: &Rule) -> Warning {
    let words = format!("this {} rule changes nothing: {} says the same of all its hosts and ports", rule.effect.as_str(), twin.place);
    warning(&rule.place, code::SHADOWED_RULE, words)
}

/// A rule about some requests beside one that lets all of them pass.
fn void(rule: &Rule, wider: &Rule) -> Warning {
    let words = format!(
        "this allow rule narrows nothing: {} lets every request to all its hosts and ports pass; narrow or remove that one, or remove this",
        wider.place
    );
    warning(&rule.place, code::SHADOWED_RULE, words)
}

fn under_the_floor(rule: &Rule, block: &Rule, floor: &Floor) -> Warning {
    let words = format!(
        "this {} rule never speaks: the floor {} blocks all it is about, at line {}",
        rule.effect.as_str(),
        floor.file,
        block.place.line
    );
    warning(&rule.place, code::FLOOR_SHADOW, words)
}

fn warning(place: &RuleRef, code: &'static str, text: String) -> Warning {
    let RuleRef { file, line } = place.clone();
    Warning { file, line, column: 0, code, text }
}

fn refuses(rule: &Rule) -> bool {
    matches!(rule.effect, Effect::Block { because: _ })
}

/// Whether a block of the same file always has the word: any of them before what is not a block, an earlier one before another.
fn comes_before(block: &Rule, rule: &Rule) -> bool {
    block.place.file == rule.place.file && (!refuses(rule) || block.place < rule.place)
}

/// Rules of every request, by host: those that block it, or those that allow it.
struct Blocks<'a> {
    rules: &'a [Rule],
    /// Whether one of them says of what it covers what another rule says as well.
    speaks_for: fn(&Rule, &Rule) -> bool,
    index: HostIndex<(usize, HostPattern)>,
}

impl<'a> Blocks<'a> {
    fn of(rules: &'a [Rule]) -> Self {
        Self::those(rules, refuses, |_, _| true)
    }

    fn allowing(rules: &'a [Rule]) -> Self {
        let in_the_same_file =
            |one: &Rule, other: &Rule| other.request.is_some() && one.effect == other.effect && one.place.file == other.place.file;
        Self::those(rules, |rule| matches!(rule.effect, Effect::Allow(_)), in_the_same_file)
    }

    fn those(rules: &'a [Rule], are: fn(&Rule) -> bool, speaks_for: fn(&Rule, &Rule) -> bool) -> Self {
        let blocks = rules.iter().zip(0..).filter(|(rule, _)| are(rule) && rule.request.is_none());
        let index = blocks.flat_map(|(rule, number)| rule.hosts.iter().map(move |host| (host.clone(), (number, host.clone())))).collect();
        Self { rules, speaks_for, index }
    }

    /// The first of them that is about all that the rule is about, for as long.
    fn over(&self, rule: &Rule) -> Option<&'a Rule> {
        if self.index.is_empty() {
            return None;
        }
        let covering = |host: &HostPattern| {
            let sample = host.samples().into_iter().next()?;
            let covers = |(number, block): &&(usize, HostPattern)| {
                let found = &self.rules[*number];
                block.covers(host)
                    && found.place != rule.place
                    && (self.speaks_for)(found, rule)
                    && ports_cover(&found.ports, &rule.ports)
                    && lasts(found, rule)
            };
            // A rule about addresses blocks literals by what they carry as well: more than it covers, never less.
            self.index.lookup(&sample).take(CANDIDATES_MAX).filter(covers).map(|(number, _)| *number).min()
        };
        let numbers: Option<Vec<usize>> = rule.hosts.iter().map(covering).collect();
        numbers?.into_iter().min().map(|number| &self.rules[number])
    }
}

/// Rules by the hosts they name.
struct Twins<'a> {
    rules: &'a [Rule],
    named: HashMap<&'a HostPattern, Vec<usize>>,
}

impl<'a> Twins<'a> {
    fn of(rules: &'a [Rule]) -> Self {
        let mut named: HashMap<&HostPattern, Vec<usize>> = HashMap::new();
        for (rule, number) in rules.iter().zip(0..) {
            for host in &rule.hosts {
                let known = named.entry(host).or_default();
                if known.len() < CANDIDATES_MAX && known.last() != Some(&number) {
                    known.push(number);
                }
            }
        }
        Self { rules, named }
    }

    /// Another rule of the file that says all that this one says; of two that say the same, the first.
    fn of_rule(&self, rule: &Rule, number: usize) -> Option<&'a Rule> {
        let candidates = self.named.get(rule.hosts.first()?)?;
        let says = |one: &Rule, other: &Rule| {
            one.place.file == other.place.file
                && same_words(one, other)
                && other.hosts.iter().all(|host| one.hosts.contains(host))
                && ports_cover(&one.ports, &other.ports)
                && lasts(one, other)
        };
        let others = candidates.iter().filter(|other| **other != number).map(|other| (*other, &self.rules[*other]));
        let mut others = others.filter(|(_, other)| says(other, rule));
        others.find(|(at, other)| *at < number || !says(rule, other)).map(|(_, other)| other)
    }
}

/// Whether two rules say one thing, hosts, ports and words for people aside.
fn same_words(one: &Rule, other: &Rule) -> bool {
    let effects = match (&one.effect, &other.effect) {
        (Effect::Allow(one), Effect::Allow(other)) => one == other,
        (Effect::Hold { addresses: one }, Effect::Hold { addresses: other }) => same_addresses(one.as_deref(), other.as_deref()),
        (Effect::Block { because: one }, Effect::Block { because: other }) => one == other,
        (Effect::Allow(_) | Effect::Hold { addresses: _ } | Effect::Block { because: _ }, _) => false,
    };
    effects && one.request == other.request && one.note == other.note
}

fn same_addresses(one: Option<&Addresses>, other: Option<&Addresses>) -> bool {
    one == other
}

fn ports_cover(outer: &Ports, inner: &Ports) -> bool {
    match (outer, inner) {
        (Ports::Every, _) => true,
        (Ports::These(_), Ports::Every) => false,
        (Ports::These(_), Ports::These(inner)) => inner.iter().all(|port| outer.contain(*port)),
    }
}

/// Whether `outer` is in force as long as `inner`.
fn lasts(outer: &Rule, inner: &Rule) -> bool {
    match (outer.until, inner.until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => outer >= inner,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

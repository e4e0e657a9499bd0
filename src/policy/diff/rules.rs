//! Differences of rules, host by host and port by port.

use std::collections::{BTreeMap, HashMap};

use super::{Change, Difference, words};
use crate::policy::allowlist::{Allowlist, Unlisted};
use crate::policy::destination::Port;
use crate::policy::index::HostIndex;
use crate::policy::pattern::HostPattern;
use crate::policy::rule::{Effect, Ports, Rule};
use crate::policy::widening::{passes_no_more, requests_within};

/// What rules of one kind say of one host and port; no port stands for every port.
type Point<'a> = (&'static str, &'a HostPattern, Option<Port>);

/// Rules of one allowlist, by the points they are about.
struct Said<'a> {
    allowlist: &'a Allowlist,
    keys: Vec<String>,
    points: HashMap<Point<'a>, Vec<usize>>,
    index: HostIndex<(usize, HostPattern)>,
}

/// Lines that differ in their host alone become one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    change: Change,
    kind: &'static str,
    gone: bool,
    port: Option<Port>,
    rest: String,
}

pub(super) fn of_rules(old: &Allowlist, new: &Allowlist) -> Vec<Difference> {
    let (before, after) = (Said::of(old), Said::of(new));
    let mut lines: BTreeMap<Line, Vec<String>> = BTreeMap::new();
    let mut points: Vec<Point<'_>> =
        after.points.keys().chain(before.points.keys().filter(|point| !after.points.contains_key(*point))).copied().collect();
    points.sort_by_key(|(kind, host, port)| (*kind, host.to_string(), *port));
    for point in points {
        let (kind, host, port) = point;
        let gone = without(&before, &after, &point);
        let come = without(&after, &before, &point);
        let mut put = |change: Change, gone: bool, rest: String| {
            lines.entry(Line { change, kind, gone, port, rest }).or_default().push(host.to_string());
        };
        if let ([was], [is]) = (gone.as_slice(), come.as_slice()) {
            let rest = format!("{}; was{} ({}, was {})", words_of(is), words_of(was), is.place, was.place);
            put(changed((was, is), &after, (host, port)), false, rest);
            continue;
        }
        for rule in come.into_iter().filter(|rule| !before.says(rule, host, port)) {
            put(added(rule, &before, (host, port)), false, format!("{} ({})", words_of(rule), rule.place));
        }
        for rule in gone.into_iter().filter(|rule| !after.says(rule, host, port)) {
            put(removed(rule, &after, (host, port)), true, format!("{} ({})", words_of(rule), rule.place));
        }
    }
    joined(lines)
}

/// Ports of the same hosts and words become one line as well.
fn joined(lines: BTreeMap<Line, Vec<String>>) -> Vec<Difference> {
    let mut by_hosts: BTreeMap<(Line, Vec<String>), Vec<String>> = BTreeMap::new();
    for (line, hosts) in lines {
        let port = line.port.map_or_else(|| "every port".to_owned(), |port| port.number().to_string());
        by_hosts.entry((Line { port: None, ..line }, hosts)).or_default().push(port);
    }
    let told = |((Line { change, kind, gone, port: _, rest }, hosts), ports): ((Line, Vec<String>), Vec<String>)| {
        let no_more = if gone { " no more" } else { "" };
        Difference { change, what: format!("{kind}{no_more} {} on {}{rest}", words::listed(&hosts), ports.join(", ")) }
    };
    by_hosts.into_iter().map(told).collect()
}

fn words_of(rule: &Rule) -> String {
    let terms = words::terms(rule);
    if terms.is_empty() { String::new() } else { format!(", {terms}") }
}

/// Rules of `one` about the point of which `other` has no equal about it.
fn without<'a>(one: &Said<'a>, other: &Said<'_>, point: &Point<'_>) -> Vec<&'a Rule> {
    let known: Vec<&String> = other.points.get(point).into_iter().flatten().map(|number| &other.keys[*number]).collect();
    let mut numbers: Vec<usize> = one.points.get(point).cloned().unwrap_or_default();
    numbers.retain(|number| !known.contains(&&one.keys[*number]));
    numbers.dedup_by(|one_number, other_number| one.keys[*one_number] == one.keys[*other_number]);
    numbers.into_iter().map(|number| &one.allowlist.rules[number]).collect()
}

impl<'a> Said<'a> {
    fn of(allowlist: &'a Allowlist) -> Self {
        let keys = allowlist.rules.iter().map(key).collect();
        let mut points: HashMap<Point<'_>, Vec<usize>> = HashMap::new();
        for (rule, number) in allowlist.rules.iter().zip(0..) {
            let ports: Vec<Option<Port>> = match &rule.ports {
                Ports::Every => vec![None],
                Ports::These(ports) => ports.iter().copied().map(Some).collect(),
            };
            for host in &rule.hosts {
                for port in &ports {
                    points.entry((rule.effect.as_str(), host, *port)).or_default().push(number);
                }
            }
        }
        let rules = allowlist.rules.iter().zip(0..);
        let index = rules.flat_map(|(rule, number)| rule.hosts.iter().map(move |host| (host.clone(), (number, host.clone())))).collect();
        Self { allowlist, keys, points, index }
    }

    /// The rules surely about a host of the pattern, on the port.
    fn about(&self, host: &HostPattern, port: Option<Port>) -> Vec<(usize, bool)> {
        let on = |rule: &Rule| port.map_or(rule.ports == Ports::Every, |port| rule.ports.contain(port));
        let mut found = Vec::new();
        for sample in host.samples() {
            found.extend(
                self.index
                    .lookup(&sample)
                    .filter(|(number, _)| on(&self.allowlist.rules[*number]))
                    .map(|(number, pattern)| (*number, pattern.covers(host))),
            );
        }
        found
    }

    /// Whether wider rules say the same of the host and port, and none of its kind says anything else.
    fn says(&self, rule: &Rule, host: &HostPattern, port: Option<Port>) -> bool {
        let key = key(rule);
        let same = |number: usize| self.allowlist.rules[number].effect.as_str() == rule.effect.as_str();
        let about: Vec<(usize, bool)> = self.about(host, port).into_iter().filter(|(number, _)| same(*number)).collect();
        let alike = about.iter().all(|(number, _)| self.keys[*number] == key);
        about.iter().any(|(number, covers)| *covers && self.keys[*number] == key) && alike
    }

    fn any<'b>(&'b self, kind: &'b str, host: &HostPattern, port: Option<Port>) -> impl Iterator<Item = (&'a Rule, bool)> + 'b {
        let rules = &self.allowlist.rules;
        self.about(host, port)
            .into_iter()
            .map(move |(number, covers)| (&rules[number], covers))
            .filter(move |(rule, _)| rule.effect.as_str() == kind)
    }
}

/// All of a rule that decides, hosts and ports aside.
fn key(rule: &Rule) -> String {
    let Rule { place: _, hosts: _, ports: _, request, effect, until, note: _ } = rule;
    let effect = match effect {
        Effect::Block { because: _ } => "block".to_owned(),
        Effect::Allow(_) | Effect::Hold { addresses: _ } => format!("{effect:?}"),
    };
    let request = request.clone().map(|mut request| {
        request.methods.sort_unstable();
        request.paths.sort_unstable();
        request.query.sort_by_key(ToString::to_string);
        request
    });
    format!("{request:?} {effect} {until:?}")
}

fn changed((was, is): (&Rule, &Rule), after: &Said<'_>, at: (&HostPattern, Option<Port>)) -> Change {
    let narrows = requests_within(is.request.as_ref(), was.request.as_ref()) && ends_no_later(is, was);
    let widens = requests_within(was.request.as_ref(), is.request.as_ref()) && ends_no_later(was, is);
    match (&was.effect, &is.effect) {
        (Effect::Allow(old), Effect::Allow(new)) => {
            // Where it speaks no more, another may.
            let alone = (&was.request, was.until) == (&is.request, is.until) || removed(was, after, at) == Change::Narrower;
            Change::of(widens && passes_no_more(old, new), narrows && alone && passes_no_more(new, old))
        }
        (Effect::Block { because: _ }, Effect::Block { because: _ }) => Change::of(narrows, widens),
        (Effect::Allow(_) | Effect::Hold { addresses: _ } | Effect::Block { because: _ }, _) => Change::Unclear,
    }
}

fn added(rule: &Rule, before: &Said<'_>, (host, port): (&HostPattern, Option<Port>)) -> Change {
    match &rule.effect {
        Effect::Allow(_) => Change::Wider,
        Effect::Block { because: _ } => Change::Narrower,
        Effect::Hold { addresses: Some(_) } => Change::Unclear,
        Effect::Hold { addresses: None } if before.allowlist.unlisted == Unlisted::Hold => Change::Narrower,
        Effect::Hold { addresses: None } => {
            let allowed = before.any("allow", host, port).any(|(allow, covers)| covers && allow.request.is_none());
            if allowed { Change::Narrower } else { Change::Wider }
        }
    }
}

fn removed(rule: &Rule, after: &Said<'_>, (host, port): (&HostPattern, Option<Port>)) -> Change {
    let others = |kind: &'static str| after.any(kind, host, port).next().is_some();
    match &rule.effect {
        Effect::Block { because: _ } => Change::Wider,
        Effect::Allow(old) => {
            // Another rule may speak in its place, and let more pass.
            let passes_more = |other: &Rule| match &other.effect {
                Effect::Allow(new) => !passes_no_more(new, old),
                Effect::Hold { addresses: _ } | Effect::Block { because: _ } => false,
            };
            let more = match host.exact() {
                Some(_) => after.any("allow", host, port).any(|(other, _)| passes_more(other)),
                None => {
                    after.allowlist.rules.iter().any(|other| rule.ports.meet(&other.ports) && may_meet(host, other) && passes_more(other))
                }
            };
            if more { Change::Unclear } else { Change::Narrower }
        }
        Effect::Hold { addresses: _ } if others("allow") => Change::Wider,
        Effect::Hold { addresses: _ } if host.exact().is_none() || after.allowlist.unlisted == Unlisted::Hold => Change::Unclear,
        Effect::Hold { addresses: _ } => Change::Narrower,
    }
}

/// Whether a rule could come to speak for a host of the wildcard. One that spells its host spoke before as well, or is told as new.
fn may_meet(host: &HostPattern, rule: &Rule) -> bool {
    rule.hosts.iter().any(|other| other.exact().is_none() && (host.network().is_some() == other.network().is_some()))
}

fn ends_no_later(one: &Rule, other: &Rule) -> bool {
    match (one.until, other.until) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(one), Some(other)) => one <= other,
    }
}

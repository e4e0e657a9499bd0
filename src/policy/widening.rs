//! Whether an allowlist lets anything pass, or asks for anything, that another did not.
//!
//! Compared by what is written, not by what it comes to: "narrower" is promised, "wider" may only mean that it could not be told.

use super::address::Addresses;
use super::allowlist::{Allowlist, Identify, Unlisted};
use super::limits::Limits;
use super::request::RequestRule;
use super::rule::{Allow, Effect, Rule};

/// The most pairs of rules that are compared; beyond, it cannot be told.
const PAIRS_MAX: usize = 1_000_000;

/// What is wider in `new` than in `old`, in a few words, or `None` where nothing is.
pub fn widens(old: &Allowlist, new: &Allowlist) -> Option<&'static str> {
    let Allowlist { unlisted, addresses, observe_until, limits, approvers, identify, rules, .. } = new;
    if old.unlisted == Unlisted::Block && *unlisted == Unlisted::Hold {
        return Some("unlisted, which was block");
    }
    if !within(addresses, &old.addresses) {
        return Some("addresses");
    }
    if observe_until.is_some_and(|until| old.observe_until.is_none_or(|before| until > before)) {
        return Some("observe_until");
    }
    if *approvers < old.approvers {
        return Some("approvers");
    }
    if !as_tight(limits, &old.limits) {
        return Some("[limits]");
    }
    if !identified_as_narrowly(&old.identify, identify) {
        return Some("[[identify]]");
    }
    of_rules(&old.rules, rules, *unlisted)
}

/// An agent's allowlist with nothing left that lets pass: who it is and what is refused stay as they were.
pub fn emptied(allowlist: Allowlist) -> Allowlist {
    let rules = allowlist.rules.into_iter().filter(|rule| !matches!(rule.effect, Effect::Allow(_))).collect();
    Allowlist { unlisted: Unlisted::Block, observe_until: None, rules, expectations: Vec::new(), ..allowlist }
}

/// Whether an agent can go without others being proven by evidence that proved nobody while it was there.
pub fn may_go(allowlist: &Allowlist) -> bool {
    allowlist.identify.iter().all(by_token_alone)
}

fn of_rules(old: &[Rule], new: &[Rule], unlisted: Unlisted) -> Option<&'static str> {
    let (gone, come) = (without(old, new), without(new, old));
    for rule in &come {
        match &rule.effect {
            Effect::Allow(_) => return Some("an [[allow]] rule that is new or changed"),
            // Where unlisted asks anyway, to ask is no more than that.
            Effect::Hold { addresses: None } if unlisted == Unlisted::Hold => {}
            Effect::Hold { addresses: _ } => return Some("a [[hold]] rule that is new or changed"),
            Effect::Block { because: _ } => {}
        }
    }
    let left: Vec<(&Rule, &Allow)> = new.iter().filter_map(|rule| Some((rule, allows(rule)?))).collect();
    let allowed = gone.iter().filter(|rule| allows(rule).is_some()).count();
    if allowed.saturating_mul(left.len()) > PAIRS_MAX {
        return Some("more [[allow]] rules than can be compared");
    }
    for rule in gone {
        match &rule.effect {
            Effect::Hold { addresses: _ } => return Some("a [[hold]] rule that is gone or changed"),
            Effect::Block { because: _ } => return Some("a [[block]] rule that is gone or changed"),
            Effect::Allow(before) => {
                if left.iter().any(|(other, allow)| may_meet(rule, other) && !passes_no_more(allow, before)) {
                    return Some("an [[allow]] rule that is gone, where another now speaks");
                }
            }
        }
    }
    None
}

/// Those of `some` that do not stand in `others`, wherever and with whatever words for people.
fn without<'a>(some: &'a [Rule], others: &[Rule]) -> Vec<&'a Rule> {
    let mut known: Vec<String> = others.iter().map(said).collect();
    known.sort_unstable();
    some.iter().filter(|rule| known.binary_search(&said(rule)).is_err()).collect()
}

/// All of a rule that decides.
fn said(rule: &Rule) -> String {
    let Rule { place: _, hosts, ports, request, effect, until, note: _ } = rule;
    let effect = match effect {
        Effect::Block { because: _ } => "block".to_owned(),
        Effect::Allow(_) | Effect::Hold { addresses: _ } => format!("{effect:?}"),
    };
    format!("{hosts:?} {ports:?} {request:?} {effect} {until:?}")
}

fn allows(rule: &Rule) -> Option<&Allow> {
    match &rule.effect {
        Effect::Allow(allow) => Some(allow),
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
    }
}

/// Whether both rules could be about one host and port.
fn may_meet(one: &Rule, other: &Rule) -> bool {
    let exact = |rule: &Rule| rule.hosts.iter().all(|host| host.exact().is_some());
    let disjoint = || one.hosts.iter().all(|host| !other.hosts.contains(host));
    one.ports.meet(&other.ports) && !(exact(one) && exact(other) && disjoint())
}

/// Whether what the one lets pass, the other does too.
pub(super) fn passes_no_more(new: &Allow, old: &Allow) -> bool {
    let Allow { addresses, spelled, opaque, websocket, limits } = new;
    within(addresses, &old.addresses)
        && *spelled <= old.spelled
        && *opaque <= old.opaque
        && *websocket <= old.websocket
        && as_tight(limits, &old.limits)
}

/// Whether every request that `new` is about, `old` is about too.
pub(super) fn requests_within(new: Option<&RequestRule>, old: Option<&RequestRule>) -> bool {
    fn among<T: PartialEq>(new: &[T], old: &[T]) -> bool {
        old.is_empty() || !new.is_empty() && new.iter().all(|one| old.contains(one))
    }
    let (Some(RequestRule { methods, paths, query }), Some(old)) = (new, old) else { return old.is_none() };
    among(methods, &old.methods) && among(paths, &old.paths) && old.query.iter().all(|wanted| query.contains(wanted))
}

/// Whether all of `new` is in `old`.
pub(super) fn within(new: &Addresses, old: &Addresses) -> bool {
    let Addresses { public, networks } = new;
    *public <= old.public && networks.iter().all(|network| old.networks.iter().any(|wider| wider.contains(network)))
}

/// Whether the one bounds at least as much.
pub(super) fn as_tight(new: &Limits, old: &Limits) -> bool {
    fn tight<N: PartialOrd>(new: Option<N>, old: Option<N>) -> bool {
        old.is_none_or(|old| new.is_some_and(|new| new <= old))
    }
    let Limits { open, per_minute, bytes_per_day } = new;
    tight(*open, old.open) && tight(*per_minute, old.per_minute) && tight(*bytes_per_day, old.bytes_per_day)
}

/// Nothing new proves the agent, and what is gone were tokens that stood alone: other conditions also kept others from being proven.
fn identified_as_narrowly(old: &[Identify], new: &[Identify]) -> bool {
    let same = |one: &Identify, other: &Identify| {
        let Identify { token, source, listener, place: _ } = one;
        (token, source, listener) == (&other.token, &other.source, &other.listener)
    };
    new.iter().all(|table| old.iter().any(|known| same(table, known)))
        && old.iter().all(|table| by_token_alone(table) || new.iter().any(|kept| same(table, kept)))
}

fn by_token_alone(table: &Identify) -> bool {
    let Identify { token, source, listener, place: _ } = table;
    token.is_some() && source.is_none() && listener.is_none()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::policy::allowlist::{NoLibrary, Reading};
    use crate::policy::floor::Floor;

    fn allowlist(text: &str) -> Allowlist {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let reading = Reading { now, floor: &Floor::none(), library: &NoLibrary, inspects: false };
        Allowlist::read("a.toml", &format!("agent = \"a\"\n{text}"), &reading).unwrap_or_else(|faults| panic!("{text}: {faults:?}")).0
    }

    const ALLOW: &str = "[[allow]]\nhost = \"x.example\"\n";
    const BLOCK: &str = "[[block]]\nhost = \"b.example\"\n";
    const HOLD: &str = "[[hold]]\nhost = \"h.example\"\n";

    #[test]
    fn what_only_narrows_is_told_from_what_may_widen() {
        let digest = format!("[[identify]]\ntoken = \"sha256:{}\"\n", "0".repeat(64));
        let many = format!("{ALLOW}{BLOCK}{HOLD}{digest}");
        let wide = "[[allow]]\nhost = \"*.corp.example\"\n";
        let named = "[[allow]]\nhost = \"db.corp.example\"\naddresses = [\"10.0.0.0/8\"]\n";
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("", "", None),
            (&many, &many, None),
            (&many, &format!("# moved\n\n{BLOCK}because = \"no\"\n{digest}{HOLD}{ALLOW}note = \"why\"\n"), None),
            (&many, &format!("{BLOCK}{HOLD}{digest}"), None),
            (&many, &format!("{ALLOW}{BLOCK}{HOLD}"), None),
            ("", BLOCK, None),
            ("", ALLOW, Some("an [[allow]] rule that is new or changed")),
            (ALLOW, "[[allow]]\nhost = \"x.example\"\nport = [80, 443, 8080]\n", Some("an [[allow]] rule that is new or changed")),
            (ALLOW, "[[allow]]\nhost = \"x.example\"\nopaque = true\n", Some("an [[allow]] rule that is new or changed")),
            ("", HOLD, Some("a [[hold]] rule that is new or changed")),
            ("unlisted = \"hold\"\n", &format!("unlisted = \"hold\"\n{HOLD}"), None),
            (BLOCK, "", Some("a [[block]] rule that is gone or changed")),
            (BLOCK, "[[block]]\nhost = \"b.example\"\nport = 443\n", Some("a [[block]] rule that is gone or changed")),
            (HOLD, "", Some("a [[hold]] rule that is gone or changed")),
            ("", "unlisted = \"hold\"\n", Some("unlisted, which was block")),
            ("unlisted = \"hold\"\n", "", None),
            ("", "addresses = [\"public\", \"10.0.0.0/8\"]\n", Some("addresses")),
            ("addresses = [\"public\", \"10.0.0.0/8\"]\n", "addresses = [\"10.1.0.0/16\"]\n", None),
            ("", "approvers = 2\n", None),
            ("approvers = 2\n", "", Some("approvers")),
            ("", "observe_until = \"2026-09-25\"\n", Some("observe_until")),
            ("observe_until = \"2026-09-25\"\n", "observe_until = \"2026-09-24\"\n", None),
            ("observe_until = \"2026-09-25\"\n", "observe_until = \"2026-09-26\"\n", Some("observe_until")),
            ("", "[limits]\nopen = 3\n", None),
            ("[limits]\nopen = 3\n", "[limits]\nopen = 4\n", Some("[limits]")),
            ("[limits]\nopen = 3\n", "[limits]\nper_minute = 3\n", Some("[limits]")),
            ("", "[limits]\nbytes_per_day = \"1GiB\"\n", None),
            ("[limits]\nbytes_per_day = \"1GiB\"\n", "[limits]\nbytes_per_day = \"1023MiB\"\n", None),
            ("[limits]\nbytes_per_day = \"1GiB\"\n", "[limits]\nbytes_per_day = \"1025MiB\"\n", Some("[limits]")),
            ("[limits]\nopen = 3\nbytes_per_day = \"1GiB\"\n", "[limits]\nopen = 3\n", Some("[limits]")),
            ("", &digest, Some("[[identify]]")),
            ("[[identify]]\nsource = \"10.0.0.0/8\"\n", "", Some("[[identify]]")),
            (&digest, &format!("{digest}source = \"10.0.0.0/8\"\n"), Some("[[identify]]")),
            (&format!("{wide}{ALLOW}"), ALLOW, None),
            // It cannot be told that the one left was always the one that spoke.
            (&format!("{wide}{named}"), named, Some("an [[allow]] rule that is gone, where another now speaks")),
            (&format!("{wide}{named}"), wide, Some("an [[allow]] rule that is gone, where another now speaks")),
            (&format!("{ALLOW}{named}"), ALLOW, None),
        ];
        for (old, new, expected) in cases {
            assert_eq!(widens(&allowlist(old), &allowlist(new)), *expected, "{old:?} to {new:?}");
        }
    }

    #[test]
    fn an_emptied_allowlist_is_never_wider_and_keeps_what_refuses() {
        let full = allowlist(&format!("unlisted = \"hold\"\nobserve_until = \"2026-09-25\"\n{ALLOW}{BLOCK}{HOLD}"));
        let empty = emptied(full.clone());
        assert_eq!(widens(&full, &empty), None);
        let kinds: Vec<&str> = empty.rules.iter().map(|rule| rule.effect.as_str()).collect();
        assert_eq!((kinds, empty.unlisted, empty.observe_until), (vec!["hold", "block"], Unlisted::Block, None));
    }
}

//! What becomes reachable, and what no longer, between two allowlists or two floors.
//!
//! Compared by what rules mean for one host and one port: where a rule stands, what words for people it has, and whether two rules or one say it is no difference.
//! "Narrower" is promised; "wider" may only mean that it could not be told.

mod floor;
mod rules;
mod words;

use std::sync::Arc;

use super::address::Addresses;
use super::allowlist::{Allowlist, Identify, Unlisted};
use super::inject::Inject;
use super::limits::Limits;
use super::widening::{as_tight, within};
pub use floor::of_floors;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// What it does.
    pub change: Change,
    /// In words, with the place of the rule.
    pub what: String,
}

/// What a difference does to what may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Something may pass or be asked for that was not.
    Wider,
    /// Both, or it cannot be told.
    Unclear,
    /// Something no longer may.
    Narrower,
    /// Neither: the policy's own tests.
    Neither,
}

impl Change {
    /// The mark in front of a line.
    pub fn mark(self) -> char {
        match self {
            Change::Wider => '+',
            Change::Unclear => '~',
            Change::Narrower => '-',
            Change::Neither => '=',
        }
    }

    /// Whether something may be reachable that was not.
    pub fn may_widen(self) -> bool {
        match self {
            Change::Wider | Change::Unclear => true,
            Change::Narrower | Change::Neither => false,
        }
    }

    fn of(wider: bool, narrower: bool) -> Self {
        match (wider, narrower) {
            (true, false) => Change::Wider,
            (false, true) => Change::Narrower,
            (true, true) | (false, false) => Change::Unclear,
        }
    }
}

/// All differences of one agent's allowlists, what widens first.
pub fn of_allowlists(old: &Allowlist, new: &Allowlist) -> Vec<Difference> {
    let mut found = of_heads(old, new);
    found.extend(rules::of_rules(old, new));
    found.sort();
    found
}

/// What an agent may reach that had no allowlist.
pub fn of_newcomer(new: &Allowlist) -> Vec<Difference> {
    let nobody = Allowlist { unlisted: Unlisted::Block, ..Allowlist::embedded(new.agent.clone()) };
    of_allowlists(&nobody, new)
}

fn of_heads(old: &Allowlist, new: &Allowlist) -> Vec<Difference> {
    let mut found = Vec::new();
    if old.unlisted != new.unlisted {
        let what = format!("unlisted: was {}, is {}", old.unlisted.as_str(), new.unlisted.as_str());
        found.push(Difference { change: Change::of(new.unlisted == Unlisted::Hold, new.unlisted == Unlisted::Block), what });
    }
    found.extend(of_addresses("addresses", &old.addresses, &new.addresses));
    found.extend(of_limits(&old.limits, &new.limits));
    if old.observe_until != new.observe_until {
        let what = format!("observe_until: was {}, is {}", words::moment(old.observe_until), words::moment(new.observe_until));
        found.push(Difference { change: Change::of(new.observe_until > old.observe_until, new.observe_until < old.observe_until), what });
    }
    found.extend(of_approvers(old.approvers, new.approvers));
    found.extend(of_identities(&old.identify, &new.identify));
    found.extend(of_injects(&old.injects, &new.injects));
    let said = |allowlist: &Allowlist| -> Vec<String> {
        let expectations = allowlist.expectations.iter();
        expectations.map(|expectation| format!("{} for {}", expectation.wanted.as_str(), expectation.text)).collect()
    };
    let (before, after) = (said(old), said(new));
    let gone = before.iter().filter(|one| !after.contains(one)).map(|one| format!("expect no more: {one}"));
    let come = after.iter().filter(|one| !before.contains(one)).map(|one| format!("expect: {one}"));
    found.extend(gone.chain(come).map(|what| Difference { change: Change::Neither, what }));
    found
}

fn of_approvers(old: u8, new: u8) -> Option<Difference> {
    (old != new).then(|| Difference { change: Change::of(new < old, new > old), what: format!("approvers: was {old}, is {new}") })
}

fn of_addresses(key: &str, old: &Addresses, new: &Addresses) -> Option<Difference> {
    let (wider, narrower) = (!within(new, old), !within(old, new));
    let what = format!("{key}: was {}, is {}", words::addresses(old), words::addresses(new));
    (wider || narrower).then(|| Difference { change: Change::of(wider, narrower), what })
}

fn of_limits(old: &Limits, new: &Limits) -> Option<Difference> {
    let (wider, narrower) = (!as_tight(new, old), !as_tight(old, new));
    let what = format!("[limits]: was {}, is {}", words::limits(old), words::limits(new));
    (wider || narrower).then(|| Difference { change: Change::of(wider, narrower), what })
}

/// Who is proven. Conditions that go may also let others be proven whom they kept from it.
fn of_identities(old: &[Identify], new: &[Identify]) -> Vec<Difference> {
    let without = |some: &[Identify], others: &[Identify]| -> Vec<Identify> {
        some.iter().filter(|table| !others.iter().any(|other| same_identity(table, other))).cloned().collect()
    };
    let come = without(new, old).into_iter().map(|table| (Change::Wider, "identify", table));
    let gone = without(old, new).into_iter().map(|table| {
        let change = if by_token_alone(&table) { Change::Narrower } else { Change::Unclear };
        (change, "identify no more", table)
    });
    come.chain(gone)
        .map(|(change, word, table)| Difference { change, what: format!("{word} by {} ({})", words::identity(&table), table.place) })
        .collect()
}

/// A credential lends what its owner may do. Without it the agent's own go out, and its requests perhaps unseen.
fn of_injects(old: &[Arc<Inject>], new: &[Arc<Inject>]) -> Vec<Difference> {
    let without = |some: &[Arc<Inject>], others: &[Arc<Inject>]| -> Vec<Arc<Inject>> {
        some.iter().filter(|one| !others.iter().any(|other| one.says_the_same_as(other))).cloned().collect()
    };
    let come = without(new, old).into_iter().map(|inject| (Change::Wider, "inject", inject));
    let gone = without(old, new).into_iter().map(|inject| (Change::Unclear, "inject no more", inject));
    come.chain(gone)
        .map(|(change, word, inject)| Difference { change, what: format!("{word} {} ({})", words::inject(&inject), inject.place) })
        .collect()
}

fn same_identity(one: &Identify, other: &Identify) -> bool {
    let Identify { token, source, listener, place: _ } = one;
    (token, source, listener) == (&other.token, &other.source, &other.listener)
}

fn by_token_alone(table: &Identify) -> bool {
    let Identify { token, source, listener, place: _ } = table;
    token.is_some() && source.is_none() && listener.is_none()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! Differences of two floors. What narrows a floor widens what it binds.

use ipnet::IpNet;

use super::{Change, Difference, of_approvers, of_limits, rules, words};
use crate::policy::allowlist::{Allowlist, Unlisted};
use crate::policy::attempt::AgentId;
use crate::policy::floor::{Floor, Forbid};

/// All differences of two floors, what widens first.
pub fn of_floors(old: &Floor, new: &Floor) -> Vec<Difference> {
    let Floor { file: _, rules: _, limits, private, forbid, max_for, approvers } = new;
    let mut found: Vec<Difference> = of_limits(&old.limits, limits).into_iter().collect();
    found.extend(of_private(old.private.as_deref(), private.as_deref()));
    let Forbid { observe, opaque, always } = forbid;
    for (word, was, is) in
        [("observe", old.forbid.observe, observe), ("opaque", old.forbid.opaque, opaque), ("always", old.forbid.always, always)]
    {
        if was != *is {
            let (change, what) = if *is { (Change::Narrower, "forbid") } else { (Change::Wider, "forbid no more") };
            found.push(Difference { change, what: format!("{what}: {word}") });
        }
    }
    if old.max_for != *max_for {
        let shown = |longest: Option<std::time::Duration>| longest.map_or_else(|| "none".to_owned(), |longest| format!("{longest:?}"));
        let wider = old.max_for.is_some_and(|was| max_for.is_none_or(|is| is > was));
        let what = format!("max_for: was {}, is {}", shown(old.max_for), shown(*max_for));
        found.push(Difference { change: Change::of(wider, !wider), what });
    }
    found.extend(of_approvers(old.approvers, *approvers));
    found.extend(rules::of_rules(&as_allowlist(old), &as_allowlist(new)));
    found.sort();
    found
}

fn of_private(old: Option<&[IpNet]>, new: Option<&[IpNet]>) -> Option<Difference> {
    if old == new {
        return None;
    }
    let shown = |networks: Option<&[IpNet]>| {
        networks.map_or_else(|| "every network".to_owned(), |networks| format!("[{}]", words::listed(networks)))
    };
    let within = |some: Option<&[IpNet]>, others: Option<&[IpNet]>| match (some, others) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(some), Some(others)) => some.iter().all(|network| others.iter().any(|other| other.contains(network))),
    };
    let (wider, narrower) = (!within(new, old), !within(old, new));
    let what = format!("private: was {}, is {}", shown(old), shown(new));
    (wider || narrower).then(|| Difference { change: Change::of(wider, narrower), what })
}

/// The floor's rules as those of somebody who may ask for everything, so that its holds narrow.
fn as_allowlist(floor: &Floor) -> Allowlist {
    let nobody = AgentId::parse("floor").expect("`floor` is an agent's name");
    Allowlist { unlisted: Unlisted::Hold, rules: floor.rules.clone(), ..Allowlist::embedded(nobody) }
}

//! The floor: what binds every agent and every approval, whatever their allowlists say.

mod read;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::address::{AddressClass, readings};
use super::approvals::{Approval, Scope};
use super::document::Document;
use super::fault::{Fault, Warning};
use super::limits::Limits;
use super::rule::Rule;
use super::rule::read::Source;

/// `floor.toml`. Without one, [`Floor::none`] binds nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Floor {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// Block and hold rules.
    pub rules: Vec<Rule>,
    /// Bounds each agent, beside its own.
    pub limits: Limits,
    /// The only networks beside `"public"` that `addresses` may open.
    pub private: Option<Arc<[IpNet]>>,
    /// What no allowlist and no person may do.
    pub forbid: Forbid,
    /// The longest a yes may last.
    pub max_for: Option<Duration>,
    /// How many people have to say yes at least.
    pub approvers: u8,
}

/// `forbid` of the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Forbid {
    /// `observe_until` in an allowlist.
    pub observe: bool,
    /// `opaque = true` in an allow rule.
    pub opaque: bool,
    /// A yes without end.
    pub always: bool,
}

impl Floor {
    /// Reads a floor that stands alone: where requests inside TLS cannot be seen.
    pub fn parse(file: &str, text: &str) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        Self::read(file, text, false)
    }

    /// Reads a floor. Every fault is told at once; `inspects` says that there is a CA, so that requests inside TLS can be seen.
    pub fn read(file: &str, text: &str, inspects: bool) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let document = Document::parse(file, text);
        let floor = read::floor(Source { document: &document, inspects });
        let (faults, warnings) = document.into_findings();
        if faults.is_empty() { Ok((floor, warnings)) } else { Err(faults) }
    }

    /// Binds nobody.
    pub fn none() -> Self {
        let (limits, forbid) = (Limits::default(), Forbid::default());
        Self { file: "no floor".into(), rules: Vec::new(), limits, private: None, forbid, max_for: None, approvers: 1 }
    }

    /// The same, with rules that never end.
    pub(super) fn lasting(&self) -> Self {
        let rules = self.rules.iter().map(|rule| Rule { until: None, ..rule.clone() }).collect();
        Self { rules, ..self.clone() }
    }

    /// Whether a network may stand in `addresses`.
    pub fn permits_network(&self, network: &IpNet) -> bool {
        self.private.as_deref().is_none_or(|private| private.iter().any(|permitted| permitted.contains(network)))
    }

    /// Whether an address may be dialled as far as `private` goes: it is public, or every reading of it lies in a network listed.
    pub(super) fn permits_address(&self, address: IpAddr) -> bool {
        let Some(private) = self.private.as_deref() else { return true };
        AddressClass::of(address) == AddressClass::Public
            || readings(address).all(|reading| {
                AddressClass::of(reading) == AddressClass::Public || private.iter().any(|network| network.contains(&reading))
            })
    }

    /// When a yes given under this floor ends, or `None` where the floor has it in force no more.
    pub fn caps(&self, approval: &Approval, now: SystemTime) -> Option<Option<SystemTime>> {
        // A bound past the end of time bounds nothing.
        let longest = self.max_for.and_then(|longest| approval.at.checked_add(longest));
        let end = match &approval.scope {
            Scope::Once { waiting: _, next_until: _ } => longest,
            Scope::For { until } => Some(longest.map_or(*until, |longest| longest.min(*until))),
            Scope::Always if self.forbid.always => return None,
            Scope::Always => longest,
        };
        if end.is_some_and(|end| end <= now) { None } else { Some(end) }
    }
}

//! Allow rules for one customer's name at servers that answer for many: who has a tunnel there may ask within it for any of them (domain fronting), and a
//! tunnel that nobody looks into does not show it. Only names that say whose servers they lead to are told.

use super::super::allowlist::{Allowlist, Reading};
use super::super::destination::Port;
use super::super::fault::{Warning, code};
use super::super::host::Host;
use super::super::index::HostIndex;
use super::super::inject::Inject;
use super::super::pattern::{HostPattern, Shape};
use super::super::rule::{Effect, Ports, Rule};
use super::super::suffix;
use super::{CANDIDATES_MAX, warning};

/// Each rule of this kind, by the first of its hosts.
pub(super) fn fronted(allowlist: &Allowlist, reading: &Reading<'_>) -> Vec<Warning> {
    let plain = |rule: &&Rule| matches!(rule.effect, Effect::Allow(_)) && rule.request.is_none() && rule.in_force(reading.now);
    let sharing = allowlist.rules.iter().filter(plain).filter_map(|rule| {
        let shared: Vec<_> = rule.hosts.iter().filter_map(|host| Some((host, edge(host)?))).collect();
        (!shared.is_empty()).then_some((rule, shared))
    });
    let mut looks = None;
    let mut warnings = Vec::new();
    for (rule, shared) in sharing {
        let looks = looks.get_or_insert_with(|| Looks::of(allowlist, reading));
        let unseen = shared.into_iter().find(|(host, _)| !looks.see(host, &rule.ports));
        warnings.extend(unseen.map(|(host, edge)| {
            let words = format!(
                "{host} leads to servers of {edge} that answer for other customers too: a tunnel there can ask for any of them; look into it, by a rule \
                 with path or method, or list a name at servers of its own"
            );
            warning(&rule.place, code::SHARED_EDGE, words)
        }));
    }
    warnings
}

/// The network that the pattern's hosts are customers of. A wildcard over all of them is told as shared hosting.
fn edge(host: &HostPattern) -> Option<&'static str> {
    match &host.shape {
        Shape::Exact(Host::Name(name)) => suffix::shared_edge(name.as_str()),
        Shape::Under(under) => suffix::shared_edge(&under.tail),
        Shape::Exact(Host::Address(_)) | Shape::Network(_) => None,
    }
}

/// What makes exeat look at requests.
struct Looks<'a> {
    rules: HostIndex<(&'a HostPattern, &'a Ports)>,
    injects: Vec<&'a Inject>,
}

impl<'a> Looks<'a> {
    fn of(allowlist: &'a Allowlist, reading: &Reading<'a>) -> Self {
        let looking = allowlist.rules.iter().chain(&reading.floor.rules).filter(|rule| rule.request.is_some());
        let rules = looking.flat_map(|rule| rule.hosts.iter().map(move |host| (host, (host, &rule.ports)))).collect();
        Self { rules, injects: allowlist.injects.iter().map(AsRef::as_ref).collect() }
    }

    /// Whether it does on every port where TLS may be spoken.
    fn see(&self, host: &HostPattern, ports: &Ports) -> bool {
        let Some(sample) = host.samples().into_iter().next() else { return false };
        let over: Vec<&Ports> =
            self.rules.lookup(&sample).take(CANDIDATES_MAX).filter(|(looking, _)| looking.covers(host)).map(|(_, ports)| *ports).collect();
        let injected = |port: Port| {
            let about = |inject: &&Inject| inject.destination.port == port && host.exact() == Some(&inject.destination.host);
            self.injects.iter().copied().any(|inject| about(&inject))
        };
        match ports {
            Ports::Every => over.iter().any(|ports| **ports == Ports::Every),
            Ports::These(ports) => {
                // What is spoken at port 80 is plain HTTP, and of that every request is seen.
                let mut ports = ports.iter().copied().filter(|port| port.0.get() != 80);
                ports.all(|port| injected(port) || over.iter().any(|ports| ports.contain(port)))
            }
        }
    }
}

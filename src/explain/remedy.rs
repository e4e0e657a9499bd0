//! The rule that would allow what was asked, and nothing wider; or what stands in its way. A rule is told only after the policy with it was asked and allows.

use std::time::SystemTime;

use super::tunnel;
use crate::policy::Policy;
use crate::policy::address::{AddressClass, Addresses};
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{Attempt, Seen};
use crate::policy::decide::{Basis, Decision, Would};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::path::PathPattern;
use crate::policy::reason::Reason;
use crate::policy::rule::{Allow, Effect, Rule};
use crate::policy::special::{Special, special};

/// What to do about a decision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// The rule, as TOML.
    pub to_allow: Option<String>,
    /// Why no rule would do.
    pub in_the_way: Option<String>,
}

impl Remedy {
    pub(super) fn of(policy: &Policy, attempt: &Attempt, decision: &Decision, now: SystemTime) -> Self {
        let blocked = match decision {
            Decision::Allow(grant) => match grant.basis() {
                Basis::Listed(_) | Basis::Approved(_) => return Self::default(),
                Basis::Observed(Would::Hold(Some(rule))) => Some(held(&rule.to_string())),
                Basis::Observed(Would::Hold(None) | Would::Block) => None,
            },
            Decision::Look(_) => Some(look(attempt)),
            Decision::Hold(terms) => terms.rule.as_ref().map(|rule| held(&rule.to_string())),
            Decision::Block(block) => match (block.reason, &block.rule) {
                (Reason::Blocked, Some(rule)) => Some(by_block(policy, attempt, &rule.to_string())),
                (Reason::Inspect, Some(rule)) => Some(unseen(&rule.to_string())),
                (Reason::OwnAddress, _) => Some("it is exeat itself".to_owned()),
                (Reason::Frozen, _) => Some("the agent is frozen; `freeze` in the allowlist folder says so".to_owned()),
                (_, _) => never(policy, attempt),
            },
        };
        match blocked {
            Some(words) => Self { to_allow: None, in_the_way: Some(words) },
            None => match candidate(policy, attempt, now) {
                Ok(rule) => Self { to_allow: Some(rule), in_the_way: None },
                Err(words) => Self { to_allow: None, in_the_way: Some(words) },
            },
        }
    }
}

fn held(rule: &str) -> String {
    format!("the hold rule {rule} asks even where a rule allows; answer the question, or narrow or remove it")
}

fn unseen(rule: &str) -> String {
    format!(
        "{rule} looks at requests, and [inspect] has no CA to see those inside TLS with; run `exeat ca init` and name what it made there"
    )
}

fn look(attempt: &Attempt) -> String {
    let Destination { host, port } = &attempt.destination;
    let url = match port.number() {
        443 => format!("https://{host}"),
        number => format!("http://{host}:{number}"),
    };
    format!("the tunnel is not judged as a whole; explain a request, as in \"GET {url}/PATH\"")
}

fn by_block(policy: &Policy, attempt: &Attempt, cited: &str) -> String {
    let rules = policy.rules(&attempt.agent).into_iter().flatten().zip(0..);
    let found = rules.into_iter().find(|(rule, _)| rule.place.to_string() == cited);
    let unclear = attempt.sight.seen().and_then(|seen| seen.path.normal().err());
    let looks = |rule: &Rule| rule.request.as_ref().is_some_and(|request| !request.paths.is_empty());
    if let (Some((rule, _)), Some(why)) = (&found, unclear)
        && looks(rule)
    {
        return format!("{cited} looks at paths here, and {why}");
    }
    match found {
        Some((Rule { effect: Effect::Block { because: _ }, .. }, number)) => {
            let floor = number < policy.floor().rules.len();
            let (whose, fix) = if floor { ("the floor's block", "have the floor changed") } else { ("the block", "narrow or remove it") };
            format!("{whose} {cited} comes before every allow rule and every person; {fix}")
        }
        Some((_, _)) => format!("{cited} looks at requests here, and servers may read this one in two ways"),
        None => format!("the block {cited} comes before it"),
    }
}

/// What no rule opens; `None` where one could.
fn never(policy: &Policy, attempt: &Attempt) -> Option<String> {
    match &attempt.destination.host {
        Host::Address(address) => {
            if matches!(AddressClass::of(*address), AddressClass::Metadata(_)) {
                return Some("metadata services are never dialled".to_owned());
            }
            let private = !policy.floor().permits_network(&(*address).into()) && !Addresses::public().allows(*address);
            private.then(|| format!("the floor {} does not list {address} as private; have the floor changed", policy.floor().file))
        }
        Host::Name(name) => match special(name) {
            Some(Special::Never) => Some("names of this zone are never dialled".to_owned()),
            Some(Special::NeedsAddresses) => {
                let unknown = "a special name needs an allow rule that spells it and has addresses with the network it is in";
                spelled(policy, attempt).is_none().then(|| unknown.to_owned())
            }
            None => None,
        },
    }
}

/// The addresses that a rule which spells the host gives it, on whatever port.
fn spelled(policy: &Policy, attempt: &Attempt) -> Option<Addresses> {
    let host = &attempt.destination.host;
    let spells = |rule: &&Rule| rule.hosts.iter().any(|pattern| pattern.exact() == Some(host));
    policy.rules(&attempt.agent)?.filter(spells).find_map(|rule| match &rule.effect {
        Effect::Allow(allow) if allow.spelled => Some(allow.addresses.as_ref().clone()),
        Effect::Hold { addresses } => addresses.as_deref().cloned(),
        Effect::Allow(_) | Effect::Block { because: _ } => None,
    })
}

/// The rule, tried out. The error says why there is none.
fn candidate(policy: &Policy, attempt: &Attempt, now: SystemTime) -> Result<String, String> {
    let Destination { host, port } = &attempt.destination;
    let about = |rule: &&Rule| rule.in_force(now) && rule.ports.contain(*port) && rule.hosts.iter().any(|pattern| pattern.matches(host));
    let rules = || policy.rules(&attempt.agent).into_iter().flatten();
    let looks = rules().any(|rule| rule.request.is_some() && about(&rule));
    let mut lines = vec!["[[allow]]".to_owned(), format!("host = \"{host}\""), format!("port = [{}]", port.number())];
    if let Some(seen) = attempt.sight.seen().filter(|_| looks) {
        lines.extend(request(seen)?);
    }
    // A second allow rule for the same host and port must say the same.
    let same = rules().filter(|rule| rule.ports.contain(*port) && rule.hosts.iter().any(|pattern| pattern.exact() == Some(host)));
    let beside: Option<Allow> = same.into_iter().find_map(|rule| match &rule.effect {
        Effect::Allow(allow) => Some(allow.clone()),
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
    });
    lines.extend(addresses(policy, attempt, beside.as_ref()));
    if beside.is_some_and(|allow| allow.opaque) {
        lines.push("opaque = true".to_owned());
    }
    if let Some(rule) = narrows_by_query(policy, attempt) {
        lines.push(format!("# {rule} narrows by query there, and this does not: add query = {{ NAME = [\"VALUE\"] }}"));
    }
    let rule = lines.join("\n");
    match policy.supposing(&attempt.agent, &rule, (host, now)) {
        Ok(supposed) => match supposed.decide(attempt, &Approvals::default(), now) {
            Decision::Allow(_) => Ok(rule),
            Decision::Look(_) | Decision::Hold(_) | Decision::Block(_) if tunnel(attempt) => Err(look(attempt)),
            Decision::Look(_) | Decision::Hold(_) | Decision::Block(_) => Err("it is never dialled, whatever a rule says".to_owned()),
        },
        Err(faults) => {
            let first = faults.first().map(|fault| format!(": {}", fault.found)).unwrap_or_default();
            Err(format!("one would not load beside the others{first}"))
        }
    }
}

/// An allow rule for the host and port that wants a query, which no answer of ours repeats.
fn narrows_by_query(policy: &Policy, attempt: &Attempt) -> Option<String> {
    let Destination { host, port } = &attempt.destination;
    let here = |rule: &&Rule| rule.ports.contain(*port) && rule.hosts.iter().any(|pattern| pattern.matches(host));
    let wants =
        |rule: &&Rule| matches!(rule.effect, Effect::Allow(_)) && rule.request.as_ref().is_some_and(|request| !request.query.is_empty());
    policy.rules(&attempt.agent)?.filter(here).find(wants).map(|rule| rule.place.to_string())
}

/// `method` and `path` of just this request.
fn request(seen: &Seen) -> Result<[String; 2], String> {
    let path = seen.path.normal().map_err(|why| why.to_string())?;
    let pattern = PathPattern::parse(path).ok().filter(|_| !path.contains('*'));
    let pattern = pattern.ok_or_else(|| format!("no pattern stands for the path {path} alone"))?;
    Ok([format!("method = [\"{}\"]", seen.method), format!("path = [\"{pattern}\"]")])
}

fn addresses(policy: &Policy, attempt: &Attempt, beside: Option<&Allow>) -> Option<String> {
    let wanted = match (&attempt.destination.host, beside) {
        (_, Some(allow)) => Some(allow.addresses.as_ref().clone()),
        (Host::Address(address), None) if !Addresses::public().allows(*address) => {
            Some(Addresses { public: false, networks: vec![(*address).into()] })
        }
        (Host::Address(_), None) => None,
        (Host::Name(name), None) => special(name).and_then(|_| spelled(policy, attempt)),
    };
    let wanted = wanted.filter(|wanted| *wanted != Addresses::public())?;
    let entries: Vec<String> = super::written(&wanted).iter().map(|entry| format!("\"{entry}\"")).collect();
    Some(format!("addresses = [{}]", entries.join(", ")))
}

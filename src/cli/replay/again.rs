//! One attempt, decided again.

use std::collections::HashMap;
use std::time::SystemTime;

use jiff::Timestamp;
use uuid::Uuid;

use super::past::{Tried, Was};
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Seen, Sight};
use crate::policy::decide::{Basis, Block, Decision, Grant};
use crate::policy::destination::{Destination, Port};
use crate::policy::host::Host;
use crate::policy::reason::Reason;
use crate::policy::rule::{Rule, RuleRef};

const PATH: &str = "the path, of which long segments are not recorded";
const QUERY: &str = "the query, which is not recorded";
const REST: &str = "its content or its fields, which are not recorded";
const REQUESTS: &str = "the requests in the tunnel: each is judged by itself";

/// What decides.
#[derive(Debug)]
pub(super) struct Judge {
    policy: Policy,
    /// All agents there are stand in it: whoever does not is refused.
    whole: bool,
    now: SystemTime,
    /// The rules that look at requests.
    looking: HashMap<AgentId, Vec<Rule>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Its agent is none of ours.
    Stranger,
    /// The record names no destination.
    Unreadable,
    Same,
    Other(Other),
}

/// What it would get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) would_be: &'static str,
    pub(super) reason: Option<Reason>,
    pub(super) rule: Option<String>,
    pub(super) depends_on: Option<&'static str>,
    pub(super) widens: bool,
}

impl Judge {
    pub(super) fn new(policy: Policy, whole: bool, now: Timestamp) -> Self {
        let now = SystemTime::from(now);
        let looks = |rule: &&Rule| rule.request.is_some() && rule.in_force(now);
        let of = |agent: &AgentId| policy.rules(agent).into_iter().flatten().filter(looks).cloned().collect();
        let looking = policy.agents().map(|agent| (agent.clone(), of(agent))).collect();
        Self { policy, whole, now, looking }
    }

    pub(super) fn again(&self, tried: &Tried) -> Again {
        if !self.whole && !self.looking.contains_key(&tried.agent) {
            return Again::Stranger;
        }
        let Some(attempt) = attempt(tried) else { return Again::Unreadable };
        let decision = self.decide(&attempt);
        match self.depends_on(&attempt, tried, &decision) {
            Some(what) => {
                let widens = matches!(tried.was, Was::Hold | Was::Block);
                Again::Other(Other { would_be: "depends", reason: None, rule: None, depends_on: Some(what), widens })
            }
            None if matches!(&decision, Decision::Allow(grant) if !lets(grant, tried)) => Again::Same,
            None => compared(tried.was, decision),
        }
    }

    fn decide(&self, attempt: &Attempt) -> Decision {
        self.policy.decide(attempt, &Approvals::default(), self.now)
    }

    /// What the decision rests on that nobody wrote down.
    fn depends_on(&self, attempt: &Attempt, tried: &Tried, decision: &Decision) -> Option<&'static str> {
        let seen = attempt.sight.seen()?;
        let unseen = Attempt { sight: Sight::NotYet, ..attempt.clone() };
        // Only where rules look at requests does it matter what the request was.
        let Decision::Look(_) = self.decide(&unseen) else { return None };
        let Destination { host, port } = &attempt.destination;
        let here = |rule: &&Rule| rule.ports.contain(*port) && rule.hosts.iter().any(|pattern| pattern.matches(host));
        let rules: Vec<_> = self
            .looking
            .get(&tried.agent)?
            .iter()
            .filter(here)
            .filter_map(|rule| rule.request.as_ref())
            .filter(|rule| {
                let method = |method: &std::sync::Arc<str>| method.eq_ignore_ascii_case(&seen.method);
                rule.methods.is_empty() || &*seen.method == "***" || rule.methods.iter().any(method)
            })
            .collect();
        if rules.iter().any(|rule| !rule.paths.is_empty()) && is_masked(seen.path.raw()) {
            return Some(PATH);
        }
        let path = |patterns: &[crate::policy::path::PathPattern]| {
            patterns.is_empty() || seen.path.normal().map_or(true, |path| patterns.iter().any(|pattern| pattern.may_match(path)))
        };
        if rules.iter().any(|rule| !rule.query.is_empty() && path(&rule.paths)) {
            return Some(QUERY);
        }
        let would_pass = !matches!(decision, Decision::Block(_));
        (tried.was == Was::Block && tried.reason == Reason::Blocked && would_pass && self.may_be_blocked(attempt, seen)).then_some(REST)
    }

    /// Whether what is not recorded of a request could be why a rule refused it.
    fn may_be_blocked(&self, attempt: &Attempt, seen: &Seen) -> bool {
        let with = |seen: Seen| self.decide(&Attempt { sight: Sight::Seen(seen.into()), ..attempt.clone() });
        let others = [Seen { content: true, ..seen.clone() }, Seen { rewrites: true, ..seen.clone() }];
        others.into_iter().any(|seen| matches!(with(seen), Decision::Block(_)))
    }
}

/// Whether what was refused after its name was allowed passes under the grant.
fn lets(grant: &Grant, tried: &Tried) -> bool {
    let other_bytes = tried.was == Was::Block && matches!(tried.reason, Reason::NameMismatch | Reason::NotTls);
    tried.address.is_none_or(|address| grant.covers(address)) && (!other_bytes || grant.opaque())
}

fn is_masked(path: &str) -> bool {
    path.ends_with("...") || path.split('/').any(|segment| segment == "***")
}

fn attempt(tried: &Tried) -> Option<Attempt> {
    let Tried { agent, host, port, scheme, method, path, was: _, reason: _, address: _ } = tried;
    let host = if host.contains(':') { Host::parse(&format!("[{host}]")) } else { Host::parse(host) };
    let destination = Destination { host: host.ok()?, port: Port::parse(&port.to_string()).ok()? };
    let sight = match (method, path) {
        (Some(method), Some(path)) => Sight::Seen(Seen::bare(method, path, None).into()),
        _ => Sight::NotYet,
    };
    let (id, instance) = (AttemptId(Uuid::nil()), Instance("replay".into()));
    Some(Attempt { id, agent: agent.clone(), instance, destination, scheme: *scheme, sight, within: None, proven: true })
}

fn compared(was: Was, decision: Decision) -> Again {
    let cited = |rule: Option<&RuleRef>| rule.map(RuleRef::to_string);
    let other = |would_be, (reason, rule), widens| Again::Other(Other { would_be, reason, rule, depends_on: None, widens });
    match (was, decision) {
        (Was::Allow, Decision::Allow(_))
        | (Was::Look, Decision::Look(_))
        | (Was::Hold, Decision::Hold(_))
        | (Was::Block, Decision::Block(_)) => Again::Same,
        (_, Decision::Allow(grant)) => {
            let reason = match grant.basis() {
                Basis::Listed(_) => Reason::Listed,
                Basis::Approved(_) => Reason::Approved,
                Basis::Observed(_) => Reason::Observed,
            };
            other("allow", (Some(reason), cited(grant.rule())), true)
        }
        (was, Decision::Look(look)) => Again::Other(Other {
            would_be: "look",
            reason: Some(Reason::Inspect),
            rule: Some(look.rule.to_string()),
            depends_on: Some(REQUESTS),
            widens: matches!(was, Was::Hold | Was::Block),
        }),
        (was, Decision::Hold(terms)) => {
            let reason = terms.rule.is_none().then_some(Reason::Unlisted);
            other("hold", (reason, cited(terms.rule.as_ref())), was == Was::Block)
        }
        (_, Decision::Block(Block { reason, rule, because: _ })) => other("block", (Some(reason), cited(rule.as_ref())), false),
    }
}

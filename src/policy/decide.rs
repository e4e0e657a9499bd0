//! The decision: what one attempt gets, and from which rule.
//!
//! Frozen, never allowed, floor block, block, look, quiet, approval, hold, allow, observed, unlisted: the first that speaks decides. Of several rules of a kind the
//! most specific speaks, so that the order of the file means nothing. Of block rules the first in the file is named.

mod found;
mod leaking;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::address::{AddressClass, AddressRefusal, Addresses};
use super::allowlist::Unlisted;
use super::approvals::{Approval, ApprovalId, Approvals, Asking, Echo};
use super::attempt::{Attempt, Sight};
use super::destination::Port;
use super::inject::Injection;
use super::limits::{LimitedBy, Limits};
use super::policy::{Agent, Bounds, Policy};
use super::reason::Reason;
use super::rule::{Allow, Effect, Rule, RuleRef};
use found::Found;
use leaking::Leaking;

/// What an attempt gets.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It passes, to addresses the grant covers.
    Allow(Grant),
    /// A rule looks at requests: each found in the tunnel is an attempt of its own, and the tunnel leads nowhere by itself.
    Look(Look),
    /// Somebody is asked.
    Hold(HoldTerms),
    /// It is refused.
    Block(Block),
}

/// Which rule or approval an allow rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// An allow rule.
    Listed(RuleRef),
    /// A person's yes.
    Approved(ApprovalId),
    /// The agent is observed: what it would have got.
    Observed(Would),
}

/// What an observed attempt would have got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// A question, by this rule or as unlisted.
    Hold(Option<RuleRef>),
    /// A refusal, as unlisted.
    Block,
}

/// What an allow carries: its basis and the addresses it covers.
#[derive(Clone, Debug)]
pub struct Grant {
    basis: Basis,
    addresses: Arc<Addresses>,
    opaque: bool,
    websocket: bool,
    excluded: bool,
    normal_path: bool,
    injection: Option<Box<Injection>>,
    limits: Vec<(LimitedBy, Limits)>,
    until: Option<SystemTime>,
    port: Port,
    at: SystemTime,
    bounds: Arc<Bounds>,
}

impl Grant {
    /// The rule or the approval.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The rule it rests on, where it is a rule.
    pub fn rule(&self) -> Option<&RuleRef> {
        match &self.basis {
            Basis::Listed(rule) | Basis::Observed(Would::Hold(Some(rule))) => Some(rule),
            Basis::Approved(_) | Basis::Observed(Would::Hold(None) | Would::Block) => None,
        }
    }

    /// The rule says that the tunnel is neither TLS nor HTTP.
    pub fn opaque(&self) -> bool {
        self.opaque
    }

    /// The request may turn its connection into a WebSocket.
    pub fn websocket(&self) -> bool {
        self.websocket
    }

    /// The rule says that exeat does not look inside TLS here.
    pub fn excluded(&self) -> bool {
        self.excluded
    }

    /// A rule looks at requests here: what is forwarded is the path's normal form, where there is one, as that was judged and asked about.
    pub fn normal_path(&self) -> bool {
        self.normal_path
    }

    /// The credentials of its own that exeat sends in place of the agent's, where it has any for the destination.
    pub fn inject(&self) -> Option<&Injection> {
        self.injection.as_deref()
    }

    /// What bounds how much of it passes: every one of these.
    pub fn limits(&self) -> &[(LimitedBy, Limits)] {
        &self.limits
    }

    /// What the destination may resolve to, all else aside.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// When it ends by itself.
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }

    /// Whether the address may be dialled under this grant. Asked after DNS, for every answer.
    pub fn covers(&self, address: IpAddr) -> bool {
        self.judge(address).is_ok()
    }

    /// As `covers`, with the reason: metadata, exeat itself, `never`, a block rule that names the address, then the grant's own addresses and the floor's.
    pub fn judge(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        let judged = self.bounds.guard.judge(address, self.port, &self.addresses);
        match judged {
            Err(AddressRefusal::Metadata(_) | AddressRefusal::Own | AddressRefusal::Never) => judged,
            Ok(()) | Err(AddressRefusal::Blocked(_) | AddressRefusal::Outside(_) | AddressRefusal::Floor { class: _, file: _ }) => {
                if let Some(rule) = self.bounds.blocked(address, self.port, self.at) {
                    return Err(AddressRefusal::Blocked(rule.place.clone()));
                }
                let floor = &self.bounds.floor;
                if judged.is_err() || floor.permits_address(address) {
                    return judged;
                }
                Err(AddressRefusal::Floor { class: AddressClass::of(address), file: floor.file.clone() })
            }
        }
    }
}

/// What a tunnel is opened under whose requests are judged one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The first rule that looks at requests, or what puts a credential into them.
    pub rule: RuleRef,
}

/// What a question is asked under.
#[derive(Clone, Debug)]
pub struct HoldTerms {
    /// The `[[hold]]` rule; `None` where the destination is unlisted.
    pub rule: Option<RuleRef>,
    /// The rule's note, shown to the approver.
    pub note: Option<Arc<str>>,
    /// What the destination may resolve to once approved.
    pub addresses: Arc<Addresses>,
    /// Whether it is about this request or every one.
    pub asking: Asking,
}

/// Why an attempt is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The code.
    pub reason: Reason,
    /// The rule, where one decided.
    pub rule: Option<RuleRef>,
    /// The rule's words for the agent.
    pub because: Option<Arc<str>>,
    /// The no that echoes, where one does.
    pub echo: Option<Echo>,
}

impl Policy {
    /// What the attempt gets. Pure, and at a cost that does not grow with the number of rules.
    pub fn decide(&self, attempt: &Attempt, approvals: &Approvals, now: SystemTime) -> Decision {
        let Some(agent) = self.agent(&attempt.agent) else {
            return refused(Reason::UnknownAgent, None);
        };
        if self.frozen(&attempt.agent) {
            return refused(Reason::Frozen, None);
        }
        let found = Found::of(&agent.bounds, attempt, now);
        let leak = Leaking::of(agent, attempt);
        let asking = if leak.is_some() { Asking::ThisRequest } else { found.asking() };
        let approval = approvals.live_under(&agent.bounds.floor, attempt, asking, now);
        let capped = approval.and_then(|approval| Some((approval, agent.bounds.floor.caps(approval, now)?)));
        if let Some(block) = found.never(agent, attempt, capped.map(|(approval, _)| approval)) {
            return Decision::Block(block);
        }
        if let Some(block) = found.blocked(&attempt.sight).or_else(|| found.unproven(attempt)).or_else(|| leak?.blocked()) {
            return Decision::Block(block);
        }
        if let Some(place) = found.looks(&attempt.sight) {
            return Decision::Look(Look { rule: place.clone() });
        }
        if let Some(echo) = approvals.echo(attempt, asking, now) {
            return Decision::Block(Block { echo: Some(echo.clone()), ..block(Reason::Quiet, found.hold) });
        }
        let granting = Granting { agent, found: &found, attempt, now };
        let decision = match (capped, found.hold, found.allow) {
            (Some((approval, until)), ..) => Decision::Allow(granting.approved(approval, until)),
            // What binds every agent is not learnt away.
            (None, Some(_), _) if found.floor_holds => Decision::Hold(found.terms(agent, asking)),
            (None, Some(hold), _) => {
                granting.observed(Would::Hold(Some(hold.place.clone()))).unwrap_or_else(|| Decision::Hold(found.terms(agent, asking)))
            }
            (None, None, Some((rule, allow))) => Decision::Allow(granting.listed(rule, allow)),
            (None, None, None) => granting.unlisted(asking),
        };
        match leak {
            Some(leak) => leak.asked(decision, found.addresses(agent)),
            None => decision,
        }
    }
}

fn refused(reason: Reason, rule: Option<&Rule>) -> Decision {
    Decision::Block(block(reason, rule))
}

fn block(reason: Reason, rule: Option<&Rule>) -> Block {
    let because = rule.and_then(|rule| match &rule.effect {
        Effect::Block { because } => because.clone(),
        Effect::Allow(_) | Effect::Hold { addresses: _ } => None,
    });
    Block { reason, rule: rule.map(|rule| rule.place.clone()), because, echo: None }
}

/// What grants of one decision share.
#[derive(Clone, Copy)]
struct Granting<'a> {
    agent: &'a Agent,
    found: &'a Found<'a>,
    attempt: &'a Attempt,
    now: SystemTime,
}

impl Granting<'_> {
    fn unlisted(self, asking: Asking) -> Decision {
        if let Some(rule) = self.found.content {
            let because = "this rule lets a request of its method pass only without content";
            return Decision::Block(Block { because: Some(because.into()), ..block(Reason::Blocked, Some(rule)) });
        }
        match self.agent.unlisted {
            Unlisted::Block => self.observed(Would::Block).unwrap_or_else(|| refused(Reason::Unlisted, self.found.elsewhere)),
            Unlisted::Hold => self.observed(Would::Hold(None)).unwrap_or_else(|| Decision::Hold(self.found.terms(self.agent, asking))),
        }
    }

    fn listed(self, rule: &Rule, allow: &Allow) -> Grant {
        let mut limits = self.limits();
        if !allow.limits.is_none() {
            let (place, mark) = (rule.place.clone(), self.agent.bounds.rules.mark(&rule.place));
            limits.push((LimitedBy::Rule { place, mark }, allow.limits));
        }
        let basis = Basis::Listed(rule.place.clone());
        Grant { until: rule.until, limits, ..self.grant(basis, allow.addresses.clone()) }
    }

    /// The yes decides where to; whether the bytes are neither TLS nor HTTP, or may become a socket, stays what an allow rule says.
    fn approved(self, approval: &Approval, until: Option<SystemTime>) -> Grant {
        Grant { until, ..self.grant(Basis::Approved(approval.id), approval.addresses.clone()) }
    }

    fn observed(self, would: Would) -> Option<Decision> {
        let until = self.agent.observe_until.filter(|until| self.now < *until)?;
        if self.agent.bounds.floor.forbid.observe {
            return None;
        }
        let grant = self.grant(Basis::Observed(would), self.found.addresses(self.agent).clone());
        Some(Decision::Allow(Grant { until: Some(until), ..grant }))
    }

    fn grant(self, basis: Basis, addresses: Arc<Addresses>) -> Grant {
        Grant {
            basis,
            addresses,
            opaque: self.found.allow.is_some_and(|(_, allow)| allow.opaque),
            websocket: self.found.allow.is_some_and(|(_, allow)| allow.websocket),
            excluded: self.found.allow.is_some_and(|(_, allow)| allow.exclude),
            normal_path: self.found.looks(&Sight::NotYet).is_some(),
            injection: self.agent.bounds.injects.of(self.attempt).map(Box::new),
            limits: self.limits(),
            until: None,
            port: self.attempt.destination.port,
            at: self.now,
            bounds: self.agent.bounds.clone(),
        }
    }

    fn limits(self) -> Vec<(LimitedBy, Limits)> {
        let bound = [(LimitedBy::Floor, self.agent.bounds.floor.limits), (LimitedBy::Agent, self.agent.limits)];
        bound.into_iter().filter(|(_, limits)| !limits.is_none()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

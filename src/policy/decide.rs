//! The decision: what one attempt gets, and from which rule.
//!
//! Never allowed, block, quiet, approval, hold, allow, unlisted: the first that speaks decides. Of several rules of a kind the most specific speaks: exact hosts first,
//! then patterns of more labels, then those that permit less, so that the order of the file means nothing. Of block rules the first in the file is named.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::address::{AddressRefusal, Addresses};
use super::allowlist::{Effect, Rule, Unlisted};
use super::approvals::{Approval, ApprovalId, Approvals, Scope};
use super::attempt::Attempt;
use super::destination::{Destination, Port};
use super::host::Host;
use super::policy::{Agent, Bounds, Policy};
use super::reason::Reason;
use super::rule::RuleRef;
use super::special::{Special, special};

/// What an attempt gets.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It passes, to addresses the grant covers.
    Allow(Grant),
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
}

/// What an allow carries: its basis and the addresses it covers.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(super) basis: Basis,
    pub(super) addresses: Arc<Addresses>,
    pub(super) opaque: bool,
    pub(super) until: Option<SystemTime>,
    pub(super) port: Port,
    pub(super) bounds: Arc<Bounds>,
}

impl Grant {
    /// The rule or the approval.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The rule says that the tunnel is neither TLS nor HTTP.
    pub fn opaque(&self) -> bool {
        self.opaque
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

    /// As `covers`, with the reason: metadata, exeat itself, `never`, a block rule that names the address, then the grant's own addresses.
    pub fn judge(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        let judged = self.bounds.guard.judge(address, self.port, &self.addresses);
        match judged {
            Err(AddressRefusal::Metadata(_) | AddressRefusal::Own | AddressRefusal::Never) => judged,
            Ok(()) | Err(AddressRefusal::Blocked(_) | AddressRefusal::Outside(_)) => match self.bounds.blocked(address, self.port) {
                Some(rule) => Err(AddressRefusal::Blocked(rule.place.clone())),
                None => judged,
            },
        }
    }
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
}

impl Policy {
    /// What the attempt gets. Pure, and at a cost that does not grow with the number of rules.
    pub fn decide(&self, attempt: &Attempt, approvals: &Approvals, now: SystemTime) -> Decision {
        let Some(agent) = self.agent(&attempt.agent) else {
            return refused(Reason::UnknownAgent, None);
        };
        let found = Found::of(agent, &attempt.destination);
        let approval = approvals.live(attempt, now);
        if let Some(block) = found.never(agent, &attempt.destination, approval) {
            return Decision::Block(block);
        }
        if let Some(rule) = found.block {
            return refused(Reason::Blocked, Some(rule));
        }
        if approvals.quiet(attempt, now) {
            return refused(Reason::Quiet, found.hold);
        }
        let port = attempt.destination.port;
        match (approval, found.hold, found.allow) {
            (Some(approval), _, allow) => Decision::Allow(approved(agent, approval, port, allow)),
            (None, Some(hold), _) => Decision::Hold(found.terms(agent, Some(hold))),
            (None, None, Some(allow)) => Decision::Allow(listed(agent, allow, port)),
            (None, None, None) => match agent.unlisted {
                Unlisted::Block => refused(Reason::Unlisted, found.other_ports),
                Unlisted::Hold => Decision::Hold(found.terms(agent, None)),
            },
        }
    }
}

/// The rule of each kind that speaks for a destination.
#[derive(Clone, Copy, Debug, Default)]
struct Found<'a> {
    block: Option<&'a Rule>,
    hold: Option<&'a Rule>,
    allow: Option<&'a Rule>,
    /// A rule that would speak for the host on other ports.
    other_ports: Option<&'a Rule>,
    /// An allow or hold rule spells the host and has addresses of its own.
    spelled: bool,
}

impl<'a> Found<'a> {
    fn of(agent: &'a Agent, destination: &'a Destination) -> Self {
        let mut found = Self::default();
        let (mut block, mut hold, mut allow) = (u32::MAX, u32::MAX, u32::MAX);
        for entry in agent.index.lookup(&destination.host) {
            let Some(rule) = agent.rules.get(entry.rule) else { continue };
            if !rule.ports.contain(destination.port) {
                found.other_ports = found.other_ports.or(Some(rule));
                continue;
            }
            let (slot, best) = match &rule.effect {
                Effect::Block { because: _ } => (&mut found.block, &mut block),
                Effect::Hold { addresses } => {
                    found.spelled |= entry.exact && addresses.is_some();
                    (&mut found.hold, &mut hold)
                }
                Effect::Allow { addresses: _, spelled, opaque: _ } => {
                    found.spelled |= entry.exact && *spelled;
                    (&mut found.allow, &mut allow)
                }
            };
            if slot.is_none() || entry.rank < *best {
                (*slot, *best) = (Some(rule), entry.rank);
            }
        }
        if let Host::Address(address) = &destination.host {
            let carried = agent.bounds.blocked(*address, destination.port);
            found.block = found.block.into_iter().chain(carried).min_by_key(|rule| &rule.place);
        }
        found
    }

    /// What no rule and no person opens: exeat itself, metadata, special names, and literals outside the addresses of what would let them pass.
    fn never(&self, agent: &Agent, destination: &Destination, approval: Option<&Approval>) -> Option<Block> {
        let block = |reason, rule: Option<&Rule>| Some(Block { reason, rule: rule.map(|rule| rule.place.clone()), because: None });
        let guard = &agent.bounds.guard;
        let address = match &destination.host {
            Host::Name(_) if guard.known_as.contains(&destination.host) => return block(Reason::OwnAddress, None),
            Host::Name(name) => {
                return match special(name) {
                    Some(Special::Never) => block(Reason::SpecialName, None),
                    Some(Special::NeedsAddresses) if !self.spelled => block(Reason::SpecialName, None),
                    Some(Special::NeedsAddresses) | None => None,
                };
            }
            Host::Address(address) => *address,
        };
        let addresses = approval.map_or_else(|| self.addresses(agent), |approval| &approval.addresses);
        match guard.judge(address, destination.port, addresses) {
            Ok(()) => None,
            Err(AddressRefusal::Own) => block(Reason::OwnAddress, None),
            Err(AddressRefusal::Metadata(_) | AddressRefusal::Never | AddressRefusal::Blocked(_)) => block(Reason::ForbiddenAddress, None),
            Err(AddressRefusal::Outside(_)) => block(Reason::ForbiddenAddress, self.hold.or(self.allow)),
        }
    }

    /// What the destination may resolve to without a person's word: the hold rule's addresses, else the allow rule's, else the agent's.
    fn addresses<'b>(&self, agent: &'b Agent) -> &'b Arc<Addresses>
    where
        'a: 'b,
    {
        let held = self.hold.and_then(|rule| match &rule.effect {
            Effect::Hold { addresses } => addresses.as_ref(),
            Effect::Allow { addresses: _, spelled: _, opaque: _ } | Effect::Block { because: _ } => None,
        });
        let allowed = self.allow.and_then(|rule| match &rule.effect {
            Effect::Allow { addresses, spelled: _, opaque: _ } => Some(addresses),
            Effect::Hold { addresses: _ } | Effect::Block { because: _ } => None,
        });
        held.or(allowed).unwrap_or(&agent.addresses)
    }

    fn terms(&self, agent: &Agent, hold: Option<&Rule>) -> HoldTerms {
        let rule = hold.map(|rule| rule.place.clone());
        let note = hold.and_then(|rule| rule.note.clone());
        HoldTerms { rule, note, addresses: self.addresses(agent).clone() }
    }
}

fn refused(reason: Reason, rule: Option<&Rule>) -> Decision {
    let because = rule.and_then(|rule| match &rule.effect {
        Effect::Block { because } => because.clone(),
        Effect::Allow { addresses: _, spelled: _, opaque: _ } | Effect::Hold { addresses: _ } => None,
    });
    Decision::Block(Block { reason, rule: rule.map(|rule| rule.place.clone()), because })
}

fn listed(agent: &Agent, rule: &Rule, port: Port) -> Grant {
    let (addresses, opaque) = match &rule.effect {
        Effect::Allow { addresses, spelled: _, opaque } => (addresses, *opaque),
        Effect::Hold { addresses: _ } | Effect::Block { because: _ } => (&agent.addresses, false),
    };
    let basis = Basis::Listed(rule.place.clone());
    Grant { basis, addresses: addresses.clone(), opaque, until: None, port, bounds: agent.bounds.clone() }
}

/// The yes decides where to; whether the bytes are neither TLS nor HTTP stays what an allow rule says.
fn approved(agent: &Agent, approval: &Approval, port: Port, allow: Option<&Rule>) -> Grant {
    let until = match &approval.scope {
        Scope::For { until } => Some(*until),
        Scope::Once { waiting: _, next_until: _ } | Scope::Always => None,
    };
    let opaque = allow.is_some_and(|rule| matches!(&rule.effect, Effect::Allow { addresses: _, spelled: _, opaque: true }));
    let (basis, addresses) = (Basis::Approved(approval.id), approval.addresses.clone());
    Grant { basis, addresses, opaque, until, port, bounds: agent.bounds.clone() }
}

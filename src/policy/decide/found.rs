//! The rules that speak for one attempt, one of each kind.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Block, HoldTerms, block};
use crate::policy::address::{AddressRefusal, Addresses};
use crate::policy::approvals::{Approval, Asking};
use crate::policy::attempt::{Attempt, Seen, Sight};
use crate::policy::destination::Destination;
use crate::policy::host::Host;
use crate::policy::indexed::Entry;
use crate::policy::inject::Inject;
use crate::policy::policy::{Agent, Bounds};
use crate::policy::reason::Reason;
use crate::policy::request::Permits;
use crate::policy::rule::{Allow, Effect, Rule, RuleRef};
use crate::policy::special::{Special, special};

/// The rule of each kind that speaks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) floor_block: Option<&'a Rule>,
    pub(super) block: Option<&'a Rule>,
    pub(super) hold: Option<&'a Rule>,
    /// A hold rule of the floor speaks, also where the agent's own is the one that is named.
    pub(super) floor_holds: bool,
    pub(super) allow: Option<(&'a Rule, &'a Allow)>,
    /// An allow rule that would speak but for the request's content.
    pub(super) content: Option<&'a Rule>,
    /// A rule that would speak for the host on another port or for another request.
    pub(super) elsewhere: Option<&'a Rule>,
    /// The first rule for the host and port that looks at requests.
    request: Option<&'a Rule>,
    /// The first credential that goes into requests to the host, port and scheme.
    inject: Option<&'a Inject>,
    /// One of them is for some requests only.
    inject_request: Option<&'a Inject>,
    /// The first of them that looks at paths.
    pub(super) path: Option<&'a Rule>,
    /// An allow or hold rule spells the host and has addresses of its own.
    spelled: bool,
}

/// What makes one rule of a kind speak before another: the lowest.
#[derive(Default)]
struct Best {
    floor_block: Option<u32>,
    block: Option<u32>,
    hold: Option<(bool, u32)>,
    allow: Option<(u32, bool, u32)>,
}

impl<'a> Found<'a> {
    pub(super) fn of(bounds: &'a Bounds, attempt: &'a Attempt, now: SystemTime) -> Self {
        let Destination { host, port } = &attempt.destination;
        let (mut found, mut best) = (Self::default(), Best::default());
        let floor = bounds.floor_rules.about(host).map(|(entry, rule)| (true, entry, rule));
        let own = bounds.rules.about(host).map(|(entry, rule)| (false, entry, rule));
        for (of_floor, entry, rule) in floor.chain(own) {
            if !rule.in_force(now) {
                continue;
            }
            if !rule.ports.contain(*port) {
                found.elsewhere = first(found.elsewhere, rule);
                continue;
            }
            found.spelled |= entry.exact && rule.spells_addresses();
            if found.speaks(rule, &attempt.sight) {
                found.take(&mut best, (of_floor, entry), rule, attempt.sight.seen());
            }
        }
        for inject in bounds.injects.about(attempt) {
            found.inject = found.inject.or(Some(inject));
            found.inject_request = found.inject_request.or(inject.request.as_ref().map(|_| inject.as_ref()));
        }
        if let Host::Address(address) = host {
            found.floor_block = bounds.floor_rules.blocked(*address, *port, now);
            found.block = bounds.rules.blocked(*address, *port, now);
        }
        found
    }

    /// Whether the rule is about the request as well, noting what it looks at.
    fn speaks(&mut self, rule: &'a Rule, sight: &Sight) -> bool {
        let Some(request) = &rule.request else { return true };
        self.request = first(self.request, rule);
        if !request.paths.is_empty() {
            self.path = first(self.path, rule);
        }
        let Sight::Seen(seen) = sight else { return false };
        let speaks = match &rule.effect {
            Effect::Hold { addresses: _ } | Effect::Block { because: _ } => request.concerns(seen),
            Effect::Allow(_) => match request.permits(seen) {
                Permits::Yes => true,
                Permits::NoContent => {
                    self.content = first(self.content, rule);
                    return false;
                }
                Permits::No => false,
            },
        };
        if !speaks {
            self.elsewhere = first(self.elsewhere, rule);
        }
        speaks
    }

    fn take(&mut self, best: &mut Best, (of_floor, entry): (bool, Entry), rule: &'a Rule, seen: Option<&Seen>) {
        match &rule.effect {
            Effect::Block { because: _ } => {
                let (slot, lowest) =
                    if of_floor { (&mut self.floor_block, &mut best.floor_block) } else { (&mut self.block, &mut best.block) };
                if lowest.is_none_or(|lowest| entry.rank < lowest) {
                    (*slot, *lowest) = (Some(rule), Some(entry.rank));
                }
            }
            // An agent's own question has words and addresses that fit it better than the floor's.
            Effect::Hold { addresses: _ } => {
                self.floor_holds |= of_floor;
                if best.hold.is_none_or(|lowest| (of_floor, entry.rank) < lowest) {
                    (self.hold, best.hold) = (Some(rule), Some((of_floor, entry.rank)));
                }
            }
            Effect::Allow(allow) => {
                // Of rules that name the host as exactly: else the agent would pick a wider one by asking for a WebSocket.
                let plain = seen.is_some_and(|seen| seen.websocket) && !allow.websocket;
                let order = (entry.host, plain, entry.rank);
                if best.allow.is_none_or(|lowest| order < lowest) {
                    (self.allow, best.allow) = (Some((rule, allow)), Some(order));
                }
            }
        }
    }

    /// What a question would be about. Where a rule looks at requests, a yes to every request would undo it.
    pub(super) fn asking(&self) -> Asking {
        if self.request.is_some() { Asking::ThisRequest } else { Asking::EveryRequest }
    }

    /// The place of what looks at requests, where none is in sight.
    pub(super) fn looks(&self, sight: &Sight) -> Option<&'a RuleRef> {
        match sight {
            Sight::NotYet => self.request.map(|rule| &rule.place).or(self.inject.map(|inject| &inject.place)),
            Sight::Seen(_) => None,
        }
    }

    /// A block rule, the floor's first; or a request that servers read in two ways where a rule looks at it.
    pub(super) fn blocked(&self, sight: &Sight) -> Option<Block> {
        if let Some(rule) = self.floor_block.or(self.block) {
            return Some(block(Reason::Blocked, Some(rule)));
        }
        let seen = sight.seen()?;
        let unclear = |rule: &Rule, because: String| Some(Block { because: Some(because.into()), ..block(Reason::Blocked, Some(rule)) });
        if let (Some(rule), Err(why)) = (self.path, seen.path.normal()) {
            return unclear(rule, why.to_string());
        }
        let because: Arc<str> = "a field asks for another method or target than the request line; leave it out".into();
        match (self.request, self.inject_request) {
            (Some(rule), _) if seen.rewrites => Some(Block { because: Some(because), ..block(Reason::Blocked, Some(rule)) }),
            (None, Some(inject)) if seen.rewrites => Some(refused_at(inject, because)),
            (_, _) => None,
        }
    }

    /// A credential waits for whoever asks, and where it connects from is all that is known of who that is.
    pub(super) fn unproven(&self, attempt: &Attempt) -> Option<Block> {
        let because = "exeat puts a credential in here, and does so only for an agent with a token; send yours";
        self.inject.filter(|_| !attempt.proven).map(|inject| refused_at(inject, because.into()))
    }

    /// What no rule and no person opens: exeat itself, metadata, special names, and literals outside the addresses of what would let them pass.
    pub(super) fn never(&self, agent: &Agent, attempt: &Attempt, approval: Option<&Approval>) -> Option<Block> {
        let Attempt { destination, sight, .. } = attempt;
        let bounds = &agent.bounds;
        let address = match &destination.host {
            Host::Name(_) if bounds.guard.known_as.contains(&destination.host) => return Some(block(Reason::OwnAddress, None)),
            Host::Name(name) => {
                return match special(name) {
                    Some(Special::Never) => Some(block(Reason::SpecialName, None)),
                    Some(Special::NeedsAddresses) if !self.spelled => Some(block(Reason::SpecialName, None)),
                    Some(Special::NeedsAddresses) | None => None,
                };
            }
            Host::Address(address) => *address,
        };
        let addresses = approval.map_or_else(|| self.addresses(agent), |approval| &approval.addresses);
        // What a tunnel may reach is said by the rules for the requests in it.
        let later = self.looks(sight).is_some() && self.allow.is_none() && self.hold.is_none();
        match bounds.guard.judge(address, destination.port, addresses) {
            Ok(()) if bounds.floor.permits_address(address) => None,
            Err(AddressRefusal::Own) => Some(block(Reason::OwnAddress, None)),
            Err(AddressRefusal::Metadata(_) | AddressRefusal::Never | AddressRefusal::Blocked(_)) => {
                Some(block(Reason::ForbiddenAddress, None))
            }
            Err(AddressRefusal::Outside(_)) if later => None,
            Ok(()) | Err(AddressRefusal::Outside(_) | AddressRefusal::Floor { class: _, file: _ }) => {
                Some(block(Reason::ForbiddenAddress, self.hold.or(self.allow.map(|(rule, _)| rule))))
            }
        }
    }

    /// What the destination may resolve to without a person's word: the hold rule's addresses, else the allow rule's, else the agent's.
    pub(super) fn addresses<'b>(&self, agent: &'b Agent) -> &'b Arc<Addresses>
    where
        'a: 'b,
    {
        let held = self.hold.and_then(|rule| match &rule.effect {
            Effect::Hold { addresses } => addresses.as_ref(),
            Effect::Allow(_) | Effect::Block { because: _ } => None,
        });
        held.or(self.allow.map(|(_, allow)| &allow.addresses)).unwrap_or(&agent.addresses)
    }

    pub(super) fn terms(&self, agent: &Agent, asking: Asking) -> HoldTerms {
        let rule = self.hold.map(|rule| rule.place.clone());
        let note = self.hold.and_then(|rule| rule.note.clone());
        HoldTerms { rule, note, addresses: self.addresses(agent).clone(), asking }
    }
}

fn refused_at(inject: &Inject, because: Arc<str>) -> Block {
    Block { reason: Reason::Blocked, rule: Some(inject.place.clone()), because: Some(because) }
}

/// The rule that stands first, so that which one is named depends on nothing else.
fn first<'a>(known: Option<&'a Rule>, rule: &'a Rule) -> Option<&'a Rule> {
    Some(known.filter(|known| known.place <= rule.place).unwrap_or(rule))
}

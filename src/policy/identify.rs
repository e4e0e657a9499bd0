//! Who asks. Evidence proves an agent when one of its `[[identify]]` tables holds in full; it counts only where it proves exactly one agent.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::allowlist::{Allowlist, Identify};
use super::attempt::{AgentId, Evidence, Offered};
use super::fault::Fault;
use super::rule::RuleRef;
use super::token::TokenDigest;

/// Every way an agent is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    tokens: BTreeMap<TokenDigest, Owner>,
    open: Vec<(AgentId, Conditions)>,
    /// What would prove agents whose files are not in force: it proves nobody meanwhile.
    absent: Vec<Conditions>,
}

#[derive(Clone, Debug)]
struct Owner {
    /// `None` where two agents claim the token: it proves neither.
    agent: Option<AgentId>,
    tables: Vec<Conditions>,
}

/// What a table wants beside a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Conditions {
    source: Option<IpNet>,
    listener: Option<Arc<str>>,
}

impl Identities {
    pub(super) fn new(allowlists: &[Allowlist]) -> Self {
        let mut identities = Self::default();
        for allowlist in allowlists {
            for Identify { token, source, listener, place: _ } in &allowlist.identify {
                let conditions = Conditions { source: *source, listener: listener.clone() };
                match token {
                    Some(token) => identities.own(*token, &allowlist.agent).tables.push(conditions),
                    None => identities.open.push((allowlist.agent.clone(), conditions)),
                }
            }
        }
        identities
    }

    /// A token kept in state: a table of its own, unless a file binds the token already.
    pub(super) fn add_token(&mut self, token: TokenDigest, agent: AgentId) {
        let owner = self.own(token, &agent);
        if owner.tables.is_empty() {
            owner.tables.push(Conditions::default());
        }
    }

    pub(super) fn add_listener(&mut self, listener: &str, agent: AgentId) {
        self.open.push((agent, Conditions { source: None, listener: Some(listener.into()) }));
    }

    pub(super) fn add_absent(&mut self, tables: &[Identify]) {
        let open = tables.iter().filter(|table| table.token.is_none());
        self.absent.extend(open.map(|table| Conditions { source: table.source, listener: table.listener.clone() }));
    }

    /// The one agent that all the evidence proves.
    pub(super) fn identify(&self, evidence: &Evidence) -> Option<&AgentId> {
        let source = evidence.source.to_canonical();
        if self.absent.iter().any(|table| table.hold(source, &evidence.listener)) {
            return None;
        }
        let (named, mut proven) = match &evidence.offered {
            Offered::Garbled => return None,
            Offered::Nothing => (None, None),
            Offered::Token { agent, digest } => {
                let owner = self.tokens.get(digest)?;
                let named = owner.agent.as_ref().filter(|owner| owner.as_str() == agent)?;
                let holds = owner.tables.iter().any(|table| table.hold(source, &evidence.listener));
                (Some(named), holds.then_some(named))
            }
        };
        for (agent, _) in self.open.iter().filter(|(_, table)| table.hold(source, &evidence.listener)) {
            if proven.is_some_and(|proven| proven != agent) {
                return None;
            }
            proven = Some(agent);
        }
        proven.filter(|proven| named.is_none_or(|named| named == *proven))
    }

    /// Whether a token does so, with all that a table for it wants.
    pub(super) fn proves(&self, evidence: &Evidence) -> bool {
        let Offered::Token { agent, digest } = &evidence.offered else { return false };
        let source = evidence.source.to_canonical();
        self.tokens.get(digest).is_some_and(|owner| {
            owner.agent.as_ref().is_some_and(|owner| owner.as_str() == agent)
                && owner.tables.iter().any(|table| table.hold(source, &evidence.listener))
        })
    }

    /// For the policy's hash.
    pub(super) fn written(&self) -> String {
        let mut open: Vec<String> = self.open.iter().map(|open| format!("{open:?}")).collect();
        open.sort_unstable();
        open.dedup();
        let mut absent: Vec<String> = self.absent.iter().map(|table| format!("{table:?}")).collect();
        absent.sort_unstable();
        absent.dedup();
        format!("{:?} {open:?} {absent:?}", self.tokens)
    }

    fn own(&mut self, token: TokenDigest, agent: &AgentId) -> &mut Owner {
        let owner = self.tokens.entry(token).or_insert_with(|| Owner { agent: Some(agent.clone()), tables: Vec::new() });
        if owner.agent.as_ref() != Some(agent) {
            owner.agent = None;
        }
        owner
    }
}

impl Conditions {
    fn hold(&self, source: IpAddr, listener: &str) -> bool {
        let here = self.source.is_none_or(|network| network.contains(&source));
        here && self.listener.as_deref().is_none_or(|name| name == listener)
    }
}

/// Two agents who could not be told from one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) agents: [AgentId; 2],
    pub(super) fault: Fault,
}

/// Tables of two agents that the same evidence would satisfy: neither agent could be told from the other.
pub(super) fn contradictions(allowlists: &[&Allowlist]) -> Vec<Contradiction> {
    contradictions_of(allowlists.iter().flat_map(|allowlist| allowlist.identify.iter().map(|table| (&allowlist.agent, table))))
}

/// As `contradictions`, of tables and whose they are.
pub(super) fn contradictions_of<'a>(tables: impl Iterator<Item = (&'a AgentId, &'a Identify)>) -> Vec<Contradiction> {
    let tables: Vec<(&AgentId, &Identify)> = tables.collect();
    let mut found = Vec::new();
    let mut owners: BTreeMap<TokenDigest, (&AgentId, &RuleRef)> = BTreeMap::new();
    for (agent, table) in &tables {
        let Some(token) = table.token else { continue };
        let (owner, place) = *owners.entry(token).or_insert((agent, &table.place));
        if owner != *agent {
            let words = format!("a token of {agent} that is also {owner}'s ({place})");
            let fault = fault(table, words, "one agent a token", "issue each agent its own: exeat token AGENT");
            found.push(Contradiction { agents: [(*agent).clone(), owner.clone()], fault });
        }
    }
    for (agent, table) in tables.iter().filter(|(_, table)| table.token.is_none()) {
        for (other, rival) in tables.iter().filter(|(other, _)| other != agent) {
            let clash = match rival.token {
                Some(_) => within(rival, table),
                // Each pair of open tables is told once, at the later place.
                None => rival.place < table.place && meet(rival, table),
            };
            if clash {
                let words = format!("evidence that proves both {agent} and {other} ({})", rival.place);
                let fix = "make the networks or listeners disjoint, or add a token to both tables";
                let fault = fault(table, words, "evidence that proves one agent", fix);
                found.push(Contradiction { agents: [(*agent).clone(), (*other).clone()], fault });
            }
        }
    }
    found
}

/// Whether the same evidence surely satisfies both.
pub(super) fn clash(one: &Identify, other: &Identify) -> bool {
    meet(one, other) || within(one, other) || within(other, one)
}

fn fault(table: &Identify, found: String, wanted: &str, fix: &str) -> Fault {
    let RuleRef { file, line } = table.place.clone();
    Fault { file, line, column: 0, found, wanted: wanted.to_owned(), fix: fix.to_owned() }
}

/// Whatever satisfies `inner`, its token aside, satisfies `outer`.
fn within(inner: &Identify, outer: &Identify) -> bool {
    let source = match (inner.source, outer.source) {
        (_, None) => true,
        (Some(inner), Some(outer)) => outer.contains(&inner),
        (None, Some(_)) => false,
    };
    source && (outer.listener.is_none() || outer.listener == inner.listener)
}

/// Something surely satisfies both: the same listener or none named, and networks that overlap or are not named at all.
fn meet(one: &Identify, other: &Identify) -> bool {
    let source = match (one.source, other.source) {
        (Some(one), Some(other)) => one.contains(&other) || other.contains(&one),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let listener = one.listener == other.listener || one.source.is_some() && (one.listener.is_none() || other.listener.is_none());
    source && listener
}

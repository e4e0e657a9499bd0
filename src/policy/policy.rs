//! The policy in force: every agent's rules made fast to ask, who they are, and what is never dialled. Immutable and cheap to clone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::address::{Addresses, Guard};
use super::allowlist::{Allowlist, Unlisted};
use super::attempt::{AgentId, Evidence};
use super::destination::Port;
use super::fault::Fault;
use super::floor::Floor;
use super::identify::{Identities, contradictions};
use super::indexed::Indexed;
use super::limits::Limits;
use super::reason::Reason;
use super::rule::Rule;
use super::token::TokenDigest;

/// What is in force.
#[derive(Clone, Debug)]
pub struct Policy {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    agents: BTreeMap<AgentId, Arc<Agent>>,
    floor: Arc<Floor>,
    frozen: Frozen,
    identities: Identities,
    rules_hash: [u8; 32],
    hash: Arc<str>,
}

/// Who is stopped: all they try is refused as `frozen`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Frozen {
    /// No agent.
    #[default]
    Nobody,
    /// Every agent.
    Everyone,
    /// These.
    These(BTreeSet<AgentId>),
}

/// One agent's rules, indexed, and what else its attempts are decided by.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) file: Arc<str>,
    pub(super) unlisted: Unlisted,
    pub(super) addresses: Arc<Addresses>,
    pub(super) observe_until: Option<SystemTime>,
    pub(super) limits: Limits,
    pub(super) bounds: Arc<Bounds>,
}

/// What binds every grant of an agent.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) guard: Arc<Guard>,
    pub(super) floor: Arc<Floor>,
    pub(super) floor_rules: Arc<Indexed>,
    pub(super) rules: Indexed,
}

impl Bounds {
    /// The block rule that names the address, or an IPv4 address it carries; the floor's before the agent's.
    pub(super) fn blocked(&self, address: IpAddr, port: Port, now: SystemTime) -> Option<&Rule> {
        self.floor_rules.blocked(address, port, now).or_else(|| self.rules.blocked(address, port, now))
    }
}

impl Frozen {
    /// Whether the agent is stopped.
    pub fn holds(&self, agent: &AgentId) -> bool {
        match self {
            Frozen::Nobody => false,
            Frozen::Everyone => true,
            Frozen::These(agents) => agents.contains(agent),
        }
    }
}

impl Policy {
    /// As `under`, with no floor.
    pub fn new(allowlists: Vec<Allowlist>, guard: Guard) -> Result<Self, Vec<Fault>> {
        Self::under(Arc::new(Floor::none()), allowlists, guard)
    }

    /// Puts allowlists in force together, under one floor. Two files for one agent, or evidence that would prove two agents, are faults.
    pub fn under(floor: Arc<Floor>, allowlists: Vec<Allowlist>, guard: Guard) -> Result<Self, Vec<Fault>> {
        let mut faults = twice_named(&allowlists);
        faults.extend(contradictions(&allowlists));
        if !faults.is_empty() {
            faults.sort();
            return Err(faults);
        }
        let rules_hash = digest(&floor, &allowlists, &guard);
        let identities = Identities::new(&allowlists);
        let guard = Arc::new(guard);
        let floor_rules = Arc::new(Indexed::new(floor.rules.clone()));
        let agent = |allowlist: Allowlist| {
            let Allowlist { file, agent, unlisted, addresses, observe_until, limits, rules, .. } = allowlist;
            let (guard, floor, floor_rules) = (Arc::clone(&guard), Arc::clone(&floor), Arc::clone(&floor_rules));
            let bounds = Arc::new(Bounds { guard, floor, floor_rules, rules: Indexed::new(rules) });
            (agent, Arc::new(Agent { file, unlisted, addresses, observe_until, limits, bounds }))
        };
        let agents = allowlists.into_iter().map(agent).collect();
        Ok(Self { inner: Arc::new(Inner { agents, floor, frozen: Frozen::Nobody, identities, rules_hash, hash: "".into() }.named()) })
    }

    /// Adds the tokens kept in state. Each proves its agent alone, except where a file names the token: then the file's conditions bind it. A token that two agents
    /// claim proves neither; one of an unknown agent proves nothing.
    pub fn with_tokens(&self, tokens: impl IntoIterator<Item = (TokenDigest, AgentId)>) -> Self {
        let mut identities = self.inner.identities.clone();
        for (token, agent) in tokens {
            if self.inner.agents.contains_key(&agent) {
                identities.add_token(token, agent);
            }
        }
        self.with(|inner| inner.identities = identities)
    }

    /// Binds a listener to an agent: everyone there is this agent. If the agent has no rules, everyone there is nobody.
    pub fn with_listener(&self, listener: &str, agent: AgentId) -> Self {
        self.with(|inner| inner.identities.add_listener(listener, agent))
    }

    /// Stops agents.
    pub fn with_frozen(&self, frozen: Frozen) -> Self {
        self.with(|inner| inner.frozen = frozen)
    }

    /// A short name of all that is in force; equal for equal policies.
    pub fn hash(&self) -> &Arc<str> {
        &self.inner.hash
    }

    /// What binds every agent.
    pub fn floor(&self) -> &Floor {
        &self.inner.floor
    }

    /// The agents that have rules, in the order of their names.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        self.inner.agents.keys()
    }

    /// Who asks, or `unknown-agent`. A token must be one of ours, beside the name of its agent; and all the evidence must prove one agent, that one.
    pub fn identify(&self, evidence: &Evidence) -> Result<AgentId, Reason> {
        let agent = self.inner.identities.identify(evidence).filter(|agent| self.inner.agents.contains_key(*agent));
        agent.cloned().ok_or(Reason::UnknownAgent)
    }

    /// The floor's rules and an agent's, for `explain`.
    pub fn rules(&self, agent: &AgentId) -> Option<impl Iterator<Item = &Rule>> {
        self.agent(agent).map(|agent| agent.bounds.floor_rules.rules().iter().chain(agent.bounds.rules.rules()))
    }

    /// The file an agent's rules come from.
    pub fn file(&self, agent: &AgentId) -> Option<&Arc<str>> {
        self.agent(agent).map(|agent| &agent.file)
    }

    pub(super) fn agent(&self, agent: &AgentId) -> Option<&Agent> {
        self.inner.agents.get(agent).map(Arc::as_ref)
    }

    pub(super) fn frozen(&self, agent: &AgentId) -> bool {
        self.inner.frozen.holds(agent)
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = self.inner.as_ref().clone();
        change(&mut inner);
        Self { inner: Arc::new(inner.named()) }
    }
}

impl Inner {
    /// Names what it holds.
    fn named(mut self) -> Self {
        let mut hasher = Sha256::new_with_prefix(self.rules_hash);
        hasher.update(self.identities.written());
        hasher.update(format!("{:?}", self.frozen));
        let mut hash = String::new();
        for byte in hasher.finalize().iter().take(8) {
            let _ = write!(hash, "{byte:02x}");
        }
        self.hash = hash.into();
        self
    }
}

fn twice_named(allowlists: &[Allowlist]) -> Vec<Fault> {
    let mut files: HashMap<&AgentId, &Arc<str>> = HashMap::new();
    let mut faults = Vec::new();
    for allowlist in allowlists {
        if let Some(first) = files.insert(&allowlist.agent, &allowlist.file) {
            faults.push(Fault {
                file: allowlist.file.clone(),
                line: allowlist.agent_line,
                column: 0,
                found: format!("a second file for agent {}, beside {first}", allowlist.agent),
                wanted: "one file an agent".to_owned(),
                fix: "merge the two, or give one another agent".to_owned(),
            });
        }
    }
    faults
}

/// Over all that decides, in an order of its own, so that files may be read in any.
fn digest(floor: &Floor, allowlists: &[Allowlist], guard: &Guard) -> [u8; 32] {
    let mut sorted: Vec<&Allowlist> = allowlists.iter().collect();
    sorted.sort_by(|one, other| one.agent.cmp(&other.agent));
    let mut text = format!("{guard:?}\n{floor:?}\n");
    for allowlist in sorted {
        let Allowlist { file, agent, unlisted, addresses, observe_until, limits, rules, .. } = allowlist;
        let _ = writeln!(text, "{file:?} {agent} {unlisted:?} {addresses:?} {observe_until:?} {limits:?}");
        for rule in rules {
            let _ = writeln!(text, "{rule:?}");
        }
    }
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

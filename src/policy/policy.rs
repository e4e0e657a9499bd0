//! The policy in force: every agent's rules made fast to ask, who they are, and what is never dialled. Immutable and cheap to clone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::address::{Addresses, Guard};
use super::allowlist::{Allowlist, Identify, Unlisted};
use super::attempt::{AgentId, Evidence};
use super::destination::Port;
use super::fault::Fault;
use super::floor::Floor;
use super::identify::{Identities, contradictions};
use super::indexed::Indexed;
use super::inject::Injects;
use super::leaks::Leaks;
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
    /// What it was made of, but for its rules, which stand in `bounds`.
    written: Allowlist,
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
    pub(super) injects: Injects,
}

impl Bounds {
    /// The block rule that names the address, or an IPv4 address it carries; the floor's before the agent's.
    pub(super) fn blocked(&self, address: IpAddr, port: Port, now: SystemTime) -> Option<&Rule> {
        self.floor_rules.blocked(address, port, now).or_else(|| self.rules.blocked(address, port, now))
    }
}

impl Agent {
    fn of(written: Allowlist, bounds: Arc<Bounds>) -> Self {
        Self {
            file: written.file.clone(),
            unlisted: written.unlisted,
            addresses: written.addresses.clone(),
            observe_until: written.observe_until,
            limits: written.limits,
            bounds,
            written,
        }
    }

    pub(super) fn leaks(&self) -> Option<&Leaks> {
        self.written.leaks.as_deref()
    }

    /// Whether it was made of this allowlist.
    fn is(&self, allowlist: &Allowlist) -> bool {
        // The rules aside first: they are many, and compared without being copied.
        self.bounds.rules.rules() == allowlist.rules && {
            let Allowlist {
                file,
                agent,
                agent_line,
                unlisted,
                addresses,
                observe_until,
                observe_line,
                limits,
                approvers,
                leaks,
                identify,
                rules: _,
                injects,
                expectations,
                includes,
            } = allowlist;
            let it = &self.written;
            (file, agent, agent_line, unlisted, addresses) == (&it.file, &it.agent, &it.agent_line, &it.unlisted, &it.addresses)
                && (observe_until, observe_line, limits, approvers, leaks)
                    == (&it.observe_until, &it.observe_line, &it.limits, &it.approvers, &it.leaks)
                && (identify, injects) == (&it.identify, &it.injects)
                && (expectations, includes) == (&it.expectations, &it.includes)
        }
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
        faults.extend(contradictions(&allowlists.iter().collect::<Vec<_>>()).into_iter().map(|contradiction| contradiction.fault));
        if !faults.is_empty() {
            faults.sort();
            return Err(faults);
        }
        Ok(Self::consistent(None, floor, allowlists, guard))
    }

    /// A policy of no agent.
    pub fn nobody(guard: Guard) -> Self {
        Self::consistent(None, Arc::new(Floor::none()), Vec::new(), guard)
    }

    /// The same floor, with this agent alone.
    pub fn joined_by(&self, allowlist: Allowlist, guard: Guard) -> Self {
        Self::consistent(None, Arc::clone(&self.inner.floor), vec![allowlist], guard)
    }

    /// As `under`, of allowlists that contradict nobody. Agents who are unchanged since `before` are taken over as they stand there.
    pub(super) fn consistent(before: Option<&Self>, floor: Arc<Floor>, allowlists: Vec<Allowlist>, guard: Guard) -> Self {
        let rules_hash = digest(&floor, &allowlists, &guard);
        let identities = Identities::new(&allowlists);
        let before = before.filter(|before| *before.inner.floor == *floor);
        let guard = Arc::new(guard);
        let floor_rules = Arc::new(Indexed::new(floor.rules.clone()));
        let agent = |mut allowlist: Allowlist| {
            let known = before.and_then(|before| before.inner.agents.get(&allowlist.agent));
            if let Some(known) = known.filter(|known| *known.bounds.guard == *guard && known.is(&allowlist)) {
                return (allowlist.agent, Arc::clone(known));
            }
            let rules = Indexed::new(std::mem::take(&mut allowlist.rules));
            let (guard, floor, floor_rules) = (Arc::clone(&guard), Arc::clone(&floor), Arc::clone(&floor_rules));
            let injects = Injects::new(&allowlist.injects);
            let bounds = Arc::new(Bounds { guard, floor, floor_rules, rules, injects });
            (allowlist.agent.clone(), Arc::new(Agent::of(allowlist, bounds)))
        };
        let agents = allowlists.into_iter().map(agent).collect();
        Self { inner: Arc::new(Inner { agents, floor, frozen: Frozen::Nobody, identities, rules_hash, hash: "".into() }.named()) }
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

    /// Whatever satisfies these tables proves nobody: they are of agents whose files are not in force.
    pub(super) fn without(&self, absent: &[Identify]) -> Self {
        self.with(|inner| inner.identities.add_absent(absent))
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

    /// What an agent's requests are searched for before they leave.
    pub fn leaks(&self, agent: &AgentId) -> Option<&Arc<Leaks>> {
        self.agent(agent).and_then(|agent| agent.written.leaks.as_ref())
    }

    /// What binds every agent.
    pub fn floor(&self) -> &Floor {
        &self.inner.floor
    }

    /// How many people have to say yes to what the agent asks.
    pub fn approvers(&self, agent: &AgentId) -> u8 {
        self.agent(agent).map_or(1, |agent| agent.written.approvers).max(self.floor().approvers)
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

    /// Whether more than where it connects from proves the agent: a token, with all that its table wants.
    pub fn proves(&self, evidence: &Evidence) -> bool {
        self.inner.identities.proves(evidence)
    }

    /// The floor's rules and an agent's, for `explain`.
    pub fn rules(&self, agent: &AgentId) -> Option<impl Iterator<Item = &Rule>> {
        self.agent(agent).map(|agent| agent.bounds.floor_rules.rules().iter().chain(agent.bounds.rules.rules()))
    }

    /// The file an agent's rules come from.
    pub fn file(&self, agent: &AgentId) -> Option<&Arc<str>> {
        self.agent(agent).map(|agent| &agent.file)
    }

    /// An agent's allowlist as it was put in force.
    pub fn allowlist(&self, agent: &AgentId) -> Option<Allowlist> {
        self.agent(agent).map(|agent| Allowlist { rules: agent.bounds.rules.rules().to_vec(), ..agent.written.clone() })
    }

    pub(super) fn agent(&self, agent: &AgentId) -> Option<&Agent> {
        self.inner.agents.get(agent).map(Arc::as_ref)
    }

    /// Whether all it tries is refused as `frozen`.
    pub fn is_frozen(&self, agent: &AgentId) -> bool {
        self.frozen(agent)
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
    let mut digest = RulesDigest(Sha256::new());
    (guard, floor).hash(&mut digest);
    for allowlist in sorted {
        let Allowlist { file, agent, unlisted, addresses, observe_until, limits, approvers, leaks, rules, injects, .. } = allowlist;
        (file, agent, unlisted, addresses, observe_until, limits, approvers, leaks, rules, injects).hash(&mut digest);
    }
    digest.0.finalize().into()
}

/// A number of a value's own: equal for equal ones, and after a restart.
pub(super) fn digest_of(value: &impl Hash) -> u64 {
    let mut digest = RulesDigest(Sha256::new());
    value.hash(&mut digest);
    digest.finish()
}

/// SHA-256 over what `Hash` tells of a value: every field of it, and unlike its text a tenth as long and nowhere kept.
struct RulesDigest(Sha256);

impl Hasher for RulesDigest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! The policy in force: every agent's rules made fast to ask, who they are, and what is never dialled. Immutable and cheap to clone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::address::{Addresses, Guard, readings};
use super::allowlist::{Allowlist, Effect, Rule, Unlisted};
use super::attempt::{AgentId, Evidence};
use super::destination::Port;
use super::fault::Fault;
use super::host::Host;
use super::identify::{Identities, contradictions};
use super::index::HostIndex;
use super::pattern::HostPattern;
use super::reason::Reason;
use super::rule::RuleRef;
use super::token::TokenDigest;

/// What is in force.
#[derive(Clone, Debug)]
pub struct Policy {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    agents: BTreeMap<AgentId, Arc<Agent>>,
    identities: Identities,
    rules_hash: [u8; 32],
    hash: Arc<str>,
}

/// One agent's rules, indexed.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) file: Arc<str>,
    pub(super) rules: Vec<Rule>,
    pub(super) index: HostIndex<Entry>,
    pub(super) unlisted: Unlisted,
    pub(super) addresses: Arc<Addresses>,
    pub(super) bounds: Arc<Bounds>,
}

/// One pattern of one rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where the rule is in `Agent::rules`.
    pub(super) rule: usize,
    /// The lowest of its kind speaks.
    pub(super) rank: u32,
    /// The pattern has no wildcard.
    pub(super) exact: bool,
}

/// What binds every grant of an agent.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) guard: Arc<Guard>,
    blocked: HashMap<IpAddr, Vec<Rule>>,
}

impl Bounds {
    /// The block rule that names the address, or an IPv4 address it carries.
    pub(super) fn blocked(&self, address: IpAddr, port: Port) -> Option<&Rule> {
        if self.blocked.is_empty() {
            return None;
        }
        let named = readings(address).filter_map(|address| self.blocked.get(&address)).flatten();
        named.filter(|rule| rule.ports.contain(port)).min_by_key(|rule| &rule.place)
    }
}

impl Policy {
    /// Puts allowlists in force together. Two files for one agent, or evidence that would prove two agents, are faults.
    pub fn new(allowlists: Vec<Allowlist>, guard: Guard) -> Result<Self, Vec<Fault>> {
        let mut faults = twice_named(&allowlists);
        faults.extend(contradictions(&allowlists));
        if !faults.is_empty() {
            faults.sort();
            return Err(faults);
        }
        let rules_hash = digest(&allowlists, &guard);
        let identities = Identities::new(&allowlists);
        let guard = Arc::new(guard);
        let agents = allowlists.into_iter().map(|allowlist| (allowlist.agent.clone(), Arc::new(Agent::new(allowlist, &guard)))).collect();
        Ok(Self { inner: Arc::new(Inner::new(agents, identities, rules_hash)) })
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
        self.with_identities(identities)
    }

    /// Binds a listener to an agent: everyone there is this agent. If the agent has no rules, everyone there is nobody.
    pub fn with_listener(&self, listener: &str, agent: AgentId) -> Self {
        let mut identities = self.inner.identities.clone();
        identities.add_listener(listener, agent);
        self.with_identities(identities)
    }

    /// A short name of all that is in force; equal for equal policies.
    pub fn hash(&self) -> &Arc<str> {
        &self.inner.hash
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

    /// An agent's rules, for `explain`.
    pub fn rules(&self, agent: &AgentId) -> Option<&[Rule]> {
        self.agent(agent).map(|agent| agent.rules.as_slice())
    }

    /// The file an agent's rules come from.
    pub fn file(&self, agent: &AgentId) -> Option<&Arc<str>> {
        self.agent(agent).map(|agent| &agent.file)
    }

    pub(super) fn agent(&self, agent: &AgentId) -> Option<&Agent> {
        self.inner.agents.get(agent).map(Arc::as_ref)
    }

    fn with_identities(&self, identities: Identities) -> Self {
        Self { inner: Arc::new(Inner::new(self.inner.agents.clone(), identities, self.inner.rules_hash)) }
    }
}

impl Inner {
    fn new(agents: BTreeMap<AgentId, Arc<Agent>>, identities: Identities, rules_hash: [u8; 32]) -> Self {
        let mut hasher = Sha256::new_with_prefix(rules_hash);
        hasher.update(identities.written());
        let mut hash = String::new();
        for byte in hasher.finalize().iter().take(8) {
            let _ = write!(hash, "{byte:02x}");
        }
        Self { agents, identities, rules_hash, hash: hash.into() }
    }
}

impl Agent {
    fn new(allowlist: Allowlist, guard: &Arc<Guard>) -> Self {
        let Allowlist { file, agent: _, agent_line: _, unlisted, addresses, identify: _, rules } = allowlist;
        let mut patterns: Vec<(Specificity, usize, HostPattern)> = Vec::new();
        let mut blocked: HashMap<IpAddr, Vec<Rule>> = HashMap::new();
        for (number, rule) in rules.iter().enumerate() {
            for host in &rule.hosts {
                patterns.push((Specificity::of(rule, host), number, host.clone()));
                if let (Effect::Block { because: _ }, Some(Host::Address(address))) = (&rule.effect, host.exact()) {
                    blocked.entry(address.to_canonical()).or_default().push(rule.clone());
                }
            }
        }
        patterns.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let entry = |(rank, (_, rule, pattern)): (u32, (Specificity, usize, HostPattern))| {
            let exact = !pattern.is_wildcard();
            (pattern, Entry { rule, rank, exact })
        };
        let index = (0..).zip(patterns).map(entry).collect();
        Self { file, rules, index, unlisted, addresses, bounds: Arc::new(Bounds { guard: guard.clone(), blocked }) }
    }
}

/// What makes one rule of a kind speak before another. The place comes last: it names a rule, and changes nothing else.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    exact: Reverse<bool>,
    labels: Reverse<usize>,
    opaque: bool,
    has_networks: bool,
    public: bool,
    networks: String,
    place: RuleRef,
}

impl Specificity {
    fn of(rule: &Rule, host: &HostPattern) -> Self {
        let (speaks, opaque, addresses) = match &rule.effect {
            Effect::Allow { addresses, spelled: _, opaque } => (true, *opaque, Some(addresses)),
            Effect::Hold { addresses } => (true, false, addresses.as_ref()),
            Effect::Block { because: _ } => (false, false, None),
        };
        let labels = if speaks { host.to_string().split('.').count() } else { 0 };
        let networks = addresses.map(|addresses| written(addresses)).unwrap_or_default();
        let public = addresses.is_some_and(|addresses| addresses.public);
        let (exact, has_networks) = (Reverse(speaks && !host.is_wildcard()), !networks.is_empty());
        Self { exact, labels: Reverse(labels), opaque, has_networks, public, networks, place: rule.place.clone() }
    }
}

fn written(addresses: &Addresses) -> String {
    let mut networks = addresses.networks.clone();
    networks.sort_unstable();
    networks.dedup();
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
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
fn digest(allowlists: &[Allowlist], guard: &Guard) -> [u8; 32] {
    let mut sorted: Vec<&Allowlist> = allowlists.iter().collect();
    sorted.sort_by(|one, other| one.agent.cmp(&other.agent));
    let mut text = format!("{guard:?}\n");
    for allowlist in sorted {
        let Allowlist { file, agent, agent_line: _, unlisted, addresses, identify: _, rules } = allowlist;
        let _ = writeln!(text, "{file:?} {agent} {unlisted:?} {addresses:?}");
        for rule in rules {
            let _ = writeln!(text, "{rule:?}");
        }
    }
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

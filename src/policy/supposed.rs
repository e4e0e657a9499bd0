//! What a policy would be with one rule more: asked before anybody writes the rule.

use std::sync::Arc;
use std::time::SystemTime;

use super::Policy;
use super::allowlist::{Allowlist, NoLibrary, Reading, Unlisted, between};
use super::attempt::AgentId;
use super::fault::Fault;
use super::host::Host;
use super::rule::Rule;

/// The name of the file such a rule stands in.
const SUPPOSED: &str = "the rule to add";

impl Policy {
    /// What an agent's unlisted destinations get.
    pub fn unlisted(&self, agent: &AgentId) -> Option<Unlisted> {
        self.agent(agent).map(|agent| agent.unlisted)
    }

    /// The agent alone, not observed, with the rule that `toml` spells beside those about the host; or why that would not load.
    pub fn supposing(&self, agent: &AgentId, toml: &str, about: (&Host, SystemTime)) -> Result<Self, Vec<Fault>> {
        let (host, now) = about;
        let Some(known) = self.agent(agent) else { return Err(Vec::new()) };
        let floor = Arc::clone(&known.bounds.floor);
        let reading = Reading { now, floor: &floor, library: &NoLibrary, inspects: true };
        let (written, _) = Allowlist::read(SUPPOSED, &format!("agent = \"{agent}\"\n{toml}\n"), &reading)?;
        let near = |rule: &&Rule| rule.hosts.iter().any(|pattern| pattern.matches(host) || pattern.addresses().is_some());
        let mut rules: Vec<Rule> = known.bounds.rules.rules().iter().filter(near).cloned().collect();
        rules.extend(written.rules.iter().cloned());
        let faults = between(&rules);
        if !faults.is_empty() {
            return Err(faults);
        }
        let (addresses, limits) = (Arc::clone(&known.addresses), known.limits);
        let supposed = Allowlist { unlisted: known.unlisted, addresses, limits, rules, ..written };
        Self::under(floor, vec![supposed], known.bounds.guard.as_ref().clone())
    }
}

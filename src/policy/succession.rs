//! From the policy in force and what was read of the files to the policy that follows.
//!
//! The unit is one agent. One that cannot follow keeps the allowlist it has, or has none; nobody else is touched by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address::Guard;
use super::allowlist::{Allowlist, Identify};
use super::attempt::AgentId;
use super::fault::Fault;
use super::floor::Floor;
use super::identify::{clash, contradictions_of};
use super::policy::Policy;
use super::rule::Effect;
use super::widening;

/// One file of the folder that is an agent's, or would be.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// The agent that it names, as far as that can be read.
    pub agent: Option<AgentId>,
    /// Its allowlist, with all it includes.
    pub read: Result<Allowlist, Vec<Fault>>,
    /// Where it could not be read: by what else than a token its agent would be known, as far as that can be read.
    pub claims: Vec<Identify>,
}

/// The floor that binds what follows.
#[derive(Clone, Debug)]
pub enum Binding {
    /// It was read.
    Read(Arc<Floor>),
    /// It could not be read. The last good one binds, and nobody may become wider under it.
    Last(Arc<Floor>),
    /// It could not be read and there never was a good one: nothing may pass.
    Never,
}

/// A file that is not in force as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Whose it is, where that is known.
    pub agent: Option<AgentId>,
    /// The agent's last good allowlist stays in force.
    pub kept: bool,
    /// Why; never empty.
    pub faults: Vec<Fault>,
}

/// What follows.
#[derive(Clone, Debug)]
pub struct Succession {
    /// The policy, without the tokens in state, bound listeners and freezes.
    pub policy: Policy,
    /// What of the files is not in it, by agent.
    pub broken: Vec<Broken>,
}

/// Agents on their way into the policy that follows.
#[derive(Debug, Default)]
struct Candidates {
    /// Those who follow as written.
    new: BTreeMap<AgentId, Allowlist>,
    /// Those who do not, and why.
    broken: BTreeMap<AgentId, Vec<Fault>>,
    /// What is wrong with files of nobody.
    nobody: Vec<Broken>,
    /// What would prove those who do not follow: whoever has it is not told to be another meanwhile.
    claims: Vec<(Option<AgentId>, Identify)>,
}

impl Policy {
    /// The policy that follows once these files were read. `self` is in force.
    pub fn followed_by(&self, units: Vec<Unit>, binding: &Binding, guard: Guard) -> Succession {
        let (floor, may_widen) = match binding {
            Binding::Read(floor) => (Arc::clone(floor), true),
            Binding::Last(floor) => (Arc::clone(floor), false),
            Binding::Never => {
                let Candidates { new: _, broken, nobody, claims: _ } = Candidates::sorted(self, units);
                let of_agents = broken.into_iter().map(|(agent, faults)| Broken { agent: Some(agent), kept: false, faults });
                return Succession { policy: Policy::nobody(guard), broken: of_agents.chain(nobody).collect() };
            }
        };
        let mut candidates = Candidates::sorted(self, units);
        let mut leaving = Vec::new();
        if !may_widen {
            candidates.hold_back(self, &floor);
            leaving = self.agents().filter(|agent| !candidates.knows(agent)).filter_map(|agent| self.allowlist(agent)).collect();
            leaving.retain(|allowlist| !widening::may_go(allowlist));
        }
        let mut kept: BTreeMap<AgentId, Allowlist> =
            leaving.into_iter().map(|gone| (gone.agent.clone(), widening::emptied(gone))).collect();
        kept.extend(candidates.broken.keys().filter_map(|agent| Some((agent.clone(), bounded(self.allowlist(agent)?, &floor)))));
        candidates.part_with_contradictions(self, &floor, &mut kept);
        let Candidates { new, broken, mut nobody, claims } = candidates;
        let of_agents = broken.into_iter().map(|(agent, faults)| Broken { kept: kept.contains_key(&agent), agent: Some(agent), faults });
        let broken: Vec<Broken> = of_agents.chain(nobody.drain(..)).collect();
        let allowlists: Vec<Allowlist> = new.into_values().chain(kept.into_values()).collect();
        let absent = absent(claims, &allowlists);
        let policy = Policy::consistent(Some(self), floor, allowlists, guard);
        Succession { policy: if absent.is_empty() { policy } else { policy.without(&absent) }, broken }
    }
}

impl Candidates {
    fn sorted(before: &Policy, units: Vec<Unit>) -> Self {
        let mut claims: BTreeMap<AgentId, Vec<Unit>> = BTreeMap::new();
        let (mut nameless, mut candidates) = (Vec::new(), Self::default());
        for unit in units {
            match unit.agent.clone() {
                Some(agent) => claims.entry(agent).or_default().push(unit),
                None => nameless.push(unit),
            }
        }
        let claimed: BTreeSet<AgentId> = claims.keys().cloned().collect();
        let was_of = |file: &str| before.agents().find(|agent| before.file(agent).is_some_and(|known| **known == *file)).cloned();
        for (agent, mut units) in claims {
            let twice = twice_named(&agent, &units);
            let claimed_by = |unit: &Unit| unit.read.as_ref().map_or_else(|_| unit.claims.clone(), |allowlist| allowlist.identify.clone());
            if !twice.is_empty() {
                candidates.claims.extend(units.iter().flat_map(claimed_by).map(|table| (Some(agent.clone()), table)));
                candidates.broken.insert(agent, twice);
                continue;
            }
            let Some(Unit { file, agent: _, read, claims }) = units.pop() else { continue };
            candidates.claims.extend(claims.into_iter().map(|table| (Some(agent.clone()), table)));
            match read {
                Ok(allowlist) => drop(candidates.new.insert(agent, allowlist)),
                Err(faults) => {
                    // What was another agent's file until it broke may be so again once it is mended.
                    if let Some(was) = was_of(&file).filter(|was| !claimed.contains(was)) {
                        candidates.broken.insert(was, faults.clone());
                    }
                    candidates.broken.insert(agent, faults);
                }
            }
        }
        for Unit { file, agent: _, read, claims } in nameless {
            let faults = read.err().unwrap_or_default();
            candidates.claims.extend(claims.into_iter().map(|table| (None, table)));
            match was_of(&file).filter(|was| !claimed.contains(was)) {
                Some(was) => drop(candidates.broken.insert(was, faults)),
                None => candidates.nobody.push(Broken { agent: None, kept: false, faults }),
            }
        }
        candidates
    }

    fn knows(&self, agent: &AgentId) -> bool {
        self.new.contains_key(agent) || self.broken.contains_key(agent)
    }

    /// Under a floor that cannot be read, whoever would become wider stays as he is.
    fn hold_back(&mut self, before: &Policy, floor: &Floor) {
        let wider = |allowlist: &Allowlist| match before.allowlist(&allowlist.agent) {
            Some(known) => widening::widens(&known, allowlist),
            None => Some("an agent that is new"),
        };
        let held: Vec<(AgentId, &'static str)> =
            self.new.values().filter_map(|allowlist| Some((allowlist.agent.clone(), wider(allowlist)?))).collect();
        for (agent, what) in held {
            if let Some(Allowlist { file, agent_line, .. }) = self.new.remove(&agent) {
                let found = format!("{what}, which is wider while the floor {} cannot be read", floor.file);
                let wanted = "nothing wider until the floor is mended".to_owned();
                self.broken.insert(agent, vec![Fault { file, line: agent_line, column: 0, found, wanted, fix: "mend the floor".into() }]);
            }
        }
    }

    /// Leaves out whoever could not be told from another. Those in force can be told from one another, so those who come give way.
    fn part_with_contradictions(&mut self, before: &Policy, floor: &Floor, kept: &mut BTreeMap<AgentId, Allowlist>) {
        loop {
            let present = self.new.values().chain(kept.values());
            let present = present.flat_map(|allowlist| allowlist.identify.iter().map(|table| (&allowlist.agent, table)));
            let claims = self.claims.iter().filter_map(|(agent, table)| Some((agent.as_ref()?, table)));
            let claims = claims.filter(|(agent, _)| !kept.contains_key(*agent));
            let mut parting: BTreeMap<AgentId, Vec<Fault>> = BTreeMap::new();
            for contradiction in contradictions_of(present.chain(claims)) {
                for agent in contradiction.agents.iter().filter(|agent| self.new.contains_key(*agent)) {
                    parting.entry(agent.clone()).or_default().push(contradiction.fault.clone());
                }
            }
            if parting.is_empty() {
                return;
            }
            for (agent, faults) in parting {
                let parted = self.new.remove(&agent).map(|allowlist| allowlist.identify).unwrap_or_default();
                self.claims.extend(parted.into_iter().map(|table| (Some(agent.clone()), table)));
                kept.extend(before.allowlist(&agent).map(|allowlist| (agent.clone(), bounded(allowlist, floor))));
                self.broken.insert(agent, faults);
            }
        }
    }
}

/// The claims of those who are not there; they give way to whoever is.
fn absent(claims: Vec<(Option<AgentId>, Identify)>, present: &[Allowlist]) -> Vec<Identify> {
    let is_there = |agent: &AgentId| present.iter().any(|allowlist| allowlist.agent == *agent);
    let gives_way = |claim: &Identify| present.iter().flat_map(|allowlist| &allowlist.identify).any(|table| clash(table, claim));
    let claims = claims.into_iter().filter(|(agent, claim)| !agent.as_ref().is_some_and(is_there) && !gives_way(claim));
    claims.map(|(_, claim)| claim).filter(|claim| claim.token.is_none()).collect()
}

/// A last good allowlist under a floor that may have come after it.
fn bounded(mut allowlist: Allowlist, floor: &Floor) -> Allowlist {
    if floor.forbid.opaque {
        allowlist.rules.retain(|rule| !matches!(&rule.effect, Effect::Allow(allow) if allow.opaque));
    }
    allowlist
}

/// A fault for each file of the agent but the first.
fn twice_named(agent: &AgentId, units: &[Unit]) -> Vec<Fault> {
    let Some((first, others)) = units.split_first() else { return Vec::new() };
    let fault = |unit: &Unit| Fault {
        file: unit.file.clone(),
        line: unit.read.as_ref().map_or(0, |allowlist| allowlist.agent_line),
        column: 0,
        found: format!("a second file for agent {agent}, beside {}", first.file),
        wanted: "one file an agent".to_owned(),
        fix: "merge the two, or give one another agent".to_owned(),
    };
    let own = units.iter().filter_map(|unit| unit.read.as_ref().err()).flatten().cloned();
    let mut faults: Vec<Fault> = others.iter().map(fault).collect();
    if !faults.is_empty() {
        faults.extend(own);
    }
    faults
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

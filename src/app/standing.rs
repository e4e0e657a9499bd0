//! What of the configured files is in force, what is wrong with the rest, and what follows once they are read again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::allowlists::{Bound, Found, Source, Stamp, freezes_nobody};
use crate::config::{Config, Listen};
use crate::egress::record;
use crate::policy::address::Guard;
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, Warning, named};
use crate::policy::succession::{Broken, Succession};
use crate::policy::{Frozen, Policy};
use crate::telemetry::serve::Readiness;
use crate::text::plain;

/// Broken files that one record tells of.
const TOLD: usize = 64;

/// Faults of one file that the log and `/readyz` tell.
const OF_A_FILE: usize = 10;

/// Characters of a reason in a record.
const WHY: usize = 300;

/// What holds of the configured files.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What is in force, without the tokens in state.
    pub policy: Policy,
    /// What is wrong with no agent's file in particular.
    apart: Vec<Fault>,
    /// Agents that are not in force as they are written.
    broken: Vec<Broken>,
    /// Second looks.
    pub warnings: Vec<Warning>,
    frozen: Frozen,
    /// Files that were wrong when exeat started, and are still.
    cold: BTreeSet<Arc<str>>,
    bound: Bound,
    stamp: Stamp,
    files: Files,
}

/// What never changes while exeat runs.
#[derive(Clone, Debug)]
struct Files {
    source: Option<Source>,
    listen: Vec<Listen>,
    config: String,
    guard: Guard,
}

/// What came of reading again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// All that is written is in force.
    Whole,
    /// What could be, is in force.
    Partly,
    /// What changed could not be put in force.
    Refused,
    /// Nothing changed.
    Unchanged,
}

impl Files {
    fn bound_to_listeners(&self, policy: Policy) -> Policy {
        let bound = self.listen.iter().filter_map(|listen| Some((&listen.name, listen.agent.clone()?)));
        bound.fold(policy, |policy, (listener, agent)| policy.with_listener(listener, agent))
    }
}

impl Reloaded {
    /// As the metric and the admin socket say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reloaded::Whole => "ok",
            Reloaded::Partly => "partial",
            Reloaded::Refused => "refused",
            Reloaded::Unchanged => "unchanged",
        }
    }
}

/// The agent everyone is where there is no configuration at all.
fn embedded_agent() -> AgentId {
    AgentId::parse("local").expect("`local` is an agent's name")
}

impl Standing {
    /// Reads everything for the first time. Whatever is broken is left out.
    pub fn start(config: &Config, guard: Guard, now: SystemTime) -> Self {
        let source = config.allowlists.clone().map(|folder| Source { folder, floor: config.floor.clone(), inspects: config.inspects() });
        let name = config.path.as_deref().map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
        let embedded = source.is_none().then(|| Allowlist::embedded(embedded_agent()));
        let nobody = Policy::nobody(guard.clone());
        let mut standing = Self {
            policy: match embedded {
                Some(allowlist) => nobody.joined_by(allowlist, guard.clone()),
                None => nobody,
            },
            apart: Vec::new(),
            broken: Vec::new(),
            warnings: Vec::new(),
            frozen: Frozen::Nobody,
            cold: BTreeSet::new(),
            bound: Bound::Start,
            stamp: Stamp::default(),
            files: Files { source, listen: config.listen.clone(), config: name, guard },
        };
        standing.policy = standing.files.bound_to_listeners(standing.policy.clone());
        standing = standing.next(now);
        standing.cold = standing.faults().iter().map(|fault| fault.file.clone()).collect();
        standing
    }

    /// Reads everything again. What cannot follow stays as it is.
    #[must_use]
    pub fn next(&self, now: SystemTime) -> Self {
        let mut next = self.clone();
        let Some(source) = &self.files.source else { return next };
        match source.read(&self.bound, now) {
            Ok(Found { binding, frozen, units, faults, mut warnings, included: _, stamp }) => {
                let Succession { policy, broken } = self.policy.followed_by(units, &binding, self.files.guard.clone());
                let policy = self.files.bound_to_listeners(policy).with_frozen(frozen.clone());
                // Whoever is kept from before is stopped, though no file that can be read is his.
                warnings.retain(|warning| !policy.agents().any(|agent| warning.text == freezes_nobody(agent)));
                next = Self { policy, apart: faults, broken, warnings, frozen, bound: Bound::after(&binding), stamp, ..next };
            }
            // Not a word of what stood there is known to be taken back.
            Err(fault) => {
                next.stamp = source.stamp();
                next.apart = vec![fault];
            }
        }
        next.cold = self.cold.intersection(&next.faults().iter().map(|fault| fault.file.clone()).collect()).cloned().collect();
        next
    }

    /// Listeners whose agent has no allowlist in force.
    fn strangers(&self) -> Vec<Fault> {
        let bound = self.files.listen.iter().filter_map(|listen| Some((listen, listen.agent.as_ref()?)));
        let strangers = bound.filter(|(_, agent)| !self.policy.agents().any(|known| known == *agent));
        strangers.map(|(listen, agent)| nobody(&self.files.config, &listen.name, agent)).collect()
    }

    /// All that is wrong, in the order of the files.
    pub fn faults(&self) -> Vec<Fault> {
        let of_agents = self.broken.iter().flat_map(|broken| &broken.faults);
        self.apart.iter().chain(of_agents).cloned().chain(self.strangers()).collect::<BTreeSet<Fault>>().into_iter().collect()
    }

    /// Whom the file `freeze` stops.
    pub fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// Whoever has an allowlist, in force or broken.
    pub fn knows(&self, agent: &AgentId) -> bool {
        self.policy.agents().any(|known| known == agent) || self.broken.iter().any(|broken| broken.agent.as_ref() == Some(agent))
    }

    /// One allowlist alone, bound and stopped as all here are. The errors are why nothing may pass.
    pub fn alone(&self, allowlist: Allowlist) -> Result<Policy, Vec<Fault>> {
        let unbound = match (&self.bound, &self.files.source) {
            (Bound::By(_), _) | (Bound::Start, None) => false,
            // A folder that is not there has no floor either.
            (Bound::Start, Some(source)) => source.floor.is_some() || source.folder.exists(),
            (Bound::Never, _) => true,
        };
        if unbound {
            return Err(self.apart.clone());
        }
        Ok(self.policy.joined_by(allowlist, self.files.guard.clone()).with_frozen(self.frozen.clone()))
    }

    /// What was read, and what of it changed since.
    pub fn is_current(&self) -> bool {
        self.files.source.as_ref().is_none_or(|source| source.stamp() == self.stamp)
    }

    /// Where it is read from.
    pub fn source(&self) -> Option<&Source> {
        self.files.source.as_ref()
    }

    /// What reading again came to.
    pub fn since(&self, before: &Self) -> Reloaded {
        let moved = self.policy.hash() != before.policy.hash();
        let faults = self.faults();
        if !moved && faults == before.faults() {
            Reloaded::Unchanged
        } else if faults.is_empty() {
            Reloaded::Whole
        } else if moved {
            Reloaded::Partly
        } else {
            Reloaded::Refused
        }
    }

    /// In one sentence, that not everything written is in force.
    pub fn not_in_force(&self) -> Option<String> {
        let faults = self.faults();
        let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_ref()).collect();
        let files: Vec<String> = files.into_iter().map(named).collect();
        (!files.is_empty()).then(|| format!("not in force: {}", files.join(", ")))
    }

    /// Not ready is an exeat without agents, and one that started with something broken that is broken still. What breaks later keeps an
    /// agent as it was, so others are served: that is told, and takes nothing out of service.
    pub fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        if self.policy.agents().next().is_none() {
            readiness.problems.push("there is no agent: every attempt is refused".to_owned());
        }
        for (file, line) in in_short(&self.faults()) {
            let place = if self.cold.contains(file) { &mut readiness.problems } else { &mut readiness.notes };
            place.push(line);
        }
        for Broken { agent, kept, faults: _ } in &self.broken {
            if let Some(agent) = agent {
                let stands = if *kept { "keeps its last good allowlist" } else { "has no allowlist in force: all it tries is refused" };
                readiness.notes.push(format!("agent {agent} {stands}"));
            }
        }
        match &self.frozen {
            Frozen::Nobody => {}
            Frozen::Everyone => readiness.notes.push("everyone is frozen by the file freeze".to_owned()),
            Frozen::These(agents) => readiness.notes.extend(agents.iter().map(|agent| {
                let is_known = self.policy.agents().any(|known| known == agent);
                if is_known { format!("agent {agent} is frozen by the file freeze") } else { freezes_nobody(agent) }
            })),
        }
        readiness
    }

    /// The broken files as the `policy` record tells them.
    pub fn told(&self) -> Vec<record::Unread> {
        let why = |faults: &[Fault]| faults.first().map(|fault| plain(&fault.to_string(), WHY)).unwrap_or_default();
        let strangers = self.strangers();
        let apart = self.apart.iter().chain(&strangers).map(|fault| (None, false, std::slice::from_ref(fault)));
        let of_agents = self.broken.iter().map(|Broken { agent, kept, faults }| (agent.clone(), *kept, faults.as_slice()));
        let all = of_agents.chain(apart).map(|(agent, kept, faults)| record::Unread { agent, kept, why: why(faults) });
        let (mut told, more) = {
            let mut all: Vec<record::Unread> = all.collect();
            let rest = all.split_off(all.len().min(TOLD));
            (all, rest.len())
        };
        if more > 0 {
            told.push(record::Unread { agent: None, kept: false, why: format!("and {more} more, which the log names") });
        }
        told
    }

    /// Whose files are broken; `None` is what is of no agent: the floor, the folder, a freeze.
    pub fn broken_agents(&self) -> BTreeSet<Option<AgentId>> {
        let apart = (!self.apart.is_empty()).then_some(None);
        self.broken.iter().map(|broken| broken.agent.clone()).chain(apart).collect()
    }
}

/// A line for each fault with its file, and of a file with many the first only, and how many there are beside. They come in the order of files.
pub(super) fn in_short(faults: &[Fault]) -> Vec<(&Arc<str>, String)> {
    let mut lines = Vec::new();
    for of_file in faults.chunk_by(|one, next| one.file == next.file) {
        lines.extend(of_file.iter().take(OF_A_FILE).map(|fault| (&fault.file, fault.to_string())));
        if let Some(fault) = of_file.get(OF_A_FILE) {
            let (more, file) = (of_file.len() - OF_A_FILE, named(&fault.file));
            lines.push((&fault.file, format!("and {more} more in {file}: `exeat check` tells them all")));
        }
    }
    lines
}

fn nobody(config: &str, listener: &str, agent: &AgentId) -> Fault {
    let found = format!("listen.{listener} with the agent {agent}, of whom no allowlist is in force");
    let fix = "write or mend its allowlist, or correct the name; until then everyone there is refused";
    Fault::whole(config, found, "an agent that has one", fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_with_many_faults_the_first_ten_are_told_and_the_rest_counted() {
        let fault = |file: &str, line| Fault { line, ..Fault::whole(file, "x", "y", "z") };
        let faults: Vec<Fault> = (1..=10).map(|line| fault("a.toml", line)).chain((1..=12).map(|line| fault("b.toml", line))).collect();
        let lines = in_short(&faults);
        assert_eq!((lines.len(), &*lines[9].1), (21, "a.toml:10: found x; wanted y; fix: z"));
        assert_eq!(lines[10..].iter().filter(|(file, _)| &***file == "b.toml").count(), 11);
        assert_eq!(lines[20].1, "and 2 more in b.toml: `exeat check` tells them all");
    }
}

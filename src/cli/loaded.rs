//! The policy a configuration stands for, and what is wrong with the parts of it that do not load.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::config::Config;
use crate::config::allowlists::{LoadedAllowlists, load_folder};
use crate::config::lint;
use crate::config::tokens::TokenStore;
use crate::egress::record::Record;
use crate::journal::Reader;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, Warning, named};

/// What could be loaded. Agents whose file is broken are not in the policy, so they are nobody.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

/// The agent everyone is where there is no configuration at all.
fn embedded_agent() -> AgentId {
    AgentId::parse("local").expect("`local` is an agent's name")
}

/// Loads the allowlists and binds listeners to agents. Faults do not stop it: what they break is left out.
pub(super) fn load(config: &Config, guard: Guard) -> anyhow::Result<Loaded> {
    let LoadedAllowlists { allowlists, mut faults, warnings } = allowlists(config);
    let mut policy = match Policy::new(allowlists, guard.clone()) {
        Ok(policy) => policy,
        Err(contradictions) => {
            faults.extend(contradictions);
            Policy::new(Vec::new(), guard).map_err(|faults| refusal(&faults))?
        }
    };
    for listen in &config.listen {
        if let Some(agent) = &listen.agent {
            if !policy.agents().any(|known| known == agent) {
                faults.push(nobody(config, &listen.name, agent));
            }
            policy = policy.with_listener(&listen.name, agent.clone());
        }
    }
    Ok(Loaded { policy, faults, warnings })
}

fn nobody(config: &Config, listener: &str, agent: &AgentId) -> Fault {
    let file = config.path.as_deref().map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    let found = format!("listen.{listener} with the agent {agent}, of whom no allowlist is in force");
    Fault::whole(
        &file,
        found,
        "an agent that has one",
        "write or mend its allowlist, or correct the name; until then everyone there is refused",
    )
}

/// As [`load`], with the tokens in state, for commands that only look.
pub(super) fn to_look_at(config: &Config) -> anyhow::Result<Loaded> {
    let own = config.listen.iter().flat_map(|listen| listen.addresses.iter().copied()).chain(config.metrics).collect();
    let known_as = config.listen.iter().flat_map(|listen| listen.known_as.iter().cloned()).collect();
    load(config, Guard { own, machine: Vec::new(), known_as, never: config.never.clone() })
}

/// What deserves a second look in the configuration itself.
pub(super) fn second_looks(config: &Config) -> anyhow::Result<Vec<Warning>> {
    Ok(lint::second_looks(config, &to_look_at(config)?.policy))
}

/// The allowlist of one agent, or why it cannot be had.
pub(super) fn one(config: &Config, agent: &AgentId) -> anyhow::Result<Allowlist> {
    let LoadedAllowlists { allowlists, faults, warnings: _ } = allowlists(config);
    let known: Vec<String> = allowlists.iter().map(|allowlist| allowlist.agent.to_string()).collect();
    match allowlists.into_iter().find(|allowlist| allowlist.agent == *agent) {
        Some(allowlist) => Ok(allowlist),
        None if !faults.is_empty() => Err(refusal(&faults)),
        None if known.is_empty() => anyhow::bail!("there is no allowlist of {agent}; write one, or leave --agent out"),
        None => anyhow::bail!("there is no allowlist of {agent}; there are {}", known.join(", ")),
    }
}

fn allowlists(config: &Config) -> LoadedAllowlists {
    match &config.allowlists {
        Some(folder) => load_folder(folder),
        None => LoadedAllowlists { allowlists: vec![Allowlist::embedded(embedded_agent())], ..LoadedAllowlists::default() },
    }
}

impl Loaded {
    /// Puts the tokens in state beside what the files say.
    pub(super) fn with_tokens(&self, tokens: &TokenStore) -> anyhow::Result<Policy> {
        Ok(self.policy.with_tokens(tokens.digests()?))
    }

    /// The agents that have rules.
    pub(super) fn agents(&self) -> Vec<AgentId> {
        self.policy.agents().cloned().collect()
    }

    /// Says all that is wrong or odd.
    pub(super) fn report(&self, out: &mut impl Write) -> io::Result<()> {
        for fault in &self.faults {
            writeln!(out, "error: {fault}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "{warning}")?;
        }
        Ok(())
    }

    /// In one sentence, that not everything written is in force.
    pub(super) fn not_in_force(&self) -> Option<String> {
        let files: BTreeSet<&str> = self.faults.iter().map(|fault| fault.file.as_ref()).collect();
        let files: Vec<String> = files.into_iter().map(named).collect();
        (!files.is_empty()).then(|| format!("not in force: {}", files.join(", ")))
    }

    /// What readiness has to say of it.
    pub(super) fn problems(&self) -> Vec<String> {
        let nobody = self.policy.agents().next().is_none().then(|| "there is no agent: every attempt is refused".to_owned());
        nobody.into_iter().chain(self.faults.iter().map(ToString::to_string)).collect()
    }
}

/// All faults as one error, a line each.
pub(super) fn refusal(faults: &[Fault]) -> anyhow::Error {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", lines.join("\nexeat: "))
}

/// When each agent was last seen, by the journal.
pub(super) fn last_seen(config: &Config) -> io::Result<BTreeMap<AgentId, jiff::Timestamp>> {
    let mut seen = BTreeMap::new();
    for line in Reader::open(&config.state)?.filter_map(Result::ok).map(|entry| entry.line) {
        if let Record::Decided(decided) = line.record
            && let Some(agent) = decided.agent
        {
            seen.insert(agent, line.at);
        }
    }
    Ok(seen)
}

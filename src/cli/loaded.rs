//! The policy a configuration stands for, and what is wrong with the parts of it that do not load.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use crate::app::export;
use crate::app::standing::Standing;
use crate::config::Config;
use crate::config::lint;
use crate::config::tokens::TokenStore;
use crate::egress::record::Record;
use crate::journal::Reader;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::AgentId;
use crate::policy::fault::{Fault, Warning};

/// What could be loaded. Agents whose file is broken are not in the policy, so they are nobody.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    pub(super) standing: Standing,
}

/// Loads the allowlists and binds listeners to agents. Faults do not stop it: what they break is left out.
pub(super) fn load(config: &Config, guard: Guard) -> Loaded {
    let standing = Standing::start(config, guard, SystemTime::now());
    Loaded { policy: standing.policy.clone(), standing }
}

/// As [`load`], with the tokens in state, for commands that only look.
pub(super) fn to_look_at(config: &Config) -> Loaded {
    load(config, guard(config))
}

/// What is never dialled by this configuration, as far as a command that only looks can know.
pub(super) fn guard(config: &Config) -> Guard {
    export::guard(
        config,
        config.listen.iter().flat_map(|listen| listen.addresses.iter().copied()).chain(config.metrics).chain(config.admin.address),
    )
}

/// What deserves a second look in the configuration itself.
pub(super) fn second_looks(config: &Config) -> Vec<Warning> {
    lint::second_looks(config, &to_look_at(config).policy)
}

/// The allowlist of one agent, or why it cannot be had.
pub(super) fn one(loaded: &Loaded, agent: &AgentId) -> anyhow::Result<Allowlist> {
    let faults = loaded.standing.faults();
    let known: Vec<String> = loaded.policy.agents().map(ToString::to_string).collect();
    match loaded.policy.allowlist(agent) {
        Some(allowlist) => Ok(allowlist),
        None if !faults.is_empty() => Err(refusal(&faults)),
        None if known.is_empty() => anyhow::bail!("there is no allowlist of {agent}; write one, or leave --agent out"),
        None => anyhow::bail!("there is no allowlist of {agent}; there are {}", known.join(", ")),
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

    /// Says all that is wrong.
    pub(super) fn report_faults(&self, out: &mut impl Write) -> io::Result<()> {
        for fault in &self.standing.faults() {
            writeln!(out, "error: {fault}")?;
        }
        Ok(())
    }

    /// Says all that is wrong or odd.
    pub(super) fn report(&self, out: &mut impl Write) -> io::Result<()> {
        self.report_faults(out)?;
        for warning in &self.standing.warnings {
            writeln!(out, "{warning}")?;
        }
        Ok(())
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

//! `exeat freeze`: stops agents, by the exeat that runs or, with none running, for the one that starts next.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::admin_client::{AdminClient, NotRunning};
use super::loaded;
use crate::app::freezing::{Freezing, FrozenBy, NotFrozen};
use crate::app::standing::Standing;
use crate::app::{Kept, store};
use crate::approval::store::{Freeze, Sqlite, Whom};
use crate::config::Config;
use crate::policy::attempt::AgentId;
use crate::telemetry::Recording;

/// `exeat freeze`.
#[derive(Args, Clone, Debug)]
pub struct FreezeArgs {
    /// Whom
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Why, for the record and for whoever is to thaw
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// An agent, or all of them.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct WhomArgs {
    /// The agent
    #[arg(value_name = "AGENT")]
    pub agent: Option<AgentId>,
    /// Everyone
    #[arg(long)]
    pub all: bool,
}

/// What a running exeat answers to both.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Changed {
    changed: bool,
}

impl Changed {
    pub(super) fn is_so(self) -> bool {
        self.changed
    }
}

#[derive(Debug, Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    agent: AgentId,
    #[serde(default)]
    frozen: Vec<FrozenBy>,
}

impl WhomArgs {
    /// Whom they mean.
    pub(super) fn whom(&self) -> Whom {
        self.agent.clone().map_or(Whom::Everyone, Whom::Agent)
    }
}

/// Stops somebody and says so.
pub async fn run(args: FreezeArgs, config: &Config, out: &mut impl Write) -> Result<ExitCode> {
    let FreezeArgs { whom, note } = args;
    let whom = whom.whom();
    let running = AdminClient::new(&config.state).post(&route(&whom, "freeze"), &Body { note: note.clone() }).await;
    let changed = match running {
        Err(error) if error.is::<NotRunning>() => {
            let freeze = Freeze { whom: whom.clone(), by: me().into(), at: SystemTime::now(), note: note.map(Arc::from) };
            alone(config, |freezing, standing, recording| match freezing.freeze(freeze, standing, recording) {
                Err(NotFrozen::Unkept { whom: _, error }) => bail!("nobody is frozen: {error}"),
                frozen => Ok(frozen?),
            })?
        }
        running => running.map(Changed::is_so)?,
    };
    match (changed, &whom) {
        (false, whom) => writeln!(out, "{whom} was frozen already")?,
        (true, Whom::Everyone) => writeln!(out, "everyone is frozen, until exeat thaw --all")?,
        (true, Whom::Agent(agent)) => writeln!(out, "{agent} is frozen, until exeat thaw {agent}")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a running exeat is asked for it.
pub(super) fn route(whom: &Whom, word: &str) -> String {
    whom.agent().map_or_else(|| word.to_owned(), |agent| format!("agents/{agent}/{word}"))
}

/// Who types this.
pub(super) fn me() -> String {
    crate::admin::name_of(rustix::process::geteuid().as_raw())
}

/// Changes the freezes of a state folder that no exeat runs with. The store says so if one does, and does not answer.
pub(super) fn alone<T>(config: &Config, change: impl FnOnce(&mut Freezing, &Standing, &Recording) -> Result<T>) -> Result<T> {
    let standing = loaded::to_look_at(config).standing;
    let Kept { journal, store } = Kept::lasting(config)?;
    let mut freezing = Freezing::kept(store)?;
    let recording = Recording::new(journal);
    let changed = change(&mut freezing, &standing, &recording);
    recording.stop()?;
    changed
}

/// By whom each agent is stopped, as the running exeat says it, or the files and the store where none runs.
pub(super) async fn stopped(config: &Config) -> Result<BTreeMap<AgentId, Vec<FrozenBy>>> {
    match AdminClient::new(&config.state).get::<Vec<Listed>>("agents").await {
        Ok(agents) => Ok(agents.into_iter().map(|Listed { agent, frozen }| (agent, frozen)).collect()),
        Err(error) if error.is::<NotRunning>() => {
            let standing = loaded::to_look_at(config).standing;
            // A listing makes no store where there is none.
            let store = if Sqlite::is_in(&config.state) { store(config)? } else { Arc::new(Sqlite::in_memory()?) };
            let freezing = Freezing::kept(store)?;
            Ok(standing.policy.agents().map(|agent| (agent.clone(), freezing.stops(agent, standing.frozen()))).collect())
        }
        Err(error) => Err(error),
    }
}

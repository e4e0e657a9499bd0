//! `exeat approver`: the people who may use page and API. Through the exeat that runs, or directly in its store where none does.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::admin_client::{AdminClient, NotRunning, segment};
use super::loaded;
use super::token::Streams;
use crate::admin::{ApproverView, Issued, NewApprover, add_without_server, name_of, remove_without_server};
use crate::app::Kept;
use crate::approval::store::{Role, Sqlite, Store};
use crate::config::{Config, Durability};
use crate::policy::attempt::AgentId;
use crate::telemetry::Recording;
use crate::text::{ascii_json, plain};

/// `exeat approver`.
#[derive(Args, Clone, Debug)]
pub struct ApproverArgs {
    #[command(subcommand)]
    command: ApproverCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ApproverCommand {
    /// Add a person and print their token, once
    Add {
        /// The name that records give: letters, digits and ._@-
        #[arg(value_name = "NAME")]
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "approver")]
        role: RoleArg,
        /// Of these agents alone, with commas between; without it of all
        #[arg(long, value_name = "AGENT,…", value_delimiter = ',')]
        agents: Option<Vec<AgentId>>,
    },
    /// List them
    List {
        /// Print JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Remove a person: the token is worth nothing from then on
    Remove {
        /// The name
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    /// Look
    Viewer,
    /// Look, answer and revoke
    Approver,
    /// All of it
    Admin,
}

/// Does what is said.
pub async fn run<O: Write, E: Write>(args: ApproverArgs, config: &Config, streams: Streams<'_, O, E>) -> Result<ExitCode> {
    let Streams { out, err } = streams;
    let client = AdminClient::new(&config.state);
    match args.command {
        ApproverCommand::Add { name, role, agents } => {
            let new = NewApprover { name, role: role_of(role), agents };
            let told: Result<Issued> = client.post("approvers", &new).await;
            let Issued { token, approver } = match told {
                Err(error) if error.is::<NotRunning>() => {
                    alone(config, |store, recording, who| Ok(add_without_server(store, recording, new, who)?))?
                }
                told => told?,
            };
            writeln!(out, "{token}")?;
            writeln!(
                err,
                "A token for {}, shown once; it opens the page and the API. Take it back: `exeat approver remove {}`",
                line(&approver),
                approver.name
            )?;
            for agent in unnamed(config, &approver) {
                writeln!(
                    err,
                    "warning: no allowlist that loads names {agent}; if that is no agent, remove {} and add them anew",
                    approver.name
                )?;
            }
        }
        ApproverCommand::List { json } => {
            let told: Result<Vec<ApproverView>> = client.get("approvers").await;
            let approvers = match told {
                Err(error) if error.is::<NotRunning>() => listed(config)?,
                told => told?,
            };
            if json {
                writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(&approvers)?))?;
            } else {
                table(&approvers, out)?;
            }
        }
        ApproverCommand::Remove { name } => {
            let told: Result<ApproverView> = client.delete(&format!("approvers/{}", segment(&name))).await;
            let removed = match told {
                Err(error) if error.is::<NotRunning>() => {
                    alone(config, |store, recording, who| Ok(remove_without_server(store, recording, &name, who)?))?
                }
                told => told?,
            };
            writeln!(out, "removed: {}", line(&removed))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn role_of(role: RoleArg) -> Role {
    match role {
        RoleArg::Viewer => Role::Viewer,
        RoleArg::Approver => Role::Approver,
        RoleArg::Admin => Role::Admin,
    }
}

fn store(config: &Config) -> Result<Sqlite> {
    crate::config::state::make(&config.state)?;
    Ok(Sqlite::open(&config.state, config.journal.durability == Durability::Disk)?)
}

fn listed(config: &Config) -> Result<Vec<ApproverView>> {
    Ok(store(config)?.approvers()?.iter().map(ApproverView::of).collect())
}

/// Changes the store where no exeat runs with it, and records that in a journal of its own.
fn alone<T>(config: &Config, change: impl FnOnce(&dyn Store, &Recording, &str) -> Result<T>) -> Result<T> {
    let Kept { journal, store, state: _ } = Kept::lasting(config)?;
    let recording = Recording::new(journal);
    let who = name_of(rustix::process::geteuid().as_raw());
    let changed = change(&*store, &recording, &who)?;
    if recording.stop().is_err() {
        bail!("it is done, but the journal could not be closed in order");
    }
    Ok(changed)
}

fn line(approver: &ApproverView) -> String {
    format!("{} ({} of {})", plain(&approver.name, 64), word(approver.role), agents(approver))
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Approver => "approver",
        Role::Admin => "admin",
    }
}

fn agents(approver: &ApproverView) -> String {
    match &approver.agents {
        None => "all agents".to_owned(),
        Some(agents) => agents.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// The agents a person is for that nobody knows, as where a name was mistyped.
fn unnamed(config: &Config, approver: &ApproverView) -> Vec<AgentId> {
    let known = loaded::to_look_at(config).agents();
    approver.agents.iter().flatten().filter(|agent| !known.contains(agent)).cloned().collect()
}

fn table(approvers: &[ApproverView], out: &mut impl Write) -> Result<()> {
    let width = approvers.iter().map(|approver| approver.name.len()).max().unwrap_or(0).max("NAME".len());
    writeln!(out, "{:width$}  ROLE      ADDED                 BY          AGENTS", "NAME").context("the list cannot be printed")?;
    for approver in approvers {
        let (name, by) = (plain(&approver.name, 64), plain(&approver.by, 64));
        writeln!(out, "{name:width$}  {:8}  {:20.0}  {by:10}  {}", word(approver.role), approver.at, agents(approver))?;
    }
    Ok(())
}

//! `exeat diff`: what becomes reachable between two versions of allowlists, and what no longer.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::loaded;
use crate::config::allowlists::{LoadedAllowlists, load_paths};
use crate::policy::allowlist::Allowlist;
use crate::policy::attempt::AgentId;
use crate::policy::diff::{Change, Difference, of_allowlists, of_floors, of_newcomer};
use crate::policy::floor::Floor;
use crate::text::ascii_json;

/// The two versions.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The allowlist, or folder of them, as it was
    old: PathBuf,
    /// The allowlist, or folder of them, as it is to be
    new: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What differs. The field names are promises: `--json` prints them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Something may be reachable that was not.
    pub widens: bool,
    /// What differs of the floor, what widens first.
    pub floor: Vec<Told>,
    /// Agents of which something differs.
    pub agents: Vec<Changed>,
}

/// One agent's differences.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Whose they are.
    pub agent: AgentId,
    /// `new`, `gone` or `changed`.
    pub agent_is: &'static str,
    /// What differs, what widens first.
    pub differences: Vec<Told>,
}

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `wider`, `unclear`, `narrower` or `neither`.
    pub change: Change,
    /// In words.
    pub what: String,
}

/// Loads both and compares them, agent by agent.
pub fn diff(args: &DiffArgs) -> anyhow::Result<Report> {
    let ((old, old_floor), (new, new_floor)) = (load(&args.old)?, load(&args.new)?);
    let floor = of_floors(&old_floor, &new_floor).into_iter().map(Told::of).collect::<Vec<_>>();
    let mut agents = Vec::new();
    for allowlist in &new {
        let before = old.iter().find(|old| old.agent == allowlist.agent);
        let found = before.map_or_else(|| of_newcomer(allowlist), |old| of_allowlists(old, allowlist));
        let differences: Vec<Told> = found.into_iter().map(Told::of).collect();
        let agent_is = if before.is_some() { "changed" } else { "new" };
        if before.is_none() || !differences.is_empty() {
            agents.push(Changed { agent: allowlist.agent.clone(), agent_is, differences });
        }
    }
    let gone = old.iter().filter(|old| !new.iter().any(|new| new.agent == old.agent));
    agents.extend(gone.map(|old| Changed { agent: old.agent.clone(), agent_is: "gone", differences: Vec::new() }));
    agents.sort_by(|one, other| one.agent.cmp(&other.agent));
    let widens = agents.iter().flat_map(|agent| &agent.differences).chain(&floor).any(|told| told.change.may_widen());
    Ok(Report { widens, floor, agents })
}

fn load(path: &PathBuf) -> anyhow::Result<(Vec<Allowlist>, Arc<Floor>)> {
    let LoadedAllowlists { allowlists, floor, faults, warnings: _, included: _ } = load_paths(std::slice::from_ref(path), true);
    if !faults.is_empty() {
        return Err(loaded::refusal(&faults));
    }
    Ok((allowlists, floor.unwrap_or_else(|| Arc::new(Floor::none()))))
}

impl Told {
    fn of(Difference { change, what }: Difference) -> Self {
        Self { change, what }
    }
}

impl Report {
    /// 0 where nothing becomes reachable that was not, 10 where something does or may.
    pub fn exit_code(&self) -> u8 {
        if self.widens { 10 } else { 0 }
    }

    /// Prints the report: a line a difference under each agent, or one JSON object.
    pub fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(self)?));
        }
        if !self.floor.is_empty() {
            writeln!(out, "floor:")?;
        }
        for Told { change, what } in &self.floor {
            writeln!(out, "  {} {what}", change.mark())?;
        }
        for Changed { agent, agent_is, differences } in &self.agents {
            match *agent_is {
                "changed" => writeln!(out, "{agent}:")?,
                "gone" => writeln!(out, "{agent}: gone; whatever it tries is refused")?,
                agent_is => writeln!(out, "{agent}: {agent_is}")?,
            }
            for Told { change, what } in differences {
                writeln!(out, "  {} {what}", change.mark())?;
            }
        }
        let summary = match (self.agents.is_empty() && self.floor.is_empty(), self.widens) {
            (true, _) => "no difference",
            (false, true) => "something may be reachable that was not",
            (false, false) => "nothing becomes reachable that was not",
        };
        writeln!(out, "{summary}")
    }
}

impl DiffArgs {
    /// Whether one JSON object is wanted.
    pub fn json(&self) -> bool {
        self.json
    }
}

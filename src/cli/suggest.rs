//! `exeat suggest`: an allowlist from what an agent was seen to do.
//!
//! In force in it are hosts of presets that were reached; everything else is a comment that says what speaks for and against it. Hosts stand in
//! it in canonical form or escaped, so that none can end its comment.

mod known;
mod risk;
mod seen;
mod written;

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::bail;
use jiff::Timestamp;

use super::loaded;
use super::recorded::tally::Tally;
use super::recorded::{self, Period};
use crate::config::Config;
use crate::policy::Policy;
use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::attempt::AgentId;
use known::Known;
use seen::{Bounded, Sorted};
use written::Written;

/// Of whom, and of which time.
#[derive(Debug, clap::Args)]
pub struct SuggestArgs {
    /// The agent
    #[arg(value_name = "AGENT", value_parser = AgentId::parse)]
    agent: AgentId,
    #[command(flatten)]
    period: Period,
}

/// Writes the allowlist to `out`.
pub fn suggest(args: &SuggestArgs, config: &Config, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<()> {
    let (agent, now) = (&args.agent, SystemTime::now());
    let mut tally = Tally::default();
    let bounds = args.period.bounds(Timestamp::now());
    let missing =
        recorded::each(&config.state, bounds, complaints, |entry, inside| tally.count(entry.line.at, &entry.line.record, inside))?;
    let Some(seen) = tally.agents.remove(&Some(agent.clone())).filter(|seen| seen.total.seen.is_some()) else {
        bail!("the journal tells of no attempt of {agent}; {}", others(&tally));
    };
    let policy = loaded::to_look_at(config).policy;
    let bounded = Bounded::new(agent, Arc::new(policy.floor().clone()), (loaded::guard(config), now));
    let sorted = Sorted::of(&seen, &Known::shipped(), &bounded);
    let text = Written { agent, seen: &seen, sorted: &sorted, missing: &missing }.to_string();
    // What is printed loads, or is not printed.
    let reading = Reading { now, floor: policy.floor(), library: &NoLibrary, inspects: config.inspects() };
    let read = Allowlist::read("the suggestion", &text, &reading);
    let together = read.and_then(|(allowlist, _)| Policy::under(Arc::new(policy.floor().clone()), vec![allowlist], loaded::guard(config)));
    if let Err(faults) = together {
        return Err(loaded::refusal(&faults).context("what would be suggested does not load, so nothing is; this is a fault of exeat"));
    }
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Of whom the journal does tell.
fn others(tally: &Tally) -> String {
    let names: Vec<&str> = tally.agents.keys().flatten().map(AgentId::as_str).take(20).collect();
    if names.is_empty() {
        "it tells of nobody's in that time; say an earlier --since".to_owned()
    } else {
        format!("it tells of {}", names.join(", "))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

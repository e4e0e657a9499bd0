//! `exeat replay`: what recorded attempts would get under other allowlists.
//!
//! Decided again by name, at the time of the command, with no approval in force. What records leave out is never guessed.

mod again;
mod past;
mod words;

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::loaded;
use super::recorded::{self, Missing, Period};
use crate::config::Config;
use crate::config::allowlists::{LoadedAllowlists, load_paths};
use crate::egress::record::Record;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::attempt::{AgentId, Scheme};
use crate::policy::floor::Floor;
use crate::policy::reason::Reason;
use again::{Again, Judge};
use past::{Past, Tried, Was};

/// Which attempts, and under what.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The allowlist, or folder of them, to decide by
    path: PathBuf,
    /// Only this agent's attempts
    #[arg(long, value_name = "NAME", value_parser = AgentId::parse)]
    agent: Option<AgentId>,
    #[command(flatten)]
    period: Period,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What would differ. The field names are promises: `--json` prints them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Something may be reached or asked for that was not.
    widens: bool,
    newly_allowed: Vec<Changed>,
    newly_held: Vec<Changed>,
    newly_blocked: Vec<Changed>,
    depends: Vec<Changed>,
    unchanged: Sum,
    /// Attempts that passed by an approval; they are decided without it, as held.
    by_approval: u64,
    left_out: LeftOut,
    missing: Missing,
}

/// One attempt that was tried, and what it would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Changed {
    agent: AgentId,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<Scheme>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Arc<str>>,
    /// As recorded: long segments are masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Arc<str>>,
    /// `allow`, `look`, `hold` or `block`.
    was: &'static str,
    was_reason: Reason,
    /// Where the name led, where that was why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    /// `allow`, `look`, `hold`, `block`, or `depends`.
    would_be: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// What it depends on that is not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    depends_on: Option<&'static str>,
    widens: bool,
    count: u64,
    last_seen: Timestamp,
}

/// Distinct attempts, and how often they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Sum {
    distinct: u64,
    attempts: u64,
}

/// Attempts that are not decided again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct LeftOut {
    /// Of nobody known.
    not_identified: u64,
    /// Of agents that the file is not about.
    other_agents: u64,
    /// Refused for other reasons than rules: malformed, frozen, over a limit, and what exeat could not do.
    not_by_rules: u64,
    /// Refusals that have no record of their own.
    summarised: u64,
    /// Beyond the number of distinct attempts that are kept apart.
    too_many: u64,
}

/// Decides all again.
pub fn replay(args: &ReplayArgs, config: &Config, complaints: &mut impl Write) -> anyhow::Result<Report> {
    let judge = Judge::new(policy((&args.path, config.inspects()), loaded::guard(config))?, args.path.is_dir(), Timestamp::now());
    let mut past = Past::default();
    let bounds = args.period.bounds(Timestamp::now());
    let missing = recorded::each(&config.state, bounds, complaints, |entry, inside| {
        if inside {
            past.saw(entry.line.at, &entry.line.record, args.agent.as_ref());
        } else if let Record::Ended(ended) = &entry.line.record {
            past.ended(ended);
        }
    })?;
    Ok(Report { missing, ..Report::of(past, &judge) })
}

/// What stands at the path, under the floor beside it.
fn policy((path, inspects): (&Path, bool), guard: Guard) -> anyhow::Result<Policy> {
    let LoadedAllowlists { allowlists, floor, faults, warnings: _, included: _ } = load_paths(&[path.to_owned()], inspects);
    if !faults.is_empty() {
        return Err(loaded::refusal(&faults));
    }
    let floor = floor.unwrap_or_else(|| Arc::new(Floor::none()));
    Policy::under(floor, allowlists, guard).map_err(|faults| loaded::refusal(&faults))
}

impl Report {
    fn of(past: Past, judge: &Judge) -> Self {
        let mut report = Self { by_approval: past.by_approval, left_out: past.left_out, ..Self::default() };
        for (tried, seen) in past.tried {
            match judge.again(&tried) {
                Again::Stranger => report.left_out.other_agents += seen.count,
                Again::Unreadable => report.left_out.not_by_rules += seen.count,
                Again::Same => {
                    report.unchanged.distinct += 1;
                    report.unchanged.attempts += seen.count;
                }
                Again::Other(other) => {
                    let Tried { agent, host, port, scheme, method, path, was, reason: was_reason, address } = Arc::unwrap_or_clone(tried);
                    let again::Other { would_be, reason, rule, depends_on, widens } = other;
                    let was = was.as_str();
                    let (count, last_seen) = (seen.count, seen.last);
                    report.widens |= widens;
                    report.group(would_be).push(Changed {
                        agent,
                        host,
                        port,
                        scheme,
                        method,
                        path,
                        was,
                        was_reason,
                        address,
                        would_be,
                        reason,
                        rule,
                        depends_on,
                        widens,
                        count,
                        last_seen,
                    });
                }
            }
        }
        for group in [&mut report.newly_allowed, &mut report.newly_held, &mut report.newly_blocked, &mut report.depends] {
            // What widens first, then what was tried most.
            group.sort_by_key(|row| std::cmp::Reverse((row.widens, row.count)));
        }
        report
    }

    fn group(&mut self, would_be: &str) -> &mut Vec<Changed> {
        match would_be {
            "allow" => &mut self.newly_allowed,
            "hold" => &mut self.newly_held,
            "block" => &mut self.newly_blocked,
            _ => &mut self.depends,
        }
    }

    /// 0 where nothing becomes reachable that was not, 10 where something does or may; 1 where nothing does and attempts were not looked at:
    /// lines of the journal cannot be read, or there are too many.
    pub fn exit_code(&self) -> u8 {
        if self.widens { 10 } else { u8::from(self.missing.unreadable > 0 || self.left_out.too_many > 0) }
    }
}

impl ReplayArgs {
    /// Whether one JSON object is wanted.
    pub fn json(&self) -> bool {
        self.json
    }
}

impl Was {
    fn as_str(self) -> &'static str {
        match self {
            Was::Allow => "allow",
            Was::Look => "look",
            Was::Hold => "hold",
            Was::Block => "block",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

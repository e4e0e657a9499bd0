//! `exeat log --summary`: what each agent did, in sums.

mod words;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::LogArgs;
use crate::cli::recorded::tally::{AgentTally, Counts, Given, HostTally, Tally};
use crate::cli::recorded::{self, Bounds, Missing, spelled};
use crate::egress::record::{Place, Record};
use crate::policy::attempt::{AgentId, RequestLine};
use crate::policy::reason::Reason;
use crate::text::ascii_json;

/// Hosts that are named as refused most.
const MOST: usize = 10;

/// The sums. The field names are promises: `--json` prints them.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Summary {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    records: u64,
    missing: Missing,
    agents: Vec<OfAgent>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct OfAgent {
    /// Absent where nobody was identified.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
    #[serde(flatten)]
    sums: Sums,
    /// Most attempts first.
    hosts: Vec<OfHost>,
    elsewhere: Sums,
    refused_most: Vec<Refused>,
    summarised: BTreeMap<Reason, u64>,
    asked: u64,
    answered_yes: u64,
    answered_no: u64,
    /// Half of the answers took no longer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_within: Option<u64>,
    answers: Vec<OfAnswer>,
    answers_left_out: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Sums {
    attempts: u64,
    allow: u64,
    look: u64,
    block: u64,
    would_hold: u64,
    would_block: u64,
    refused_later: BTreeMap<Reason, u64>,
    failed: BTreeMap<Reason, u64>,
    reasons: BTreeMap<Reason, u64>,
    bytes_up: u64,
    bytes_down: u64,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct OfHost {
    host: String,
    port: u16,
    #[serde(flatten)]
    sums: Sums,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Refused {
    host: String,
    port: u16,
    count: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct OfAnswer {
    at: Timestamp,
    by: String,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    destination: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestLine>,
}

/// Writes the sums to `out`; how many lines cannot be read.
pub(super) fn show(state: &Path, args: &LogArgs, out: &mut impl Write, complaints: &mut impl Write) -> anyhow::Result<u64> {
    let bounds = args.period.bounds(Timestamp::now());
    let (mut tally, mut records) = (Tally::default(), 0);
    let host = args.host.as_deref().map(spelled);
    let missing = recorded::each(state, bounds, complaints, |entry, inside| {
        records += u64::from(inside);
        if concerns(&entry.line.record, args.agent.as_ref(), host.as_deref()) {
            tally.count(entry.line.at, &entry.line.record, inside);
        }
    })?;
    let summary = Summary::of(tally, bounds, (missing, records), host.is_some());
    if args.json {
        writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(&summary)?))?;
    } else {
        summary.write(out)?;
    }
    out.flush()?;
    Ok(summary.missing.unreadable)
}

/// Whether a record is about the agent and the host asked for. Ends find their host by their beginnings.
fn concerns(record: &Record, agent: Option<&AgentId>, host: Option<&str>) -> bool {
    let (whose, place) = match record {
        Record::Decided(decided) => (decided.agent.as_ref(), Some(decided.destination.as_ref())),
        Record::Held(held) => (Some(&held.agent), Some(Some(&held.destination))),
        Record::Answered(answered) => (Some(&answered.agent), Some(Some(&answered.destination))),
        Record::Revoked(revoked) => (Some(&revoked.agent), Some(Some(&revoked.destination))),
        // Not what an agent did.
        Record::Frozen(_) | Record::Thawed(_) => return false,
        Record::Ended(ended) => (ended.agent.as_ref(), None),
        Record::Progress(progress) => (progress.agent.as_ref(), None),
        Record::Cut(cut) => (cut.agent.as_ref(), None),
        Record::RefusedSummary(summary) => (summary.agent.as_ref(), Some(None)),
        Record::Approver(_) => return false,
        Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {
            return false;
        }
    };
    let at_host = |host: &str| place.is_none_or(|place| place.is_some_and(|place| place.host == host));
    agent.is_none_or(|agent| whose == Some(agent)) && host.is_none_or(at_host)
}

impl Summary {
    fn of(tally: Tally, bounds: Bounds, (missing, records): (Missing, u64), one_host: bool) -> Self {
        let said = |at: Timestamp, never: Timestamp| (at != never).then_some(at);
        let agents = tally.agents.into_iter().map(|(agent, tally)| OfAgent::of(agent, tally, one_host));
        Self {
            since: said(bounds.start, Timestamp::MIN),
            until: said(bounds.end, Timestamp::MAX),
            records,
            missing,
            agents: agents.filter(OfAgent::did_something).collect(),
        }
    }
}

impl OfAgent {
    fn of(agent: Option<AgentId>, mut tally: AgentTally, one_host: bool) -> Self {
        let answered_within = tally.answered_within();
        let of_host = |HostTally { host, port, counts, .. }| OfHost { host, port, sums: Sums::of(counts) };
        let mut hosts: Vec<OfHost> = tally.hosts.into_iter().filter(|host| host.counts.seen.is_some()).map(of_host).collect();
        hosts.sort_by(|one, other| (other.sums.attempts, &one.host, one.port).cmp(&(one.sums.attempts, &other.host, other.port)));
        let refused = |host: &OfHost| host.sums.block + host.sums.refused_later.values().sum::<u64>();
        let mut refused_most: Vec<Refused> =
            hosts.iter().map(|of| Refused { host: of.host.clone(), port: of.port, count: refused(of) }).filter(|of| of.count > 0).collect();
        refused_most.sort_by_key(|of| std::cmp::Reverse(of.count));
        refused_most.truncate(MOST);
        // Ends of attempts that began before belong to hosts that are not known.
        let (total, elsewhere) =
            if one_host { (without(tally.total, &tally.elsewhere), Counts::default()) } else { (tally.total, tally.elsewhere) };
        Self {
            agent,
            sums: Sums::of(total),
            hosts,
            elsewhere: Sums::of(elsewhere),
            refused_most,
            summarised: tally.summarised,
            asked: tally.questions.asked,
            answered_yes: tally.questions.yes,
            answered_no: tally.questions.no,
            answered_within,
            answers: tally.answers.into_iter().map(OfAnswer::of).collect(),
            answers_left_out: tally.answers_left_out,
        }
    }

    fn did_something(&self) -> bool {
        self.sums.first_seen.is_some() || self.asked > 0 || !self.answers.is_empty() || !self.summarised.is_empty()
    }
}

/// The sums without the bytes of others.
fn without(mut total: Counts, others: &Counts) -> Counts {
    total.bytes_up = total.bytes_up.saturating_sub(others.bytes_up);
    total.bytes_down = total.bytes_down.saturating_sub(others.bytes_down);
    total.seen = total.seen.filter(|_| total.attempts() > 0 || total.bytes_up + total.bytes_down > 0);
    total
}

impl Sums {
    fn of(counts: Counts) -> Self {
        let attempts = counts.attempts();
        let Counts { allow, look, block, would_hold, would_block, refused_later, failed, reasons, bytes_up, bytes_down, seen } = counts;
        let (first_seen, last_seen) = seen.unzip();
        Self {
            attempts,
            allow,
            look,
            block,
            would_hold,
            would_block,
            refused_later,
            failed,
            reasons,
            bytes_up,
            bytes_down,
            first_seen,
            last_seen,
        }
    }
}

impl OfAnswer {
    fn of(given: Given) -> Self {
        let Given { at, by, answer, scope, expiry, note, place: destination, request } = given;
        Self { at, by, answer, scope, expiry, note, destination, request }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

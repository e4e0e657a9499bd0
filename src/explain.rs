//! `exeat explain`: what an agent would get, from which rule, why the other rules do not speak, and what would allow it. Asks nobody and sends nothing.

mod remedy;
mod why;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::policy::Policy;
use crate::policy::address::Addresses;
use crate::policy::attempt::{AgentId, Attempt, Scheme, Sight};
use crate::policy::decide::{Basis, Block, Decision, Grant, Would};
use crate::policy::inject::{Inject, Injection};
use crate::policy::limits::{LimitedBy, Limits};
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;
use crate::policy::tried::{Judged, NotTried, Tried};
use crate::policy::units::spelled_size;
use crate::text::{ascii_json, moment};
pub use remedy::Remedy;
pub use why::{Looked, Other};
use why::{Others, Speaking};

const BY_THE_FILES: &str = "this goes by the files: approvals and the quiet time of a running exeat are not considered";

const INSIDE: &str = "each request in the tunnel is judged by itself, plain or inside TLS; TLS is refused where [inspect] has no CA:";

/// What an agent would get. The field names are promises: `--json` prints them.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explanation {
    /// Who asks.
    pub agent: AgentId,
    /// The canonical host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `http` or `https`, where what decides is a request.
    pub scheme: Option<&'static str>,
    /// `file:line` of what makes exeat look into the tunnel, where what decides is the request inside TLS.
    pub through: Option<String>,
    /// The method, where the request is seen.
    pub method: Option<Arc<str>>,
    /// The path's normal form, where the request is seen and its path has one.
    pub path: Option<String>,
    /// Why its path has none: a rule that looks at paths refuses it.
    pub path_unclear: Option<String>,
    /// `allow`, `look`, `hold` or `block`.
    pub decision: &'static str,
    /// Why; absent where a hold rule asks.
    pub reason: Option<Reason>,
    /// `file:line` of the rule that decides, where one does.
    pub rule: Option<String>,
    /// The rule is the floor's.
    pub by_floor: bool,
    /// The rule's words for the agent.
    pub because: Option<Arc<str>>,
    /// `hold` or `block`: what it would get were the agent not observed.
    pub would: Option<&'static str>,
    /// When that decision ends by itself.
    pub until: Option<String>,
    /// What the host may resolve to; empty for a block.
    pub addresses: Vec<String>,
    /// Where exeat has credentials for the destination: what it puts in, as `WHAT by file:line`. The agent's own are taken out, also where nothing is put in.
    pub credentials: Option<Vec<String>>,
    /// What bounds how much of it passes.
    pub limits: Vec<Limit>,
    /// Where requests lead that are not in sight yet; empty unless the decision is `look`.
    pub looked_at: Vec<Looked>,
    /// Why the others do not speak: those about the host first, then the nearest.
    pub others: Vec<Other>,
    /// How many more there are.
    pub others_left_out: usize,
    /// The rule that would allow it, as TOML, where one would.
    pub to_allow: Option<String>,
    /// Why no rule would, and what does.
    pub in_the_way: Option<String>,
}

/// One bound.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Limit {
    /// Whose it is, in words.
    pub by: String,
    /// Attempts open at once.
    pub open: Option<u32>,
    /// Attempts within any 60 seconds.
    pub per_minute: Option<u32>,
    /// Bytes within a day of UTC.
    pub bytes_per_day: Option<u64>,
}

/// Why nothing can be explained.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexplained {
    /// No allowlist names the agent.
    #[error("no allowlist is in force for agent {agent}; {known}")]
    NoSuchAgent {
        /// Who was named.
        agent: AgentId,
        /// Who could have been, in words.
        known: String,
    },
    /// The target is none.
    #[error(transparent)]
    NotTried(#[from] NotTried),
}

/// Decides as `serve` would, with no approval in force. `inspects` says that there is a CA, so that requests inside TLS can be seen.
pub fn explain(policy: &Policy, agent: &AgentId, target: &str, now: SystemTime, inspects: bool) -> Result<Explanation, Unexplained> {
    let Some(rules) = policy.rules(agent) else {
        let names = policy.agents().map(AgentId::as_str).collect::<Vec<_>>().join(", ");
        let none = "none of any other agent loads; write one with agent = \"…\", or see `exeat check`";
        let known = if names.is_empty() { none.to_owned() } else { format!("there are: {names}") };
        return Err(Unexplained::NoSuchAgent { agent: agent.clone(), known });
    };
    let judged = Tried::parse(target)?.judge(policy, agent, now);
    let Judged { attempt, decision, through } = if inspects { judged } else { judged.without_authority() };
    let speaking = Speaking::of(&decision);
    let Others { listed, left_out } = Others::of(rules.zip(0..), policy, &attempt, (&speaking, now));
    let Remedy { to_allow, in_the_way } = Remedy::of(policy, &attempt, &decision, now);
    let floor_file = &policy.floor().file;
    let found = Explanation {
        scheme: attempt.scheme.map(Scheme::as_str),
        through: through.map(|look| look.rule.to_string()),
        method: attempt.sight.meant().map(|line| line.method),
        path: attempt.sight.seen().and_then(|seen| seen.path.normal().ok()).map(str::to_owned),
        path_unclear: attempt.sight.seen().and_then(|seen| seen.path.normal().err()).map(|why| why.to_string()),
        by_floor: speaking.rule.as_ref().is_some_and(|rule| rule.file == *floor_file),
        rule: speaking.rule.as_ref().map(RuleRef::to_string),
        others: listed,
        others_left_out: left_out,
        to_allow,
        in_the_way,
        ..nothing(&attempt)
    };
    Ok(match decision {
        Decision::Allow(grant) => granted(&grant, found),
        Decision::Look(_) => {
            Explanation { decision: "look", reason: Some(Reason::Inspect), looked_at: why::looked_at(policy, &attempt, now), ..found }
        }
        Decision::Hold(terms) => {
            let reason = terms.rule.is_none().then_some(Reason::Unlisted);
            Explanation { decision: "hold", reason, addresses: written(&terms.addresses), ..found }
        }
        Decision::Block(Block { reason, rule: _, because, echo: _ }) => {
            Explanation { decision: "block", reason: Some(reason), because, ..found }
        }
    })
}

fn nothing(attempt: &Attempt) -> Explanation {
    Explanation {
        agent: attempt.agent.clone(),
        host: attempt.destination.host.to_string(),
        port: attempt.destination.port.number(),
        scheme: None,
        through: None,
        method: None,
        path: None,
        path_unclear: None,
        decision: "block",
        reason: None,
        rule: None,
        by_floor: false,
        because: None,
        would: None,
        until: None,
        addresses: Vec::new(),
        credentials: None,
        limits: Vec::new(),
        looked_at: Vec::new(),
        others: Vec::new(),
        others_left_out: 0,
        to_allow: None,
        in_the_way: None,
    }
}

fn granted(grant: &Grant, found: Explanation) -> Explanation {
    let (reason, would) = match grant.basis() {
        Basis::Listed(_) => (Reason::Listed, None),
        Basis::Approved(_) => (Reason::Approved, None),
        Basis::Observed(Would::Hold(_)) => (Reason::Observed, Some("hold")),
        Basis::Observed(Would::Block) => (Reason::Observed, Some("block")),
    };
    let limit = |(by, limits): &(LimitedBy, Limits)| {
        let Limits { open, per_minute, bytes_per_day } = *limits;
        Limit { by: by.to_string(), open, per_minute, bytes_per_day }
    };
    Explanation {
        decision: "allow",
        reason: Some(reason),
        would,
        until: grant.until().map(moment),
        addresses: written(grant.addresses()),
        credentials: grant.inject().map(credentials),
        limits: grant.limits().iter().map(limit).collect(),
        ..found
    }
}

impl Explanation {
    /// 0 allow, 10 hold, 11 block, 12 depends on the request.
    pub fn exit_code(&self) -> u8 {
        match self.decision {
            "allow" => 0,
            "hold" => 10,
            "look" => 12,
            _ => 11,
        }
    }

    /// Prints the explanation: for people, or one JSON object.
    pub fn write(&self, out: &mut impl Write, json: bool) -> io::Result<()> {
        if json {
            return writeln!(out, "{}", ascii_json(&serde_json::to_string_pretty(self)?));
        }
        let reason = self.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let floor = if self.by_floor { "the floor's " } else { "" };
        let rule = self.rule.as_deref().map(|rule| format!(" by {floor}{rule}")).unwrap_or_default();
        let to = format!("{}:{}", self.host, self.port);
        let scheme = self.scheme.unwrap_or("http");
        let request = match (&self.method, &self.path) {
            (Some(method), Some(path)) => format!("{method} {scheme}://{to}{path}"),
            (Some(method), None) => format!("{method} {scheme}://{to}"),
            (None, _) => to.clone(),
        };
        if let Some(through) = &self.through {
            writeln!(out, "look: {} to {to} by {through} ({})", self.agent, Reason::Inspect)?;
        }
        writeln!(out, "{}: {} to {request}{rule}{reason}", self.decision, self.agent)?;
        self.write_terms(out)?;
        self.write_others(out)?;
        if let Some(text) = &self.to_allow {
            writeln!(out, "to allow it:\n  {}", text.replace('\n', "\n  "))?;
        }
        if let Some(text) = &self.in_the_way {
            writeln!(out, "no rule would allow it: {text}")?;
        }
        writeln!(out, "{BY_THE_FILES}")
    }

    fn write_terms(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(because) = &self.because {
            writeln!(out, "because: {because}")?;
        }
        if let Some(why) = &self.path_unclear {
            writeln!(out, "path: it has no normal form, so a rule that looks at paths refuses it: {why}")?;
        }
        if let Some(would) = self.would {
            writeln!(out, "the agent is observed: without that it would be {would}")?;
        }
        if let Some(until) = &self.until {
            writeln!(out, "until: {until}")?;
        }
        if !self.addresses.is_empty() {
            writeln!(out, "may resolve to: {}", self.addresses.join(", "))?;
        }
        if let Some(credentials) = &self.credentials {
            let put_in =
                if credentials.is_empty() { "nothing is put in".to_owned() } else { format!("put in: {}", credentials.join(", ")) };
            writeln!(out, "credentials: the agent's own are taken out; {put_in}")?;
        }
        for Limit { by, open, per_minute, bytes_per_day } in &self.limits {
            let open = open.map(|open| format!("{open} open at once"));
            let per_minute = per_minute.map(|number| format!("{number} a minute"));
            let bytes = bytes_per_day.map(|bytes| format!("{} a day", spelled_size(bytes)));
            let words: Vec<String> = open.into_iter().chain(per_minute).chain(bytes).collect();
            writeln!(out, "at most: {}, by {by}", words.join(" and "))?;
        }
        if !self.looked_at.is_empty() {
            writeln!(out, "{INSIDE}")?;
        }
        for Looked { requests, decision, rule } in &self.looked_at {
            let rule = rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
            writeln!(out, "  {requests}: {decision}{rule}")?;
        }
        Ok(())
    }

    fn write_others(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.others.is_empty() {
            writeln!(out, "other rules:")?;
        }
        for Other { rule, kind, floor, why } in &self.others {
            let kind = if *floor { format!("{kind} of the floor") } else { (*kind).to_owned() };
            writeln!(out, "  {rule} {kind}: {why}")?;
        }
        if self.others_left_out > 0 {
            writeln!(out, "  and {} more, about other hosts or beyond what is shown", self.others_left_out)?;
        }
        Ok(())
    }
}

fn credentials(injection: &Injection) -> Vec<String> {
    let Injection { headers: _, apply } = injection;
    let words = |inject: &Arc<Inject>| {
        let what = inject.field().map_or_else(|| "a client certificate".to_owned(), ToString::to_string);
        format!("{what} by {}", inject.place)
    };
    apply.iter().map(words).collect()
}

/// The target as it is judged, for hints that name a command.
fn tunnel(attempt: &Attempt) -> bool {
    match attempt.sight {
        Sight::NotYet => true,
        Sight::Seen(_) => false,
    }
}

fn written(addresses: &Addresses) -> Vec<String> {
    let public = addresses.public.then(|| "public".to_owned());
    public.into_iter().chain(addresses.networks.iter().map(ToString::to_string)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! What was seen, sorted by what is to be done with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use super::known::Known;
use super::risk;
use crate::approval::PlaceView;
use crate::cli::recorded::tally::{AgentTally, HostTally};
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Instance, Sight};
use crate::policy::decide::{Block, Decision};
use crate::policy::destination::{Destination, Port};
use crate::policy::floor::Floor;
use crate::policy::host::Host;
use crate::policy::preset::{Preset, PresetEffect};
use crate::policy::reason::Reason;

/// The agent's hosts, each in one of these; what was tried most comes first.
#[derive(Debug, Default)]
pub(super) struct Sorted<'a> {
    /// Reached, and of a preset.
    pub(super) of_presets: Vec<(&'static Preset, Vec<Candidate<'a>>)>,
    /// Reached otherwise.
    pub(super) reached: Vec<Candidate<'a>>,
    /// Refused, and never allowed.
    pub(super) refused: Vec<Candidate<'a>>,
    /// No rule is suggested for these.
    pub(super) never: Vec<(&'a HostTally, String)>,
}

/// A host that a rule may be written for.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) to: Destination,
    pub(super) unicode: Option<String>,
    pub(super) seen: &'a HostTally,
    /// What keeps it from being in force.
    pub(super) doubts: Vec<String>,
    pub(super) risks: Vec<String>,
    /// The rule's lines.
    pub(super) rule: Vec<String>,
}

/// What binds a rule before it is suggested.
#[derive(Debug)]
pub(super) struct Bounded<'a> {
    agent: &'a AgentId,
    floor: Arc<Floor>,
    guard: Guard,
    now: SystemTime,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(agent: &'a AgentId, floor: Arc<Floor>, (guard, now): (Guard, SystemTime)) -> Self {
        Self { agent, floor, guard, now }
    }

    /// Whether the rule would do what it is there for; the error says why it would not.
    fn would_open(&self, rule: &[String], to: &Destination) -> Result<(), String> {
        let text = format!("agent = \"{}\"\n{}\n", self.agent, rule.join("\n"));
        let reading = Reading { now: self.now, floor: &self.floor, library: &NoLibrary, inspects: true };
        let faults = match Allowlist::read("the rule", &text, &reading) {
            Ok((allowlist, _)) => match Policy::under(Arc::clone(&self.floor), vec![allowlist], self.guard.clone()) {
                Ok(policy) => return self.decided(&policy, to),
                Err(faults) => faults,
            },
            Err(faults) => faults,
        };
        Err(faults.first().map_or_else(String::new, |fault| format!("a rule for it does not load: {}", fault.found)))
    }

    fn decided(&self, policy: &Policy, to: &Destination) -> Result<(), String> {
        let (id, instance) = (AttemptId(Uuid::nil()), Instance("suggest".into()));
        let (destination, sight) = (to.clone(), Sight::NotYet);
        let attempt = Attempt { id, agent: self.agent.clone(), instance, destination, scheme: None, sight, within: None };
        match policy.decide(&attempt, &Approvals::default(), self.now) {
            Decision::Allow(_) | Decision::Look(_) | Decision::Hold(_) => Ok(()),
            Decision::Block(Block { reason: Reason::OwnAddress, .. }) => Err("it is exeat itself".to_owned()),
            Decision::Block(Block { reason, rule: Some(rule), because: _ }) => Err(format!("{rule} refuses it as {}", reason.as_str())),
            Decision::Block(Block { reason, rule: None, because: _ }) => {
                Err(format!("it is refused as {}, whatever rules say", reason.as_str()))
            }
        }
    }
}

impl<'a> Sorted<'a> {
    pub(super) fn of(agent: &'a AgentTally, known: &Known, bounded: &Bounded<'_>) -> Self {
        let mut hosts: Vec<&HostTally> = agent.hosts.iter().filter(|host| host.counts.attempts() > 0).collect();
        hosts.sort_by(|one, other| (other.counts.attempts(), &one.host, one.port).cmp(&(one.counts.attempts(), &other.host, other.port)));
        let mut sorted = Self::default();
        let mut candidates = Vec::new();
        for seen in hosts {
            match candidate(agent, seen, known).and_then(|candidate| bounded.would_open(&candidate.rule, &candidate.to).map(|()| candidate))
            {
                Ok(candidate) => candidates.push(candidate),
                Err(why) => sorted.never.push((seen, why)),
            }
        }
        let fitting = |candidate: &Candidate<'_>| -> Vec<&'static Preset> {
            if may_be_live(candidate, known) { known.about(&candidate.to, PresetEffect::Allow).collect() } else { Vec::new() }
        };
        // Of several presets for one host the one that fits most of what was seen, then the host's own, then the narrowest.
        let mut fits: BTreeMap<&'static str, usize> = BTreeMap::new();
        for preset in candidates.iter().flat_map(fitting) {
            *fits.entry(preset.name).or_default() += 1;
        }
        for candidate in candidates {
            let order = |preset: &&'static Preset| {
                (std::cmp::Reverse(fits.get(preset.name)), !candidate.seen.host.contains(preset.name), preset.hosts, preset.name)
            };
            let preset = fitting(&candidate).into_iter().min_by_key(order);
            match preset {
                Some(preset) => match sorted.of_presets.iter_mut().find(|(known, _)| known.name == preset.name) {
                    Some((_, of)) => of.push(candidate),
                    None => sorted.of_presets.push((preset, vec![candidate])),
                },
                None if reached(candidate.seen) => sorted.reached.push(candidate),
                None => sorted.refused.push(candidate),
            }
        }
        sorted
    }
}

/// The host as a rule would have it; the error says why no rule is suggested.
fn candidate<'a>(agent: &AgentTally, seen: &'a HostTally, known: &Known) -> Result<Candidate<'a>, String> {
    let written = if seen.host.contains(':') { format!("[{}]", seen.host) } else { seen.host.clone() };
    let host = Host::parse(&written).map_err(|why| format!("it is no host: {why}"))?;
    let port = Port::parse(&seen.port.to_string()).map_err(|why| format!("it has no port: {why}"))?;
    let to = Destination { host, port };
    if let Some(why) = risk::never(&to, seen) {
        return Err(why);
    }
    let mut rule = vec!["[[allow]]".to_owned(), format!("host = \"{}\"", to.host), format!("port = [{}]", seen.port)];
    let private = risk::private(&to, seen);
    if !private.is_empty() {
        let public = seen.addresses.iter().any(|address| !private.contains(address)).then(|| "\"public\"".to_owned());
        let entries: Vec<String> = public.into_iter().chain(private.iter().map(|address| format!("\"{address}\""))).collect();
        rule.push(format!("addresses = [{}]", entries.join(", ")));
    }
    let unicode = PlaceView::of(&to, None).unicode;
    Ok(Candidate { unicode, seen, doubts: risk::doubts(agent, seen), risks: risk::risks(&to, seen, known), rule, to })
}

fn reached(seen: &HostTally) -> bool {
    seen.counts.allow + seen.counts.look > 0
}

/// Nobody and nothing refused it, no hold rule and no preset speaks against it, and what a preset promises of the host is where it led.
fn may_be_live(candidate: &Candidate<'_>, known: &Known) -> bool {
    let counts = &candidate.seen.counts;
    let refused = [Reason::Blocked, Reason::Refused].iter().any(|reason| counts.reasons.contains_key(reason));
    let forbidden = counts.refused_later.contains_key(&Reason::ForbiddenAddress);
    let doubted = !candidate.doubts.is_empty() || known.about(&candidate.to, PresetEffect::Block).next().is_some();
    reached(candidate.seen) && !refused && !forbidden && !doubted && risk::private(&candidate.to, candidate.seen).is_empty()
}

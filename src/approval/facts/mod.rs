//! What exeat knows of a question beside what is asked. It is shown and hashed, and decides nothing.

pub(super) mod cover;
mod lookalike;
mod preset;
mod risk;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::egress::hold::Process;
use crate::policy::Policy;
use crate::policy::approvals::Subject;
use crate::policy::attempt::AgentId;
use crate::policy::host::Host;
use crate::policy::preset::PresetEffect;
use crate::policy::rule::Effect;
use lookalike::Names;

/// What the presets list.
static SHIPPED: LazyLock<Names> = LazyLock::new(|| Names::of(preset::patterns()));

/// Names approved for an agent that are remembered.
const APPROVED: usize = 4096;

/// What is known of a question. It is put together when the question is opened, and stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The process that asked first, where it could be observed.
    pub process: Option<Process>,
    /// What speaks against the destination.
    pub risk: Vec<Risk>,
    /// The shipped presets that list it, with commas.
    pub preset: Option<Arc<str>>,
    /// A name it could be taken for.
    pub lookalike: Option<Lookalike>,
}

/// One thing that speaks against a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Which, of a closed set.
    pub code: String,
    /// The same in a few words.
    pub text: String,
}

/// The host looks like a name that is known, and is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookalike {
    /// The known name: an agent's rule, a preset or an approval names it.
    pub of: String,
}

/// Other pending questions that are nearly the same. An answer covers none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Similar {
    /// How many there are.
    pub count: usize,
    /// Their short ids, the first few.
    pub ids: Vec<String>,
}

/// Whether a label looks as if nobody had thought of it: long, and of many different letters and digits without order.
pub(super) fn random_label(label: &str) -> bool {
    risk::is_random(label)
}

fn named(presets: &[&preset::Preset]) -> Option<Arc<str>> {
    let names: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
    (!names.is_empty()).then(|| names.join(", ").into())
}

/// The names each agent has to do with, to tell what looks like one of them.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    listed: Mutex<HashMap<AgentId, Listed>>,
    /// What was approved for it since exeat started.
    approved: Mutex<HashMap<AgentId, Names>>,
}

/// What an agent's rules name.
#[derive(Debug)]
struct Listed {
    /// The hash of the policy they stand in.
    policy: Arc<str>,
    names: Arc<Names>,
}

impl Familiar {
    /// What is known of a question. The process is as it was observed.
    pub(super) fn facts(&self, policy: &Policy, subject: &Subject, process: Option<Process>) -> Facts {
        Facts {
            process,
            risk: risk::risks(subject),
            preset: named(&preset::about(&subject.destination, PresetEffect::Allow)),
            lookalike: self.lookalike(policy, subject),
        }
    }

    /// Reads the names of an agent's rules, unless that was done.
    pub(super) fn read(&self, policy: &Policy, agent: &AgentId) -> Arc<Names> {
        if let Some(Listed { policy: _, names }) = self.listed.lock().get(agent).filter(|listed| listed.policy == *policy.hash()) {
            return Arc::clone(names);
        }
        let granted = |rule: &&crate::policy::rule::Rule| match rule.effect {
            Effect::Allow(_) | Effect::Hold { addresses: _ } => true,
            Effect::Block { because: _ } => false,
        };
        let rules = policy.rules(agent).into_iter().flatten();
        let names = Arc::new(Names::of(rules.filter(granted).flat_map(|rule| &rule.hosts)));
        self.listed.lock().insert(agent.clone(), Listed { policy: Arc::clone(policy.hash()), names: Arc::clone(&names) });
        names
    }

    /// A yes was given: what looks like its host from now on is marked.
    pub(super) fn approved(&self, subject: &Subject) {
        let Host::Name(name) = &subject.destination.host else { return };
        let mut approved = self.approved.lock();
        let names = approved.entry(subject.agent.clone()).or_default();
        if names.len() < APPROVED {
            names.insert(name);
        }
    }

    fn lookalike(&self, policy: &Policy, subject: &Subject) -> Option<Lookalike> {
        let Host::Name(name) = &subject.destination.host else { return None };
        let listed = self.read(policy, &subject.agent);
        let approved = || self.approved.lock().get(&subject.agent).and_then(|names| names.like(name));
        if listed.knows(name) || SHIPPED.knows(name) {
            return None;
        }
        let of = listed.like(name).or_else(approved).or_else(|| SHIPPED.like(name))?;
        Some(Lookalike { of: of.to_string() })
    }
}

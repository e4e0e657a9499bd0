//! Freezes by command and API: kept in the store, in force beside what the file `freeze` says.
//!
//! What stops somebody is written down first and takes effect even where that fails; what lets him go on has no effect unless it is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::standing::Standing;
use crate::approval::store::{Freeze, Store, StoreError, Whom};
use crate::egress::record::{self, Record, Recorder};
use crate::policy::Frozen;
use crate::policy::attempt::AgentId;

/// The longest note, in characters.
pub const LONGEST_NOTE: usize = 500;

/// Who the file `freeze` is, in listings.
const FILE: &str = "the file freeze";

/// Who is stopped by command and API.
#[derive(Debug)]
pub struct Freezing {
    store: Arc<dyn Store>,
    held: BTreeMap<Whom, Held>,
}

#[derive(Debug)]
struct Held {
    freeze: Freeze,
    /// The store has it, so the next start will.
    kept: bool,
}

/// By whom an agent is stopped; the field names are promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenBy {
    /// Who stopped it: a person, or the file.
    pub by: String,
    /// Since when; nothing is known of that where the file did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Not this agent alone, but everyone.
    pub everyone: bool,
}

/// Why a freeze is not all that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFrozen {
    /// There is no such agent. Nothing happened.
    #[error("no agent is named {agent}, so nobody is frozen; {}", names(.known))]
    Nobody {
        /// The name.
        agent: AgentId,
        /// The agents there are.
        known: Vec<AgentId>,
    },
    /// The note is not one. Nothing happened.
    #[error("a note is one line of {LONGEST_NOTE} characters at most; nobody is frozen")]
    Note,
    /// The journal does not take it. It took effect.
    #[error("{0} is frozen, but that is not recorded: the journal cannot be written; it is recorded once it can be")]
    Unrecorded(Whom),
    /// The store does not take it. It took effect.
    #[error("{whom} is frozen, and only until this exeat ends unless the store takes it by then, which is tried again: {error}")]
    Unkept {
        /// Whom.
        whom: Whom,
        /// What the store says.
        error: StoreError,
    },
}

/// Why a thaw has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotThawed {
    /// The journal does not take it.
    #[error("{0} stays frozen: that cannot be recorded, as the journal cannot be written")]
    Unrecorded(Whom),
    /// The store does not take it.
    #[error("{whom} stays frozen: {error}")]
    Unkept {
        /// Whom.
        whom: Whom,
        /// What the store says.
        error: StoreError,
    },
}

impl Freezing {
    /// What the store has. Where it cannot be read nobody may start: a freeze might be lost.
    pub fn kept(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let held = store.freezes()?.into_iter().map(|freeze| (freeze.whom.clone(), Held { freeze, kept: true })).collect();
        Ok(Self { store, held })
    }

    /// Stops somebody. `false`: that was so before, and stays as it was said.
    pub fn freeze(&mut self, freeze: Freeze, standing: &Standing, recorder: &dyn Recorder) -> Result<bool, NotFrozen> {
        let Freeze { whom, by, at, note } = freeze;
        if let Some(agent) = whom.agent().filter(|agent| !standing.knows(agent)) {
            return Err(NotFrozen::Nobody { agent: agent.clone(), known: standing.policy.agents().cloned().collect() });
        }
        if self.held.get(&whom).is_some_and(|held| held.kept) {
            return Ok(false);
        }
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE || note.chars().any(char::is_control)) {
            return Err(NotFrozen::Note);
        }
        let record = record::Frozen { whom: whom.clone(), who: by.as_ref().to_owned(), note: note.clone() };
        let recorded = recorder.record(&Record::Frozen(record));
        let freeze = Freeze { whom: whom.clone(), by, at, note: note.map(Arc::from) };
        let kept = self.store.freeze(&freeze);
        self.held.insert(whom.clone(), Held { freeze, kept: kept.is_ok() });
        match (kept, recorded) {
            (Err(error), _) => Err(NotFrozen::Unkept { whom, error }),
            (Ok(_), Err(record::Unwritable)) => Err(NotFrozen::Unrecorded(whom)),
            (Ok(_), Ok(())) => Ok(true),
        }
    }

    /// Tells the store of the freezes that it did not take.
    pub fn keep(&mut self) {
        for Held { freeze, kept } in self.held.values_mut().filter(|held| !held.kept) {
            *kept = self.store.freeze(freeze).is_ok();
        }
    }

    /// Lets somebody go on. `false`: he was not stopped here.
    pub fn thaw(&mut self, whom: &Whom, by: &str, recorder: &dyn Recorder) -> Result<bool, NotThawed> {
        let Some(Held { freeze, kept }) = self.held.get(whom) else { return Ok(false) };
        let thawed = Record::Thawed(record::Thawed { whom: whom.clone(), who: by.to_owned() });
        recorder.record(&thawed).map_err(|record::Unwritable| NotThawed::Unrecorded(whom.clone()))?;
        if *kept && let Err(error) = self.store.thaw(whom) {
            // What was just recorded is not so.
            let note = Some("the store did not take the thaw".to_owned());
            let _ = recorder.record(&Record::Frozen(record::Frozen { whom: whom.clone(), who: freeze.by.as_ref().to_owned(), note }));
            return Err(NotThawed::Unkept { whom: whom.clone(), error });
        }
        self.held.remove(whom);
        Ok(true)
    }

    /// All who are stopped, here and by the file.
    pub fn with(&self, file: &Frozen) -> Frozen {
        if self.held.contains_key(&Whom::Everyone) {
            return Frozen::Everyone;
        }
        let mut agents: BTreeSet<AgentId> = self.held.keys().filter_map(Whom::agent).cloned().collect();
        match file {
            Frozen::Everyone => return Frozen::Everyone,
            Frozen::These(these) => agents.extend(these.iter().cloned()),
            Frozen::Nobody => {}
        }
        if agents.is_empty() { Frozen::Nobody } else { Frozen::These(agents) }
    }

    /// By whom an agent is stopped, here and by the file.
    pub fn stops(&self, agent: &AgentId, file: &Frozen) -> Vec<FrozenBy> {
        let here = self.held.values().filter(|held| held.freeze.whom.agent().is_none_or(|whom| whom == agent));
        let here = here.map(|Held { freeze: Freeze { whom, by, at, note }, kept: _ }| FrozenBy {
            by: by.as_ref().to_owned(),
            since: timestamp(*at),
            note: note.as_deref().map(str::to_owned),
            everyone: *whom == Whom::Everyone,
        });
        let everyone = *file == Frozen::Everyone;
        let file = file.holds(agent).then(|| FrozenBy { by: FILE.to_owned(), since: None, note: None, everyone });
        here.chain(file).collect()
    }

    /// Who is stopped here.
    pub fn list(&self) -> Vec<Freeze> {
        self.held.values().map(|held| held.freeze.clone()).collect()
    }

    /// The same in words.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.held.values().map(|Held { freeze: Freeze { whom, by, at, note }, kept }| {
            let whom = whom.agent().map_or_else(|| "everyone".to_owned(), |agent| format!("agent {agent}"));
            let since = timestamp(*at).map(|at| format!(" since {at:.0}")).unwrap_or_default();
            let note = note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
            let lost = if *kept { "" } else { " (only until this exeat ends: the store did not take it)" };
            format!("{whom} is frozen by {by}{since}{lost}{note}")
        })
    }
}

fn timestamp(at: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(at).ok()
}

fn names(agents: &[AgentId]) -> String {
    let names: Vec<&str> = agents.iter().map(AgentId::as_str).collect();
    match names.as_slice() {
        [] => "there is no agent".to_owned(),
        [name] => format!("there is only {name}"),
        names => format!("there are {}", names.join(", ")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

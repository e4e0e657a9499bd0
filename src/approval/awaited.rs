//! At which questions somebody waits, by agent: so that whoever goes costs a look at those, not at all that are pending.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::policy::attempt::AgentId;

/// Ids of questions at which somebody waits.
#[derive(Debug, Default)]
pub(super) struct Awaited(HashMap<AgentId, HashSet<Arc<str>>>);

impl Awaited {
    /// Somebody waits at it.
    pub(super) fn insert(&mut self, agent: &AgentId, id: &Arc<str>) {
        match self.0.get_mut(agent) {
            Some(ids) => drop(ids.insert(Arc::clone(id))),
            None => drop(self.0.insert(agent.clone(), HashSet::from([Arc::clone(id)]))),
        }
    }

    /// Nobody waits at it any more.
    pub(super) fn remove(&mut self, agent: &AgentId, id: &str) {
        if let Some(ids) = self.0.get_mut(agent)
            && ids.remove(id)
            && ids.is_empty()
        {
            self.0.remove(agent);
        }
    }

    /// Takes all of the agents for whom that is true.
    pub(super) fn take(&mut self, of: impl Fn(&AgentId) -> bool) -> impl Iterator<Item = Arc<str>> {
        let taken: Vec<_> = self.0.extract_if(|agent, _| of(agent)).collect();
        taken.into_iter().flat_map(|(_, ids)| ids)
    }
}

//! Which origins speak HTTP/1.1 alone, as agents have found: their next tunnel there is offered no more than that.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;

const MOST: u64 = 4096;

/// An origin may learn more.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// What each agent's own connections have shown; none learns from another's.
#[derive(Clone, Debug)]
pub(super) struct KnownHttp1(Cache<(AgentId, Destination), Arc<()>>);

impl KnownHttp1 {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(KEPT).build())
    }

    /// The origin had the choice, and chose.
    pub(super) fn learn(&self, agent: &AgentId, destination: &Destination, http1: bool) {
        let key = (agent.clone(), destination.clone());
        if http1 { self.0.insert(key, Arc::default()) } else { self.0.invalidate(&key) }
    }

    pub(super) fn knows(&self, agent: &AgentId, destination: &Destination) -> bool {
        self.0.contains_key(&(agent.clone(), destination.clone()))
    }
}

//! How many attempts an agent may have open. One agent at its limit costs no other its seat.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::policy::attempt::AgentId;

/// Open attempts, counted by agent.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<HashMap<AgentId, usize>>,
}

/// One attempt's seat; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Seat {
    agent: AgentId,
    seats: Arc<Seats>,
}

impl Seats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A seat for the agent, or `None` where it has them all.
    pub(super) fn take(self: &Arc<Self>, agent: &AgentId) -> Option<Seat> {
        let mut taken = self.taken.lock();
        let count = taken.entry(agent.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Seat { agent: agent.clone(), seats: Arc::clone(self) })
    }
}

impl Seat {
    pub(super) fn is_of(&self, agent: &AgentId) -> bool {
        self.agent == *agent
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        if let Some(count) = taken.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_agent_at_its_limit_costs_no_other_its_seat() {
        let seats = Seats::new(2);
        let (a, b) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
        let first = seats.take(&a).unwrap();
        let _second = seats.take(&a).unwrap();
        assert!(seats.take(&a).is_none());
        assert!(seats.take(&b).is_some());
        drop(first);
        assert!(seats.take(&a).is_some());
    }
}

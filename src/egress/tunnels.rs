//! What is open and leads somewhere, for people who look; and how one of them cuts it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::carried::Carried;
use super::gate::Gate;
use super::record::{Decided, Front, Place, Ruling};
use crate::policy::attempt::{AgentId, AttemptId};

/// Open attempts that were let through.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: Mutex<HashMap<AttemptId, Live>>,
    /// Whether anything is cut and not yet over: nearly always not, and then nobody needs the lock.
    cutting: AtomicBool,
}

#[derive(Debug)]
struct Live {
    agent: Option<AgentId>,
    instance: String,
    place: Option<Place>,
    front: Front,
    decision: Ruling,
    since: SystemTime,
    carried: Arc<Carried>,
    cut: bool,
}

/// One of them as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Its id.
    pub id: AttemptId,
    /// Whose it is.
    pub agent: Option<AgentId>,
    /// Which running one of them.
    pub instance: String,
    /// Where to.
    pub place: Option<Place>,
    /// The way in.
    pub front: Front,
    /// Let through, or looked into.
    pub decision: Ruling,
    /// When it was let through.
    pub since: SystemTime,
    /// Bytes from the agent so far.
    pub bytes_up: u64,
    /// Bytes to the agent so far.
    pub bytes_down: u64,
}

impl Gate {
    /// What is open. One that is cut there ends once what is open is decided again.
    pub fn tunnels(&self) -> &Arc<Tunnels> {
        &self.tunnels
    }
}

impl Tunnels {
    pub(super) fn opened(&self, decided: &Decided, carried: &Arc<Carried>) {
        let live = Live {
            agent: decided.agent.clone(),
            instance: decided.instance.clone(),
            place: decided.destination.clone(),
            front: decided.front,
            decision: decided.decision,
            since: SystemTime::now(),
            carried: Arc::clone(carried),
            cut: false,
        };
        self.open.lock().insert(decided.id, live);
    }

    pub(super) fn ended(&self, id: AttemptId) {
        let mut open = self.open.lock();
        if open.remove(&id).is_some_and(|live| live.cut) {
            self.cutting.store(open.values().any(|live| live.cut), Ordering::Release);
        }
    }

    /// Marks one to be cut: it ends when it is decided again. `false`: it is not open.
    pub fn cut(&self, id: AttemptId) -> bool {
        let mut open = self.open.lock();
        let Some(live) = open.get_mut(&id) else { return false };
        live.cut = true;
        self.cutting.store(true, Ordering::Release);
        true
    }

    pub(super) fn is_cut(&self, id: AttemptId) -> bool {
        self.cutting.load(Ordering::Acquire) && self.open.lock().get(&id).is_some_and(|live| live.cut)
    }

    /// Those that are open and not cut, the oldest first.
    pub fn list(&self) -> Vec<OpenAttempt> {
        let open = self.open.lock();
        let mut listed: Vec<_> = open.iter().filter(|(_, live)| !live.cut).map(|(id, live)| live.shown(*id)).collect();
        drop(open);
        listed.sort_by_key(|open| (open.since, open.id));
        listed
    }

    /// The one of that id.
    pub fn get(&self, id: AttemptId) -> Option<OpenAttempt> {
        self.open.lock().get(&id).filter(|live| !live.cut).map(|live| live.shown(id))
    }
}

impl Live {
    fn shown(&self, id: AttemptId) -> OpenAttempt {
        let Self { agent, instance, place, front, decision, since, carried, cut: _ } = self;
        OpenAttempt {
            id,
            agent: agent.clone(),
            instance: instance.clone(),
            place: place.clone(),
            front: *front,
            decision: *decision,
            since: *since,
            bytes_up: carried.up(),
            bytes_down: carried.down(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::reason::Reason;

    #[test]
    fn what_is_open_is_listed_with_its_bytes_and_cut_once() {
        let tunnels = Tunnels::default();
        let carried = Arc::new(Carried::default());
        let id = AttemptId(uuid::Uuid::from_u128(1));
        let decided = Decided {
            id,
            agent: AgentId::parse("a").ok(),
            instance: "i".to_owned(),
            front: Front::Connect,
            peer: "127.0.0.1:1".to_owned(),
            destination: None,
            request: None,
            decision: Ruling::Allow,
            reason: Reason::Listed,
            rule: None,
            approval: None,
            policy: String::new(),
            would: None,
            separated: None,
            within: None,
            trace: None,
            leak: None,
        };
        tunnels.opened(&decided, &carried);
        carried.count_up(3);
        carried.count_down(5);
        assert_eq!(tunnels.list().iter().map(|open| (open.id, open.bytes_up, open.bytes_down)).collect::<Vec<_>>(), [(id, 3, 5)]);
        assert!(!tunnels.is_cut(id) && tunnels.cut(id) && tunnels.is_cut(id));
        assert_eq!((tunnels.list(), tunnels.get(id)), (Vec::new(), None));
        tunnels.ended(id);
        assert!(!tunnels.cut(id) && !tunnels.is_cut(id));
    }
}

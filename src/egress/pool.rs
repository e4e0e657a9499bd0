//! Upstream connections kept for the next request of the same agent to the same destination under the same policy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::body::Upload;
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;

const IDLE: Duration = Duration::from_secs(60);
const MOST_PER_KEY: usize = 16;
const MOST: usize = 1024;

/// Whom a parked connection may serve again. The scheme is plain HTTP for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) agent: AgentId,
    pub(super) destination: Destination,
    pub(super) policy: Arc<str>,
}

/// A connection that has carried a request and can carry another. Dropping it closes it, whatever still runs on it.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) sender: SendRequest<Upload>,
    pub(super) peer: SocketAddr,
    since: Instant,
    _driver: Driver,
}

/// The task that drives a connection; it ends with whoever holds this.
#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Parked {
    pub(super) fn new(sender: SendRequest<Upload>, peer: SocketAddr, driver: AbortHandle) -> Self {
        Self { sender, peer, since: Instant::now(), _driver: Driver(driver) }
    }

    fn alive(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < IDLE
    }
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    parked: Mutex<HashMap<Key, Vec<Parked>>>,
}

impl Pool {
    /// A pool, and the task that lets idle connections go for as long as it lives.
    pub(super) fn new() -> Arc<Self> {
        let pool = Arc::new(Self::default());
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    /// The connection parked last whose peer `covered` accepts.
    pub(super) fn take(&self, key: &Key, covered: impl Fn(SocketAddr) -> bool) -> Option<Parked> {
        let mut parked = self.parked.lock();
        let same = parked.get_mut(key)?;
        same.retain(Parked::alive);
        let at = same.iter().rposition(|candidate| candidate.sender.is_ready() && covered(candidate.peer));
        let taken = at.map(|at| same.remove(at));
        if same.is_empty() {
            parked.remove(key);
        }
        taken
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn park(&self, key: Key, mut connection: Parked) {
        connection.since = Instant::now();
        let mut parked = self.parked.lock();
        if parked.values().map(Vec::len).sum::<usize>() >= MOST {
            return;
        }
        let same = parked.entry(key).or_default();
        if same.len() < MOST_PER_KEY {
            same.push(connection);
        }
    }

    fn let_go(&self) {
        self.parked.lock().retain(|_key, same| {
            same.retain(Parked::alive);
            !same.is_empty()
        });
    }
}

async fn sweep(pool: Weak<Pool>) {
    let mut turns = tokio::time::interval(IDLE / 4);
    loop {
        turns.tick().await;
        match pool.upgrade() {
            Some(pool) => pool.let_go(),
            None => return,
        }
    }
}

//! Upstream connections kept for the next request of the same agent to the same destination under the same policy.
//!
//! One of HTTP/1.1 is taken out for each request; one of HTTP/2 stays and is shared, as many requests at a time as its origin takes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hyper::client::conn::{http1, http2};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::body::Upload;
use super::interception::Speaks;
use crate::policy::attempt::{AgentId, Scheme};
use crate::policy::destination::Destination;
use crate::tls::authority::Offer;

const IDLE: Duration = Duration::from_secs(60);
const MOST_PER_KEY: usize = 16;
const MOST: usize = 1024;

/// Requests at a time over one connection, where its origin takes more.
const MOST_STREAMS: usize = 128;

/// Whom a parked connection may serve again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) agent: AgentId,
    pub(super) destination: Destination,
    pub(super) policy: Arc<str>,
    pub(super) scheme: Scheme,
    /// What was offered to the origin, within TLS: an agent of HTTP/1.1 gets no connection of HTTP/2.
    pub(super) offer: OfferKey,
    /// The certificate that proved exeat to the origin, by where it stands in the policy.
    pub(super) identity: Option<Arc<str>>,
}

/// An [`Offer`] as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OfferKey {
    Http1,
    Both,
}

impl From<Offer> for OfferKey {
    fn from(offer: Offer) -> Self {
        match offer {
            Offer::Http1 => OfferKey::Http1,
            Offer::Both => OfferKey::Both,
        }
    }
}

/// A connection that can carry a request. Dropping the last hold on it closes it, whatever still runs on it.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) sender: Sender,
    pub(super) peer: SocketAddr,
    since: Instant,
    driver: Arc<Driver>,
    /// Requests at a time that its origin takes.
    room: Arc<AtomicUsize>,
}

/// What sends over it.
#[derive(Debug)]
pub(super) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

/// The task that drives a connection; it ends with whoever holds this.
#[derive(Debug)]
struct Driver {
    task: AbortHandle,
    /// Its origin has refused a request on it.
    retired: AtomicBool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Parked {
    pub(super) fn new(sender: Sender, peer: SocketAddr, driver: AbortHandle, room: Arc<AtomicUsize>) -> Self {
        let driver = Arc::new(Driver { task: driver, retired: AtomicBool::new(false) });
        Self { sender, peer, since: Instant::now(), driver, room }
    }

    pub(super) fn speaks(&self) -> Speaks {
        match self.sender {
            Sender::Http1(_) => Speaks::Http1,
            Sender::Http2(_) => Speaks::Http2,
        }
    }

    /// Another hold on the same connection, where it carries several requests at a time.
    fn another(&self) -> Option<Self> {
        let Sender::Http2(sender) = &self.sender else { return None };
        let (sender, driver) = (Sender::Http2(sender.clone()), Arc::clone(&self.driver));
        Some(Self { sender, peer: self.peer, since: Instant::now(), driver, room: Arc::clone(&self.room) })
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }

    /// No request begins on it any more; those that are on it go on.
    pub(super) fn retire(&self) {
        self.driver.retired.store(true, Ordering::Relaxed);
    }

    fn alive(&self) -> bool {
        let closed = match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        };
        let usable = !closed && !self.driver.retired.load(Ordering::Relaxed);
        usable && (self.since.elapsed() < IDLE || Arc::strong_count(&self.driver) > 1)
    }

    fn has_room(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            // The pool's own hold is one of them.
            Sender::Http2(sender) => {
                sender.is_ready() && Arc::strong_count(&self.driver) <= self.room.load(Ordering::Relaxed).min(MOST_STREAMS)
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    parked: Mutex<HashMap<Key, Vec<Parked>>>,
    turns: Mutex<HashMap<Key, Arc<Turn>>>,
}

/// Whose turn it is to dial what others may share.
type Turn = tokio::sync::Mutex<()>;

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
        let at = same.iter().rposition(|candidate| candidate.has_room() && covered(candidate.peer));
        let taken = at.map(|at| same[at].another().unwrap_or_else(|| same.remove(at)));
        if same.is_empty() {
            parked.remove(key);
        }
        taken
    }

    /// Where those wait who would dial the same.
    pub(super) fn turn(&self, key: &Key) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        turns.retain(|_key, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key.clone()).or_default())
    }

    /// Lets others use a connection that carries several requests at a time.
    pub(super) fn share(&self, key: &Key, connection: &Parked) {
        if let Some(another) = connection.another() {
            self.keep(key.clone(), another);
        }
    }

    /// Keeps a connection that has carried a request, unless there are enough.
    pub(super) fn park(&self, key: Key, mut connection: Parked) {
        connection.since = Instant::now();
        self.keep(key, connection);
    }

    fn keep(&self, key: Key, connection: Parked) {
        if !connection.alive() {
            return;
        }
        let mut parked = self.parked.lock();
        if let Some(shared) = parked.get_mut(&key).and_then(|same| same.iter_mut().find(|shared| shared.is(&connection))) {
            shared.since = connection.since;
            return;
        }
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

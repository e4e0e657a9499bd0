//! Refusals above a rate are counted exactly and summed up once a second: a flood of them fills no journal.
//!
//! The rate is of each agent, and of each source of which nobody is known. Which refusal is written by itself is pure; the time is passed in.
//! What is kept is bounded: sources beyond those that are told apart share one count.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::record::{Front, Record, Recorder, RefusedCount, RefusedSummary};
use crate::policy::attempt::AgentId;
use crate::policy::reason::Reason;

/// Unidentified sources that are told apart at once.
const MOST_PEERS: usize = 1024;

/// What the rate is of.
const WINDOW: SignedDuration = SignedDuration::from_secs(1);

/// How long what is counted is kept before it is written.
const PAUSE: Duration = Duration::from_secs(1);

/// Addresses that one peer can choose among count as one: loopback, and a /64 of IPv6.
pub fn neighbourhood(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        address if address.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

/// The refusals of one process.
#[derive(Debug)]
pub(super) struct Refusals {
    recorder: Arc<dyn Recorder>,
    floods: Mutex<Floods>,
    counted: Notify,
}

impl Refusals {
    /// So many of one source in a second are written one by one.
    pub(super) fn new(rate: u32, recorder: Arc<dyn Recorder>) -> Arc<Self> {
        Arc::new(Self { recorder, floods: Mutex::new(Floods::new(rate)), counted: Notify::new() })
    }

    /// Whether a refusal is to be written by itself. If not, it is counted, and has nothing else to be written.
    pub(super) fn is_one_by_one(&self, source: Source, what: (Reason, Front)) -> bool {
        let one_by_one = self.floods.lock().refused(source, what, Timestamp::now());
        if !one_by_one {
            self.recorder.limit_hit("limits.refusal_records");
            self.counted.notify_one();
        }
        one_by_one
    }

    /// Writes what is counted. What the journal does not take is kept and counted on.
    pub(super) fn sum_up(&self) {
        let mut counted = self.floods.lock().take(Timestamp::now()).into_iter();
        // The lock is free meanwhile: whoever is refused does not wait for the disk.
        let unwritten = counted.by_ref().find(|(source, count)| self.recorder.record(&count.clone().of(source)).is_err());
        let mut floods = self.floods.lock();
        for (source, count) in unwritten.into_iter().chain(counted) {
            floods.give_back(source, count);
            self.counted.notify_one();
        }
    }

    /// Sums up each second in which there is anything, until told to stop.
    pub(super) async fn keep_summing_up(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.counted.notified() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => self.sum_up(),
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Whose refusals are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// An agent's.
    Agent(AgentId),
    /// Those of a neighbourhood in which nobody was identified.
    Peer(IpAddr),
    /// Those of all other neighbourhoods.
    Other,
}

/// Who was refused in the last second, how often, and what of it is not written.
#[derive(Debug)]
struct Floods {
    rate: u32,
    sources: HashMap<Source, Seen>,
    peers: usize,
    swept: Timestamp,
}

#[derive(Debug)]
struct Seen {
    since: Timestamp,
    written: u32,
    counted: Option<Counted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    from: Timestamp,
    until: Timestamp,
    by: BTreeMap<(Reason, Front), u64>,
}

impl Floods {
    fn new(rate: u32) -> Self {
        Self { rate, sources: HashMap::new(), peers: 0, swept: Timestamp::UNIX_EPOCH }
    }

    /// Whether it is to be written by itself.
    fn refused(&mut self, source: Source, what: (Reason, Front), now: Timestamp) -> bool {
        let rate = self.rate;
        let seen = self.seen(source, now);
        if is_over(seen.since, now) {
            (seen.since, seen.written) = (now, 0);
        }
        if seen.written < rate {
            seen.written += 1;
            return true;
        }
        let one = Counted { from: now, until: now, by: BTreeMap::from([(what, 1)]) };
        seen.count(one);
        false
    }

    /// Takes what is counted, and forgets whoever was quiet for a second.
    fn take(&mut self, now: Timestamp) -> Vec<(Source, Counted)> {
        let counted = self.sources.iter_mut().filter_map(|(source, seen)| Some((source.clone(), seen.counted.take()?)));
        let mut counted: Vec<_> = counted.collect();
        counted.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.sweep(now);
        counted
    }

    fn give_back(&mut self, source: Source, counted: Counted) {
        let since = counted.from;
        self.seen(source, since).count(counted);
    }

    fn seen(&mut self, source: Source, now: Timestamp) -> &mut Seen {
        if self.peers >= MOST_PEERS && is_over(self.swept, now) {
            self.sweep(now);
        }
        let is_new = !self.sources.contains_key(&source);
        let source = match source {
            Source::Peer(_) if is_new && self.peers >= MOST_PEERS => Source::Other,
            Source::Peer(_) if is_new => {
                self.peers += 1;
                source
            }
            Source::Agent(_) | Source::Peer(_) | Source::Other => source,
        };
        self.sources.entry(source).or_insert(Seen { since: now, written: 0, counted: None })
    }

    fn sweep(&mut self, now: Timestamp) {
        self.sources.retain(|_, seen| seen.counted.is_some() || !is_over(seen.since, now));
        self.peers = self.sources.keys().filter(|source| matches!(source, Source::Peer(_))).count();
        self.swept = now;
    }
}

/// A clock that is set back ends a window too.
fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now < since || now.duration_since(since) >= WINDOW
}

impl Seen {
    fn count(&mut self, more: Counted) {
        let Counted { from, until, by } = more;
        let counted = self.counted.get_or_insert_with(|| Counted { from, until, by: BTreeMap::new() });
        (counted.from, counted.until) = (counted.from.min(from), counted.until.max(until));
        for (what, count) in by {
            *counted.by.entry(what).or_default() += count;
        }
    }
}

impl Counted {
    fn of(self, source: &Source) -> Record {
        let Self { from, until, by } = self;
        let (agent, source) = match source {
            Source::Agent(agent) => (Some(agent.clone()), None),
            Source::Peer(IpAddr::V4(address)) => (None, Some(address.to_string())),
            Source::Peer(IpAddr::V6(network)) => (None, Some(format!("{network}/64"))),
            Source::Other => (None, Some("other".to_owned())),
        };
        let by: Vec<RefusedCount> = by.into_iter().map(|((reason, front), count)| RefusedCount { reason, front, count }).collect();
        Record::RefusedSummary(RefusedSummary { agent, source, from, until, count: by.iter().map(|by| by.count).sum(), by })
    }
}

#[cfg(test)]
mod tests;

//! Refusals above a rate are counted exactly and summed up once a second: a flood of them fills no journal.
//!
//! The rate is of each agent, and of each source of which nobody is known; those together have a few times as much. Which refusal is written
//! by itself is pure; the time is passed in. What is kept is bounded: sources beyond those that are told apart share one count, and of an
//! agent's destinations the first few of a summary are told apart.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::record::{Front, Place, Record, Recorder, RefusedCount, RefusedHost, RefusedSummary};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

/// Unidentified sources that are told apart at once.
const MOST_PEERS: usize = 1024;

/// All unidentified sources together have so many times the rate of one: the next source costs its sender nothing.
const TOGETHER: u32 = 5;

/// Destinations of one agent that one summary tells apart.
const MOST_HOSTS: usize = 16;

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
    pub(super) fn is_one_by_one(&self, source: Source, refused: Refused<'_>) -> bool {
        let one_by_one = self.floods.lock().refused(source, refused, Timestamp::now());
        if !one_by_one {
            self.recorder.limit_hit("limits.refusal_records");
            self.counted.notify_one();
        }
        one_by_one
    }

    /// Counts a refusal that the journal did not take, so that it stands in a summary once the journal takes one.
    pub(super) fn unwritten(&self, source: Source, refused: Refused<'_>) {
        self.floods.lock().count(source, refused, Timestamp::now());
        self.counted.notify_one();
    }

    /// Writes what is counted. What the journal does not take is kept and counted on.
    pub(super) fn sum_up(&self) {
        let mut counted = self.floods.lock().take(Timestamp::now()).into_iter();
        // The lock is free meanwhile: whoever is refused does not wait for the disk.
        let unwritten = counted.by_ref().find(|(source, count)| self.recorder.record(&count.clone().of(source)).is_err());
        let (mut floods, now) = (self.floods.lock(), Timestamp::now());
        for (source, count) in unwritten.into_iter().chain(counted) {
            floods.give_back(source, count, now);
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

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused<'a> {
    pub(super) reason: Reason,
    pub(super) front: Front,
    /// Where to, if that could be read.
    pub(super) to: Option<&'a Destination>,
}

/// Who was refused in the last second, how often, and what of it is not written.
#[derive(Debug)]
struct Floods {
    rate: u32,
    sources: HashMap<Source, Seen>,
    /// What is written of all unidentified sources.
    together: Window,
    peers: usize,
    swept: Timestamp,
}

#[derive(Debug)]
struct Seen {
    window: Window,
    counted: Option<Counted>,
}

/// A second that begins with a refusal, and how many of it are written one by one.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    written: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    from: Timestamp,
    until: Timestamp,
    by: BTreeMap<(Reason, Front), u64>,
    /// Of an agent's, how many to each of the first destinations,
    hosts: BTreeMap<(String, u16), u64>,
    /// and how many to none of them.
    elsewhere: u64,
}

impl Floods {
    fn new(rate: u32) -> Self {
        let (swept, together) = (Timestamp::UNIX_EPOCH, Window { since: Timestamp::UNIX_EPOCH, written: 0 });
        Self { rate, sources: HashMap::new(), together, peers: 0, swept }
    }

    /// Whether it is to be written by itself.
    fn refused(&mut self, source: Source, refused: Refused<'_>, now: Timestamp) -> bool {
        let (rate, together) = (self.rate, self.rate.saturating_mul(TOGETHER));
        let shares = !source.is_agent();
        let room = !shares || self.together.has_room(together, now);
        let window = &mut self.seen(source.clone(), now).window;
        if window.has_room(rate, now) && room {
            window.written += 1;
            self.together.written += u32::from(shares);
            return true;
        }
        self.count(source, refused, now);
        false
    }

    fn count(&mut self, source: Source, refused: Refused<'_>, now: Timestamp) {
        let one = Counted::one(refused, source.is_agent(), now);
        self.seen(source, now).count(one);
    }

    /// Takes what is counted, and forgets whoever was quiet for a second.
    fn take(&mut self, now: Timestamp) -> Vec<(Source, Counted)> {
        let counted = self.sources.iter_mut().filter_map(|(source, seen)| Some((source.clone(), seen.counted.take()?)));
        let mut counted: Vec<_> = counted.collect();
        counted.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.sweep(now);
        counted
    }

    fn give_back(&mut self, source: Source, counted: Counted, now: Timestamp) {
        self.seen(source, now).count(counted);
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
        self.sources.entry(source).or_insert(Seen { window: Window { since: now, written: 0 }, counted: None })
    }

    fn sweep(&mut self, now: Timestamp) {
        self.sources.retain(|_, seen| seen.counted.is_some() || !is_over(seen.window.since, now));
        self.peers = self.sources.keys().filter(|source| matches!(source, Source::Peer(_))).count();
        self.swept = now;
    }
}

/// A clock that is set back ends a window too.
fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now < since || now.duration_since(since) >= WINDOW
}

impl Source {
    fn is_agent(&self) -> bool {
        match self {
            Source::Agent(_) => true,
            Source::Peer(_) | Source::Other => false,
        }
    }
}

impl Window {
    /// Whether one more may be written, of so many.
    fn has_room(&mut self, most: u32, now: Timestamp) -> bool {
        if is_over(self.since, now) {
            *self = Self { since: now, written: 0 };
        }
        self.written < most
    }
}

impl Seen {
    fn count(&mut self, more: Counted) {
        match &mut self.counted {
            Some(counted) => counted.add(more),
            None => self.counted = Some(more),
        }
    }
}

impl Counted {
    fn one(refused: Refused<'_>, of_an_agent: bool, now: Timestamp) -> Self {
        let Refused { reason, front, to } = refused;
        let place = to.filter(|_| of_an_agent).map(|to| Place::new(to, None));
        let hosts: BTreeMap<_, _> = place.map(|Place { host, port, scheme: _ }| ((host, port), 1)).into_iter().collect();
        let elsewhere = u64::from(of_an_agent && hosts.is_empty());
        Self { from: now, until: now, by: BTreeMap::from([((reason, front), 1)]), hosts, elsewhere }
    }

    fn add(&mut self, more: Self) {
        let Self { from, until, by, hosts, elsewhere } = more;
        (self.from, self.until) = (self.from.min(from), self.until.max(until));
        for (what, count) in by {
            *self.by.entry(what).or_default() += count;
        }
        self.elsewhere += elsewhere;
        for (host, count) in hosts {
            if self.hosts.len() < MOST_HOSTS || self.hosts.contains_key(&host) {
                *self.hosts.entry(host).or_default() += count;
            } else {
                self.elsewhere += count;
            }
        }
    }

    fn of(self, source: &Source) -> Record {
        let Self { from, until, by, hosts, elsewhere } = self;
        let (agent, source) = match source {
            Source::Agent(agent) => (Some(agent.clone()), None),
            Source::Peer(IpAddr::V4(address)) => (None, Some(address.to_string())),
            Source::Peer(IpAddr::V6(network)) => (None, Some(format!("{network}/64"))),
            Source::Other => (None, Some("other".to_owned())),
        };
        let by: Vec<RefusedCount> = by.into_iter().map(|((reason, front), count)| RefusedCount { reason, front, count }).collect();
        let count = by.iter().map(|by| by.count).sum();
        let hosts = hosts.into_iter().map(|((host, port), count)| RefusedHost { host, port, count }).collect();
        Record::RefusedSummary(RefusedSummary { agent, source, from, until, count, by, hosts, elsewhere })
    }
}

#[cfg(test)]
mod tests;

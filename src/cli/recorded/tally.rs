//! What agents did, counted from records: by agent and host, in bounded memory.
//!
//! Of hosts beyond the bound only sums are kept. Hosts that were reached and hosts that were only refused have bounds of their own, so that a
//! flood of refused names hides no host that was reached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use crate::egress::record::{
    Answer, Answered, Decided, Ended, Held, Outcome, Place, Progress, Record, RefusedSummary, Revoked, Ruling, Would,
};
use crate::policy::attempt::{AgentId, AttemptId, RequestLine, Scheme};
use crate::policy::reason::Reason;

/// Hosts of one agent that were reached, and as many that were only refused.
pub(in crate::cli) const HOSTS: usize = 1000;
/// Hosts of all agents.
const HOSTS_IN_ALL: usize = 50_000;
/// Attempts whose end is awaited; of more the bytes are counted for the agent alone.
pub(in crate::cli) const OPEN: usize = 200_000;
/// Answers of one agent.
const ANSWERS: usize = 500;
/// Addresses of one host.
const ADDRESSES: usize = 8;

/// Everybody's.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tally {
    /// By agent; of nobody known under `None`.
    pub(in crate::cli) agents: BTreeMap<Option<AgentId>, AgentTally>,
    open: HashMap<AttemptId, Begun>,
    hosts: usize,
}

/// One agent's.
#[derive(Debug, Default)]
pub(in crate::cli) struct AgentTally {
    pub(in crate::cli) total: Counts,
    /// In the order they were first seen.
    pub(in crate::cli) hosts: Vec<HostTally>,
    /// Of hosts beyond the bound, and of attempts whose host is not known.
    pub(in crate::cli) elsewhere: Counts,
    pub(in crate::cli) questions: Questions,
    waits: Waits,
    pub(in crate::cli) answers: Vec<Given>,
    pub(in crate::cli) answers_left_out: u64,
    /// Refusals that have no record of their own, by reason; they are in no other count.
    pub(in crate::cli) summarised: BTreeMap<Reason, u64>,
    /// What people and hold rules said of hosts and ports, whatever came of it.
    pub(in crate::cli) doubts: BTreeMap<(String, u16), Doubt>,
    /// There were more doubts than are kept.
    pub(in crate::cli) more_doubts: bool,
    at: HashMap<(String, u16), usize>,
    only_refused: usize,
}

/// Sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Counts {
    pub(in crate::cli) allow: u64,
    pub(in crate::cli) look: u64,
    pub(in crate::cli) block: u64,
    /// Of the allowed, those that only passed as the agent is observed.
    pub(in crate::cli) would_hold: u64,
    pub(in crate::cli) would_block: u64,
    /// Of the allowed, those that were refused afterwards, by reason.
    pub(in crate::cli) refused_later: BTreeMap<Reason, u64>,
    /// Of the allowed, those that failed on their way or at the other side, by reason.
    pub(in crate::cli) failed: BTreeMap<Reason, u64>,
    pub(in crate::cli) reasons: BTreeMap<Reason, u64>,
    pub(in crate::cli) bytes_up: u64,
    pub(in crate::cli) bytes_down: u64,
    pub(in crate::cli) seen: Option<(Timestamp, Timestamp)>,
}

/// One host and port.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct HostTally {
    pub(in crate::cli) host: String,
    pub(in crate::cli) port: u16,
    pub(in crate::cli) counts: Counts,
    /// Some of it was plain HTTP.
    pub(in crate::cli) plain: bool,
    /// Where it led, or would have.
    pub(in crate::cli) addresses: BTreeSet<IpAddr>,
    /// The rule that spoke last.
    pub(in crate::cli) rule: Option<String>,
    passed: bool,
}

impl HostTally {
    fn new(place: &Place, passed: bool) -> Self {
        Self {
            host: place.host.clone(),
            port: place.port,
            counts: Counts::default(),
            plain: place.scheme == Some(Scheme::Http),
            addresses: BTreeSet::new(),
            rule: None,
            passed,
        }
    }
}

/// What speaks against a host, the stronger last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Doubt {
    /// A `[[hold]]` rule asks for it.
    Asked,
    /// A person said no, or took a yes back.
    Refused,
}

impl Doubt {
    fn of(decided: &Decided) -> Option<Self> {
        if matches!(decided.reason, Reason::Refused | Reason::Quiet) {
            return Some(Self::Refused);
        }
        let waited = matches!(decided.reason, Reason::Pending | Reason::Expired | Reason::Unattended);
        ((waited || decided.would == Some(Would::Hold)) && decided.rule.is_some()).then_some(Self::Asked)
    }
}

/// Questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(in crate::cli) struct Questions {
    pub(in crate::cli) asked: u64,
    pub(in crate::cli) yes: u64,
    pub(in crate::cli) no: u64,
}

/// Questions that are not answered yet, and how long answers took.
#[derive(Debug, Default)]
struct Waits {
    since: HashMap<String, Timestamp>,
    seconds: Vec<u64>,
}

/// What a person said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Given {
    pub(in crate::cli) at: Timestamp,
    pub(in crate::cli) by: String,
    /// `yes`, `no` or `revoked`.
    pub(in crate::cli) answer: &'static str,
    pub(in crate::cli) scope: Option<String>,
    pub(in crate::cli) expiry: Option<Timestamp>,
    pub(in crate::cli) note: Option<String>,
    pub(in crate::cli) place: Place,
    pub(in crate::cli) request: Option<RequestLine>,
}

#[derive(Debug)]
struct Begun {
    agent: Option<AgentId>,
    host: Option<usize>,
    passed: bool,
    up: u64,
    down: u64,
}

impl Counts {
    pub(in crate::cli) fn attempts(&self) -> u64 {
        self.allow + self.look + self.block
    }

    fn decided(&mut self, at: Timestamp, decided: &Decided) {
        match decided.decision {
            Ruling::Allow => self.allow += 1,
            Ruling::Look => self.look += 1,
            Ruling::Block => self.block += 1,
        }
        match decided.would {
            Some(Would::Hold) => self.would_hold += 1,
            Some(Would::Block) => self.would_block += 1,
            None => {}
        }
        *self.reasons.entry(decided.reason).or_default() += 1;
        self.at(at);
    }

    fn at(&mut self, at: Timestamp) {
        let (first, last) = self.seen.unwrap_or((at, at));
        self.seen = Some((first.min(at), last.max(at)));
    }

    fn carried(&mut self, at: Timestamp, (up, down): (u64, u64)) {
        self.bytes_up = self.bytes_up.saturating_add(up);
        self.bytes_down = self.bytes_down.saturating_add(down);
        self.at(at);
    }

    /// What was allowed came to nothing.
    fn ended(&mut self, outcome: Outcome, reason: Reason) {
        let counts = match outcome {
            Outcome::Refused => &mut self.refused_later,
            Outcome::Failed => &mut self.failed,
            Outcome::Completed | Outcome::Abandoned | Outcome::Cut | Outcome::Lost => return,
        };
        *counts.entry(reason).or_default() += 1;
    }
}

impl Tally {
    /// Counts a record; one that is not of the time asked for only says to which host later bytes belong.
    pub(in crate::cli) fn count(&mut self, at: Timestamp, record: &Record, inside: bool) {
        match record {
            Record::Decided(decided) => self.decided(at, decided, inside),
            Record::Ended(ended) => self.ended(at, ended, inside),
            Record::Progress(progress) => self.progress(at, progress, inside),
            Record::Held(held) if inside => self.agent(Some(&held.agent)).held(at, held),
            Record::Answered(answered) if inside => self.agent(Some(&answered.agent)).answered(at, answered),
            Record::Revoked(revoked) if inside => self.agent(Some(&revoked.agent)).revoked(at, revoked),
            Record::RefusedSummary(summary) if inside => self.agent(summary.agent.as_ref()).summarised(summary),
            Record::Held(_)
            | Record::Answered(_)
            | Record::Revoked(_)
            | Record::Approver(_)
            | Record::Cut(_)
            | Record::Frozen(_)
            | Record::Thawed(_)
            | Record::RefusedSummary(_)
            | Record::Started(_)
            | Record::Stopped(_)
            | Record::Policy(_)
            | Record::Gap(_)
            | Record::Segment(_)
            | Record::Sealed(_) => {}
        }
    }

    fn agent(&mut self, agent: Option<&AgentId>) -> &mut AgentTally {
        self.agents.entry(agent.cloned()).or_default()
    }

    fn decided(&mut self, at: Timestamp, decided: &Decided, inside: bool) {
        let room = self.hosts < HOSTS_IN_ALL;
        let agent = self.agents.entry(decided.agent.clone()).or_default();
        let known = agent.hosts.len();
        let passed = decided.decision != Ruling::Block;
        let host = decided.destination.as_ref().and_then(|place| agent.host(place, passed, room));
        if inside {
            agent.total.decided(at, decided);
            host.map_or(&mut agent.elsewhere, |host| &mut agent.hosts[host].counts).decided(at, decided);
            if let Some(host) = host {
                agent.hosts[host].rule.clone_from(&decided.rule);
            }
            if let Some((place, doubt)) = decided.destination.as_ref().zip(Doubt::of(decided)) {
                agent.doubt(place, doubt);
            }
        }
        self.hosts += agent.hosts.len() - known;
        if self.open.len() < OPEN {
            self.open.insert(decided.id, Begun { agent: decided.agent.clone(), host, passed, up: 0, down: 0 });
        }
    }

    fn progress(&mut self, at: Timestamp, progress: &Progress, inside: bool) {
        let Progress { id, agent, bytes_up, bytes_down } = progress;
        let Some(begun) = self.open.get_mut(id) else {
            if self.open.len() < OPEN {
                let begun = Begun { agent: agent.clone(), host: None, passed: true, up: *bytes_up, down: *bytes_down };
                self.open.insert(*id, begun);
            }
            return;
        };
        let more = (bytes_up.saturating_sub(begun.up), bytes_down.saturating_sub(begun.down));
        (begun.up, begun.down) = (*bytes_up, *bytes_down);
        let (agent, host) = (begun.agent.clone(), begun.host);
        if inside {
            self.carried(at, (agent.as_ref(), host), more);
        }
    }

    fn ended(&mut self, at: Timestamp, ended: &Ended, inside: bool) {
        let begun = self.open.remove(&ended.id);
        let begun = begun.unwrap_or(Begun { agent: ended.agent.clone(), host: None, passed: false, up: 0, down: 0 });
        if !inside {
            return;
        }
        let more = (ended.bytes_up.saturating_sub(begun.up), ended.bytes_down.saturating_sub(begun.down));
        self.carried(at, (begun.agent.as_ref(), begun.host), more);
        let agent = self.agent(begun.agent.as_ref());
        if begun.passed {
            agent.total.ended(ended.outcome, ended.reason);
            begun.host.map_or(&mut agent.elsewhere, |host| &mut agent.hosts[host].counts).ended(ended.outcome, ended.reason);
        }
        if let Some(host) = begun.host.map(|host| &mut agent.hosts[host])
            && let Some(address) = ended.address.as_deref().and_then(address)
            && host.addresses.len() < ADDRESSES
        {
            host.addresses.insert(address);
        }
    }

    fn carried(&mut self, at: Timestamp, (agent, host): (Option<&AgentId>, Option<usize>), bytes: (u64, u64)) {
        let agent = self.agent(agent);
        agent.total.carried(at, bytes);
        host.map_or(&mut agent.elsewhere, |host| &mut agent.hosts[host].counts).carried(at, bytes);
    }
}

impl AgentTally {
    /// Which host it is; `None` where there are too many.
    fn host(&mut self, place: &Place, passed: bool, room: bool) -> Option<usize> {
        let key = (place.host.clone(), place.port);
        if let Some(&at) = self.at.get(&key) {
            let host = &mut self.hosts[at];
            host.plain |= place.scheme == Some(Scheme::Http);
            if passed && !host.passed {
                host.passed = true;
                self.only_refused -= 1;
            }
            return Some(at);
        }
        let full = if passed { self.hosts.len() >= 2 * HOSTS } else { self.only_refused >= HOSTS };
        if full || !room || self.hosts.len() >= 2 * HOSTS {
            return None;
        }
        self.only_refused += usize::from(!passed);
        self.at.insert(key, self.hosts.len());
        self.hosts.push(HostTally::new(place, passed));
        Some(self.hosts.len() - 1)
    }

    /// The time from a question to its first answer, in seconds: half of them took no longer.
    pub(in crate::cli) fn answered_within(&mut self) -> Option<u64> {
        let seconds = &mut self.waits.seconds;
        let middle = seconds.len().checked_sub(1)? / 2;
        Some(*seconds.select_nth_unstable(middle).1)
    }

    fn held(&mut self, at: Timestamp, held: &Held) {
        self.questions.asked += 1;
        if self.waits.since.len() < OPEN {
            self.waits.since.insert(held.hold.clone(), at);
        }
        if held.rule.is_some() {
            self.doubt(&held.destination, Doubt::Asked);
        }
    }

    fn doubt(&mut self, place: &Place, doubt: Doubt) {
        let key = (place.host.clone(), place.port);
        if self.doubts.len() >= 2 * HOSTS && !self.doubts.contains_key(&key) {
            self.more_doubts = true;
            return;
        }
        let known = self.doubts.entry(key).or_insert(doubt);
        *known = doubt.max(*known);
    }

    fn answered(&mut self, at: Timestamp, answered: &Answered) {
        if let Some(since) = self.waits.since.remove(&answered.hold).filter(|_| self.waits.seconds.len() < OPEN) {
            self.waits.seconds.push(at.duration_since(since).as_secs().unsigned_abs());
        }
        let answer = match answered.answer {
            Answer::Yes => {
                self.questions.yes += 1;
                "yes"
            }
            Answer::No => {
                self.questions.no += 1;
                self.doubt(&answered.destination, Doubt::Refused);
                "no"
            }
        };
        let Answered { approver, scope, expiry, note, destination, request, .. } = answered.clone();
        self.given(Given { at, by: approver, answer, scope, expiry, note, place: destination, request });
    }

    fn revoked(&mut self, at: Timestamp, revoked: &Revoked) {
        self.doubt(&revoked.destination, Doubt::Refused);
        let Revoked { approval: _, agent: _, destination: place, request, who: by } = revoked.clone();
        self.given(Given { at, by, answer: "revoked", scope: None, expiry: None, note: None, place, request });
    }

    fn given(&mut self, given: Given) {
        if self.answers.len() < ANSWERS { self.answers.push(given) } else { self.answers_left_out += 1 }
    }

    fn summarised(&mut self, summary: &RefusedSummary) {
        self.total.at(summary.from);
        self.total.at(summary.until);
        for by in &summary.by {
            *self.summarised.entry(by.reason).or_default() += by.count;
        }
    }
}

/// The address of an address with its port, or without one.
pub(in crate::cli) fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| text.parse()).ok()
}

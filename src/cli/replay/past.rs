//! The distinct attempts that records tell of, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::LeftOut;
use crate::cli::recorded::tally::{OPEN, address};
use crate::egress::record::{Decided, Ended, Outcome, Record, Ruling};
use crate::policy::attempt::{AgentId, AttemptId, Scheme};
use crate::policy::reason::Reason;

/// Distinct attempts; what comes beyond is only counted.
const DISTINCT: usize = 100_000;

/// Everything that is decided again.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) tried: BTreeMap<Arc<Tried>, Seen>,
    pub(super) by_approval: u64,
    pub(super) left_out: LeftOut,
    /// Allowed by name, with their end to come.
    open: HashMap<AttemptId, (Arc<Tried>, Timestamp)>,
}

/// One attempt, as far as it is recorded, and what it got.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tried {
    pub(super) agent: AgentId,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) scheme: Option<Scheme>,
    pub(super) method: Option<Arc<str>>,
    pub(super) path: Option<Arc<str>>,
    pub(super) was: Was,
    pub(super) reason: Reason,
    /// Where the name led, where that was why it was refused.
    pub(super) address: Option<IpAddr>,
}

/// How often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) last: Timestamp,
}

/// What the rules gave it, answers of people aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Was {
    Allow,
    Look,
    Hold,
    Block,
}

impl Past {
    pub(super) fn saw(&mut self, at: Timestamp, record: &Record, agent: Option<&AgentId>) {
        match record {
            Record::Decided(decided) => self.decided(at, decided, agent),
            Record::Ended(ended) => self.ended(ended),
            Record::RefusedSummary(summary) if agent.is_none_or(|agent| summary.agent.as_ref() == Some(agent)) => {
                self.left_out.summarised += summary.count;
            }
            Record::RefusedSummary(_)
            | Record::Started(_)
            | Record::Stopped(_)
            | Record::Policy(_)
            | Record::Held(_)
            | Record::Answered(_)
            | Record::Revoked(_)
            | Record::Approver(_)
            | Record::Cut(_)
            | Record::Frozen(_)
            | Record::Thawed(_)
            | Record::Progress(_)
            | Record::Gap(_)
            | Record::Segment(_)
            | Record::Sealed(_) => {}
        }
    }

    fn decided(&mut self, at: Timestamp, decided: &Decided, only: Option<&AgentId>) {
        if only.is_some_and(|only| decided.agent.as_ref() != Some(only)) {
            return;
        }
        let Some(agent) = decided.agent.clone() else {
            self.left_out.not_identified += 1;
            return;
        };
        let (Some(place), Some(was)) = (&decided.destination, Was::of(decided.decision, decided.reason)) else {
            self.left_out.not_by_rules += 1;
            return;
        };
        self.by_approval += u64::from(decided.reason == Reason::Approved);
        let (method, path) = decided.request.as_ref().map(|line| (line.method.clone(), line.path.clone())).unzip();
        let (host, port, scheme) = (place.host.clone(), place.port, place.scheme);
        let tried = Tried { agent, host, port, scheme, method, path, was, reason: decided.reason, address: None };
        let kept = self.count(tried, at);
        if let Some(kept) = kept.filter(|_| was == Was::Allow && self.open.len() < OPEN) {
            self.open.insert(decided.id, (kept, at));
        }
    }

    /// What was allowed by its name and refused for what that led to has reached nothing: another rule may let it.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let Some((tried, at)) = self.open.remove(&ended.id) else { return };
        let of_a_rule = matches!(ended.reason, Reason::ForbiddenAddress | Reason::NameMismatch | Reason::NotTls);
        if ended.outcome != Outcome::Refused || !of_a_rule {
            return;
        }
        if let Some(seen) = self.tried.get_mut(&tried) {
            seen.count -= 1;
            if seen.count == 0 {
                self.tried.remove(&tried);
            }
        }
        let address = ended.address.as_deref().and_then(address).filter(|_| ended.reason == Reason::ForbiddenAddress);
        self.count(Tried { was: Was::Block, reason: ended.reason, address, ..Arc::unwrap_or_clone(tried) }, at);
    }

    fn count(&mut self, tried: Tried, at: Timestamp) -> Option<Arc<Tried>> {
        if let Some(seen) = self.tried.get_mut(&tried) {
            seen.count += 1;
            seen.last = seen.last.max(at);
            return self.tried.get_key_value(&tried).map(|(kept, _)| Arc::clone(kept));
        }
        if self.tried.len() >= DISTINCT {
            self.left_out.too_many += 1;
            return None;
        }
        let kept = Arc::new(tried);
        self.tried.insert(Arc::clone(&kept), Seen { count: 1, last: at });
        Some(kept)
    }
}

impl Was {
    /// `None` where something else than rules decided.
    fn of(ruling: Ruling, reason: Reason) -> Option<Self> {
        match (ruling, reason) {
            (Ruling::Allow, Reason::Approved) => Some(Self::Hold),
            (Ruling::Allow, _) => Some(Self::Allow),
            (Ruling::Look, _) => Some(Self::Look),
            (Ruling::Block, Reason::Refused | Reason::Pending | Reason::Expired | Reason::Unattended | Reason::Quiet) => Some(Self::Hold),
            (
                Ruling::Block,
                Reason::Unlisted | Reason::Blocked | Reason::OwnAddress | Reason::SpecialName | Reason::ForbiddenAddress | Reason::Listed,
            ) => Some(Self::Block),
            (
                Ruling::Block,
                Reason::Approved
                | Reason::Observed
                | Reason::Inspect
                | Reason::Frozen
                | Reason::UnknownAgent
                | Reason::Malformed
                | Reason::NameMismatch
                | Reason::NotTls
                | Reason::Overloaded
                | Reason::Budget
                | Reason::PolicyChanged
                | Reason::DnsFailed
                | Reason::Unreachable
                | Reason::BadCertificate
                | Reason::Internal,
            ) => None,
        }
    }
}

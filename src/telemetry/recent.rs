//! The last attempts, for people who look: a ring in memory, and news for those who follow.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::egress::record::{Decided, Ended, Outcome, Record};
use crate::policy::attempt::{AgentId, AttemptId};

/// Attempts that are kept.
pub const KEPT: usize = 1000;

/// News kept for one who is behind; past that he looks at the ring anew.
const NEWS: usize = 256;

/// What became of the last attempts.
#[derive(Debug)]
pub struct Recent {
    ring: Mutex<Ring>,
    news: broadcast::Sender<AttemptView>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first that is kept.
    first: u64,
    kept: VecDeque<Seen>,
    numbers: HashMap<AttemptId, u64>,
}

#[derive(Clone, Debug)]
struct Seen {
    at: Timestamp,
    decided: Decided,
    ended: Option<EndView>,
}

/// One attempt as listings and events show it. Nothing here is escaped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// Its id, as in records.
    pub id: Uuid,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked; absent where not identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Which running one of them.
    pub instance: String,
    /// The way in: `forward` or `connect`.
    pub front: String,
    /// Where to; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The method, where seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path, masked and without its query, where seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `allow`, `look` or `block`.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The approval that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Uuid>,
    /// How it ended; absent while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndView>,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndView {
    /// `completed`, `refused`, `abandoned`, `failed`, `cut` or `lost`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Bytes from the agent.
    pub bytes_up: u64,
    /// Bytes to the agent.
    pub bytes_down: u64,
    /// From the claim to the end, in milliseconds.
    pub ms: f64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { ring: Mutex::default(), news: broadcast::Sender::new(NEWS) }
    }
}

impl Recent {
    /// Takes a record into account.
    pub(super) fn recorded(&self, record: &Record) {
        let mut ring = self.ring.lock();
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever other kinds come, an attempt is decided and ends")]
        let told = match record {
            Record::Decided(decided) => ring.decided(decided, Timestamp::now()),
            Record::Ended(ended) => ring.ended(ended),
            _ => None,
        };
        let told = told.filter(|_| self.news.receiver_count() > 0).map(Seen::view);
        drop(ring);
        if let Some(view) = told {
            // Who subscribed may be gone.
            let _ = self.news.send(view);
        }
    }

    /// The attempts that are kept and wanted, the newest first.
    pub fn list(&self, most: usize, wanted: impl Fn(&AttemptView) -> bool) -> Vec<AttemptView> {
        let kept: Vec<Seen> = self.ring.lock().kept.iter().rev().cloned().collect();
        kept.iter().map(Seen::view).filter(wanted).take(most).collect()
    }

    /// Attempts as they are decided and as they end, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<AttemptView> {
        self.news.subscribe()
    }
}

impl Ring {
    fn decided(&mut self, decided: &Decided, at: Timestamp) -> Option<&Seen> {
        if self.kept.len() >= KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.numbers.remove(&oldest.decided.id);
            self.first += 1;
        }
        self.numbers.insert(decided.id, self.first + self.kept.len() as u64);
        self.kept.push_back(Seen { at, decided: decided.clone(), ended: None });
        self.kept.back()
    }

    fn ended(&mut self, ended: &Ended) -> Option<&Seen> {
        let at = self.numbers.get(&ended.id)?.checked_sub(self.first)?;
        let seen = self.kept.get_mut(usize::try_from(at).ok()?)?;
        seen.ended = Some(EndView {
            outcome: outcome(ended.outcome),
            reason: ended.reason.to_string(),
            bytes_up: ended.bytes_up,
            bytes_down: ended.bytes_down,
            ms: ended.ms.total,
        });
        Some(seen)
    }
}

fn outcome(outcome: Outcome) -> String {
    outcome.as_str().to_owned()
}

impl Seen {
    fn view(&self) -> AttemptView {
        let Self { at, decided, ended } = self;
        AttemptView {
            id: decided.id.0,
            at: *at,
            agent: decided.agent.clone(),
            instance: decided.instance.clone(),
            front: decided.front.as_str().to_owned(),
            host: decided.destination.as_ref().map(|place| place.host.clone()),
            port: decided.destination.as_ref().map(|place| place.port),
            method: decided.request.as_ref().map(|request| request.method.to_string()),
            path: decided.request.as_ref().map(|request| request.path.to_string()),
            decision: decided.decision.as_str().to_owned(),
            reason: decided.reason.to_string(),
            rule: decided.rule.clone(),
            approval: decided.approval,
            ended: ended.clone(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::journal::sample::{decided, ended};

    #[test]
    fn the_last_attempts_are_kept_and_each_gets_its_end() {
        let recent = Recent::default();
        let mut news = recent.subscribe();
        for id in 0..KEPT as u128 + 10 {
            recent.recorded(&Record::Decided(decided(id)));
        }
        recent.recorded(&Record::Ended(ended(3)));
        recent.recorded(&Record::Ended(ended(500)));
        let all = recent.list(usize::MAX, |_| true);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].id, Uuid::from_u128(KEPT as u128 + 9));
        let over: Vec<_> = all.iter().filter(|attempt| attempt.ended.is_some()).map(|attempt| attempt.id.as_u128()).collect();
        assert_eq!(over, [500]);
        assert_eq!(
            recent.list(3, |attempt| attempt.id.as_u128() < 100).iter().map(|seen| seen.id.as_u128()).collect::<Vec<_>>(),
            [99, 98, 97]
        );
        assert!(matches!(news.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        assert_eq!(recent.ring.lock().numbers.len(), KEPT);
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        let recent = Recent::default();
        recent.recorded(&Record::Decided(decided(1)));
        assert_eq!(recent.news.len(), 0);
        let mut news = recent.subscribe();
        recent.recorded(&Record::Ended(ended(1)));
        assert_eq!(news.try_recv().unwrap().ended.map(|end| end.bytes_down), Some(ended(1).bytes_down));
    }
}

//! What the policy lets pass at once, in a minute and in a day: the limits of the floor, the agent and the rule, counted for each agent.
//!
//! All limits of one grant are taken together or none. A minute is any 60 seconds of the monotonic clock, and what is remembered of one is bounded by its limit.

mod day;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::policy::attempt::AgentId;
use crate::policy::limits::{LimitedBy, Limits};

/// As metrics name a limit of bytes.
pub(super) const BYTES_PER_DAY: &str = "policy.bytes_per_day";

const MINUTE: Duration = Duration::from_secs(60);

/// Whose limit: a rule's and the floor's bind each agent by itself.
type Key = (AgentId, Arc<str>);

pub(super) use day::Drawing;
pub use day::{Ledger, Spending, Spent};

/// What every agent has taken.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    taken: Mutex<Taken>,
    spending: Spending,
}

#[derive(Debug, Default)]
struct Taken {
    spent: HashMap<Key, Tally>,
    swept: Option<Instant>,
}

/// What is taken of one budget.
#[derive(Debug, Default)]
struct Tally {
    open: u32,
    /// Beginnings of the last minute, the oldest first; kept where a limit counts them.
    begun: VecDeque<Instant>,
}

/// One attempt's share of its budgets. Dropping it gives back what is counted while open.
#[derive(Debug)]
pub(super) struct Share {
    budgets: Arc<Budgets>,
    keys: Vec<Key>,
    at: Instant,
}

/// A limit that lets no more pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Whose.
    pub by: LimitedBy,
    /// Which, and how much it is.
    pub limit: Budget,
}

/// A limit of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Attempts open at once.
    Open {
        /// So many.
        most: u32,
    },
    /// Attempts that begin within 60 seconds.
    PerMinute {
        /// So many.
        most: u32,
        /// Until the next may begin.
        free_in: Duration,
    },
    /// Bytes of one day.
    BytesPerDay {
        /// So many.
        most: u64,
        /// Until the next day begins.
        free_in: Duration,
    },
}

impl Budget {
    /// As metrics name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Budget::Open { most: _ } => "policy.open",
            Budget::PerMinute { most: _, free_in: _ } => "policy.per_minute",
            Budget::BytesPerDay { most: _, free_in: _ } => BYTES_PER_DAY,
        }
    }
}

impl Budgets {
    pub(super) fn new(spending: Spending) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), spending })
    }

    /// What is open under these limits obeys them as they are.
    pub(super) fn bind(&self, agent: &AgentId, limits: &[(LimitedBy, Limits)]) {
        let _drawing = self.spending.drawing(agent, limits);
    }

    /// What the bytes of an attempt are taken from, where a limit counts them.
    pub(super) fn drawing(&self, agent: &AgentId, limits: &[(LimitedBy, Limits)]) -> Option<Drawing> {
        self.spending.drawing(agent, limits)
    }

    /// A share under every one of the limits, or the first that has none left.
    pub(super) fn take(self: &Arc<Self>, agent: &AgentId, limits: &[(LimitedBy, Limits)]) -> Result<Option<Share>, Exhausted> {
        if limits.is_empty() {
            return Ok(None);
        }
        if let Some((by, most, free_in)) = self.spending.lacks(agent, limits) {
            return Err(Exhausted { by, limit: Budget::BytesPerDay { most, free_in } });
        }
        let keys = day::keys(agent, limits);
        let mut ledger = self.taken.lock();
        // Under the lock, so that beginnings stand in the order of their times.
        let at = Instant::now();
        ledger.sweep(at);
        for ((by, limits), key) in limits.iter().zip(&keys) {
            if let Some(limit) = ledger.spent.get_mut(key).and_then(|spent| spent.lacks(limits, at)) {
                return Err(Exhausted { by: by.clone(), limit });
            }
        }
        for ((_, Limits { open: _, per_minute, bytes_per_day: _ }), key) in limits.iter().zip(&keys) {
            let spent = ledger.spent.entry(key.clone()).or_default();
            spent.open += 1;
            if per_minute.is_some() {
                spent.begun.push_back(at);
            }
        }
        Ok(Some(Share { budgets: Arc::clone(self), keys, at }))
    }
}

impl Taken {
    /// Once a minute, forgets who has nothing open and began nothing.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < MINUTE) {
            return;
        }
        self.swept = Some(now);
        self.spent.retain(|_, spent| {
            spent.forget(now);
            spent.begun.shrink_to(spent.begun.len() * 2);
            !spent.is_idle()
        });
    }
}

impl Tally {
    fn lacks(&mut self, limits: &Limits, now: Instant) -> Option<Budget> {
        let Limits { open, per_minute, bytes_per_day: _ } = *limits;
        self.forget(now);
        if let Some(most) = open.filter(|most| self.open >= *most) {
            return Some(Budget::Open { most });
        }
        let most = per_minute.filter(|most| self.begun.len() >= *most as usize)?;
        let last_in_the_way = self.begun.get(self.begun.len() - most.max(1) as usize)?;
        Some(Budget::PerMinute { most, free_in: MINUTE.saturating_sub(now.duration_since(*last_in_the_way)) })
    }

    fn forget(&mut self, now: Instant) {
        let old = self.begun.iter().take_while(|begun| now.duration_since(**begun) >= MINUTE).count();
        self.begun.drain(..old);
    }

    fn is_idle(&self) -> bool {
        self.open == 0 && self.begun.is_empty()
    }
}

impl Share {
    /// As if it had never been taken: nothing began under it.
    pub(super) fn unused(self) {
        let mut ledger = self.budgets.taken.lock();
        for key in &self.keys {
            if let Some(spent) = ledger.spent.get_mut(key)
                && let Some(mine) = spent.begun.iter().rposition(|begun| *begun == self.at)
            {
                spent.begun.remove(mine);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut ledger = self.budgets.taken.lock();
        for key in &self.keys {
            if let Some(spent) = ledger.spent.get_mut(key) {
                spent.open -= 1;
                if spent.is_idle() {
                    ledger.spent.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::rule::RuleRef;

    fn agent(name: &str) -> AgentId {
        AgentId::parse(name).unwrap()
    }

    fn open(most: u32) -> Limits {
        Limits { open: Some(most), ..Limits::default() }
    }

    fn per_minute(most: u32) -> Limits {
        Limits { per_minute: Some(most), ..Limits::default() }
    }

    fn rule(line: u32) -> LimitedBy {
        LimitedBy::Rule { place: RuleRef { file: "a.toml".into(), line }, mark: line.into() }
    }

    fn keys(budgets: &Budgets) -> usize {
        budgets.taken.lock().spent.len()
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_begin_within_any_sixty_seconds_than_the_limit_says() {
        let budgets = Arc::new(Budgets::default());
        let (a, limits) = (agent("a"), [(LimitedBy::Agent, per_minute(3))]);
        let start = Instant::now();
        let mut begun = Vec::new();
        for _ in 0..600 {
            match budgets.take(&a, &limits) {
                Ok(share) => {
                    drop(share);
                    begun.push(start.elapsed());
                }
                Err(Exhausted { by, limit: Budget::PerMinute { most, free_in } }) => {
                    assert_eq!((by, most), (LimitedBy::Agent, 3));
                    let oldest = begun[begun.len() - 3];
                    assert_eq!(free_in, oldest + MINUTE - start.elapsed());
                }
                Err(other) => panic!("{other:?}"),
            }
            tokio::time::advance(Duration::from_millis(900)).await;
        }
        assert!(begun.len() > 24, "{begun:?}");
        assert!(begun.windows(4).all(|four| four[3] - four[0] >= MINUTE), "{begun:?}");
        assert!(budgets.taken.lock().spent.values().all(|spent| spent.begun.len() <= 3));
    }

    #[tokio::test]
    async fn what_is_open_counts_until_its_share_is_dropped_and_no_other_agent_pays_for_it() {
        let budgets = Arc::new(Budgets::default());
        let limits = [(LimitedBy::Floor, open(2))];
        let first = budgets.take(&agent("a"), &limits).unwrap();
        let _second = budgets.take(&agent("a"), &limits).unwrap();
        let full = Exhausted { by: LimitedBy::Floor, limit: Budget::Open { most: 2 } };
        assert_eq!(budgets.take(&agent("a"), &limits).err(), Some(full));
        assert!(budgets.take(&agent("b"), &limits).is_ok());
        drop(first);
        assert!(budgets.take(&agent("a"), &limits).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_limits_of_a_grant_are_taken_or_none() {
        let budgets = Arc::new(Budgets::default());
        let a = agent("a");
        let both = [(LimitedBy::Agent, per_minute(2)), (rule(3), open(1))];
        let held = budgets.take(&a, &both).unwrap();
        let refused = budgets.take(&a, &both).unwrap_err();
        assert_eq!(refused, Exhausted { by: rule(3), limit: Budget::Open { most: 1 } });
        assert!(budgets.take(&a, &both[..1]).is_ok(), "the refused attempt took of the agent's minute");
        assert!(budgets.take(&a, &[(rule(4), open(1))]).is_ok(), "another rule's limit is another");
        drop(held);
        assert!(matches!(budgets.take(&a, &both).unwrap_err().limit, Budget::PerMinute { most: 2, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_given_back_unused_has_taken_nothing() {
        let budgets = Arc::new(Budgets::default());
        let (a, limits) = (agent("a"), [(LimitedBy::Agent, Limits { open: Some(1), per_minute: Some(1), bytes_per_day: None })]);
        budgets.take(&a, &limits).unwrap().unwrap().unused();
        assert!(budgets.take(&a, &limits).is_ok());
        assert!(budgets.take(&a, &limits).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_idle_is_forgotten() {
        let budgets = Arc::new(Budgets::default());
        for number in 0..50 {
            drop(budgets.take(&agent(&format!("a{number}")), &[(LimitedBy::Agent, per_minute(5))]));
            drop(budgets.take(&agent(&format!("a{number}")), &[(LimitedBy::Floor, open(5))]));
        }
        assert_eq!(keys(&budgets), 50);
        tokio::time::advance(MINUTE).await;
        let _share = budgets.take(&agent("b"), &[(LimitedBy::Agent, per_minute(5))]);
        assert_eq!(keys(&budgets), 1);
    }
}

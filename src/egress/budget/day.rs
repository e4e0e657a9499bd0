//! Bytes of a day: what each agent has moved under each limit of bytes, kept over the end of the process in a ledger.
//!
//! Bytes are taken before they are passed on, and never more than are left, so that no limit is overrun. All limits of an attempt are taken from
//! under one lock. A day is one of UTC; a clock that is set back to the day before goes on with the later one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Key;
use crate::policy::attempt::AgentId;
use crate::policy::limits::{LimitedBy, Limits};

/// How often what was spent is kept: a kill of the process loses the bytes of so long at most.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// What was spent on a day, kept where it outlives the process.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// What was spent on a day. The error is for people.
    fn spent(&self, day: Date) -> Result<Vec<Spent>, String>;

    /// Adds to what was spent on a day: all of it, or nothing.
    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), String>;
}

/// Bytes that count against a limit of a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent {
    /// Whose.
    pub agent: AgentId,
    /// Which limit, in words that are the same after a restart.
    pub budget: Arc<str>,
    /// How much.
    pub bytes: u64,
}

/// What all agents have spent today.
#[derive(Clone, Debug)]
pub struct Spending {
    ledger: Arc<dyn Ledger>,
    accounts: Arc<Mutex<HashMap<AgentId, Arc<Account>>>>,
}

/// What one agent has spent.
#[derive(Debug)]
struct Account(Mutex<Sums>);

#[derive(Debug)]
struct Sums {
    day: Date,
    purses: HashMap<Arc<str>, Purse>,
    /// Of earlier days, or refused by the ledger, and in no ledger yet.
    late: BTreeMap<(Date, Arc<str>), u64>,
}

#[derive(Debug, Default)]
struct Purse {
    most: u64,
    spent: u64,
    /// Of that, what the ledger has not.
    unkept: u64,
}

/// What the bytes of one attempt are taken from.
#[derive(Debug)]
pub(in crate::egress) struct Drawing {
    account: Arc<Account>,
    keys: Box<[Arc<str>]>,
    pub(in crate::egress) exhausted: CancellationToken,
}

impl Spending {
    /// What the ledger has of today.
    pub fn open(ledger: Arc<dyn Ledger>) -> Result<Self, String> {
        Self::open_on(ledger, today())
    }

    fn open_on(ledger: Arc<dyn Ledger>, day: Date) -> Result<Self, String> {
        let mut accounts: HashMap<AgentId, Arc<Account>> = HashMap::new();
        for Spent { agent, budget, bytes } in ledger.spent(day)? {
            let account = accounts.entry(agent).or_insert_with(|| Arc::new(Account::on(day)));
            account.0.lock().purses.entry(budget).or_default().spent += bytes;
        }
        Ok(Self { ledger, accounts: Arc::new(Mutex::new(accounts)) })
    }

    /// The first of the limits of which nothing is left today, with how much it is and how long that lasts.
    pub(super) fn lacks(&self, agent: &AgentId, limits: &[(LimitedBy, Limits)]) -> Option<(LimitedBy, u64, Duration)> {
        let limited = limits.iter().filter_map(|(by, limits)| Some((by, limits.bytes_per_day?)));
        let account = self.accounts.lock().get(agent).cloned()?;
        let mut sums = account.0.lock();
        sums.turn(today());
        let spent = |by: &LimitedBy| sums.purses.get(by.key().as_str()).map_or(0, |purse| purse.spent);
        limited.into_iter().find(|(by, most)| spent(by) >= *most).map(|(by, most)| (by.clone(), most, until_midnight(SystemTime::now())))
    }

    /// What the bytes of an attempt under these limits are taken from; `None` where no limit counts them.
    pub(super) fn drawing(&self, agent: &AgentId, limits: &[(LimitedBy, Limits)]) -> Option<Drawing> {
        let limited: Vec<(Arc<str>, u64)> =
            limits.iter().filter_map(|(by, limits)| Some((by.key().into(), limits.bytes_per_day?))).collect();
        if limited.is_empty() {
            return None;
        }
        let account = Arc::clone(self.accounts.lock().entry(agent.clone()).or_insert_with(|| Arc::new(Account::on(today()))));
        let mut sums = account.0.lock();
        for (key, most) in &limited {
            // Also for those that are open: the limit in force binds all.
            sums.purses.entry(Arc::clone(key)).or_default().most = *most;
        }
        drop(sums);
        Some(Drawing { account, keys: limited.into_iter().map(|(key, _)| key).collect(), exhausted: CancellationToken::new() })
    }

    /// Keeps what was spent since it was last kept. What the ledger does not take is kept for the next time.
    pub fn keep(&self) {
        let accounts: Vec<(AgentId, Arc<Account>)> =
            self.accounts.lock().iter().map(|(agent, account)| (agent.clone(), Arc::clone(account))).collect();
        let mut days: BTreeMap<Date, Vec<Spent>> = BTreeMap::new();
        for (agent, account) in &accounts {
            for (day, budget, bytes) in account.0.lock().take_unkept() {
                days.entry(day).or_default().push(Spent { agent: agent.clone(), budget, bytes });
            }
        }
        for (day, spent) in days {
            if let Err(error) = self.ledger.spend(day, &spent) {
                tracing::warn!(%error, "what agents spent of their bytes a day could not be kept, and is tried again; a kill would lose it");
                let accounts = self.accounts.lock();
                for Spent { agent, budget, bytes } in spent {
                    if let Some(account) = accounts.get(&agent) {
                        *account.0.lock().late.entry((day, budget)).or_default() += bytes;
                    }
                }
            }
        }
    }

    /// Does so every second, on a thread that may wait for the disk, until stopped.
    pub async fn keep_keeping(self, stop: CancellationToken) {
        let mut turns = tokio::time::interval(KEPT_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = stop.cancelled() => return,
            }
            let spending = self.clone();
            // A panic of one turn is told by the runtime; the next turn tries again.
            let _ = tokio::task::spawn_blocking(move || spending.keep()).await;
        }
    }
}

/// Kept nowhere: it ends with the process.
impl Default for Spending {
    fn default() -> Self {
        Self { ledger: Arc::new(Nowhere), accounts: Arc::default() }
    }
}

impl Account {
    fn on(day: Date) -> Self {
        Self(Mutex::new(Sums { day, purses: HashMap::new(), late: BTreeMap::new() }))
    }
}

impl Sums {
    /// Begins a new day, if it is one.
    fn turn(&mut self, day: Date) {
        if day <= self.day {
            return;
        }
        for (budget, purse) in &mut self.purses {
            if purse.unkept > 0 {
                *self.late.entry((self.day, Arc::clone(budget))).or_default() += purse.unkept;
            }
            (purse.spent, purse.unkept) = (0, 0);
        }
        self.day = day;
    }

    /// Takes so many bytes from all of the purses, or as many as every one of them has left.
    fn take(&mut self, keys: &[Arc<str>], wanted: u64) -> u64 {
        let left = |key: &Arc<str>| self.purses.get(key).map_or(u64::MAX, |purse| purse.most.saturating_sub(purse.spent));
        let taken = keys.iter().map(left).min().unwrap_or(u64::MAX).min(wanted);
        for key in keys {
            if let Some(purse) = self.purses.get_mut(key) {
                purse.spent += taken;
                purse.unkept += taken;
            }
        }
        taken
    }

    fn take_unkept(&mut self) -> Vec<(Date, Arc<str>, u64)> {
        let mut unkept = std::mem::take(&mut self.late);
        for (budget, purse) in self.purses.iter_mut().filter(|(_, purse)| purse.unkept > 0) {
            *unkept.entry((self.day, Arc::clone(budget))).or_default() += std::mem::take(&mut purse.unkept);
        }
        unkept.into_iter().map(|((day, budget), bytes)| (day, budget, bytes)).collect()
    }
}

impl Drawing {
    /// How many of so many bytes may pass. They are spent.
    pub(in crate::egress) fn take(&self, wanted: u64) -> u64 {
        let mut sums = self.account.0.lock();
        sums.turn(today());
        sums.take(&self.keys, wanted)
    }
}

#[derive(Debug)]
struct Nowhere;

impl Ledger for Nowhere {
    fn spent(&self, _: Date) -> Result<Vec<Spent>, String> {
        Ok(Vec::new())
    }
    fn spend(&self, _: Date, _: &[Spent]) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn keys(agent: &AgentId, limits: &[(LimitedBy, Limits)]) -> Vec<Key> {
    limits.iter().map(|(by, _)| (agent.clone(), by.key().into())).collect()
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

fn until_midnight(now: SystemTime) -> Duration {
    let midnight = |now: Timestamp| now.to_zoned(TimeZone::UTC).date().checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok();
    let midnight = Timestamp::try_from(now).ok().and_then(midnight).map(|midnight| SystemTime::from(midnight.timestamp()));
    midnight.and_then(|midnight| midnight.duration_since(now).ok()).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

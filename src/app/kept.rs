//! What a process of exeat keeps, opened before it starts: the journal, and the store of approvals and all that belongs to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use jiff::civil::Date;

use super::StartError;
use crate::approval::HoldDesk;
use crate::approval::store::{Sqlite, Store};
use crate::config::{self, Config, state};
use crate::egress::{Ledger, Spending, Spent};
use crate::journal::{Durability, Journal, Settings};

/// How often what is old is forgotten.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Both of them.
#[derive(Debug)]
pub struct Kept {
    /// The journal of this process.
    pub journal: Journal,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The folder in which what outlives this process stands as text besides.
    pub state: Option<PathBuf>,
}

impl Kept {
    /// What `serve` keeps: its approvals outlive it. The store is one process's, so a second one stops here and leaves no session in the journal.
    pub fn lasting(config: &Config) -> Result<Self, StartError> {
        let store = store(config)?;
        Ok(Self { journal: journal(config)?, store, state: Some(config.state.clone()) })
    }

    /// What `run` keeps: its approvals end with it.
    pub fn passing(config: &Config) -> Result<Self, StartError> {
        state::make(&config.state)?;
        Ok(Self { journal: journal(config)?, store: Arc::new(Sqlite::in_memory()?), state: None })
    }
}

/// Forgets each day what of questions and approvals ended longer ago than records are kept.
pub(super) async fn forget(desk: Arc<HoldDesk>, keep: Duration, stop: CancellationToken) {
    let mut days = tokio::time::interval(DAY);
    loop {
        tokio::select! {
            _ = days.tick() => {}
            () = stop.cancelled() => return,
        }
        let desk = Arc::clone(&desk);
        let before = SystemTime::now().checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH);
        match tokio::task::spawn_blocking(move || desk.forget(before)).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => tracing::debug!(count, "old questions and approvals are forgotten"),
            Ok(Err(error)) => tracing::warn!(%error, "old questions and approvals are not forgotten"),
        }
    }
}

/// Opens the store of a state folder.
pub fn store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    state::make(&config.state)?;
    Ok(Arc::new(Sqlite::open(&config.state, config.journal.durability == config::Durability::Disk)?))
}

/// Opens the journal of this process, and says what of the last one had to be repaired.
fn journal(config: &Config) -> Result<Journal, StartError> {
    let config::Journal { durability, segment, keep, max, checkpoints } = config.journal.clone();
    let durability = match durability {
        config::Durability::Process => Durability::Process,
        config::Durability::Disk => Durability::Disk,
    };
    let settings = Settings { durability, segment, keep, max, checkpoints, ..Settings::default() };
    let opened = Journal::open(&config.state, settings)?;
    for repaired in &opened.recovered {
        tracing::warn!(
            slot = %repaired.slot, torn_bytes = repaired.torn, lost = repaired.lost, bad_lines = repaired.bad_lines,
            "the journal was not left in order and is repaired",
        );
    }
    for skipped in &opened.skipped {
        tracing::warn!(slot = %skipped.slot, why = %skipped.why, "a slot of the journal is left alone");
    }
    Ok(opened.journal)
}

/// What was spent today, by the store.
pub(super) fn spending(store: Arc<dyn Store>) -> Result<Spending, StartError> {
    Spending::open(Arc::new(InStore(store))).map_err(StartError::Spending)
}

#[derive(Debug)]
struct InStore(Arc<dyn Store>);

impl Ledger for InStore {
    fn spent(&self, day: Date) -> Result<Vec<Spent>, String> {
        self.0.spent(day).map_err(|error| error.to_string())
    }

    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), String> {
        self.0.spend(day, spent).map_err(|error| error.to_string())
    }
}

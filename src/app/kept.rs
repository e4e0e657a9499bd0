//! What outlives the process, as the rest of it wants to see it.

use std::sync::Arc;

use jiff::civil::Date;

use super::StartError;
use crate::approval::store::{Sqlite, Store};
use crate::config::{self, Config, state};
use crate::egress::{Ledger, Spending, Spent};

/// Opens the store of this state folder, which one process has at a time.
pub fn open_store(config: &Config) -> Result<Sqlite, StartError> {
    state::make(&config.state)?;
    Ok(Sqlite::open(&config.state, config.journal.durability == config::Durability::Disk)?)
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

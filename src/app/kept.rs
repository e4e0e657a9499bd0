//! What a process of exeat keeps, opened before it starts: the journal, and the store of approvals and all that belongs to them.

use std::sync::Arc;

use super::StartError;
use crate::approval::store::{Sqlite, Store};
use crate::config::{self, Config, state};
use crate::journal::{Durability, Journal, Settings};

/// Both of them.
#[derive(Debug)]
pub struct Kept {
    /// The journal of this process.
    pub journal: Journal,
    /// The store.
    pub store: Arc<dyn Store>,
}

impl Kept {
    /// What `serve` keeps: its approvals outlive it. The store is one process's, so a second one stops here and leaves no session in the journal.
    pub fn lasting(config: &Config) -> Result<Self, StartError> {
        state::make(&config.state)?;
        let disk = config.journal.durability == config::Durability::Disk;
        let store = Arc::new(Sqlite::open(&config.state, disk)?);
        Ok(Self { journal: journal(config)?, store })
    }

    /// What `run` keeps: its approvals end with it.
    pub fn passing(config: &Config) -> Result<Self, StartError> {
        state::make(&config.state)?;
        Ok(Self { journal: journal(config)?, store: Arc::new(Sqlite::in_memory()?) })
    }
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

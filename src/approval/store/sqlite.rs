//! The store of one machine: SQLite in the state folder, one process at a time, every change a transaction.

mod budgets;
mod holds;
mod people;
mod row;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use parking_lot::Mutex;
use rusqlite::ffi::SQLITE_IOERR_WRITE;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use super::{Approver, Freeze, Kept, Spent, Store, StoreError, Whom};
use crate::approval::Closing;
use crate::approval::holds::{Question, Yes};
use crate::policy::approvals::{Approval, ApprovalId, Echo, Subject};
use crate::policy::attempt::AgentId;
use crate::policy::destination::Destination;

/// The name of the store in a state folder.
const FILE: &str = "approvals.db";

/// The steps from nothing to the store of today, one a version. None is ever changed.
const MIGRATIONS: &[&str] = &[include_str!("sqlite/1.sql"), include_str!("sqlite/2.sql")];

/// How long a store that another process has is waited for when it is opened.
const PATIENCE: Duration = Duration::from_secs(2);

/// SQLite in a file of the state folder, or in memory.
#[derive(Debug)]
pub struct Sqlite {
    connection: Mutex<Connection>,
    path: PathBuf,
    disk: bool,
}

impl Sqlite {
    /// Opens the store of a state folder, made where it is not there. With `disk` what makes exeat more careful waits for the disk.
    pub fn open(state: &Path, disk: bool) -> Result<Self, StoreError> {
        let path = state.join(FILE);
        let broken = |error: io::Error| StoreError::Broken { path: path.clone(), why: crate::text::trouble(error.kind()) };
        // Made first, as SQLite would make it readable to others.
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(broken)?;
        let mode = made.metadata().map_err(broken)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StoreError::Exposed { path, mode });
        }
        // Before SQLite has it: closing any descriptor of a file gives up the process's POSIX locks on it (fcntl(2)), and so the store.
        drop(made);
        let path = fs::canonicalize(&path).map_err(broken)?;
        let connection = Connection::open(&path).map_err(|error| told(&path, &error))?;
        Self::ready(connection, path, disk).map_err(|error| match error {
            StoreError::Locked { path, by: _ } => StoreError::Locked { by: holder(&path), path },
            StoreError::Full { .. } | StoreError::Newer { .. } | StoreError::Exposed { .. } | StoreError::Broken { .. } => error,
        })
    }

    /// Whether the state folder has one.
    pub fn is_in(state: &Path) -> bool {
        state.join(FILE).exists()
    }

    /// The number of the process that has the store of a state folder, where one has. Not to be asked by a process that has it itself: looking
    /// closes a descriptor of the file, and that gives up the lock (fcntl(2)).
    pub fn holder(state: &Path) -> Option<i32> {
        holder(&state.join(FILE))
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from("the store in memory");
        let connection = Connection::open_in_memory().map_err(|error| told(&path, &error))?;
        Self::ready(connection, path, false)
    }

    /// Loses a table, so that what needs it fails.
    #[cfg(test)]
    pub(crate) fn lose(&self, table: &str) {
        self.connection.lock().execute_batch(&format!("DROP TABLE {table}")).expect("the table is there");
    }

    fn ready(connection: Connection, path: PathBuf, disk: bool) -> Result<Self, StoreError> {
        let store = Self { connection: Mutex::new(connection), path, disk };
        let prepared = (|| {
            let connection = store.connection.lock();
            connection.busy_timeout(PATIENCE)?;
            // Exclusive before WAL: the lock is taken with the first change and kept, and no file of shared memory is needed.
            connection.execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF;",
            )?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        })();
        let version = prepared.map_err(|error| told(&store.path, &error))?;
        let known = MIGRATIONS.len() as u32;
        if version > known {
            return Err(StoreError::Newer { path: store.path, found: version, known });
        }
        store.change(|change| {
            for (step, sql) in MIGRATIONS.iter().enumerate().skip(version as usize) {
                change.execute_batch(sql)?;
                change.pragma_update(None, "user_version", step as u32 + 1)?;
            }
            // A change even where there is nothing to do: the lock is taken now.
            change.execute("UPDATE holds SET id = id WHERE id = ''", []).map(drop)
        })?;
        store.connection.lock().busy_timeout(Duration::ZERO).map_err(|error| told(&store.path, &error))?;
        Ok(store)
    }

    /// Does something as one transaction.
    fn change<T>(&self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        transact(&mut self.connection.lock(), change).map_err(|error| told(&self.path, &error))
    }

    /// The same for what makes exeat more careful, which must not be undone by a power failure where the journal is not.
    fn careful<T>(&self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if !self.disk {
            return self.change(change);
        }
        let mut connection = self.connection.lock();
        let done = connection.pragma_update(None, "synchronous", "FULL").and_then(|()| transact(&mut connection, change));
        // What is done is done: where this fails the next changes wait for the disk as well.
        let _ = connection.pragma_update(None, "synchronous", "NORMAL");
        done.map_err(|error| told(&self.path, &error))
    }

    /// From now on nothing can be written, or again.
    #[cfg(test)]
    pub(crate) fn break_it(&self, broken: bool) {
        self.connection.lock().pragma_update(None, "query_only", broken).expect("a pragma of SQLite");
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        read(&self.connection.lock()).map_err(|error| told(&self.path, &error))
    }
}

impl Store for Sqlite {
    fn kept(&self, now: SystemTime) -> Result<Kept, StoreError> {
        self.change(|change| holds::kept(change, now))
    }

    fn open(&self, question: &Question) -> Result<(), StoreError> {
        self.change(|change| holds::open(change, question))
    }

    fn extend(&self, hold: &str, dies_at: SystemTime) -> Result<(), StoreError> {
        self.change(|change| holds::extend(change, hold, dies_at))
    }

    fn close(&self, hold: &str, how: Closing, at: SystemTime) -> Result<bool, StoreError> {
        self.change(|change| holds::close(change, hold, how, at))
    }

    fn agree(&self, hold: &str, yes: &Yes, at: SystemTime) -> Result<bool, StoreError> {
        self.change(|change| holds::agree(change, hold, yes, at))
    }

    fn approve(&self, hold: &str, approval: &Approval) -> Result<bool, StoreError> {
        self.change(|change| holds::approve(change, hold, approval))
    }

    fn deny(&self, hold: &str, subject: &Subject, at: SystemTime, echo: &Echo) -> Result<bool, StoreError> {
        self.careful(|change| holds::deny(change, hold, subject, (at, echo)))
    }

    fn claim(&self, approval: ApprovalId) -> Result<bool, StoreError> {
        self.careful(|change| holds::claim(change, approval))
    }

    fn end(&self, approval: ApprovalId, at: SystemTime) -> Result<bool, StoreError> {
        self.careful(|change| holds::end(change, approval, at))
    }

    fn fate(&self, hold: &str) -> Result<Option<Option<Closing>>, StoreError> {
        self.read(|connection| holds::fate(connection, hold))
    }

    fn asked_before(&self, agent: &AgentId, destination: &Destination) -> Result<bool, StoreError> {
        self.read(|connection| holds::asked_before(connection, agent, destination))
    }

    fn forget(&self, before: SystemTime) -> Result<usize, StoreError> {
        self.change(|change| holds::forget(change, before))
    }

    fn approvers(&self) -> Result<Vec<Approver>, StoreError> {
        self.read(people::approvers)
    }

    fn add_approver(&self, approver: &Approver) -> Result<bool, StoreError> {
        self.change(|change| people::add_approver(change, approver))
    }

    fn remove_approver(&self, name: &str) -> Result<bool, StoreError> {
        self.careful(|change| people::remove_approver(change, name))
    }

    fn freezes(&self) -> Result<Vec<Freeze>, StoreError> {
        self.read(people::freezes)
    }

    fn freeze(&self, freeze: &Freeze) -> Result<bool, StoreError> {
        self.careful(|change| people::freeze(change, freeze))
    }

    fn thaw(&self, whom: &Whom) -> Result<bool, StoreError> {
        self.change(|change| people::thaw(change, whom))
    }

    fn spent(&self, day: Date) -> Result<Vec<Spent>, StoreError> {
        self.read(|connection| budgets::spent(connection, day))
    }

    fn spend(&self, day: Date, spent: &[Spent]) -> Result<(), StoreError> {
        self.change(|change| budgets::spend(change, day, spent))
    }
}

/// The process that has a lock on the file. Only where this one has none to lose: it is given up with the descriptor (fcntl(2)).
fn holder(path: &Path) -> Option<i32> {
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    let whole = Flock { start: 0, length: 0, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
    let found = fcntl_getlk(&file, &whole).ok()??;
    found.pid.map(|pid| pid.as_raw_nonzero().get())
}

fn transact<T>(connection: &mut Connection, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = change(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path, by: None },
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        // A quota or a limit of the file size is told so, and not as a full disk.
        Some(ErrorCode::SystemIoFailure) if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_WRITE) => {
            StoreError::Full { path }
        }
        // The words of SQLite and of its wrapper; they repeat no value.
        Some(_) | None => StoreError::Broken { path, why: crate::text::plain(&error.to_string(), 200) },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! Sinks: each follows the journal from its own cursor and hands records on, at least once, in the order of their slot.
//!
//! Nothing waits for a sink: what a receiver does not take stays in the journal. One process of a state folder exports.

mod backoff;
mod cursor;
mod follow;
mod gather;
pub mod ocsf;
pub mod stdout;
pub mod webhook;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::{Entry, Positions};

pub use cursor::Cursors;
pub use follow::{Beside, Follower, Pace};
pub use gather::Most;

/// How often a process that does not export looks whether the one that does has ended.
const GLANCE: Duration = Duration::from_secs(2);

/// Hands records to one receiver.
pub trait Deliver: Send {
    /// Hands over a batch: at least one record, in the order of the journal. `Ok` says that the receiver has all of them for good.
    /// A batch that was not taken comes again, as it was or in parts. Bounds its own time, and may be dropped at any await.
    fn deliver(&mut self, batch: &[Entry]) -> impl Future<Output = Result<(), NotDelivered>> + Send;
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// Trying again may help: the same batch comes again.
    #[error("{why}")]
    Later {
        /// What was wrong, without secrets.
        why: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// Records are refused for what they are: trying again is of no use.
    #[error("{why}")]
    Never {
        /// Their places in the batch, all others being taken. Empty where the receiver does not say: then none is known to be taken.
        which: Vec<usize>,
        /// What was wrong, without secrets.
        why: String,
    },
}

impl NotDelivered {
    /// Trying again may help, at whatever pace.
    pub fn later(why: impl Into<String>) -> Self {
        Self::Later { why: why.into(), after: None }
    }
}

/// A sink: the name of its cursor, its metrics and its gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sink {
    /// Log records by OTLP.
    OtlpLogs,
    /// Spans by OTLP.
    OtlpTraces,
    /// Metrics by OTLP: no records, so it has no cursor.
    OtlpMetrics,
    /// Lines on standard output.
    Stdout,
    /// Batches by HTTP POST.
    Webhook,
    /// A file of OCSF events.
    Ocsf,
}

impl Sink {
    /// As files, metrics and records spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Sink::OtlpLogs => "otlp-logs",
            Sink::OtlpTraces => "otlp-traces",
            Sink::OtlpMetrics => "otlp-metrics",
            Sink::Stdout => "stdout",
            Sink::Webhook => "webhook",
            Sink::Ocsf => "ocsf",
        }
    }
}

/// What the receiver of a sink has, as it was last saved.
pub fn positions(state: &Path, sink: Sink) -> Positions {
    cursor::CursorFile::new(state, sink).load()
}

/// The right to export from a state folder. It goes with the value, and with the process.
#[derive(Debug)]
pub struct Lead {
    _lock: File,
}

impl Lead {
    /// Waits until no other process exports. `None` once `stop` comes first.
    pub async fn wait(state: &Path, stop: &CancellationToken) -> Option<Self> {
        let mut told = None;
        loop {
            match Self::take(state) {
                Ok(Some(lead)) => return Some(lead),
                Ok(None) => {}
                Err(error) => {
                    let why = error.to_string();
                    if told.as_ref() != Some(&why) {
                        tracing::error!("nothing is exported: {}/lock cannot be had: {why}", folder(state).display());
                        told = Some(why);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(GLANCE) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    fn take(state: &Path) -> io::Result<Option<Self>> {
        let folder = folder(state);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let lock = private(OpenOptions::new().create(true).write(true)).open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Where cursors lie in a state folder.
fn folder(state: &Path) -> PathBuf {
    state.join("sinks")
}

/// Opens what is its owner's alone, never through a symbolic link, and never waiting for the other side of a pipe.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.mode(0o600).custom_flags(flags.bits().cast_signed())
}

#[cfg(test)]
mod sample;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_exports_and_the_next_takes_over_when_it_ends() {
        let (state, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let first = Lead::wait(state.path(), &stop).await.unwrap();
        let mut second = Box::pin(Lead::wait(state.path(), &stop));
        let early = tokio::time::timeout(10 * GLANCE, &mut second).await;
        assert!(early.is_err(), "two export at once");
        drop(first);
        assert!(tokio::time::timeout(GLANCE, &mut second).await.unwrap().is_some());
        let again = Lead::wait(state.path(), &stop).await;
        assert!(again.is_some(), "the lock outlives its holder");
        stop.cancel();
        assert!(Lead::wait(state.path(), &stop).await.is_none(), "waited for though it is to stop");
    }
}

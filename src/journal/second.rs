//! The second place of checkpoints, on a thread of its own: it may lie on another machine, and nothing waits for that.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::seal::append;

/// So many notes wait for it; what comes on top is not put there.
const WAITING: usize = 1_000;

/// At a stop it is waited for no longer.
const LAST: Duration = Duration::from_secs(2);

/// Puts notes into a file, in order. One that cannot be put there is tried again with the next.
#[derive(Debug)]
pub(super) struct Second {
    path: PathBuf,
    to: SyncSender<Put>,
    full: bool,
}

#[derive(Debug)]
enum Put {
    Note(String),
    /// Tells once all before it was tried.
    Done(SyncSender<()>),
}

impl Second {
    /// Where no thread can be had nothing is put there, which is told with the first note.
    pub(super) fn new(path: PathBuf) -> Self {
        let (to, from) = sync_channel(WAITING);
        let place = path.clone();
        let started = std::thread::Builder::new().name("journal-second".into()).spawn(move || run(&place, &from));
        if let Err(error) = started {
            tracing::error!(path = %path.display(), %error, "there is no thread for the second place of checkpoints");
        }
        Self { path, to, full: false }
    }

    pub(super) fn put(&mut self, note: String) {
        let full = match self.to.try_send(Put::Note(note)) {
            Ok(()) => false,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => true,
        };
        if full && !self.full {
            tracing::error!(path = %self.path.display(), "the second place of checkpoints does not answer; it misses some from here on");
        }
        self.full = full;
    }

    /// Waits a little for what was put.
    pub(super) fn finish(&self) {
        let (tell, told) = sync_channel(1);
        if self.to.try_send(Put::Done(tell)).is_ok() && told.recv_timeout(LAST).is_err() {
            tracing::error!(path = %self.path.display(), "the second place of checkpoints does not answer; it misses the last ones");
        }
    }
}

fn run(path: &Path, from: &Receiver<Put>) {
    let (mut owed, mut failed) = (std::collections::VecDeque::new(), false);
    for put in from {
        match put {
            Put::Note(note) => owed.push_back(note),
            // Who waited may be gone.
            Put::Done(tell) => drop(tell.send(())),
        }
        while let Some(note) = owed.front() {
            if let Err(error) = append(path, note) {
                if !failed {
                    tracing::error!(path = %path.display(), %error, "checkpoints cannot be put in their second place");
                }
                failed = true;
                break;
            }
            failed = false;
            owed.pop_front();
        }
        if owed.len() > WAITING {
            owed.pop_front();
        }
    }
}

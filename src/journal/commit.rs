//! Group commit: one thread syncs what is written, once for everybody who waits by then.
//!
//! With the durability of the process checkpoints alone wait for it, and a sync that failed holds up nothing. With that of the disk
//! a sync that failed is not tried again: the system may have thrown the pages away and report the next sync as good
//! (fsync(2), section ERRORS; <https://lwn.net/Articles/752063/>). The journal stays unwritable until the process starts anew.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::settings::{Disk, Durability};
use super::{Doing, JournalError};
use crate::egress::record::Durable;

/// Nothing waits longer for what no record rests on: no stop, and no checkpoint.
pub(super) const PATIENT: Duration = Duration::from_secs(5);

/// Segments and folders that are kept for a sync no record rests on.
const MOST_DIRTY: usize = 64;

/// What is written and what of it is on the disk. Its thread ends with it.
#[derive(Debug)]
pub(super) struct Commit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wanted: Condvar,
    /// A sync returned.
    returned: Condvar,
    disk: Arc<dyn Disk>,
    durability: Durability,
    patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Writes so far.
    written: u64,
    /// Those of them that are on the disk.
    durable: u64,
    dirty: Vec<Dirty>,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    /// A sync is wanted though nobody waits for it.
    asked: bool,
    failed: Option<Failed>,
    /// A sync was begun then, and has not returned.
    syncing: Option<Instant>,
    over: bool,
    /// Nobody syncs any more, and no record rests on it.
    given_up: bool,
    /// That syncs fail or hang was told, and no end of it since.
    told: bool,
}

#[derive(Clone, Debug)]
enum Dirty {
    Lines(Arc<File>, PathBuf),
    Folder(PathBuf),
}

#[derive(Clone, Debug)]
struct Failed {
    path: PathBuf,
    kind: io::ErrorKind,
    said: String,
}

impl Commit {
    /// Where no thread can be had every wait fails.
    pub(super) fn new(disk: Arc<dyn Disk>, durability: Durability) -> Self {
        Self::with_patience(disk, durability, PATIENT)
    }

    /// One that waits so long for what no record rests on.
    pub(super) fn with_patience(disk: Arc<dyn Disk>, durability: Durability, patience: Duration) -> Self {
        let shared =
            Arc::new(Shared { state: Mutex::default(), wanted: Condvar::new(), returned: Condvar::new(), disk, durability, patience });
        let syncing = Arc::clone(&shared);
        let run = move || {
            let last = LastWord(syncing);
            last.0.run();
        };
        if let Err(error) = std::thread::Builder::new().name("journal-sync".into()).spawn(run) {
            shared.give_up(error.kind(), error.to_string());
        }
        Self { shared }
    }

    /// A line was written to a segment.
    pub(super) fn wrote(&self, file: &Arc<File>, path: &Path) {
        let mut state = self.shared.state.lock();
        state.written += 1;
        if !self.shared.is_kept(&state) {
            return;
        }
        let known = |dirty: &Dirty| matches!(dirty, Dirty::Lines(known, _) if Arc::ptr_eq(known, file));
        if !state.dirty.iter().any(known) {
            state.dirty.push(Dirty::Lines(Arc::clone(file), path.to_owned()));
        }
    }

    /// A file or folder was made in a folder.
    pub(super) fn made_in(&self, folder: &Path) {
        let mut state = self.shared.state.lock();
        state.written += 1;
        if !self.shared.is_kept(&state) {
            return;
        }
        let known = |dirty: &Dirty| matches!(dirty, Dirty::Folder(known) if known == folder);
        if !state.dirty.iter().any(known) {
            state.dirty.push(Dirty::Folder(folder.to_owned()));
        }
    }

    /// When all that is written by now is on the disk.
    pub(super) fn durable(&self) -> Durable {
        let mut state = self.shared.state.lock();
        if state.failed.is_some() {
            return Durable::never();
        }
        if state.durable == state.written {
            return Durable::already();
        }
        let (tell, told) = oneshot::channel();
        let written = state.written;
        state.waiting.push((written, tell));
        drop(state);
        self.shared.wanted.notify_one();
        Durable::when(told)
    }

    /// Writes so far.
    pub(super) fn written(&self) -> u64 {
        self.shared.state.lock().written
    }

    /// Whether so many writes are on the disk. What rests on the process alone goes on without a disk that hangs: the log is not to go without
    /// checkpoints for that.
    pub(super) fn has(&self, written: u64) -> bool {
        let mut state = self.shared.state.lock();
        let hangs = || state.syncing.is_some_and(|since| since.elapsed() >= self.shared.patience);
        if state.durable >= written || state.given_up {
            return true;
        }
        let goes_on = self.shared.durability == Durability::Process && hangs();
        if goes_on {
            self.shared.tell(&mut state, "a sync does not return");
        }
        goes_on
    }

    /// Waits in this thread until all that is written by now is on the disk; `false` where that failed. What rests on the process alone
    /// waits `PATIENT` at most.
    pub(super) fn wait(&self) -> bool {
        self.wait_until(Instant::now() + PATIENT)
    }

    /// The same, with an end of that.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let mut state = self.shared.state.lock();
        let written = state.written;
        while state.failed.is_none() && !state.given_up && state.durable < written {
            state.asked = true;
            self.shared.wanted.notify_one();
            match self.shared.durability {
                Durability::Disk => self.shared.returned.wait(&mut state),
                Durability::Process if self.shared.returned.wait_until(&mut state, deadline).timed_out() => return false,
                Durability::Process => {}
            }
        }
        state.failed.is_none()
    }

    /// Syncs soon what nobody waits for.
    pub(super) fn soon(&self) {
        self.shared.state.lock().asked = true;
        self.shared.wanted.notify_one();
    }

    /// Syncs at once what checkpoints alone wait for. Where records wait as well, the next of them or the next turn does it.
    pub(super) fn hurry(&self) {
        match self.shared.durability {
            Durability::Process => self.soon(),
            Durability::Disk => {}
        }
    }

    /// How long a sync has not returned, where that is `slow` or longer.
    pub(super) fn hangs(&self, slow: Duration) -> Option<Duration> {
        self.shared.state.lock().syncing.map(|since| since.elapsed()).filter(|elapsed| *elapsed >= slow)
    }

    /// Why nothing can be written any more.
    pub(super) fn failure(&self) -> Option<JournalError> {
        let state = self.shared.state.lock();
        let Failed { path, kind, said } = state.failed.as_ref()?;
        Some(JournalError::new(Doing::Sync, path, io::Error::new(*kind, said.clone())))
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        self.shared.state.lock().over = true;
        self.shared.wanted.notify_one();
    }
}

/// Whatever ends the thread, nobody waits for it any more.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.give_up(io::ErrorKind::Other, "the thread that syncs has panicked".to_owned());
        }
    }
}

impl Shared {
    /// A sync of so many writes failed.
    fn fail(&self, failed: Failed, written: u64) {
        let Failed { path, kind: _, said } = &failed;
        let mut state = self.state.lock();
        match self.durability {
            Durability::Disk => {
                tracing::error!(path = %path.display(), error = said, "a sync failed; nothing is recorded until exeat starts anew");
                (state.failed, state.syncing) = (Some(failed), None);
                state.waiting.clear();
            }
            Durability::Process => {
                // The next may go well; what this one was for may be missed.
                (state.durable, state.syncing) = (state.durable.max(written), None);
                self.tell(&mut state, &format!("{} cannot be synced: {said}", path.display()));
            }
        }
        drop(state);
        self.returned.notify_all();
    }

    /// There is no thread that syncs, or none any more.
    fn give_up(&self, error: io::ErrorKind, said: String) {
        // Where records rest on it, it has failed, and nothing is taken to be on the disk.
        self.state.lock().given_up = self.durability == Durability::Process;
        self.fail(Failed { path: "thread".into(), kind: error, said }, 0);
    }

    /// Whether one more is kept open for the next sync: of those no record rests on, only a few behind one that does not return.
    fn is_kept(&self, state: &State) -> bool {
        !state.given_up && (self.durability == Durability::Disk || state.dirty.len() < MOST_DIRTY)
    }

    fn tell(&self, state: &mut State, what: &str) {
        if !std::mem::replace(&mut state.told, true) {
            tracing::warn!("{what}; checkpoints go on: after a power failure `exeat verify` may miss records that they cover");
        }
    }

    fn run(&self) {
        while let Some((written, dirty)) = self.next() {
            let synced = dirty.iter().try_for_each(|dirty| self.sync(dirty));
            if let Err(failed) = synced {
                self.fail(failed, written);
                continue;
            }
            let mut state = self.state.lock();
            (state.durable, state.syncing, state.told) = (written, None, false);
            let served = |(wanted, _): &mut (u64, _)| *wanted <= written;
            for (_, tell) in state.waiting.extract_if(.., served) {
                // Who does not wait any more need not be told.
                let _ = tell.send(());
            }
            drop(state);
            self.returned.notify_all();
        }
    }

    /// Waits until somebody waits, and takes all that is to be synced for them.
    fn next(&self) -> Option<(u64, Vec<Dirty>)> {
        let mut state = self.state.lock();
        loop {
            let wanted = !state.waiting.is_empty() || std::mem::take(&mut state.asked) && state.durable < state.written;
            if state.failed.is_some() {
                state.waiting.clear();
            } else if wanted {
                state.syncing = Some(Instant::now());
                return Some((state.written, std::mem::take(&mut state.dirty)));
            }
            if state.over {
                return None;
            }
            self.wanted.wait(&mut state);
        }
    }

    fn sync(&self, dirty: &Dirty) -> Result<(), Failed> {
        let (path, result) = match dirty {
            Dirty::Lines(file, path) => (path, self.disk.sync_lines(file)),
            Dirty::Folder(path) => (path, File::open(path).and_then(|folder| self.disk.sync_folder(&folder))),
        };
        result.map_err(|error| Failed { path: path.clone(), kind: error.kind(), said: error.to_string() })
    }
}

//! Watches the folders that policy is read from. It only says that something moved; what, is found by reading.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::allowlists::{Source, meant};

/// So long nothing may move before it is read: whoever writes several files is let finish.
const QUIET: Duration = Duration::from_millis(100);

/// Nothing that moved waits longer, however much else moves.
const LATEST: Duration = Duration::from_secs(1);

/// So long a file that is being written is waited for, until whoever writes it closes it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where something may move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    /// Folders that are watched.
    watched: BTreeSet<PathBuf>,
    /// The folder of allowlists, whose entries count by their names.
    folder: PathBuf,
    /// Paths that count wherever they are.
    exact: BTreeSet<PathBuf>,
    /// Files that were written to and not closed since: what stands in them may be half of what is meant, and half may be wider.
    unfinished: BTreeSet<PathBuf>,
}

/// The watch over one source. Without one of the system's, nothing is ever said.
pub(super) struct Watch {
    source: Source,
    system: Option<RecommendedWatcher>,
    places: Arc<Mutex<Places>>,
}

/// What a watch says.
#[derive(Debug)]
pub(super) struct Moves {
    moved: Arc<Notify>,
    places: Arc<Mutex<Places>>,
    since: Option<Instant>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches from now on.
    pub(super) fn new(source: Source) -> (Self, Moves) {
        let (moved, places) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Places::default())));
        let (tell, known) = (Arc::clone(&moved), Arc::clone(&places));
        let system = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| known.lock().concern(&event)) {
                tell.notify_one();
            }
        });
        let system = system.inspect_err(|error| tracing::warn!(%error, "folders cannot be watched; they are looked at now and then")).ok();
        let mut watch = Self { source, system, places: Arc::clone(&places) };
        watch.renew();
        (watch, Moves { moved, places, since: None })
    }

    /// Whether the system tells of changes at all.
    pub(super) fn is_told(&self) -> bool {
        self.system.is_some()
    }

    /// Watches what the paths lead to now: folders are replaced, and links are turned.
    pub(super) fn renew(&mut self) {
        let Some(system) = &mut self.system else { return };
        let new = Places::of(&self.source);
        let old = {
            let mut places = self.places.lock();
            let unfinished = std::mem::take(&mut places.unfinished);
            std::mem::replace(&mut *places, Places { unfinished, ..new.clone() })
        };
        for path in &old.watched {
            // One that is gone is watched no more by itself.
            let _ = system.unwatch(path);
        }
        for path in &new.watched {
            if let Err(error) = system.watch(path, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, "a folder cannot be watched; it is looked at now and then");
            }
        }
    }
}

impl Moves {
    /// Whether somebody is in the middle of writing a file.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.places.lock().unfinished.is_empty()
    }

    /// Returns when something moved and it has been quiet since, or for too long not. May be dropped and called again without loss.
    ///
    /// A file that is not closed yet is waited for; a freeze waits for nobody.
    pub(super) async fn settled(&mut self) {
        let since = match self.since {
            Some(since) => since,
            None => {
                self.moved.notified().await;
                Instant::now()
            }
        };
        self.since = Some(since);
        loop {
            let latest = since + if self.is_unfinished() { PATIENCE } else { LATEST };
            let quiet = if self.is_unfinished() { latest } else { (Instant::now() + QUIET).min(latest) };
            if tokio::time::timeout_at(quiet, self.moved.notified()).await.is_err() {
                self.places.lock().unfinished.clear();
                self.since = None;
                return;
            }
        }
    }
}

impl Places {
    fn of(source: &Source) -> Self {
        let mut places = Self::default();
        let Source { folder, floor, inspects: _ } = source;
        places.exactly(folder);
        if let Some(floor) = floor {
            places.exactly(floor);
        }
        if let Ok(real) = fs::canonicalize(folder) {
            let links = fs::read_dir(&real).into_iter().flatten().flatten().filter(|entry| entry.path().is_symlink());
            for target in links.filter_map(|entry| fs::canonicalize(entry.path()).ok()) {
                places.exactly(&target);
            }
            places.watched.insert(real.clone());
            places.folder = real;
        }
        places
    }

    /// A path and what it leads to, each watched in the folder that it is an entry of.
    fn exactly(&mut self, path: &Path) {
        let entry =
            path.parent().and_then(|parent| fs::canonicalize(parent).ok()).zip(path.file_name()).map(|(parent, name)| parent.join(name));
        for path in entry.into_iter().chain(fs::canonicalize(path).ok()) {
            self.watched.extend(path.parent().map(Path::to_owned));
            self.exact.insert(path);
        }
    }

    fn concern(&mut self, event: &Event) -> bool {
        self.note(event);
        // To read is no change, and we read.
        let read = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => true,
            EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => false,
        };
        event.need_rescan() || !read && event.paths.iter().any(|path| self.concerns(path))
    }

    /// Where the system tells of closing, notes who is still to close. Whoever begins a freeze is in a hurry: then nobody is waited for.
    fn note(&mut self, event: &Event) {
        let freezes = event.paths.iter().any(|path| path.file_name().is_some_and(|name| name == "freeze"));
        if event.need_rescan() || freezes {
            self.unfinished.clear();
        }
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) if cfg!(target_os = "linux") && !freezes => {
                let written: Vec<PathBuf> = event.paths.iter().filter(|path| self.concerns(path)).cloned().collect();
                self.unfinished.extend(written);
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                self.unfinished.retain(|path| !event.paths.contains(path));
            }
            EventKind::Any | EventKind::Access(_) | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Other => {}
        }
    }

    fn concerns(&self, path: &Path) -> bool {
        let inside = || path.parent() == Some(&self.folder) && path.file_name().is_some_and(|name| is_read(&name.to_string_lossy()));
        self.exact.contains(path) || inside()
    }
}

/// Allowlists, freezes, what is warned of as nearly one, and the `..data` that a mounted ConfigMap turns.
fn is_read(name: &str) -> bool {
    name == "freeze" || name.starts_with("..") || name.ends_with(".toml") && !name.starts_with('.') || meant(name).is_some()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use notify::event::{CreateKind, DataChange, MetadataKind, RenameMode};

    use super::*;

    #[test]
    fn what_is_read_concerns_and_reading_it_does_not() {
        let place = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(place.path()).unwrap();
        let folder = place.join("lists");
        fs::create_dir(&folder).unwrap();
        fs::write(place.join("far.toml"), "").unwrap();
        std::os::unix::fs::symlink(place.join("far.toml"), folder.join("a.toml")).unwrap();
        let mut places = Places::of(&Source { folder: folder.clone(), floor: Some(place.join("f.toml")), inspects: false });
        assert_eq!(places.watched, BTreeSet::from([place.clone(), folder.clone()]));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (path, concerns) in [
            (folder.join("b.toml"), true),
            (folder.join("freeze"), true),
            (folder.join("..data"), true),
            (folder.join(".b.toml.swp"), false),
            (folder.join("FREEZE"), true),
            (folder.join("README"), false),
            (folder.clone(), true),
            (place.join("far.toml"), true),
            (place.join("f.toml"), true),
            (place.join("other.toml"), false),
            (place.join("state"), false),
        ] {
            assert_eq!(places.concern(&Event::new(renamed).add_path(path.clone())), concerns, "{}", path.display());
        }
        for (kind, concerns) in [
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), true),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
        ] {
            assert_eq!(places.concern(&Event::new(kind).add_path(folder.join("b.toml"))), concerns, "{kind:?}");
        }
    }

    fn moves() -> (Arc<Notify>, Moves) {
        let moved = Arc::new(Notify::new());
        (Arc::clone(&moved), Moves { moved, places: Arc::default(), since: None })
    }

    #[tokio::test(start_paused = true)]
    async fn what_moved_is_told_once_it_is_quiet() {
        let (moved, mut moves) = moves();
        moved.notify_one();
        let began = Instant::now();
        // Dropped half way, as where something else is read first.
        assert!(tokio::time::timeout(QUIET / 2, moves.settled()).await.is_err());
        moves.settled().await;
        assert_eq!(began.elapsed(), QUIET / 2 + QUIET);
        assert!(tokio::time::timeout(LATEST * 9, moves.settled()).await.is_err(), "told twice");
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_keeps_still_is_told_all_the_same() {
        let (moved, mut moves) = moves();
        let restless = tokio::spawn(async move {
            loop {
                moved.notify_one();
                tokio::time::sleep(QUIET / 2).await;
            }
        });
        let began = Instant::now();
        moves.settled().await;
        assert_eq!(began.elapsed(), LATEST);
        restless.abort();
    }

    #[tokio::test(start_paused = true)]
    #[cfg(target_os = "linux")]
    async fn a_file_that_is_not_closed_is_waited_for_but_by_a_freeze_and_not_for_ever() {
        let folder = PathBuf::from("/lists");
        let (file, other, freeze) = (folder.join("a.toml"), folder.join("b.toml"), folder.join("freeze"));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (what, then, wait) in [
            ("closed", vec![(closed, &file)], QUIET),
            ("replaced", vec![(renamed, &file)], QUIET),
            ("removed", vec![(EventKind::Remove(notify::event::RemoveKind::File), &file)], QUIET),
            ("a freeze", vec![(EventKind::Create(CreateKind::File), &freeze), (written, &freeze)], QUIET),
            ("never closed", vec![], PATIENCE),
            ("another is closed", vec![(closed, &other)], PATIENCE),
        ] {
            let (moved, mut moves) = moves();
            moves.places.lock().folder.clone_from(&folder);
            let places = Arc::clone(&moves.places);
            let tell = |kind, path: &Path| {
                if places.lock().concern(&Event::new(kind).add_path(path.to_owned())) {
                    moved.notify_one();
                }
            };
            let began = Instant::now();
            tell(written, &file);
            assert!(moves.is_unfinished(), "{what}");
            for (kind, path) in then {
                tell(kind, path);
            }
            moves.settled().await;
            assert_eq!((began.elapsed(), moves.is_unfinished()), (wait, false), "{what}");
        }
    }
}

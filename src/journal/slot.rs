//! Slots: one folder of segments a running process, held by a lock, so that a slot's log continues over restarts.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Doing, JournalError};

/// No more processes share one state folder.
pub(super) const MOST: u32 = 1024;

/// What stands in a slot beside its segments.
const OURS: [&str; 8] = ["lock", "checkpoints", "checkpoints.new", "verifier", "verifier.new", "stopping", "full", "full.new"];

/// A slot this process holds. The lock goes with the value.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    lock: File,
}

impl Slot {
    /// Takes one slot; `None` where another process holds it.
    pub(super) fn take(journal: &Path, number: u32) -> Result<Option<Self>, JournalError> {
        let name = name(number);
        let folder = journal.join(&name);
        make_folder(&folder)?;
        let path = folder.join("lock");
        let lock = open_file(&path, OpenOptions::new().create(true)).map_err(|error| JournalError::new(Doing::Open, &path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { name, folder, lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(JournalError::new(Doing::Lock, &path, error)),
        }
    }

    /// Whether the folder is still the one whose lock is held.
    pub(super) fn in_place(&self) -> bool {
        same_file(&self.lock, &self.folder.join("lock")).is_ok_and(|same| same.is_some())
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.folder.join(segment_name(number))
    }
}

/// The names of the slots under a journal's folder, in the order of their numbers.
pub(super) fn names(journal: &Path) -> io::Result<Vec<String>> {
    Ok(known(journal)?.into_iter().map(name).collect())
}

/// What is none of the journal's: in its folder, and in those of its slots. It is left alone.
pub(super) fn strange(journal: &Path) -> io::Result<Vec<PathBuf>> {
    let slots = known(journal)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(journal)? {
        let path = entry?.path();
        if !slots.iter().any(|number| path.ends_with(name(*number))) {
            found.push(path);
        } else if let Ok(inside) = fs::read_dir(&path) {
            let numbers = segments(&path)?;
            let ours =
                |path: &PathBuf| OURS.iter().any(|name| path.ends_with(name)) || numbers.iter().any(|at| path.ends_with(segment_name(*at)));
            found.extend(inside.flatten().map(|entry| entry.path()).filter(|path| !ours(path)));
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn name(number: u32) -> String {
    format!("proxy-{number}")
}

/// The numbers of the slots there are.
pub(super) fn known(journal: &Path) -> io::Result<BTreeSet<u32>> {
    numbers(journal, |name| name.strip_prefix("proxy-")?.parse().ok().filter(|number| self::name(*number) == name))
}

/// The numbers of the segments in a slot's folder, oldest first.
pub(super) fn segments(folder: &Path) -> io::Result<BTreeSet<u64>> {
    numbers(folder, |name| name.strip_suffix(".jsonl")?.parse().ok().filter(|number| segment_name(*number) == name))
}

fn numbers<N: Ord>(folder: &Path, number: impl Fn(&str) -> Option<N>) -> io::Result<BTreeSet<N>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        found.extend(entry?.file_name().to_str().and_then(&number));
    }
    Ok(found)
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

/// Opens a file for appending, private and never through a symbolic link.
pub(super) fn open_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    options.read(true).append(true).mode(0o600).custom_flags(no_follow).open(path)
}

/// Makes a private file that is not there yet.
pub(super) fn private_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The length of the file at `path`, if that is the open `file`.
pub(super) fn same_file(file: &File, path: &Path) -> io::Result<Option<u64>> {
    let (open, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok(((open.dev(), open.ino()) == (there.dev(), there.ino())).then_some(there.len()))
}

pub(super) fn make_folder(path: &Path) -> Result<(), JournalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| JournalError::new(Doing::Create, path, error))
}

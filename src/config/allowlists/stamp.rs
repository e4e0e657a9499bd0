//! What files look like from outside: enough to tell that one was written, without reading any.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{FLOOR, FREEZE, Source, meant};

/// The looks of all that a source is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(BTreeMap<PathBuf, Option<Looks>>);

/// Which file it is and when it changed. Writing, renaming and changing permissions all move one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looks {
    device: u64,
    number: u64,
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(source: &Source) -> Self {
        let mut looks = BTreeMap::new();
        // Of the folder itself only which one it is: files that are nobody's come and go in it.
        let folder = fs::metadata(&source.folder).ok().map(|found| Looks {
            device: found.dev(),
            number: found.ino(),
            length: 0,
            written: (0, 0),
            changed: (0, 0),
        });
        looks.insert(source.folder.clone(), folder);
        let entries = fs::read_dir(&source.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| concerns(path) || is_stray(path)).chain(source.floor.clone()) {
            let found = Looks::of(&path);
            looks.insert(path, found);
        }
        Self(looks)
    }
}

impl Looks {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            number: found.ino(),
            length: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Whether an entry of the folder is read at all: an allowlist, what one may include, the floor, a freeze.
pub(super) fn concerns(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == FREEZE || name == FLOOR || name.ends_with(".toml") && !name.starts_with('.')
}

/// Whether an entry is not read and told of.
fn is_stray(path: &Path) -> bool {
    path.file_name().is_some_and(|name| meant(&name.to_string_lossy()).is_some())
}

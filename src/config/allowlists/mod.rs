//! Allowlists, floor and freezes from a folder, read as units of one agent each. What is broken is named, and breaks nothing else.

mod file;
mod floor;
mod folder;
mod freeze;
mod shelf;
mod stamp;
mod stray;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::policy::Frozen;
use crate::policy::allowlist::Allowlist;
use crate::policy::fault::{Fault, Warning};
use crate::policy::floor::Floor;
use crate::policy::succession::{Binding, Unit};

pub use freeze::of_nobody as freezes_nobody;
pub use stamp::Stamp;
pub use stray::meant;

/// The floor where no other is named.
const FLOOR: &str = "floor.toml";

/// The file that stops agents.
const FREEZE: &str = "freeze";

/// Where allowlists are, and the floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The folder.
    pub folder: PathBuf,
    /// The floor, where the configuration names one; else it is `floor.toml` in the folder, if that is there.
    pub floor: Option<PathBuf>,
    /// There is a CA of exeat's own, so that requests inside TLS can be seen.
    pub inspects: bool,
}

/// The floor that binds already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing was read yet.
    Start,
    /// There is one that could not be read, and no good one was seen.
    Never,
    /// This one, which may be that there is none.
    By(Arc<Floor>),
}

/// What was found at one time.
#[derive(Debug)]
pub struct Found {
    /// The floor.
    pub binding: Binding,
    /// Who is stopped.
    pub frozen: Frozen,
    /// The agents' files.
    pub units: Vec<Unit>,
    /// What is wrong beside them: with the floor, with `freeze`, with files for nobody.
    pub faults: Vec<Fault>,
    /// Second looks.
    pub warnings: Vec<Warning>,
    /// A file that was asked for by itself and is there to be included.
    pub included: Option<Arc<str>>,
    /// What it was read from.
    pub stamp: Stamp,
}

/// What `check` found.
#[derive(Debug, Default)]
pub struct LoadedAllowlists {
    /// The good ones, in the order of their file names.
    pub allowlists: Vec<Allowlist>,
    /// The floor beside them, where one is written and good.
    pub floor: Option<Arc<Floor>>,
    /// Everything wrong with the others.
    pub faults: Vec<Fault>,
    /// Second looks.
    pub warnings: Vec<Warning>,
    /// Files that were asked for by themselves and are there to be included.
    pub included: Vec<Arc<str>>,
}

impl Source {
    /// Reads everything there. The fault means that nothing is known: the folder cannot be read, or does not keep still.
    pub fn read(&self, bound: &Bound, now: SystemTime) -> Result<Found, Fault> {
        folder::read(self, bound, now, &bare)
    }

    /// What would be read, in brief: it differs if anything was written.
    pub fn stamp(&self) -> Stamp {
        Stamp::of(self)
    }
}

impl Bound {
    /// What binds once this was read.
    pub fn after(binding: &Binding) -> Self {
        match binding {
            Binding::Read(floor) | Binding::Last(floor) => Self::By(Arc::clone(floor)),
            Binding::Never => Self::Never,
        }
    }
}

/// Loads files, and every allowlist of folders, with the floor that stands beside them. Rules cite the path as given. `inspects` is as in [`Source`].
pub fn load_paths(paths: &[PathBuf], inspects: bool) -> LoadedAllowlists {
    let now = SystemTime::now();
    let found = paths.iter().map(|path| {
        if path.is_dir() {
            folder::read(&Source { folder: path.clone(), floor: None, inspects }, &Bound::Start, now, &as_given)
        } else {
            folder::one(path, inspects, now, &as_given)
        }
    });
    LoadedAllowlists::of(found)
}

/// Loads what a configuration names, with its floor, wherever that is. Rules cite the path as given.
pub fn load_source(source: &Source) -> LoadedAllowlists {
    LoadedAllowlists::of([folder::read(source, &Bound::Start, SystemTime::now(), &as_given)])
}

fn as_given(path: &Path) -> String {
    path.display().to_string()
}

impl LoadedAllowlists {
    fn of(all: impl IntoIterator<Item = Result<Found, Fault>>) -> Self {
        let mut loaded = Self::default();
        for found in all {
            match found {
                Ok(Found { binding, frozen: _, units, faults, warnings, included, stamp: _ }) => {
                    if let Binding::Read(floor) = binding
                        && *floor != Floor::none()
                    {
                        loaded.floor = Some(floor);
                    }
                    loaded.faults.extend(faults);
                    loaded.warnings.extend(warnings);
                    loaded.included.extend(included);
                    for unit in units {
                        match unit.read {
                            Ok(allowlist) => loaded.allowlists.push(allowlist),
                            Err(faults) => loaded.faults.extend(faults),
                        }
                    }
                }
                Err(fault) => loaded.faults.push(fault),
            }
        }
        loaded.faults.sort();
        loaded.faults.dedup();
        loaded
    }
}

fn bare(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

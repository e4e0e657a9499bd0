//! Checks a journal offline: every line is hashed anew and compared with headings, checkpoints and what is kept elsewhere.
//!
//! It reads once, in bounded memory, also while a journal is written. It changes nothing.

mod beside;
mod kept;
mod pass;
mod proof;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::note::Verifier;
use super::slot;
use crate::egress::record::Gap;

pub use kept::Kept;
pub use proof::{BadProof, NotProven, Proof, Proven, check, prove};

/// What to check, and by what.
#[derive(Debug)]
pub struct Asked {
    /// A state folder, a journal's folder or one slot.
    pub path: PathBuf,
    /// The keys to go by, in place of those that stand in the slots; one of a log holds for all its slots.
    pub keys: Vec<Verifier>,
    /// Checkpoints that were kept elsewhere.
    pub kept: Kept,
}

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The slots, in the order of their numbers.
    pub slots: Vec<SlotVerified>,
    /// Checkpoints kept elsewhere of logs that are not here.
    pub strangers: Vec<Broken>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn sound(&self) -> bool {
        self.strangers.is_empty() && self.slots.iter().all(|slot| slot.result.is_ok())
    }
}

/// What was found in one slot.
#[derive(Debug)]
pub struct SlotVerified {
    /// Its name, or its folder's.
    pub slot: String,
    /// What it holds, or the first thing that is wrong.
    pub result: Result<Sound, Broken>,
}

/// A slot in which nothing is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sound {
    /// The log's origin; empty where there is no record.
    pub origin: String,
    /// The key the checkpoints were checked by.
    pub verifier: String,
    /// The `seq` of the first record there is; 0 where there is none.
    pub first: u64,
    /// The `seq` of the last.
    pub last: u64,
    /// Segments.
    pub segments: usize,
    /// The newest checkpoint that agrees.
    pub checkpoint: Option<Covered>,
    /// The newest `sealed` line's checkpoint is not in `checkpoints`.
    pub only_in_the_log: bool,
    /// A kill or a full disk came between `stopped` and its checkpoint, as the mark left beside them says.
    pub stop_unsealed: bool,
    /// Checkpoints in `checkpoints` over no more than what is no longer here: only their signature could be checked.
    pub earlier: u64,
    /// Checkpoints kept elsewhere that agree.
    pub kept: u64,
    /// Those that could not be compared, as they cover no more than what is no longer here.
    pub kept_earlier: u64,
    /// Bytes of an unfinished last line.
    pub torn: u64,
    /// Torn ends that starts cut away, as they say; the first hundred.
    pub repaired: Vec<Repaired>,
    /// What the log itself says is missing from this slot; the first hundred.
    pub gaps: Vec<Gap>,
}

/// A torn end that a start cut away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The `started` that says so.
    pub seq: u64,
    /// How much there was behind the last whole line.
    pub bytes: u64,
}

/// A checkpoint that agrees with the records.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// Records it covers, from seq 1 on.
    pub size: u64,
    /// The root, in base64.
    pub root: String,
    /// The note, whole.
    pub note: String,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), if *line > 0 { format!(":{line}") } else { String::new() })]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// The record's number, where it is a record.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What that means.
    pub means: String,
}

impl Broken {
    fn file(file: &Path, what: impl Into<String>, means: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, seq: None, what: what.into(), means: means.into() }
    }

    fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self::file(file, format!("it cannot be read: {error}"), "what is in it could not be checked; correct its permissions and try again")
    }
}

/// Checks every slot; what is wrong in one keeps nothing from being found in another.
pub fn verify(asked: &Asked) -> Result<Verified, NotAJournal> {
    let folders = slots(&asked.path)?;
    let mut verified = Verified { slots: Vec::new(), strangers: Vec::new() };
    let mut seen = Vec::new();
    for (slot, folder) in &folders {
        let result = origin(slot, folder, &asked.keys).and_then(|by| {
            seen.extend(by.as_ref().map(|by| by.origin().to_owned()));
            pass::check(folder, by, &asked.kept, &mut |_, _| ())
        });
        verified.slots.push(SlotVerified { slot: slot.clone(), result });
    }
    let alone = folders.len() == 1 && folders.values().all(|folder| *folder == asked.path);
    verified.strangers = asked.kept.strangers(&seen, alone);
    Ok(verified)
}

/// A path that holds no journal.
#[derive(Debug, thiserror::Error)]
pub enum NotAJournal {
    /// It cannot be read.
    #[error("{} cannot be read: {}; name a state folder, its journal folder or one slot", path.display(), crate::text::trouble(*kind))]
    Io {
        /// The path.
        path: PathBuf,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// There is nothing of a journal.
    #[error("{} holds no journal; name a state folder, its journal folder or one slot", path.display())]
    Nothing {
        /// The path.
        path: PathBuf,
    },
}

/// The slots at a path and their folders, in the order of their names.
fn slots(path: &Path) -> Result<BTreeMap<String, PathBuf>, NotAJournal> {
    let fail = |error: io::Error| NotAJournal::Io { path: path.to_owned(), kind: error.kind() };
    let path = &fs::canonicalize(path).map_err(fail)?;
    let inner = super::folder(path);
    let journal = if inner.is_dir() { inner } else { path.clone() };
    let named = slot::names(&journal).map_err(fail)?;
    if !named.is_empty() {
        return Ok(named.into_iter().map(|name| (name.clone(), journal.join(name))).collect());
    }
    let is_slot = ["checkpoints", "verifier"].iter().any(|name| path.join(name).exists());
    if is_slot || !slot::segments(path).map_err(fail)?.is_empty() {
        let name = path.file_name().map_or_else(|| "slot".to_owned(), |name| name.to_string_lossy().into_owned());
        return Ok(BTreeMap::from([(name, path.clone())]));
    }
    if journal == *path { Err(NotAJournal::Nothing { path: path.clone() }) } else { Ok(BTreeMap::new()) }
}

/// What a slot's checkpoints are checked by: the key given, or the one beside the segments. `None` where there is neither.
fn origin(slot: &str, folder: &Path, keys: &[Verifier]) -> Result<Option<Verifier>, Broken> {
    let path = folder.join("verifier");
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Broken::unreadable(&path, &error)),
    };
    let means = "the checkpoints cannot be checked by it; if you keep the key elsewhere, give it with --key";
    let beside = match text.as_deref().map(|text| Verifier::parse(text.strip_suffix('\n').unwrap_or(text))) {
        None => None,
        Some(Err(error)) => return Err(Broken::file(&path, error.to_string(), means)),
        Some(Ok(beside)) => Some(beside),
    };
    let is_slot = slot.strip_prefix("proxy-").is_some_and(|number| number.parse::<u32>().is_ok());
    if let Some(found) = beside.as_ref().map(Verifier::origin).filter(|found| is_slot && found.rsplit('/').next() != Some(slot)) {
        let what = format!("it is of {found}, and the slot is {slot}");
        return Err(Broken::file(&path, what, "the files of two slots were swapped, or the key was replaced"));
    }
    let same = |key: &&Verifier| beside.as_ref().is_some_and(|beside| beside.log() == key.log());
    let Some(key) = keys.iter().find(same).or(keys.first()) else { return Ok(beside) };
    let name = if is_slot { format!("{}/{slot}", key.log()) } else { beside.as_ref().unwrap_or(key).origin().to_owned() };
    let key = key.named(&name);
    match beside {
        Some(beside) if beside != key => {
            let what = format!("it is {}, and by the key that was given it is to be {}", beside.text(), key.text());
            Err(Broken::file(&path, what, "the slot was signed anew by another key, or it is a slot of another machine"))
        }
        Some(_) | None => Ok(Some(key)),
    }
}

#[cfg(test)]
mod tests;

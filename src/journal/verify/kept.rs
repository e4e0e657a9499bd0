//! Checkpoints that were kept elsewhere: they find what whoever has the key rewrote or cut.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use tlog_tiles::{Checkpoint, Hash};

use super::Broken;
use crate::journal::Tree;
use crate::journal::note::{At, Next, Notes, Verifier};
use crate::text::plain;

/// Notes by their origin, as they claim it; the signature is checked once the origin's verifier is known.
#[derive(Debug, Default)]
pub struct Kept {
    by_origin: BTreeMap<String, Vec<PathBuf>>,
}

/// Of one log, in the order of size.
#[derive(Debug, Default)]
pub(super) struct KeptOfLog {
    /// Size, root, file and line; 56 bytes each.
    heads: Vec<(u64, Hash, usize, u64)>,
    files: Vec<PathBuf>,
    at: usize,
    pub(super) agreed: u64,
    pub(super) earlier: u64,
    /// The largest size that agreed.
    good: u64,
}

impl Kept {
    /// Takes the notes of a file into account: one checkpoint or any number of them, of any slots; or of all files in a folder.
    pub fn add(&mut self, path: &Path) -> Result<(), Broken> {
        if !path.is_dir() {
            return self.add_file(path);
        }
        let fail = |error| Broken::unreadable(path, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(fail)? {
            files.push(entry.map_err(fail)?.path());
        }
        files.sort();
        files.iter().try_for_each(|file| self.add_file(file))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Broken> {
        let mut any = false;
        each(path, |at| {
            any = true;
            let checkpoint = text_of(&at.text).ok_or_else(|| no_note(path, at.line))?;
            let files = self.by_origin.entry(checkpoint.origin().to_owned()).or_default();
            if files.last().is_none_or(|last| last != path) {
                files.push(path.to_owned());
            }
            Ok(())
        })?;
        if any { Ok(()) } else { Err(Broken::file(path, "there is no checkpoint in it", "there is nothing to compare with")) }
    }

    /// Those of one log, their signatures checked.
    pub(super) fn of(&self, by: &Verifier) -> Result<KeptOfLog, Broken> {
        let mut found = KeptOfLog { files: self.by_origin.get(by.origin()).cloned().unwrap_or_default(), ..KeptOfLog::default() };
        for (file, path) in found.files.iter().enumerate() {
            each(path, |at| {
                if text_of(&at.text).is_none_or(|checkpoint| checkpoint.origin() != by.origin()) {
                    return Ok(());
                }
                let checkpoint = by.open(&at.text).map_err(|error| Broken {
                    file: path.clone(),
                    line: at.line,
                    seq: None,
                    what: format!("the checkpoint kept elsewhere: {error}"),
                    means: "the key of the slot is not the one that signed it, so the log was signed anew; or the checkpoint was changed"
                        .into(),
                })?;
                found.heads.push((checkpoint.size(), *checkpoint.hash(), file, at.line));
                Ok(())
            })?;
        }
        found.heads.sort_by_key(|head| (head.0, head.2, head.3));
        Ok(found)
    }

    /// What is wrong about checkpoints whose logs were not seen. Where one slot `alone` was asked about, others may be left out.
    pub(super) fn strangers(&self, seen: &[String], alone: bool) -> Vec<Broken> {
        if alone && self.by_origin.keys().any(|origin| seen.contains(origin)) {
            return Vec::new();
        }
        let strange = self.by_origin.iter().filter(|(origin, _)| !seen.contains(origin));
        let broken = |(origin, files): (&String, &Vec<PathBuf>)| {
            let what = format!("it holds a checkpoint of {}, and there is no such log here", plain(origin, 120));
            let means = "that slot was removed, or the journal was begun anew by another key; or the checkpoint is of another machine";
            Broken::file(files.first().map_or(Path::new(""), PathBuf::as_path), what, means)
        };
        strange.map(broken).collect()
    }
}

impl KeptOfLog {
    /// Compares those over a tree of this size. What is smaller and comes first is of what is no longer here.
    pub(super) fn meet(&mut self, tree: &Tree) -> Result<(), Broken> {
        while let Some((size, root, file, line)) = self.heads.get(self.at) {
            if *size > tree.size() {
                return Ok(());
            }
            self.at += 1;
            if *size < tree.size() {
                self.earlier += 1;
            } else if *root == tree.root() {
                (self.agreed, self.good) = (self.agreed + 1, *size);
            } else {
                let what = format!("the checkpoint kept elsewhere over {size} records has another root than those {size} records");
                let means = format!(
                    "a record of seq {} to {size} was changed, removed or added since, and if the rest of the log agrees with itself, \
                     whoever did it had the key",
                    self.good + 1
                );
                return Err(Broken { file: self.files[*file].clone(), line: *line, seq: None, what, means });
            }
        }
        Ok(())
    }

    /// What is wrong where the log ends before a checkpoint does.
    pub(super) fn end(&self, tree: &Tree) -> Result<(), Broken> {
        let Some((size, _, file, line)) = self.heads.get(self.at) else { return Ok(()) };
        let what = format!("the checkpoint kept elsewhere covers {size} records, and the log ends at seq {}", tree.size());
        Err(Broken { file: self.files[*file].clone(), line: *line, seq: None, what, means: super::beside::CUT_TAIL.into() })
    }
}

/// The checkpoint a note claims to be, its signature not looked at.
fn text_of(note: &str) -> Option<Checkpoint> {
    let (text, _) = note.split_once("\n\n")?;
    Checkpoint::from_bytes(format!("{text}\n").as_bytes()).ok()
}

fn no_note(path: &Path, line: u64) -> Broken {
    let means = "there is nothing to compare with; a checkpoint is as it stands in `checkpoints` of a slot, or in a second place";
    Broken { file: path.to_owned(), line, seq: None, what: "it is no checkpoint".into(), means: means.into() }
}

fn each(path: &Path, mut see: impl FnMut(At) -> Result<(), Broken>) -> Result<(), Broken> {
    let fail = |error| Broken::unreadable(path, &error);
    let mut notes = Notes::new(BufReader::new(File::open(path).map_err(fail)?));
    loop {
        match notes.read().map_err(fail)? {
            Next::Note(at) => see(at)?,
            // A second place may be written at this moment.
            Next::Unfinished(_) | Next::End => return Ok(()),
        }
    }
}

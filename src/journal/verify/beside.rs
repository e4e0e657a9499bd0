//! The checkpoints that stand beside a slot's segments, in step with the walk over its lines.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use tlog_tiles::Checkpoint;

use super::{Broken, Covered};
use crate::journal::Tree;
use crate::journal::note::{At, Next, Notes, Verifier};

pub(super) const CUT_TAIL: &str = "the end of the log was cut, or a power failure took what had not reached the disk";

/// The file `checkpoints`, read as far as the walk has come.
#[derive(Debug)]
pub(super) struct Beside {
    path: PathBuf,
    notes: Option<Notes<BufReader<File>>>,
    /// The length of the file before the walk's extent was taken: what is behind it may cover more than the walk sees.
    length: u64,
    next: Option<(At, Checkpoint)>,
    /// Of the note before `next`.
    size: u64,
    pub(super) earlier: u64,
}

impl Beside {
    pub(super) fn open(folder: &Path) -> Result<Self, Broken> {
        let path = folder.join("checkpoints");
        let (notes, length) = match File::open(&path) {
            Ok(file) => {
                let length = file.metadata().map_err(|error| Broken::unreadable(&path, &error))?.len();
                (Some(Notes::new(BufReader::new(file))), length)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
            Err(error) => return Err(Broken::unreadable(&path, &error)),
        };
        Ok(Self { path, notes, length, next: None, size: 0, earlier: 0 })
    }

    /// Compares every checkpoint over a tree of this size with it, and says whether there was one.
    pub(super) fn meet(&mut self, tree: &Tree, by: &Verifier, good: u64) -> Result<Option<Covered>, Broken> {
        let mut met = None;
        while let Some((at, checkpoint)) = self.peek(by)? {
            if checkpoint.size() > tree.size() {
                break;
            }
            if checkpoint.size() < tree.size() {
                self.earlier += 1;
            } else if *checkpoint.hash() == tree.root() {
                met = Some(Covered { size: tree.size(), root: tree.root().to_string(), note: at.text.clone() });
            } else {
                let (line, what) = (at.line, format!("the checkpoint over {} records has another root than those records", tree.size()));
                return Err(self.broken(line, what, &changed(good + 1, tree.size())));
            }
            self.next = None;
        }
        Ok(met)
    }

    /// What is wrong where the log ends before a checkpoint does.
    pub(super) fn end(&mut self, tree: &Tree, by: &Verifier) -> Result<(), Broken> {
        let length = self.length;
        match self.peek(by)? {
            Some((at, checkpoint)) if at.offset < length => {
                let what = format!("the checkpoint covers {} records, and the log ends at seq {}", checkpoint.size(), tree.size());
                let line = at.line;
                Err(self.broken(line, what, CUT_TAIL))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The checkpoint `sealed` tells of is not here.
    pub(super) fn missing(&self, size: u64) -> Broken {
        let what = format!("the checkpoint over {size} records, which stands in the log, is missing here");
        self.broken(0, what, "checkpoints were removed from this file")
    }

    /// The checkpoint made at the end is not here.
    pub(super) fn without_last(&self, seq: u64) -> Broken {
        let what = format!("the log was stopped in order at seq {seq}, and the checkpoint made then is missing here");
        self.broken(0, what, "checkpoints were removed from this file")
    }

    fn peek(&mut self, by: &Verifier) -> Result<Option<&(At, Checkpoint)>, Broken> {
        if let (None, Some(notes)) = (&self.next, &mut self.notes) {
            match notes.read().map_err(|error| Broken::unreadable(&self.path, &error))? {
                Next::Note(at) => {
                    let checkpoint = by.open(&at.text).map_err(|error| {
                        self.broken(
                            at.line,
                            format!("the note here: {error}"),
                            "the checkpoint was changed or added by somebody without the key",
                        )
                    })?;
                    if checkpoint.size() < self.size {
                        let what = format!("the checkpoint covers {} records and the one before it {}", checkpoint.size(), self.size);
                        return Err(self.broken(at.line, what, "checkpoints were swapped or added"));
                    }
                    self.size = checkpoint.size();
                    self.next = Some((at, checkpoint));
                }
                // The writer may be at it, or was killed at it.
                Next::Unfinished(_) => self.notes = None,
                Next::End => {}
            }
        }
        Ok(self.next.as_ref())
    }

    fn broken(&self, line: u64, what: String, means: &str) -> Broken {
        Broken { file: self.path.clone(), line, seq: None, what, means: means.into() }
    }
}

/// What other roots mean.
pub(super) fn changed(first: u64, last: u64) -> String {
    format!("a record of seq {first} to {last} was changed; those before are as they were")
}

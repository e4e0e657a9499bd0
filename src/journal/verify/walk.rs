//! Walks over the lines of one slot, in the order of its segments, up to where it ended when the walk began.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::Broken;
use crate::journal::line::take_line;
use crate::journal::slot::{segment_name, segments};

/// Where a line stands.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    /// From 1.
    pub(super) line: u64,
}

impl Place<'_> {
    pub(super) fn broken(&self, seq: Option<u64>, what: impl Into<String>, means: impl Into<String>) -> Broken {
        Broken { file: self.file.to_owned(), line: self.line, seq, what: what.into(), means: means.into() }
    }
}

/// What was walked over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) segments: usize,
    /// Bytes without a line end behind the last line.
    pub(super) torn: u64,
    /// The last segment.
    pub(super) file: PathBuf,
    /// Its whole lines.
    pub(super) lines: u64,
}

/// Why a walk ended early.
#[derive(Debug)]
pub(super) enum Ended {
    Broken(Box<Broken>),
    /// Retention took the segment the walk came to.
    Overtaken,
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(Box::new(broken))
    }
}

/// The extent of a slot at one time.
#[derive(Debug)]
pub(super) struct Extent {
    folder: PathBuf,
    numbers: Vec<u64>,
    /// The length of the newest.
    length: u64,
}

impl Extent {
    pub(super) fn of(folder: &Path) -> Result<Self, Broken> {
        let fail = |error| Broken::unreadable(folder, &error);
        let numbers: Vec<u64> = segments(folder).map_err(fail)?.into_iter().collect();
        let length = match numbers.last() {
            Some(newest) => fs::metadata(folder.join(segment_name(*newest))).map_err(fail)?.len(),
            None => 0,
        };
        Ok(Self { folder: folder.to_owned(), numbers, length })
    }

    /// Shows each line, without its end.
    pub(super) fn walk(&self, mut see: impl FnMut(&Place<'_>, &[u8]) -> Result<(), Broken>) -> Result<Walked, Ended> {
        let mut walked = Walked { segments: self.numbers.len(), ..Walked::default() };
        let mut buffer = Vec::new();
        for number in &self.numbers {
            let path = self.folder.join(segment_name(*number));
            let newest = Some(number) == self.numbers.last();
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Ended::Overtaken),
                Err(error) => return Err(Broken::unreadable(&path, &error).into()),
            };
            let mut reader = BufReader::with_capacity(256 << 10, file).take(if newest { self.length } else { u64::MAX });
            let mut line = 0;
            loop {
                let taken = take_line(&mut reader, &mut buffer).map_err(|error| Broken::unreadable(&path, &error))?;
                if taken.bytes == 0 {
                    break;
                }
                let place = Place { file: &path, line: line + 1 };
                if !taken.complete && !newest {
                    return Err(place.broken(None, "the line has no end, and another segment follows", CUT).into());
                }
                if !taken.complete {
                    walked.torn = taken.bytes;
                    break;
                }
                if taken.too_long {
                    return Err(place
                        .broken(None, "the line is longer than any record", "it was written by something else than exeat")
                        .into());
                }
                see(&place, &buffer)?;
                line += 1;
            }
            (walked.file, walked.lines) = (path, line);
        }
        Ok(walked)
    }
}

const CUT: &str = "the segment was cut, or a write failed and was not repaired";

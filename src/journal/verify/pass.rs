//! One pass over a slot: numbers without gaps, headings, sealed lines, checkpoints beside them, checkpoints kept elsewhere.

use std::fs;
use std::path::Path;

use super::beside::{Beside, changed};
use super::kept::{Kept, KeptOfLog};
use super::walk::{Ended, Extent, Place};
use super::{Broken, Covered, Repaired, Sound};
use crate::egress::record::{Record, Sealed, Segment, Started};
use crate::journal::Tree;
use crate::journal::line::Line;
use crate::journal::note::Verifier;
use crate::journal::thin::SURE;

/// How often a slot is begun anew as retention takes its segments meanwhile.
const TRIES: u32 = 4;

/// Of what the log says is missing or was repaired no more is told.
const MOST_GAPS: usize = 100;

/// Shown each line that was read, and its index; once more where a pass had to begin anew.
pub(super) type Seen<'a> = &'a mut dyn FnMut(u64, &[u8]);

/// Checks one slot.
pub(super) fn check(folder: &Path, by: Option<Verifier>, kept: &Kept, see: Seen<'_>) -> Result<Sound, Broken> {
    let Some(by) = by else { return without_verifier(folder) };
    for _ in 0..TRIES {
        // First the checkpoints, then the lines: of a log that is written meanwhile, no checkpoint covers more than is walked over.
        let beside = Beside::open(folder)?;
        let kept = kept.of(&by)?;
        let extent = Extent::of(folder)?;
        let mut pass = Pass::new(by.clone(), beside, kept);
        match extent.walk(|place, line| pass.line(place, line, see)) {
            Ok(walked) => {
                (pass.sound.segments, pass.sound.torn) = (walked.segments, walked.torn);
                return pass.end(folder);
            }
            Err(Ended::Broken(broken)) => return Err(*broken),
            Err(Ended::Overtaken) => {}
        }
    }
    Err(Broken::file(folder, "segments vanish while they are read", "something removes them; stop it and try again"))
}

/// A slot that nothing was written in is sound without a key.
fn without_verifier(folder: &Path) -> Result<Sound, Broken> {
    let held = |name: &str| fs::metadata(folder.join(name)).is_ok_and(|data| data.len() > 0);
    let lines = Extent::of(folder)?.walk(|place, _| Err(place.broken(None, "", "")));
    if lines.is_ok() && !held("checkpoints") {
        return Ok(Sound::default());
    }
    let means = "no signature can be checked; the file was removed, or the journal was written before there were checkpoints";
    Err(Broken::file(&folder.join("verifier"), "it is missing; put it back, or give the key with --key", means))
}

#[derive(Debug)]
struct Pass {
    by: Verifier,
    beside: Beside,
    kept: KeptOfLog,
    /// `None` before the first heading.
    tree: Option<Tree>,
    /// Up to here a checkpoint agrees.
    good: u64,
    /// A `sealed` line whose checkpoint does not stand beside the log.
    alone: Option<u64>,
    /// The last such that has others behind it, and how many of those stand beside the log.
    lacking: Option<(u64, u64)>,
    stopped: bool,
    sound: Sound,
}

impl Pass {
    fn new(by: Verifier, beside: Beside, kept: KeptOfLog) -> Self {
        let sound = Sound { origin: by.origin().to_owned(), verifier: by.text().to_owned(), ..Sound::default() };
        Self { by, beside, kept, tree: None, good: 0, alone: None, lacking: None, stopped: false, sound }
    }

    fn line(&mut self, place: &Place<'_>, text: &[u8], see: Seen<'_>) -> Result<(), Broken> {
        let expected = self.tree.as_ref().map(|tree| tree.size() + 1);
        let Some(line) = Line::parse_bytes(text) else {
            return Err(place.broken(expected, "this is no record", "the line was changed or added by something else than exeat"));
        };
        let seq = line.seq;
        if let Some(expected) = expected.filter(|expected| *expected != seq) {
            let (what, means) = if seq > expected {
                (format!("seq {seq} follows {}", expected - 1), format!("seq {expected} to {} are missing", seq - 1))
            } else {
                (format!("seq {seq} stands where {expected} was to come"), "a record was copied, moved or added".to_owned())
            };
            return Err(place.broken(Some(seq), what, means));
        }
        let tree = match (&line.record, place.line) {
            (Record::Segment(heading), 1) => self.heading(place, seq, heading)?,
            (_, 1) => {
                return Err(place.broken(Some(seq), "a segment begins with its heading, and this is none", "its first lines were removed"));
            }
            (Record::Segment(_), _) => return Err(place.broken(Some(seq), "a heading within a segment", "two segments were put together")),
            (_, _) => self.tree.take().ok_or_else(|| place.broken(Some(seq), "there is no heading before it", "the segment was cut"))?,
        };
        self.meet(&tree)?;
        if let Record::Sealed(sealed) = &line.record {
            self.sealed(place, &tree, sealed)?;
        }
        self.stopped = matches!(line.record, Record::Stopped(_));
        if let Record::Started(Started { version: _, pid: _, repaired: Some(bytes) }) = line.record
            && self.sound.repaired.len() < MOST_GAPS
        {
            self.sound.repaired.push(Repaired { seq, bytes });
        }
        if let Record::Gap(gap) = line.record
            && self.sound.gaps.len() < MOST_GAPS
            && self.sound.origin.rsplit('/').next() == Some(gap.slot.as_str())
        {
            self.sound.gaps.push(gap);
        }
        see(tree.size(), text);
        let mut tree = tree;
        tree.push(text);
        (self.tree, self.sound.last) = (Some(tree), seq);
        Ok(())
    }

    /// The tree a segment begins with.
    fn heading(&mut self, place: &Place<'_>, seq: u64, heading: &Segment) -> Result<Tree, Broken> {
        let told = Tree::from_peaks(heading.size, &heading.peaks).filter(|told| told.size().checked_add(1) == Some(seq));
        let Some(told) = told else {
            return Err(place.broken(Some(seq), "the heading's size and peaks do not fit its number", "the heading was changed"));
        };
        let Some(tree) = self.tree.take() else {
            self.sound.first = seq;
            return Ok(told);
        };
        if tree != told {
            let what = "the heading's peaks are not those of the lines before it";
            return Err(place.broken(Some(seq), what, format!("{}, or the heading was", changed(self.good + 1, tree.size()))));
        }
        Ok(tree)
    }

    /// Compares with every checkpoint over exactly the lines so far.
    fn meet(&mut self, tree: &Tree) -> Result<(), Broken> {
        if let Some(covered) = self.beside.meet(tree, &self.by, self.good)? {
            if let Some(size) = self.alone.take_if(|size| *size < covered.size) {
                self.lacking = Some((size, 0));
            }
            if let Some((_, since)) = &mut self.lacking {
                *since += 1;
            }
            self.good = covered.size;
            self.sound.checkpoint = Some(covered);
        }
        self.kept.meet(tree)
    }

    fn sealed(&mut self, place: &Place<'_>, tree: &Tree, sealed: &Sealed) -> Result<(), Broken> {
        let Sealed { size, root, note } = sealed;
        let seq = Some(tree.size() + 1);
        if *size != tree.size() {
            let what = format!("the checkpoint says it covers {size} records, and {} stand before it", tree.size());
            return Err(place.broken(seq, what, "the line was changed, or records before it were removed or added"));
        }
        let opened = self.by.open(note).map_err(|error| {
            place.broken(seq, format!("the note of the checkpoint: {error}"), "the line was changed or added by somebody without the key")
        })?;
        if opened.size() != *size || opened.hash().to_string() != *root {
            return Err(place.broken(seq, "the line and the note in it tell of different trees", "the line was changed"));
        }
        if *opened.hash() != tree.root() {
            let what = format!("the checkpoint has another root than the {size} records before it");
            return Err(place.broken(seq, what, changed(self.good + 1, *size)));
        }
        let beside = self.sound.checkpoint.as_ref().is_some_and(|covered| covered.size == *size);
        if !beside {
            if let Some(size) = self.alone.replace(*size) {
                self.lacking = Some((size, 0));
            }
            self.sound.checkpoint = Some(Covered { size: *size, root: root.clone(), note: note.clone() });
        }
        self.good = *size;
        Ok(())
    }

    fn end(mut self, folder: &Path) -> Result<Sound, Broken> {
        let tree = self.tree.take().unwrap_or_default();
        // Looked at before the checkpoints: the writer takes it away once the last one stands there.
        let stopping = fs::symlink_metadata(folder.join("stopping")).is_ok();
        self.meet(&tree)?;
        self.beside.end(&tree, &self.by)?;
        self.kept.end(&tree)?;
        if let Some((size, _)) = self.lacking.filter(|(_, since)| *since < SURE) {
            return Err(self.beside.missing(size));
        }
        let covered = self.sound.checkpoint.as_ref().map_or(0, |covered| covered.size);
        self.sound.stop_unsealed = self.stopped && covered < tree.size();
        if self.sound.stop_unsealed && !stopping {
            return Err(self.beside.without_last(tree.size()));
        }
        if covered == 0 && self.sound.first > 1 {
            let what = format!("the log begins at seq {}, and no checkpoint covers its beginning", self.sound.first);
            return Err(Broken::file(
                folder,
                what,
                "whether these are the records that were written cannot be told; checkpoints were removed",
            ));
        }
        self.sound.only_in_the_log = self.alone == Some(covered);
        self.sound.earlier = self.beside.earlier;
        (self.sound.kept, self.sound.kept_earlier) = (self.kept.agreed, self.kept.earlier);
        Ok(self.sound)
    }
}

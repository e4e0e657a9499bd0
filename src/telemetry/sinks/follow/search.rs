//! Which part of a batch is asked next: halves of what is refused, until the records are found that are at fault.
//!
//! A record is given up only beside one that is taken, and whoever refuses `MOST` times in a row is left alone for a while.

use std::ops::Range;

/// So many refusals in a row are waited out.
pub(super) const MOST: u32 = 32;

/// How far a batch has come.
#[derive(Debug)]
pub(super) struct Search {
    /// What is to be asked, the next at the end.
    parts: Vec<Range<usize>>,
    /// Records at the beginning that were refused alone before the last wait: they are asked again once another one is taken.
    aside: usize,
    /// Refusals since a record was taken.
    refusals: u32,
    /// The receiver took a record.
    taken: bool,
    /// Records that are refused and not yet passed.
    refused: Vec<(usize, String)>,
    /// Records the cursor is behind, of so many.
    passed: usize,
    records: usize,
    /// Why the last was refused.
    why: String,
}

impl Search {
    /// Of so many records, the first `suspected` of which were refused when they were last asked.
    pub(super) fn new(records: usize, suspected: usize) -> Self {
        let aside = if suspected < records { suspected } else { 0 };
        let whole = 0..records;
        Self { parts: vec![whole], aside, refusals: 0, taken: false, refused: Vec::new(), passed: 0, records, why: String::new() }
    }

    /// What is to be asked next; `None` at the end, or where the receiver is to be left alone.
    pub(super) fn next(&mut self) -> Option<Range<usize>> {
        if self.refusals < MOST { self.parts.pop() } else { None }
    }

    /// Whether the receiver has or refuses every record.
    pub(super) fn is_over(&self) -> bool {
        self.taken && self.parts.is_empty()
    }

    /// Whether the receiver took any.
    pub(super) fn has_taken(&self) -> bool {
        self.taken
    }

    /// Comes next again.
    pub(super) fn put_off(&mut self, part: Range<usize>) {
        self.parts.push(part);
    }

    /// A part was taken.
    pub(super) fn take(&mut self, part: Range<usize>) {
        (self.taken, self.refusals) = (true, 0);
        let aside = std::mem::take(&mut self.aside);
        if part.start < aside {
            return;
        }
        if aside > 0 {
            // Those before it may be taken by now, and come first: it is sent once more, behind them.
            self.refused.retain(|(index, _)| !part.contains(index));
            self.parts.extend([part, 0..aside]);
        }
    }

    /// A part was refused: these places in it, or as a whole where the receiver does not say.
    pub(super) fn refuse(&mut self, part: Range<usize>, which: &[usize], why: &str) {
        self.refusals += 1;
        why.clone_into(&mut self.why);
        if which.is_empty() && part.len() > 1 {
            let middle = part.start + part.len() / 2;
            if part.contains(&self.aside) && self.aside > part.start {
                self.parts.push(self.aside..part.end);
            } else {
                self.parts.extend([middle..part.end, part.start..middle]);
            }
            return;
        }
        let at_fault = |index: &usize| which.is_empty() || which.contains(&(index - part.start));
        let refused: Vec<usize> = part.clone().filter(at_fault).collect();
        let others = refused.len() < part.len();
        self.refused.extend(refused.into_iter().map(|index| (index, why.to_owned())));
        if others {
            self.take(part);
        }
    }

    /// The records that the cursor may move over, in order, and why one of them is given up.
    pub(super) fn pass(&mut self) -> Vec<(usize, Option<String>)> {
        if !self.taken || self.aside > 0 {
            return Vec::new();
        }
        let end = self.parts.iter().map(|part| part.start).min().unwrap_or(self.records);
        let over = self.passed..end.max(self.passed);
        self.passed = over.end;
        let refused = &mut self.refused;
        let mut why = |index| refused.iter().position(|(at, _)| *at == index).map(|at| refused.swap_remove(at).1);
        over.map(|index| (index, why(index))).collect()
    }

    /// How many records at the beginning are refused alone, where none is taken and others are still to be asked.
    pub(super) fn suspected(&self) -> usize {
        let asked = self.refused.last().map_or(self.aside, |(index, _)| index + 1);
        if self.taken || asked >= self.records { 0 } else { asked }
    }

    /// The receiver's last words on a record.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

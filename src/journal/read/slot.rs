//! Reads one slot, segment after segment.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Astray, BadLine, Entry, Misplaced, Position};
use crate::journal::line::{Line, take_line};
use crate::journal::slot::{same_file, segment_name, segments};

/// Bytes of a file that holds a verifier; more is none.
const VERIFIER: u64 = 4096;

#[derive(Debug)]
pub(super) struct SlotReader {
    name: Arc<str>,
    folder: PathBuf,
    log: Option<Arc<str>>,
    /// Where to go on, while no segment is open.
    from: Option<Position>,
    segment: Option<Segment>,
    ahead: VecDeque<Result<Entry, BadLine>>,
    buffer: Vec<u8>,
    /// It could not be read when it was last tried.
    broken: bool,
    /// Why, as it was told.
    told: Option<String>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: BufReader<File>,
    offset: u64,
    /// Lines before `offset`; `None` where nobody counted.
    line: Option<u64>,
    /// The last line's `seq`, where it is known.
    seq: u64,
}

impl SlotReader {
    /// A reader of one slot; the fault of a position that leads nowhere, which is then the slot's begin.
    pub(super) fn new(folder: PathBuf, name: Arc<str>, from: Option<Position>) -> (Self, Option<Misplaced>) {
        // What cannot be looked at now is told when it is read.
        let astray = from.and_then(|from| from.astray(&folder).unwrap_or_default());
        let misplaced = astray.map(|why| Misplaced { slot: Arc::clone(&name), why });
        let from = if misplaced.is_some() { None } else { from };
        let (log, segment, ahead, buffer) = (None, None, VecDeque::new(), Vec::new());
        (Self { name, folder, log, from, segment, ahead, buffer, broken: false, told: None }, misplaced)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.as_ref() == name
    }

    pub(super) fn take_ahead(&mut self) -> Option<Result<Entry, BadLine>> {
        self.ahead.pop_front()
    }

    pub(super) fn peek(&mut self) -> Option<&Result<Entry, BadLine>> {
        if self.ahead.is_empty() && !self.broken {
            match self.read_on() {
                Ok(()) => self.told = None,
                Err(error) => self.break_off(&error),
            }
        }
        self.ahead.front()
    }

    /// Stops until the next look, and tells why unless that was told.
    fn break_off(&mut self, error: &io::Error) {
        self.broken = true;
        let why = error.to_string();
        let bad = self.bad(why.clone());
        if let Some(Segment { number, offset, seq, .. }) = self.segment.take() {
            self.from = Some(Position { segment: number, offset, seq });
        }
        if self.told.as_ref() != Some(&why) {
            self.told = Some(why);
            self.ahead.push_back(Err(bad));
        }
    }

    /// Tries again what failed, and begins anew where the open segment is not the journal's any more.
    pub(super) fn look_again(&mut self) -> Option<Misplaced> {
        self.broken = false;
        let segment = self.segment.as_ref()?;
        let path = self.folder.join(segment_name(segment.number));
        let astray = match same_file(segment.file.get_ref(), &path) {
            Ok(Some(length)) => length < segment.offset,
            Ok(None) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let newest = segments(&self.folder).ok()?.last().copied();
                newest.is_some_and(|newest| newest < segment.number)
            }
            Err(_) => false,
        };
        astray.then(|| {
            (self.segment, self.from) = (None, None);
            Misplaced { slot: Arc::clone(&self.name), why: Astray::Replaced }
        })
    }

    /// Puts the next line into `ahead`, if there is one by now.
    fn read_on(&mut self) -> io::Result<()> {
        loop {
            if self.segment.is_some() && self.take()? {
                return Ok(());
            }
            let Some(next) = self.next_segment()? else { return Ok(()) };
            // A segment is complete before the next one exists: only what is read after that is known to be its end.
            if self.segment.is_some() && self.take()? {
                return Ok(());
            }
            let torn = self
                .segment
                .as_ref()
                .is_some_and(|segment| segment.file.get_ref().metadata().is_ok_and(|data| data.len() > segment.offset));
            let Some(opened) = self.open_from(next)? else { return Ok(()) };
            let bad = torn.then(|| self.bad("the line has no end".into()));
            self.segment = Some(opened);
            if let Some(bad) = bad {
                self.ahead.push_back(Err(bad));
                return Ok(());
            }
        }
    }

    /// Opens this segment, or the one behind it where retention takes it between the look at the folder and this.
    fn open_from(&mut self, mut number: u64) -> io::Result<Option<Segment>> {
        loop {
            match self.open(number) {
                Err(error) if error.kind() == ErrorKind::NotFound => match self.next_segment()? {
                    Some(next) if next != number => number = next,
                    Some(_) => return Err(error),
                    None => return Ok(None),
                },
                result => return result.map(Some),
            }
        }
    }

    fn open(&mut self, number: u64) -> io::Result<Segment> {
        if self.log.is_none() {
            self.log = log_of(&self.folder);
        }
        let mut file = BufReader::with_capacity(64 << 10, File::open(self.folder.join(segment_name(number)))?);
        let before = self.segment.as_ref().map_or(0, |segment| segment.seq);
        let Some(from) = self.from.take_if(|from| from.segment == number) else {
            return Ok(Segment { number, file, offset: 0, line: Some(0), seq: before });
        };
        file.seek(SeekFrom::Start(from.offset))?;
        Ok(Segment { number, file, offset: from.offset, line: None, seq: from.seq })
    }

    /// Takes one whole line of the open segment; `false` where there is none yet.
    fn take(&mut self) -> io::Result<bool> {
        let Some(segment) = &mut self.segment else { return Ok(false) };
        let taken = take_line(&mut segment.file, &mut self.buffer)?;
        if !taken.complete {
            segment.file.seek(SeekFrom::Start(segment.offset))?;
            return Ok(false);
        }
        let text = std::str::from_utf8(&self.buffer).ok().filter(|_| !taken.too_long);
        let Some((text, line)) = text.and_then(|text| Some((text, Line::parse(text)?))) else {
            let bad = self.bad("not a record".into());
            self.pass(taken.bytes);
            self.ahead.push_back(Err(bad));
            return Ok(true);
        };
        let text = text.to_owned();
        segment.seq = line.seq;
        self.pass(taken.bytes);
        let after = self.position();
        self.ahead.push_back(Ok(Entry { log: self.log.clone(), slot: Arc::clone(&self.name), text, line, after }));
        Ok(true)
    }

    fn pass(&mut self, bytes: u64) {
        if let Some(segment) = &mut self.segment {
            segment.offset += bytes;
            segment.line = segment.line.map(|line| line + 1);
        }
    }

    fn position(&self) -> Position {
        self.segment.as_ref().map_or(Position { segment: 0, offset: 0, seq: 0 }, |segment| Position {
            segment: segment.number,
            offset: segment.offset,
            seq: segment.seq,
        })
    }

    fn next_segment(&self) -> io::Result<Option<u64>> {
        let first = match (&self.segment, self.from) {
            (Some(segment), _) => segment.number.saturating_add(1),
            (None, Some(from)) => from.segment,
            (None, None) => 0,
        };
        match segments(&self.folder) {
            Ok(numbers) => Ok(numbers.into_iter().find(|number| *number >= first)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells of the line at the reader's place.
    fn bad(&mut self, why: String) -> BadLine {
        let Some(segment) = &mut self.segment else { return BadLine { file: self.folder.clone(), line: 0, why } };
        let file = self.folder.join(segment_name(segment.number));
        let before = segment.line.or_else(|| line_ends(&file, segment.offset).ok());
        segment.line = before;
        BadLine { file, line: before.map_or(0, |before| before + 1), why }
    }
}

fn line_ends(path: &Path, before: u64) -> io::Result<u64> {
    let mut file = BufReader::new(File::open(path)?.take(before));
    let (mut count, mut line) = (0, Vec::new());
    while take_line(&mut file, &mut line)?.complete {
        count += 1;
    }
    Ok(count)
}

/// The log's id, of the name of the verifier that stands beside the segments: `exeat/LOG/SLOT+…`.
fn log_of(folder: &Path) -> Option<Arc<str>> {
    let mut text = String::new();
    File::open(folder.join("verifier")).ok()?.take(VERIFIER).read_to_string(&mut text).ok()?;
    let (name, _) = text.split_once('+')?;
    let (log, _) = name.strip_prefix("exeat/")?.split_once('/')?;
    let good = (1..=64).contains(&log.len()) && log.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| log.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_segment_that_goes_just_before_it_is_opened_is_passed_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (mut reader, _) = SlotReader::new(folder.path().to_owned(), "proxy-1".into(), None);
        assert!(reader.open_from(1).unwrap().is_none());
        fs::write(folder.path().join("00000003.jsonl"), "").unwrap();
        assert_eq!(reader.open_from(1).unwrap().map(|segment| segment.number), Some(3));
        std::os::unix::fs::symlink("nowhere", folder.path().join("00000002.jsonl")).unwrap();
        assert_eq!(reader.open_from(2).unwrap_err().kind(), ErrorKind::NotFound, "a link that leads nowhere is not gone");
    }
}

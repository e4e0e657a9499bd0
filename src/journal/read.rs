//! Reads the journal of all slots in the order of time, while it is written.
//!
//! A line without its end is waited for where the writer may still be at it; a damaged line is told, never passed over.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line::{Line, take_line};
use super::slot::{names, segment_name, segments};

/// One line of the journal, as written and as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The slot it stands in.
    pub slot: Arc<str>,
    /// The line without its end.
    pub text: String,
    /// What it says.
    pub line: Line,
}

/// A place in the journal that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {why}", file.display())]
pub struct BadLine {
    /// The segment.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Reads all slots, lazily. After `None` more may have been written: call `refresh` and go on.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    slots: Vec<SlotReader>,
}

impl Reader {
    /// A reader of the journal in a state folder, from its first line on. No journal is an empty one.
    pub fn open(state: &Path) -> io::Result<Self> {
        let mut reader = Self { folder: super::folder(state), slots: Vec::new() };
        reader.refresh()?;
        Ok(reader)
    }

    /// Looks for slots that were not there yet.
    pub fn refresh(&mut self) -> io::Result<()> {
        let names = match names(&self.folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for name in names {
            if !self.slots.iter().any(|slot| slot.name.as_ref() == name) {
                self.slots.push(SlotReader::new(self.folder.join(&name), name.into()));
            }
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first: Option<usize> = None;
        for index in 0..self.slots.len() {
            match self.slots[index].peek() {
                None => {}
                Some(Err(_)) => return self.slots[index].ahead.pop_front(),
                Some(Ok(entry)) => {
                    let at = entry.line.at;
                    // Slots stand in the order of their numbers, so of two lines of one time the earlier slot's comes first.
                    let earlier = first
                        .and_then(|first| self.slots[first].ahead.front())
                        .is_none_or(|best| best.as_ref().is_ok_and(|best| at < best.line.at));
                    if earlier {
                        first = Some(index);
                    }
                }
            }
        }
        self.slots[first?].ahead.pop_front()
    }
}

#[derive(Debug)]
struct SlotReader {
    name: Arc<str>,
    folder: PathBuf,
    segment: Option<Segment>,
    ahead: VecDeque<Result<Entry, BadLine>>,
    buffer: Vec<u8>,
    broken: bool,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: BufReader<File>,
    offset: u64,
    line: u64,
}

impl SlotReader {
    fn new(folder: PathBuf, name: Arc<str>) -> Self {
        Self { name, folder, segment: None, ahead: VecDeque::new(), buffer: Vec::new(), broken: false }
    }

    fn peek(&mut self) -> Option<&Result<Entry, BadLine>> {
        if self.ahead.is_empty() && !self.broken {
            match self.read_on() {
                Ok(()) => {}
                Err(error) => {
                    // Told once; a slot whose files cannot be read has no more lines for this reader.
                    self.broken = true;
                    let bad = self.bad(error.to_string());
                    self.ahead.push_back(Err(bad));
                }
            }
        }
        self.ahead.front()
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
                .as_mut()
                .is_some_and(|segment| segment.file.get_ref().metadata().is_ok_and(|data| data.len() > segment.offset));
            if torn {
                if let Some(segment) = &mut self.segment {
                    segment.line += 1;
                }
                let bad = self.bad("the line has no end".into());
                self.ahead.push_back(Err(bad));
            }
            let file = BufReader::with_capacity(64 << 10, File::open(self.folder.join(segment_name(next)))?);
            self.segment = Some(Segment { number: next, file, offset: 0, line: 0 });
            if torn {
                return Ok(());
            }
        }
    }

    /// Takes one whole line of the open segment; `false` where there is none yet.
    fn take(&mut self) -> io::Result<bool> {
        let Some(segment) = &mut self.segment else { return Ok(false) };
        let taken = take_line(&mut segment.file, &mut self.buffer)?;
        if !taken.complete {
            segment.file.seek(SeekFrom::Start(segment.offset))?;
            return Ok(false);
        }
        segment.offset += taken.bytes;
        segment.line += 1;
        let text = std::str::from_utf8(&self.buffer).ok().filter(|_| !taken.too_long);
        let item = match text.and_then(|text| Some((text, Line::parse(text)?))) {
            Some((text, line)) => Ok(Entry { slot: Arc::clone(&self.name), text: text.to_owned(), line }),
            None => Err(self.bad("not a record".into())),
        };
        self.ahead.push_back(item);
        Ok(true)
    }

    fn next_segment(&self) -> io::Result<Option<u64>> {
        let after = self.segment.as_ref().map_or(0, |segment| segment.number);
        match segments(&self.folder) {
            Ok(numbers) => Ok(numbers.into_iter().find(|number| *number > after)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn bad(&self, why: String) -> BadLine {
        let (file, line) = match &self.segment {
            Some(segment) => (self.folder.join(segment_name(segment.number)), segment.line),
            None => (self.folder.clone(), 0),
        };
        BadLine { file, line, why }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;
    use crate::egress::record::Record;
    use crate::journal::Journal;
    use crate::journal::sample::decided;

    #[test]
    fn a_reader_goes_on_where_a_live_writer_does() {
        let state = tempfile::tempdir().unwrap();
        let mut reader = Reader::open(state.path()).unwrap();
        assert!(reader.next().is_none());
        let journal = Journal::open(state.path(), 600).unwrap().journal;
        reader.refresh().unwrap();
        let mut seqs = Vec::new();
        for id in 1..=10 {
            write(&journal, &Record::Decided(decided(id)));
            seqs.extend(reader.by_ref().map(|item| item.unwrap().line.seq));
            assert!(seqs.len() as u128 > id, "{seqs:?}");
        }
        let second = Journal::open(state.path(), 1 << 20).unwrap().journal;
        reader.refresh().unwrap();
        assert_eq!(reader.next().unwrap().unwrap().slot.as_ref(), second.slot().unwrap());
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_beside_a_writer_that_changes_segments_misses_nothing() {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::open(state.path(), 4000).unwrap().journal;
        let mut reader = Reader::open(state.path()).unwrap();
        let mut seqs = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=2000).for_each(|id| write(&journal, &Record::Decided(decided(id)))));
            let mut read = 0;
            while read < 2000 {
                for entry in reader.by_ref().map(Result::unwrap) {
                    read += usize::from(matches!(entry.line.record, Record::Decided(_)));
                    seqs.push(entry.line.seq);
                }
            }
        });
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_without_its_end_is_waited_for_in_the_newest_segment_only() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("journal/proxy-1/00000001.jsonl");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = "{\"v\":1,\"seq\":1,\"at\":\"2026-11-22T12:00:00.000000Z\",\"kind\":\"stopped\"}\n";
        append(&path, &line.as_bytes()[..20]);
        let mut reader = Reader::open(state.path()).unwrap();
        assert!(reader.next().is_none());
        append(&path, &line.as_bytes()[20..]);
        assert_eq!(reader.next().unwrap().unwrap().text, line.trim_end());
        append(&path, &line.as_bytes()[..20]);
        assert!(reader.next().is_none());
        append(&state.path().join("journal/proxy-1/00000002.jsonl"), line.as_bytes());
        assert_eq!(reader.next(), Some(Err(BadLine { file: path, line: 2, why: "the line has no end".into() })));
        assert_eq!(reader.next().unwrap().unwrap().text, line.trim_end());
        assert!(reader.next().is_none());
    }

    fn write(journal: &Journal, record: &Record) {
        journal.record(record, &mut |_| ()).unwrap();
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }
}

//! Reads the journal of all slots in the order of time, while it is written.
//!
//! A line without its end is waited for where the writer may still be at it; a damaged line is told, never passed over.
//! A reader goes on from positions that were kept, and says where one leads nowhere.

mod position;
mod slot;
pub(super) mod tail;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::line::Line;
use super::slot::names;
use slot::SlotReader;

pub use position::{Astray, Misplaced, Position, Positions, latest, newest};

/// One line of the journal, as written and as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The id of the log that the slot is a part of, where it is known: made with the key that signs its checkpoints.
    pub log: Option<Arc<str>>,
    /// The slot it stands in.
    pub slot: Arc<str>,
    /// The line without its end.
    pub text: String,
    /// What it says.
    pub line: Line,
    /// Where the next line begins.
    pub after: Position,
}

impl Entry {
    /// What names this record and no other, on every host and for every receiver: `LOG/SLOT/SEQ`, without `LOG/` where it is not known.
    pub fn identity(&self) -> String {
        let (slot, seq) = (&self.slot, self.line.seq);
        self.log.as_ref().map_or_else(|| format!("{slot}/{seq}"), |log| format!("{log}/{slot}/{seq}"))
    }
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
    /// Where slots that were not seen yet are gone on with.
    from: Positions,
    misplaced: Vec<Misplaced>,
}

impl Reader {
    /// A reader of the journal in a state folder, from its first line on. No journal is an empty one.
    pub fn open(state: &Path) -> io::Result<Self> {
        Self::resume(state, Positions::new())
    }

    /// A reader from these positions on, and from the first line of slots that have none. Where the segment a position names is gone,
    /// reading goes on with the next there is, and the jump in `seq` tells of the gap.
    pub fn resume(state: &Path, from: Positions) -> io::Result<Self> {
        let mut reader = Self { folder: super::folder(state), slots: Vec::new(), from, misplaced: Vec::new() };
        reader.refresh()?;
        Ok(reader)
    }

    /// A reader that leaves out segments whose lines are all older than `time`. It still shows older lines of the others.
    pub fn since(state: &Path, time: Timestamp) -> io::Result<Self> {
        Self::resume(state, position::since(&super::folder(state), time)?)
    }

    /// Looks for slots that were not there yet, for files that were replaced, and once more at what could not be read.
    pub fn refresh(&mut self) -> io::Result<()> {
        let names = match names(&self.folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for slot in &mut self.slots {
            self.misplaced.extend(slot.look_again());
        }
        for name in names {
            if !self.slots.iter().any(|slot| slot.is(&name)) {
                let from = self.from.remove(&name);
                let (slot, misplaced) = SlotReader::new(self.folder.join(&name), name.into(), from);
                self.slots.push(slot);
                self.misplaced.extend(misplaced);
            }
        }
        Ok(())
    }

    /// The positions that were found to lead nowhere, each told once. What was known of their slots' `seq` is void.
    pub fn misplaced(&mut self) -> Vec<Misplaced> {
        std::mem::take(&mut self.misplaced)
    }

    /// The length of the next line; `None` where there is none yet, or it is no record.
    pub fn peek_length(&mut self) -> Option<usize> {
        let first = self.first()?;
        self.slots[first].peek()?.as_ref().ok().map(|entry| entry.text.len())
    }

    /// The slot whose next line is the oldest; of two lines of one time the earlier slot's, as slots stand in the order of their numbers.
    /// A line that cannot be read comes before all others.
    fn first(&mut self) -> Option<usize> {
        let mut first: Option<(usize, Timestamp)> = None;
        for index in 0..self.slots.len() {
            match self.slots[index].peek() {
                None => {}
                Some(Err(_)) => return Some(index),
                Some(Ok(entry)) => {
                    let at = entry.line.at;
                    if first.is_none_or(|(_, best)| at < best) {
                        first = Some((index, at));
                    }
                }
            }
        }
        first.map(|(index, _)| index)
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.first()?;
        self.slots[first].take_ahead()
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

    #[test]
    fn a_reader_goes_on_behind_any_entry_as_if_it_had_never_stopped() {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::open(state.path(), 1200).unwrap().journal;
        (1..=20).for_each(|id| write(&journal, &Record::Decided(decided(id))));
        let all: Vec<Entry> = Reader::open(state.path()).unwrap().map(|item| item.unwrap()).collect();
        for (index, entry) in all.iter().enumerate() {
            let mut reader = Reader::resume(state.path(), [("proxy-1".to_owned(), entry.after)].into()).unwrap();
            assert_eq!(reader.misplaced(), []);
            assert_eq!(reader.by_ref().map(|item| item.unwrap()).collect::<Vec<_>>(), all[index + 1..]);
        }
        assert_eq!(newest(state.path()).unwrap(), [("proxy-1".to_owned(), all.last().unwrap().line.seq)].into());
    }

    #[test]
    fn a_segment_that_is_gone_is_a_jump_and_one_that_never_was_is_told() {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::open(state.path(), 1200).unwrap().journal;
        (1..=20).for_each(|id| write(&journal, &Record::Decided(decided(id))));
        let segment = |number: u32| state.path().join(format!("journal/proxy-1/{number:08}.jsonl"));
        let from = Reader::open(state.path()).unwrap().next().unwrap().unwrap().after;
        fs::remove_file(segment(1)).unwrap();
        let first = Reader::open(state.path()).unwrap().next().unwrap().unwrap();
        let mut reader = Reader::resume(state.path(), [("proxy-1".to_owned(), from)].into()).unwrap();
        assert_eq!((reader.misplaced(), reader.next().unwrap().unwrap()), (vec![], first.clone()));
        let table = [
            (Position { segment: 99, offset: 0, seq: 500 }, Astray::NoSegment),
            (Position { segment: 2, offset: 1 << 30, seq: 5 }, Astray::BehindEnd),
            (Position { offset: first.after.offset - 1, ..first.after }, Astray::OtherLine),
            (Position { seq: first.after.seq + 1, ..first.after }, Astray::OtherLine),
        ];
        for (position, why) in table {
            let mut reader = Reader::resume(state.path(), [("proxy-1".to_owned(), position)].into()).unwrap();
            assert_eq!(reader.misplaced(), [Misplaced { slot: "proxy-1".into(), why }]);
            assert_eq!(reader.next().unwrap().unwrap(), first);
        }
    }

    #[test]
    fn a_segment_that_is_replaced_or_cut_while_it_is_read_is_read_again() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("journal/proxy-1/00000001.jsonl");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = |seq: u64| format!("{{\"v\":1,\"seq\":{seq},\"at\":\"2026-11-22T12:00:00.000000Z\",\"kind\":\"stopped\"}}\n");
        append(&path, format!("{}{}", line(1), line(2)).as_bytes());
        let mut reader = Reader::open(state.path()).unwrap();
        assert_eq!(reader.by_ref().count(), 2);
        fs::write(&path, line(7)).unwrap();
        reader.refresh().unwrap();
        let told = [Misplaced { slot: "proxy-1".into(), why: Astray::Replaced }];
        assert_eq!((reader.misplaced().as_slice(), reader.next().unwrap().unwrap().line.seq), (told.as_slice(), 7));
        let aside = path.with_extension("aside");
        fs::write(&aside, line(9)).unwrap();
        fs::rename(&aside, &path).unwrap();
        reader.refresh().unwrap();
        assert_eq!((reader.misplaced().as_slice(), reader.next().unwrap().unwrap().line.seq), (told.as_slice(), 9));
    }

    #[test]
    fn a_reader_since_a_time_leaves_out_whole_segments_and_no_line_of_that_time() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("journal/proxy-1");
        fs::create_dir_all(&folder).unwrap();
        for segment in 1..=5_u64 {
            for second in 0..4 {
                let seq = segment * 4 + second;
                let line =
                    format!("{{\"v\":1,\"seq\":{seq},\"at\":\"2026-11-22T12:0{segment}:0{second}.000000Z\",\"kind\":\"stopped\"}}\n");
                append(&folder.join(format!("{segment:08}.jsonl")), line.as_bytes());
            }
        }
        let table = [("12:00:00", 4), ("12:01:00", 4), ("12:02:59", 8), ("12:03:00", 12), ("12:05:02", 20), ("13:00:00", 20)];
        for (time, first) in table {
            let mut reader = Reader::since(state.path(), format!("2026-11-22T{time}Z").parse().unwrap()).unwrap();
            assert_eq!(reader.next().unwrap().unwrap().line.seq, first, "{time}");
        }
    }

    #[test]
    fn an_identity_names_the_log_where_its_verifier_stands_beside_it() {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::open(state.path(), 1 << 20).unwrap().journal;
        let identity = || Reader::open(state.path()).unwrap().next().unwrap().unwrap().identity();
        let verifier = state.path().join("journal/proxy-1/verifier");
        for (text, wanted) in [
            ("exeat/00ff00ff00ff00ff/proxy-1+1234abcd+AQID\n", "00ff00ff00ff00ff/proxy-1/1"),
            ("exeat/\"},/proxy-1+1234abcd+AQID\n", "proxy-1/1"),
            ("", "proxy-1/1"),
        ] {
            fs::write(&verifier, text).unwrap();
            assert_eq!(identity(), wanted, "{text}");
        }
        drop(journal);
    }

    fn write(journal: &Journal, record: &Record) {
        journal.record(record, &mut |_| ()).unwrap();
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }
}

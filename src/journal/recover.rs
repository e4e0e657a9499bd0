//! Puts a slot in order that its last process left by dying: cuts a torn last line, ends what was open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;

use super::line::{Line, take_line};
use super::slot::{Slot, open_file, segments};
use super::writer::{OpenAttempts, Tail, Writer, follow};
use super::{Doing, JournalError, Recovered};

/// Repairs a slot and gives its writing end.
pub(super) fn recover(slot: Slot, segment_bytes: u64) -> Result<(Writer, Recovered), JournalError> {
    let failed = |doing, source| JournalError::new(doing, &slot.folder, source);
    let numbers: Vec<u64> = segments(&slot.folder).map_err(|source| failed(Doing::List, source))?.into_iter().collect();
    let torn = cut_torn_line(&slot, &numbers).map_err(|source| failed(Doing::Repair, source))?;
    let session = last_session(&slot, &numbers).map_err(|source| failed(Doing::Read, source))?;
    let replay = replay(&slot, session).map_err(|source| failed(Doing::Read, source))?;
    let number = numbers.last().copied().unwrap_or(0);
    let length = length(&slot.segment(number)).map_err(|source| failed(Doing::Read, source))?;

    let mut report = Recovered { slot: slot.name.clone(), torn, lost: 0, bad_lines: replay.bad };
    let tail = Tail { number, length, seq: replay.seq + 1, open: replay.open };
    let mut writer = Writer::new(slot, segment_bytes, tail)?;
    report.lost = writer.lose()?;
    Ok((writer, report))
}

/// Cuts what stands behind the last line end of the newest segment that is not empty; the number of bytes.
fn cut_torn_line(slot: &Slot, numbers: &[u64]) -> io::Result<u64> {
    for number in numbers.iter().rev() {
        let path = slot.segment(*number);
        if length(&path)? == 0 {
            continue;
        }
        let mut torn = 0;
        let mut good = 0;
        each_line(&path, |_, taken, complete| if complete { good += taken } else { torn = taken })?;
        if torn > 0 {
            open_file(&path, &mut OpenOptions::new())?.set_len(good)?;
        }
        return Ok(torn);
    }
    Ok(0)
}

/// The segments from the one on that holds the newest `started`; all of them where none does.
fn last_session<'a>(slot: &Slot, numbers: &'a [u64]) -> io::Result<&'a [u64]> {
    for (index, number) in numbers.iter().enumerate().rev() {
        let mut found = false;
        each_line(&slot.segment(*number), |line, _, _| found |= is_started(line))?;
        if found {
            return Ok(&numbers[index..]);
        }
    }
    Ok(numbers)
}

/// Looks only where the frame ends, which is far cheaper than reading the whole line.
fn is_started(line: &[u8]) -> bool {
    const KIND: &[u8] = br#""kind":"started""#;
    line[..line.len().min(128)].windows(KIND.len()).any(|window| window == KIND)
}

#[derive(Default)]
struct Replay {
    open: OpenAttempts,
    seq: u64,
    bad: u64,
}

fn replay(slot: &Slot, numbers: &[u64]) -> io::Result<Replay> {
    let mut replay = Replay::default();
    for number in numbers {
        each_line(&slot.segment(*number), |text, _, _| match Line::parse_bytes(text) {
            Some(line) => {
                replay.seq = line.seq;
                follow(&mut replay.open, &line.record);
            }
            None => {
                replay.seq += 1;
                replay.bad += 1;
            }
        })?;
    }
    Ok(replay)
}

/// Calls with every line, its bytes in the file, and whether it has an end.
fn each_line(path: &Path, mut see: impl FnMut(&[u8], u64, bool)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, File::open(path)?);
    let mut buffer = Vec::new();
    loop {
        let taken = take_line(&mut reader, &mut buffer)?;
        if taken.bytes == 0 {
            return Ok(());
        }
        see(&buffer, taken.bytes, taken.complete);
    }
}

fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

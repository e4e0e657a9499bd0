//! One journal line: the frame around a record, and reading lines that may be torn or too long.
//!
//! Lines are pure ASCII: what is not is escaped, so a journal shown on a terminal cannot steer it.

use std::io::{self, BufRead};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::egress::record::Record;
use crate::text::ascii_json;

/// The version of the frame.
pub(super) const VERSION: u8 = 1;

/// No line is longer, in bytes. A head is far smaller, so only damage makes one.
pub(super) const LONGEST: usize = 1 << 20;

/// One line as it stands in a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line<R = Record> {
    /// The version of the frame: 1.
    pub v: u8,
    /// Counts the lines of a slot from 1, without gaps.
    pub seq: u64,
    /// When it was written; microseconds, UTC.
    #[serde(serialize_with = "with_microseconds")]
    pub at: Timestamp,
    /// What is written down.
    #[serde(flatten)]
    pub record: R,
}

impl<R: Serialize> Line<R> {
    /// Puts the line with its end in the place of what is in `buffer`.
    pub(super) fn render_into(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, self)?;
        // Without a way out of the loop it is done many bytes at a time.
        let plain = buffer.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
        if !plain {
            let ascii = std::str::from_utf8(buffer).map(ascii_json).map_err(io::Error::other)?;
            buffer.clear();
            buffer.extend_from_slice(ascii.as_bytes());
        }
        buffer.push(b'\n');
        Ok(())
    }
}

impl Line {
    /// Reads a line without its end; `None` where it is none of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|line| line.v == VERSION)
    }

    /// As `parse`, of bytes as they were read.
    pub(super) fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?)
    }
}

fn with_microseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.6}"))
}

/// What stood between the reader's place and the next line end, or the end of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bytes passed over, the line end included.
    pub(super) bytes: u64,
    /// A line end was found.
    pub(super) complete: bool,
    /// There was more than `LONGEST`; what is over it was dropped.
    pub(super) too_long: bool,
}

/// Takes one line into `buffer`, without its end.
pub(super) fn take_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Taken> {
    buffer.clear();
    let mut taken = Taken { bytes: 0, complete: false, too_long: false };
    while !taken.complete {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let text = &chunk[..end.unwrap_or(chunk.len())];
        let room = LONGEST - buffer.len();
        taken.too_long |= text.len() > room;
        buffer.extend_from_slice(&text[..text.len().min(room)]);
        taken.complete = end.is_some();
        let used = end.map_or(chunk.len(), |end| end + 1);
        taken.bytes += used as u64;
        reader.consume(used);
    }
    Ok(taken)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::egress::record::{PolicyInForce, Stopped};

    #[test]
    fn a_line_reads_back_as_written_with_six_digits_of_the_second() {
        let at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let line = Line { v: VERSION, seq: 7, at, record: Record::Stopped(Stopped {}) };
        let text = rendered(&line);
        assert_eq!(text, "{\"v\":1,\"seq\":7,\"at\":\"2026-11-22T12:00:00.000000Z\",\"kind\":\"stopped\"}\n");
        assert_eq!(Line::parse(text.trim_end()), Some(line));
    }

    #[test]
    fn what_could_steer_a_terminal_is_escaped_and_reads_back() {
        let who = "a\u{202e}b\u{7f}c\u{1b}d\u{9b}e\u{1f512}".to_owned();
        let record = Record::Policy(PolicyInForce { old: None, new: "n".into(), who, unread: Vec::new() });
        let line = Line { v: VERSION, seq: 1, at: Timestamp::UNIX_EPOCH, record };
        let text = rendered(&line);
        assert!(text.trim_end().bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{text:?}");
        assert_eq!(Line::parse(text.trim_end()), Some(line));
    }

    #[test]
    fn a_line_of_another_version_is_none_of_ours() {
        assert_eq!(Line::parse(r#"{"v":2,"seq":1,"at":"2026-11-22T12:00:00Z","kind":"stopped"}"#), None);
    }

    #[test]
    fn an_endless_line_is_taken_without_being_kept() {
        let mut text = vec![b'x'; LONGEST + 5];
        text.push(b'\n');
        text.push(b'y');
        let mut reader = text.as_slice();
        let mut buffer = Vec::new();
        let long = Taken { bytes: LONGEST as u64 + 6, complete: true, too_long: true };
        assert_eq!(take_line(&mut reader, &mut buffer).unwrap(), long);
        assert_eq!(buffer.len(), LONGEST);
        assert_eq!(take_line(&mut reader, &mut buffer).unwrap(), Taken { bytes: 1, complete: false, too_long: false });
        assert_eq!(buffer, b"y");
    }

    fn rendered(line: &Line) -> String {
        let mut buffer = b"what was there".to_vec();
        line.render_into(&mut buffer).unwrap();
        String::from_utf8(buffer).unwrap()
    }
}

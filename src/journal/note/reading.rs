//! Reads notes one after another: each a text, an empty line and signatures, and an empty line between two.

use std::io::{self, BufRead, Read as _};

/// No note is longer, in bytes: room for sixteen signatures of any kind.
const LONGEST: usize = 128 << 10;

/// What stood next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A note, whole.
    Note(At),
    /// The beginning of one, or what is no text or too long to be one; nothing follows.
    Unfinished(At),
    /// Nothing more, for the time being.
    End,
}

/// A note and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Its first line, from 1.
    pub line: u64,
    /// Its first byte, from 0.
    pub offset: u64,
    /// The text, or as much as there is.
    pub text: String,
}

/// Reads notes from a file that may grow meanwhile.
#[derive(Debug)]
pub struct Notes<R> {
    reader: R,
    lines: u64,
    bytes: u64,
}

impl<R: BufRead> Notes<R> {
    /// Notes from the reader's place on.
    pub fn new(reader: R) -> Self {
        Self { reader, lines: 0, bytes: 0 }
    }

    /// The next note.
    pub fn read(&mut self) -> io::Result<Next> {
        let (mut text, mut parts) = (Vec::new(), 0);
        let (mut line, mut offset) = (self.lines + 1, self.bytes);
        loop {
            let before = text.len();
            let room = (LONGEST + 1 - before) as u64;
            (&mut self.reader).take(room).read_until(b'\n', &mut text)?;
            let read = &text[before..];
            self.bytes += read.len() as u64;
            self.lines += u64::from(read.ends_with(b"\n"));
            match read {
                [] if text.is_empty() => return Ok(Next::End),
                // The empty line behind the last note may be missing.
                [] => return Ok(whole(text, parts == 2, At { line, offset, text: String::new() })),
                b"\n" if text.len() == 1 => {
                    text.clear();
                    (line, offset) = (self.lines + 1, self.bytes);
                }
                b"\n" if parts == 2 => {
                    text.truncate(before);
                    return Ok(whole(text, true, At { line, offset, text: String::new() }));
                }
                b"\n" => parts = 1,
                read if !read.ends_with(b"\n") => return Ok(whole(text, false, At { line, offset, text: String::new() })),
                _ => parts = if parts == 0 { 0 } else { 2 },
            }
        }
    }
}

fn whole(text: Vec<u8>, whole: bool, at: At) -> Next {
    match String::from_utf8(text) {
        Ok(text) if whole => Next::Note(At { text, ..at }),
        Ok(text) => Next::Unfinished(At { text, ..at }),
        Err(error) => Next::Note(At { text: String::from_utf8_lossy(error.as_bytes()).into_owned(), ..at }),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_apart_by_empty_lines() {
        let (one, two) = ("o\n1\nr\n\n— o a\n", "o\n2\nr\n\n— o b\n— w c\n");
        for (text, wanted) in [
            (String::new(), vec![]),
            (one.into(), vec![note(1, 0, one)]),
            (format!("{one}\n"), vec![note(1, 0, one)]),
            (format!("{one}\n{two}\n"), vec![note(1, 0, one), note(7, 16, two)]),
            (format!("\n\n{one}\n\n\n{two}"), vec![note(3, 2, one), note(11, 20, two)]),
            (format!("{one}\no\n2"), vec![note(1, 0, one), unfinished(7, 16, "o\n2")]),
            (format!("{one}\no\n2\nr\n\n"), vec![note(1, 0, one), unfinished(7, 16, "o\n2\nr\n\n")]),
            (one.trim_end().into(), vec![unfinished(1, 0, one.trim_end())]),
        ] {
            let mut notes = Notes::new(text.as_bytes());
            let mut read = Vec::new();
            while let next @ (Next::Note(_) | Next::Unfinished(_)) = notes.read().unwrap() {
                read.push(next);
            }
            assert_eq!(read, wanted, "{text:?}");
        }
    }

    #[test]
    fn an_endless_note_is_not_kept() {
        let text = "x".repeat(10 * LONGEST);
        let Next::Unfinished(At { text, .. }) = Notes::new(text.as_bytes()).read().unwrap() else { panic!() };
        assert_eq!(text.len(), LONGEST + 1);
    }

    fn note(line: u64, offset: u64, text: &str) -> Next {
        Next::Note(At { line, offset, text: text.into() })
    }

    fn unfinished(line: u64, offset: u64, text: &str) -> Next {
        Next::Unfinished(At { line, offset, text: text.into() })
    }
}

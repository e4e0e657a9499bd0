//! Reads a batch from the journal. Blocks, as files do.

use std::path::Path;

use crate::journal::{BadLine, Entry, Misplaced, Positions, Reader};

/// What bounds a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Records, and lines that are none.
    pub records: usize,
    /// Bytes of lines; the first may be longer.
    pub bytes: usize,
}

/// A batch, and what was found on the way.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) reader: Reader,
    pub(super) entries: Vec<Entry>,
    pub(super) bad: Vec<BadLine>,
    pub(super) misplaced: Vec<Misplaced>,
    /// There is no more at the moment.
    pub(super) end: bool,
}

/// Reads on, or from these positions where there is no reader.
pub(super) fn gather(reader: Option<Reader>, state: &Path, from: Positions, most: Most) -> Result<Gathered, String> {
    let reader = match reader {
        Some(mut reader) => reader.refresh().map(|()| reader),
        None => Reader::resume(state, from),
    };
    let mut reader = reader.map_err(|error| error.to_string())?;
    let misplaced = reader.misplaced();
    let (mut entries, mut bad, mut bytes, mut end) = (Vec::new(), Vec::new(), 0, false);
    while entries.len() + bad.len() < most.records && bytes < most.bytes {
        match reader.peek_length() {
            Some(length) if !entries.is_empty() && bytes + length > most.bytes => break,
            Some(_) | None => {}
        }
        match reader.next() {
            Some(Ok(entry)) => {
                bytes += entry.text.len();
                entries.push(entry);
            }
            Some(Err(line)) => bad.push(line),
            None => {
                end = true;
                break;
            }
        }
    }
    Ok(Gathered { reader, entries, bad, misplaced, end })
}

//! Finds lines from the end of a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::journal::line::LONGEST;

/// Bytes read at once.
const CHUNK: usize = 8 << 10;

/// The last line that ends at or before `end`, without its end; `None` where there is none, or it is too long to be a record.
pub(in crate::journal) fn last_line(file: &File, end: u64) -> io::Result<Option<Vec<u8>>> {
    let good = behind_line_end(file, end)?;
    let start = behind_line_end(file, good.saturating_sub(1))?;
    let Ok(length @ 1..=LONGEST) = usize::try_from(good - start) else { return Ok(None) };
    let mut line = vec![0; length - 1];
    file.read_exact_at(&mut line, start)?;
    Ok(Some(line))
}

/// The place behind the last line end before `end`; 0 where there is none.
pub(in crate::journal) fn behind_line_end(file: &File, mut end: u64) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    while end > 0 {
        let length = usize::try_from(end).map_or(CHUNK, |end| end.min(CHUNK));
        let start = end - length as u64;
        file.read_exact_at(&mut chunk[..length], start)?;
        if let Some(at) = chunk[..length].iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

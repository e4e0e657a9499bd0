//! Keeps `checkpoints` short: all of the newest notes, and of the older ones the last in each stretch of the log.
//!
//! Nothing is lost by it: each note but that of a stop stands in the log too, and later ones cover the same records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::note::{Next, Notes};

/// So many of the newest notes stay.
const KEPT: usize = 2_000;

/// `verify` misses a note with fewer behind it: half of what stays, so that both may count differently.
pub(super) const SURE: u64 = 1_000;

/// Of the older ones, one for each stretch of so many lines.
const STRETCH: u64 = 10_000;

/// A file that is shorter is left as it is.
const SHORT: u64 = 1 << 20;

/// Thins the file once it is longer than `due`; when it is to be looked at again.
pub(super) fn thin(path: &Path, length: u64, due: u64) -> io::Result<u64> {
    if length <= due.max(SHORT) {
        return Ok(due);
    }
    let draft = path.with_extension("new");
    let thinned = thinned(path, &draft).and_then(|()| fs::rename(&draft, path));
    if let Err(error) = thinned {
        // What is left of it is overwritten by the next.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    // Twice what cannot be thinned: the work stays in proportion to what is appended.
    Ok(2 * fs::metadata(path)?.len())
}

fn thinned(path: &Path, draft: &Path) -> io::Result<()> {
    let mut sizes = Vec::new();
    each(path, |note| {
        sizes.push(size(note));
        Ok(())
    })?;
    let _ = fs::remove_file(draft);
    let mut out = BufWriter::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?);
    let mut index = 0;
    each(path, |note| {
        let stays = match (sizes[index], sizes.get(index + KEPT).is_some(), sizes.get(index + 1)) {
            (Some(size), true, Some(Some(next))) => size / STRETCH != next / STRETCH,
            (_, _, _) => true,
        };
        index += 1;
        if stays { write!(out, "{note}\n\n") } else { Ok(()) }
    })?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Shows each note, without its last line end.
fn each(path: &Path, mut see: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let mut notes = Notes::new(BufReader::new(File::open(path)?));
    while let Next::Note(at) = notes.read()? {
        see(at.text.trim_end_matches('\n'))?;
    }
    Ok(())
}

/// What a note says it covers.
fn size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_of_the_older_the_last_of_each_stretch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        let note = |size: usize| format!("o\n{size}\nroot\n\n\u{2014} o {}\n\n", "s".repeat(250));
        let count = 5_000;
        let sizes: Vec<usize> = (1..=count).map(|index| index * 7).collect();
        let text: String = sizes.iter().map(|size| note(*size)).collect();
        fs::write(&path, &text).unwrap();
        assert_eq!(thin(&path, SHORT, 0).unwrap(), 0, "a short one is left");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);

        let due = thin(&path, text.len() as u64, 0).unwrap();
        let newest = count - KEPT;
        let wanted: String = [9_996, 19_999].into_iter().chain(sizes[newest..].iter().copied()).map(note).collect();
        assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
        assert_eq!(due, 2 * wanted.len() as u64);
        assert_eq!(thin(&path, due, due).unwrap(), due);
        assert!(!path.with_extension("new").exists());
    }
}

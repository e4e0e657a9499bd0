//! Records as OCSF events in a file, one JSON object a line, for agents of a SIEM to pick up.
//!
//! The file is opened anew when it was moved away, as logrotate does. A last line without its end, left by a kill, is cut:
//! its record comes again. Lines are on the disk before they count as delivered.

mod event;
mod join;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::{Deliver, NotDelivered, private};
use crate::journal::Entry;
use join::Join;

/// Bytes read at once when the end of a line is looked for.
const CHUNK: u64 = 64 << 10;

/// Appends events to a file.
#[derive(Debug)]
pub struct OcsfFile {
    path: PathBuf,
    open: Option<File>,
    join: Join,
}

impl OcsfFile {
    /// Appends to this file, which is made (0600) where it is not there.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, join: Join::default() }
    }
}

impl Deliver for OcsfFile {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        let mut text = String::new();
        for entry in batch {
            self.join.follow(entry);
            text.push_str(&crate::text::ascii_json(&event::event(entry, &self.join).to_string()));
            text.push('\n');
        }
        let (path, open) = (self.path.clone(), self.open.take());
        let appended = spawn_blocking(move || {
            let file = ready(&path, open)?;
            append(&file, text.as_bytes())?;
            Ok::<_, io::Error>(file)
        });
        let file = appended.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.open = Some(file.map_err(|error| NotDelivered::later(format!("{} cannot be written: {error}", self.path.display())))?);
        for entry in batch {
            self.join.forget(entry);
        }
        Ok(())
    }
}

/// The file at `path`, free of a torn line: the open one where it is still that.
fn ready(path: &Path, open: Option<File>) -> io::Result<File> {
    if let Some(file) = open
        && same(&file, path)?
    {
        return Ok(file);
    }
    let file = private(OpenOptions::new().read(true).append(true).create(true)).open(path)?;
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let good = behind_last_line(&file, data.len())?;
    if good < data.len() {
        tracing::warn!(file = %path.display(), bytes = data.len() - good, "a torn last line is cut away; its record comes again");
        file.set_len(good)?;
    }
    Ok(file)
}

fn same(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// All of it and on the disk, or nothing stays.
fn append(mut file: &File, text: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(text).and_then(|()| file.sync_data());
    written.inspect_err(|_| {
        // A torn line that stays is cut when the file is opened next, as it is after every error.
        let _ = file.set_len(before);
    })
}

fn behind_last_line(file: &File, mut end: u64) -> io::Result<u64> {
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;

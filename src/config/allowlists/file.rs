//! One file as text. Whatever else goes by its name, a pipe or a folder or gigabytes, is a fault and keeps nobody waiting.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::config::find::unmarked;
use crate::policy::fault::Fault;
use crate::text::trouble;

/// The largest file that is read.
const FILE_MAX: u64 = 64 << 20;

const NOTHING_BLOCKS: rustix::fs::OFlags = rustix::fs::OFlags::NONBLOCK;

/// Reads a file; `name` is its name in messages.
pub(super) fn read(path: &Path, name: &str) -> Result<String, Fault> {
    let unreadable = |error: &io::Error| whole(name, format!("a file that cannot be read ({})", trouble(error.kind())));
    let (file, length) = open(path).map_err(|error| unreadable(&error))?.ok_or_else(|| whole(name, "no file but something else".into()))?;
    let too_large = || {
        let found = format!("more than {} MiB", FILE_MAX >> 20);
        Fault::whole(name, found, format!("at most {} MiB", FILE_MAX >> 20), "write patterns, or give agents files of their own")
    };
    if length > FILE_MAX {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if read as u64 > FILE_MAX {
        return Err(too_large());
    }
    text(bytes, name)
}

/// The file and its length, or `None` for what is no regular file. To open a pipe for reading would wait for its writer.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    let flags = i32::try_from(NOTHING_BLOCKS.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    Ok(found.is_file().then_some((file, found.len())))
}

fn text(bytes: Vec<u8>, name: &str) -> Result<String, Fault> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        at(&error.as_bytes()[..good], name, "bytes that are not UTF-8", "save the file as UTF-8")
    })?;
    match text.find('\0') {
        Some(nul) => Err(at(&text.as_bytes()[..nul], name, "a NUL byte", "remove it, or save the file as UTF-8")),
        None => Ok(unmarked(text)),
    }
}

/// A fault behind these bytes.
fn at(before: &[u8], name: &str, found: &str, fix: &str) -> Fault {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(last).chars().count() + 1;
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Fault {
        file: name.into(),
        line: number(line),
        column: number(column),
        found: found.to_owned(),
        wanted: "text in UTF-8".to_owned(),
        fix: fix.to_owned(),
    }
}

fn whole(name: &str, found: String) -> Fault {
    Fault::whole(name, found, "a readable text file in UTF-8", "check its name, permissions and encoding")
}

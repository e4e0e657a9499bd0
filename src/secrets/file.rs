//! Secrets in files: read again when they change. A reading that fails keeps nothing of the one before.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::{BYTES_MAX, Secret, Unavailable};

/// Readings of a file that is written to meanwhile, until it is given up.
const READINGS: usize = 3;

/// As many files are remembered; a policy names a few.
const KEPT_MAX: usize = 1024;

/// Bits of a file's mode by which others than its owner may read it.
const READABLE_BY_OTHERS: u32 = 0o044;

/// The files that were read, and what stood in them.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
    kept: Mutex<HashMap<Arc<str>, Kept>>,
}

/// What stood in a file, and by what that is known to stand there still.
#[derive(Debug)]
struct Kept {
    mark: Mark,
    secret: Arc<Secret>,
}

/// By what a file is known to be unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Files {
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, kept: Mutex::default() }
    }

    /// What stands in the file. Blocks for as long as the disk does.
    pub(super) fn value(&self, path: &Arc<str>) -> Result<Arc<Secret>, Unavailable> {
        let at = self.base.join(&**path);
        let unchanged = std::fs::metadata(&at).ok().map(|found| Mark::of(&found));
        if let Some(Kept { mark, secret }) = self.kept.lock().get(path)
            && Some(*mark) == unchanged
        {
            return Ok(Arc::clone(secret));
        }
        let read = read(&at);
        let mut kept = self.kept.lock();
        match read {
            Ok((mark, secret)) => {
                let secret = Arc::new(secret);
                if kept.len() >= KEPT_MAX {
                    kept.clear();
                }
                kept.insert(Arc::clone(path), Kept { mark, secret: Arc::clone(&secret) });
                Ok(secret)
            }
            Err(why) => {
                kept.remove(path);
                Err(why)
            }
        }
    }
}

fn read(path: &Path) -> Result<(Mark, Secret), Unavailable> {
    for _ in 0..READINGS {
        let (mut file, found) = open(path)?;
        let (mark, length) = (Mark::of(&found), found.len());
        if length > BYTES_MAX as u64 + 2 {
            return Err(Unavailable::TooLong);
        }
        // Of its final size at once: a buffer that grows leaves copies behind that are not wiped.
        let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default() + 1]);
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read(&mut bytes[filled..]).map_err(|error| Unavailable::Unreadable(error.kind()))? {
                0 => break,
                more => filled += more,
            }
        }
        let after = file.metadata().map_err(|error| Unavailable::Unreadable(error.kind()))?;
        if filled as u64 != length || Mark::of(&after) != mark {
            continue;
        }
        if found.mode() & READABLE_BY_OTHERS != 0 {
            tracing::warn!(file = %path.display(), "a file with a secret can be read by others than its owner; chmod 600 mends it");
        }
        bytes.truncate(filled);
        return Ok((mark, Secret::read(std::mem::take(&mut *bytes))?));
    }
    Err(Unavailable::Changing)
}

/// To open a pipe for reading would wait for its writer.
fn open(path: &Path) -> Result<(File, Metadata), Unavailable> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| Unavailable::Unreadable(error.kind()))?;
    let found = file.metadata().map_err(|error| Unavailable::Unreadable(error.kind()))?;
    if found.is_file() { Ok((file, found)) } else { Err(Unavailable::NoFile) }
}

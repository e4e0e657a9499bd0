//! What a journal goes by, as the configuration says it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The system has it: a kill of the process loses nothing, a power failure may.
    Process,
    /// The disk has it: what rests on it waits for a sync that many share.
    Disk,
}

/// `[journal]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A segment ends when the next line would make it longer.
    pub segment: u64,
    /// When a record counts as written.
    pub durability: Durability,
    /// How long a segment is kept after its last line.
    pub keep: Duration,
    /// Bytes of all segments of the state folder.
    pub max: u64,
    /// A second place for checkpoints.
    pub checkpoints: Option<PathBuf>,
    /// How long a segment is taken to stand where it was made while lines come in a burst. Its open file tells then whether it was removed or
    /// changed, which costs a third of a look at its path; what was only moved goes on where it was moved to, and loses no line.
    pub look: Duration,
    /// What syncs files.
    pub disk: Arc<dyn Disk>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            durability: Durability::Process,
            keep: Duration::from_secs(30 * 24 * 60 * 60),
            max: 10 << 30,
            checkpoints: None,
            look: Duration::from_millis(10),
            disk: Arc::new(SystemDisk),
        }
    }
}

impl From<u64> for Settings {
    fn from(segment: u64) -> Self {
        let settings = Self { segment, ..Self::default() };
        // How long a sync takes is a matter of whatever else the machine does.
        #[cfg(test)]
        let settings = Self { disk: Arc::new(super::sample::NoDisk), ..settings };
        settings
    }
}

/// What was written to a file or a folder is on the disk once this returned.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Syncs the lines of a segment.
    fn sync_lines(&self, file: &File) -> io::Result<()>;

    /// Syncs which files there are in a folder.
    fn sync_folder(&self, folder: &File) -> io::Result<()>;
}

/// The system's own fdatasync(2) and fsync(2).
#[derive(Clone, Copy, Debug)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn sync_lines(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: &File) -> io::Result<()> {
        folder.sync_all()
    }
}

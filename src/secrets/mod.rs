//! Credentials: had from where they are kept, looked for in what leaves, masked in what comes back.
//!
//! A value is in no log, record, error or file of exeat's, and is wiped from memory when the last who holds it lets go.

mod command;
mod file;
mod forms;
pub mod mask;
mod maskers;
mod missing;
pub mod scan;
mod scanners;

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::policy::inject::SecretSource;
use crate::text::trouble;
use command::Commands;
use file::Files;

/// The longest secret.
const BYTES_MAX: usize = 64 << 10;

/// One value. It is shown nowhere, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Where secrets are had from. It keeps what a command printed, and what stood in files that have not changed.
#[derive(Debug)]
pub struct Secrets {
    scanners: scanners::Scanners,
    maskers: maskers::Maskers,
    missing: missing::Missing,
    environment: fn(&str) -> Option<Vec<u8>>,
    files: Arc<Files>,
    commands: Commands,
}

/// Why a secret cannot be had. It says nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The variable is not in exeat's environment.
    #[error("its variable is not set in exeat's own environment")]
    NotSet,
    /// The file.
    #[error("its file cannot be read ({})", trouble(*.0))]
    Unreadable(ErrorKind),
    /// A folder, a pipe or the like.
    #[error("what its path names is no file")]
    NoFile,
    /// The file was written to each time it was read.
    #[error("its file changes while it is read")]
    Changing,
    /// The program.
    #[error("its command cannot be started ({})", trouble(*.0))]
    NotStarted(ErrorKind),
    /// The program said that it failed, or was ended by a signal.
    #[error("its command failed")]
    Failed,
    /// The program was ended after 10 seconds.
    #[error("its command took more than 10 seconds")]
    TooSlow,
    /// Nothing is left of it without the line break at its end.
    #[error("it is empty")]
    Empty,
    /// More than 64 KiB.
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// A line break, a control character or NUL where a header field is to hold it.
    #[error("it has a character that no header field may have, a line break perhaps")]
    NotAField,
    /// A value to be looked for would be found in everything.
    #[error("it is shorter than 8 bytes, and would be found everywhere")]
    TooShort,
    /// A certificate or key that is none.
    #[error("its certificate or key cannot be used")]
    NoCertificate,
}

impl Secrets {
    /// Sources whose relative paths begin in `base`, the folder of the allowlists.
    pub fn new(base: Option<PathBuf>) -> Arc<Self> {
        Self::within(base, |name| std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec))
    }

    fn within(base: Option<PathBuf>, environment: fn(&str) -> Option<Vec<u8>>) -> Arc<Self> {
        let base = base.unwrap_or_else(|| PathBuf::from("/"));
        Arc::new(Self {
            scanners: scanners::Scanners::default(),
            maskers: maskers::Maskers::default(),
            missing: missing::Missing::default(),
            environment,
            files: Arc::new(Files::new(base.clone())),
            commands: Commands::new(base),
        })
    }

    /// The value a source has at this moment. One that cannot be had is an error, whatever was had before.
    pub async fn value(&self, source: &SecretSource) -> Result<Arc<Secret>, Unavailable> {
        match source {
            SecretSource::Env(name) => (self.environment)(name).ok_or(Unavailable::NotSet).and_then(Secret::read).map(Arc::new),
            SecretSource::File(path) => self.file(path).await,
            SecretSource::Command { line, cache } => self.commands.value(line, *cache).await,
        }
    }

    /// What stands in a file.
    pub async fn file(&self, path: &Arc<str>) -> Result<Arc<Secret>, Unavailable> {
        let (files, path) = (Arc::clone(&self.files), Arc::clone(path));
        // A disk may be slow, and a network's may hang.
        let read = tokio::task::spawn_blocking(move || files.value(&path)).await;
        read.unwrap_or(Err(Unavailable::Unreadable(ErrorKind::Other)))
    }
}

impl Secret {
    /// The bytes without the one line break at their end, if they are neither none nor too many.
    fn read(bytes: Vec<u8>) -> Result<Self, Unavailable> {
        let mut bytes = Zeroizing::new(bytes);
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        match bytes.len() {
            0 => Err(Unavailable::Empty),
            length if length > BYTES_MAX => Err(Unavailable::TooLong),
            _ => Ok(Self(bytes)),
        }
    }

    /// The value itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! The socket itself: private to its user, and never taken from a process that still answers on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::config::state::StateError;

/// The socket's name in the state folder.
pub const SOCKET: &str = "admin.sock";

/// Held while the socket is taken.
const LOCK: &str = "admin.lock";

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another exeat answers there.
    #[error("another exeat runs with this state: it answers on {}", .0.display())]
    Running(PathBuf),
    /// Something else has the name.
    #[error("{} is in the way and no socket; remove it", .0.display())]
    NotASocket(PathBuf),
    /// The folder is not exeat's alone.
    #[error(transparent)]
    State(#[from] StateError),
    /// The socket cannot be made.
    #[error("the admin socket {} cannot be made: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The socket, taken for as long as this lives.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode.
    made: (u64, u64),
    /// Locked: no other exeat looks whether the socket is stale meanwhile.
    _lock: File,
}

impl Socket {
    /// Removes the socket, unless another has its place.
    pub(super) fn remove(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes `STATE/admin.sock` (0600). A socket nobody answers on is replaced.
pub fn bind(state: &Path) -> Result<Socket, BindError> {
    crate::config::state::make(state)?;
    let path = state.join(SOCKET);
    let fail = |source| BindError::Io { path: path.clone(), source };
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(state.join(LOCK)).map_err(fail)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BindError::Running(path)),
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(path)),
        Ok(_) => match knock(&path) {
            Ok(()) => return Err(BindError::Running(path)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&path).map_err(fail)?,
            Err(error) => return Err(fail(error)),
        },
    }
    let listener = UnixListener::bind(&path).map_err(fail)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    let made = identity(&path).map_err(fail)?;
    Ok(Socket { listener, path, made, _lock: lock })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn knock(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "asks whether another exeat answers at our own socket")]
    std::os::unix::net::UnixStream::connect(path).map(drop)
}

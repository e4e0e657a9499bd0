//! The socket itself: private to its user, and never taken from a process that still answers on it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The socket's name in the state folder.
pub const SOCKET: &str = "admin.sock";

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another exeat answers there.
    #[error("another exeat runs with this state: it answers on {}", .0.display())]
    Running(PathBuf),
    /// Something else has the name.
    #[error("{} is in the way and no socket; remove it", .0.display())]
    NotASocket(PathBuf),
    /// The folder or the socket cannot be made.
    #[error("the admin socket {} cannot be made: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes `STATE/admin.sock` (0600, the folder 0700). A socket nobody answers on is replaced.
pub fn bind(state: &Path) -> Result<UnixListener, BindError> {
    let path = state.join(SOCKET);
    let fail = |source| BindError::Io { path: path.clone(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(fail)?;
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).map_err(fail)?;
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
    Ok(listener)
}

fn knock(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "asks whether another exeat answers at our own socket")]
    std::os::unix::net::UnixStream::connect(path).map(drop)
}

//! The state folder: private to one user. It is made so where it is not there, and nothing that is there is changed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::text::{plain, trouble};

/// Of a path no more is said.
const LONGEST: usize = 1000;

/// Why the state folder cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or looked at.
    #[error("the state folder {} cannot be used: {}; correct it, or name another in `state`", shown(folder), trouble(*kind))]
    Io {
        /// The folder.
        folder: PathBuf,
        /// How it failed.
        kind: io::ErrorKind,
    },
    /// Others than its owner may enter it.
    #[error(
        "the state folder {} may be used by others (mode {mode:o}); if it is exeat's alone, chmod 700 it, or else name another in `state`",
        shown(folder)
    )]
    Exposed {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("the state folder {} belongs to uid {owner}; run this as that user, or name another in `state`", shown(folder))]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
    },
}

/// Makes the folder (0700) where it is not there, and refuses one that is not private to the user who runs this.
pub fn make(folder: &Path) -> Result<(), StateError> {
    let fail = |error: io::Error| StateError::Io { folder: folder.to_owned(), kind: error.kind() };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    let found = fs::metadata(folder).map_err(fail)?;
    judge(folder, found.mode() & 0o7777, found.uid(), rustix::process::geteuid().as_raw())
}

/// Judges the folder as [`make`] does, if it is there; whether it is.
pub fn look(folder: &Path) -> Result<bool, StateError> {
    match fs::metadata(folder) {
        Ok(found) => judge(folder, found.mode() & 0o7777, found.uid(), rustix::process::geteuid().as_raw()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StateError::Io { folder: folder.to_owned(), kind: error.kind() }),
    }
}

fn judge(folder: &Path, mode: u32, owner: u32, user: u32) -> Result<(), StateError> {
    if owner != user {
        Err(StateError::Foreign { folder: folder.to_owned(), owner })
    } else if mode & 0o077 != 0 {
        Err(StateError::Exposed { folder: folder.to_owned(), mode })
    } else {
        Ok(())
    }
}

fn shown(folder: &Path) -> String {
    plain(&folder.display().to_string(), LONGEST)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(folder: &Path) -> u32 {
        fs::metadata(folder).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_that_is_not_there_is_made_private_with_those_above_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        make(&folder).unwrap();
        make(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&place.path().join("a"))), (0o700, 0o700));
    }

    #[test]
    fn a_folder_that_is_there_is_judged_and_not_changed() {
        let place = tempfile::tempdir().unwrap();
        for (bits, good) in [(0o700, true), (0o500, true), (0o2700, true), (0o750, false), (0o701, false), (0o1777, false)] {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!((make(place.path()).is_ok(), mode(place.path())), (good, bits));
        }
        fs::write(place.path().join("file"), "").unwrap();
        assert!(matches!(make(&place.path().join("file")), Err(StateError::Io { .. })));
    }

    #[test]
    fn a_folder_of_another_user_is_refused_even_to_root() {
        for (owner, user, good) in [(0, 0, true), (7, 7, true), (7, 0, false), (0, 7, false)] {
            assert_eq!(judge(Path::new("/s"), 0o700, owner, user).is_ok(), good);
        }
        let said = judge(Path::new("/s\u{1b}"), 0o755, 7, 7).unwrap_err().to_string();
        assert!(said.contains("/s\\u{1b} may be used by others (mode 755); "), "{said}");
    }
}

//! Writing the files: whole or not at all, private to the user, and never over another without being told to.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Writes a file, and the folders above it (0700) that are not there. A new file is 0600; one that is replaced keeps its permissions.
/// Without `replace` a file that is there is an error of kind `AlreadyExists`, and stays as it is.
pub(super) fn keep(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let before = if replace { fs::metadata(path).ok().map(|found| found.permissions()) } else { None };
    let draft = Draft::new(folder, text, before)?;
    if replace {
        fs::rename(&draft.0, path)?;
    } else {
        // A link is refused where something is there; a rename would take its place.
        fs::hard_link(&draft.0, path)?;
    }
    File::open(folder)?.sync_all()
}

/// The text beside the place it is meant for, gone when this is dropped unless it was moved there.
struct Draft(PathBuf);

impl Draft {
    fn new(folder: &Path, text: &str, permissions: Option<Permissions>) -> io::Result<Self> {
        // The dot keeps a reader of the folder from taking it for an allowlist.
        let path = folder.join(format!(".exeat-init-{}", uuid::Uuid::now_v7()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let draft = Self(path);
        file.write_all(text.as_bytes())?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_file_is_private_and_so_are_the_folders_made_for_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/coder.toml");
        keep(&path, "x", false).unwrap();
        assert_eq!((mode(&path), mode(&place.path().join("a")), mode(&place.path().join("a/b"))), (0o600, 0o700, 0o700));
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(path.parent().unwrap())), ("x", vec!["coder.toml".to_owned()]));
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("coder.toml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(keep(&path, "new", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        keep(&path, "new", true).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new", 0o640));
        assert_eq!(names(place.path()), ["coder.toml"]);
    }

    #[test]
    fn a_link_is_not_written_through() {
        let place = tempfile::tempdir().unwrap();
        let (path, other) = (place.path().join("coder.toml"), place.path().join("other"));
        fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(keep(&path, "new", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        keep(&path, "new", true).unwrap();
        assert_eq!((fs::read_to_string(&other).unwrap().as_str(), fs::read_to_string(&path).unwrap().as_str()), ("other", "new"));
    }
}

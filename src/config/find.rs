//! Where the configuration is looked for. What is named or there must be readable: nothing falls through to a laxer file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::policy::fault::Fault;
use crate::text::trouble;

/// The place for all users of a machine.
pub(super) const SYSTEM: &str = "/etc/exeat/exeat.toml";

const CONFIG: &str = "EXEAT_CONFIG";

/// No configuration people write is longer.
const BYTES_MAX: u64 = 1 << 20;

/// What the environment says, read once.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// `HOME`, where it is an absolute path.
    pub(super) home: Option<PathBuf>,
    config: Option<String>,
    /// The user's own file, there or not.
    pub(super) user: Option<PathBuf>,
    /// Every other `EXEAT_` variable, without the two that are no keys and those of the test suite.
    pub(super) keys: BTreeMap<String, String>,
}

impl Surroundings {
    pub(super) fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut all: BTreeMap<String, String> = environment.into_iter().collect();
        let absolute = |text: Option<&String>| text.map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute(all.get("HOME"));
        let folder = absolute(all.get("XDG_CONFIG_HOME")).or_else(|| home.as_ref().map(|home| home.join(".config")));
        let config = all.remove(CONFIG);
        all.retain(|name, _| name.starts_with("EXEAT_") && name != "EXEAT_LOG" && !name.starts_with("EXEAT_TEST_"));
        Self { home, config, user: folder.map(|folder| folder.join("exeat/exeat.toml")), keys: all }
    }
}

/// A file that was found and read.
#[derive(Debug)]
pub(super) struct Found {
    /// Its absolute path.
    pub(super) path: PathBuf,
    /// Its name in messages.
    pub(super) name: String,
    /// What stands in it.
    pub(super) text: String,
}

/// The file that is in force; `None` where there is none at all.
pub(super) fn find(explicit: Option<&Path>, surroundings: &Surroundings, system: &Path) -> Result<Option<Found>, Fault> {
    if let Some(path) = explicit {
        let path = std::path::absolute(path).map_err(|error| missing(path, error.kind(), "--config"))?;
        return read(&path).map_err(|kind| missing(&path, kind, "--config")).map(Some);
    }
    if let Some(text) = &surroundings.config {
        let path = Path::new(text);
        if !path.is_absolute() {
            let wanted = "an absolute path: the working directory never configures exeat";
            return Err(Fault::whole(CONFIG, "a path that is not absolute", wanted, "begin it with /, or use --config"));
        }
        return read(path).map_err(|kind| missing(path, kind, CONFIG)).map(Some);
    }
    for path in surroundings.user.as_deref().into_iter().chain([system]) {
        match read(path) {
            Ok(found) => return Ok(Some(found)),
            Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(kind) => return Err(missing(path, kind, "the file")),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Found, ErrorKind> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.kind())?;
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.kind())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(ErrorKind::FileTooLarge);
    }
    Ok(Found { path: path.to_owned(), name: path.display().to_string(), text: unmarked(text) })
}

/// A text without the byte order marks that some editors put before it. Every reader of a file has to see the same text.
pub(super) fn unmarked(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.trim_start_matches('\u{feff}').to_owned(),
        None => text,
    }
}

fn missing(path: &Path, kind: ErrorKind, named_by: &str) -> Fault {
    let found = if kind == ErrorKind::InvalidData {
        "text that is not UTF-8".to_owned()
    } else if kind == ErrorKind::FileTooLarge {
        "more than 1 MiB".to_owned()
    } else {
        format!("a file that cannot be read ({})", trouble(kind))
    };
    let wanted = "an exeat.toml that can be read";
    Fault::whole(&path.display().to_string(), found, wanted, format!("correct {named_by} or the file's permissions"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::*;

    fn surroundings(variables: &[(&str, &Path)]) -> Surroundings {
        Surroundings::new(variables.iter().map(|(name, path)| ((*name).to_owned(), path.display().to_string())))
    }

    #[test]
    fn the_nearest_file_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name).join("exeat/exeat.toml");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            path
        };
        let (flag, variable, xdg, home, system) = (at("flag"), at("variable"), at("xdg"), at("home/.config"), at("system"));
        let (xdg_home, home_home) = (folder.path().join("xdg"), folder.path().join("home"));
        let empty = folder.path().join("empty");
        let every: &[(&str, &Path)] = &[("EXEAT_CONFIG", &variable), ("XDG_CONFIG_HOME", &xdg_home), ("HOME", &home_home)];
        for (explicit, variables, expected) in [
            (Some(flag.as_path()), every, Some(&flag)),
            (None, every, Some(&variable)),
            (None, &every[1..], Some(&xdg)),
            (None, &every[2..], Some(&home)),
            (None, &[("XDG_CONFIG_HOME", Path::new("relative")), ("HOME", &home_home)], Some(&home)),
            (None, &[("HOME", &empty)], Some(&system)),
            (None, &[], Some(&system)),
        ] {
            let found = find(explicit, &surroundings(variables), &system).unwrap();
            assert_eq!(found.map(|found| found.path).as_ref(), expected);
        }
        assert!(find(None, &surroundings(&[("HOME", &empty)]), &empty).unwrap().is_none());
    }

    #[test]
    fn a_named_file_that_is_not_there_falls_through_to_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system.toml");
        fs::write(&system, "").unwrap();
        let missing = folder.path().join("missing.toml");
        assert!(find(Some(&missing), &surroundings(&[]), &system).is_err());
        assert!(find(None, &surroundings(&[("EXEAT_CONFIG", &missing)]), &system).is_err());
        // The tests' working directory has this file, and it must not be read.
        let relative = find(None, &surroundings(&[("EXEAT_CONFIG", Path::new("Cargo.toml"))]), &system).unwrap_err();
        assert!(relative.to_string().starts_with("EXEAT_CONFIG: found a path that is not absolute"), "{relative}");
        assert!(find(None, &surroundings(&[("EXEAT_CONFIG", Path::new(""))]), &system).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exeat.toml");
        for text in ["\u{feff}a\u{feff}", "\u{feff}\u{feff}a\u{feff}", "a\u{feff}"] {
            fs::write(&path, text).unwrap();
            let found = find(Some(&path), &surroundings(&[]), folder.path()).unwrap().unwrap();
            assert_eq!(found.text, "a\u{feff}", "{text:?}");
        }
    }

    #[test]
    fn a_file_that_is_there_and_unreadable_falls_through_to_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system.toml");
        fs::write(&system, "").unwrap();
        let user = folder.path().join("exeat/exeat.toml");
        let read = || find(None, &surroundings(&[("XDG_CONFIG_HOME", folder.path())]), &system);
        fs::create_dir_all(&user).unwrap();
        assert!(read().is_err(), "a folder");
        fs::remove_dir(&user).unwrap();
        fs::write(&user, [0xff]).unwrap();
        assert!(read().unwrap_err().to_string().contains("not UTF-8"));
        fs::write(&user, " ".repeat((1 << 20) + 1)).unwrap();
        assert!(read().unwrap_err().to_string().contains("more than 1 MiB"));
    }
}

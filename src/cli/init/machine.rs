//! The machine and the working directory, as far as looking goes: which programs are asked, and how much of a file is read.
//!
//! What lies in the working directory may have been cloned: nothing of it is run, and its files are read as text, within bounds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::text::plain;

/// No configuration and no lock file that is looked into is longer.
const FILE_MAX: u64 = 16 << 20;

/// The longest path that is shown, in characters.
const SHOWN: usize = 200;

/// How long a client may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// `HOME`, where it is an absolute path.
    pub(super) home: Option<PathBuf>,
    /// The environment that clients are given, without the `EXEAT_` variables.
    pub(super) environment: BTreeMap<String, String>,
    /// The folders of `PATH` that are asked.
    pub(super) path: Vec<PathBuf>,
    /// The folders of `PATH` that are not, as the repository may have put something there.
    pub(super) passed_over: Vec<PathBuf>,
    /// The nearest folder upwards from the working directory that has `.git`; the working directory itself without any.
    pub(super) repository: PathBuf,
    /// The working directory.
    pub(super) work: PathBuf,
    /// `/etc`.
    pub(super) etc: PathBuf,
    /// How long a client may take to answer.
    pub(super) patience: Duration,
}

impl Machine {
    /// The machine as the environment and the working directory (absolute) tell of it.
    pub(super) fn new(environment: impl IntoIterator<Item = (String, String)>, work: &Path) -> Self {
        let environment: BTreeMap<String, String> = environment.into_iter().filter(|(name, _)| !name.starts_with("EXEAT_")).collect();
        let work = fs::canonicalize(work).unwrap_or_else(|_| work.to_owned());
        let repository = work.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&work).to_owned();
        let entries = environment.get("PATH").map(OsString::from).unwrap_or_default();
        let within = |folder: &Path| {
            // Nobody clones into the root folder, and everything lies in it.
            let place = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            !folder.is_absolute() || repository != Path::new("/") && place.starts_with(&repository)
        };
        let (passed_over, path) = std::env::split_paths(&entries).partition(|folder| within(folder));
        let home = environment.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        Self { home, environment, path, passed_over, repository, work, etc: "/etc".into(), patience: PATIENCE }
    }

    /// The program of that name, as a shell would find it, were it not for what is passed over.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let runs = |path: &PathBuf| {
            let file = fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
            let place = fs::canonicalize(path).unwrap_or_default();
            file && (self.repository == Path::new("/") || !place.starts_with(&self.repository))
        };
        self.path.iter().map(|folder| folder.join(name)).find(runs)
    }

    /// A variable that is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// A file below the home folder.
    pub(super) fn at_home(&self, path: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(path))
    }

    /// A file below the user's configuration folder.
    pub(super) fn at_config(&self, path: &str) -> Option<PathBuf> {
        let folder = self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        folder.or_else(|| self.at_home(".config")).map(|folder| folder.join(path))
    }

    /// What is said of a client that gives no answer that can be read.
    pub(super) fn silent(&self, client: &str) -> String {
        format!("{client}: on PATH, but it did not say where it goes within {} s", self.patience.as_secs())
    }

    /// A path in words: within the repository from the working directory on, below the home folder from `~` on.
    pub(super) fn shown(&self, path: &Path) -> String {
        let text = if self.repository != Path::new("/") && path.starts_with(&self.repository) {
            from(&self.work, path).display().to_string()
        } else if let Some(rest) = self.home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
            format!("~/{}", rest.display())
        } else {
            path.display().to_string()
        };
        plain(&text, SHOWN)
    }
}

/// The way from a folder to a path, both without a root of their own in between.
fn from(folder: &Path, path: &Path) -> PathBuf {
    let shared = folder.components().zip(path.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(path.components().skip(shared)).collect();
    if way.as_os_str().is_empty() { ".".into() } else { way }
}

/// The text of a regular file; `None` where there is none, or more than is looked into. A pipe or a device is no file and is not waited for.
pub(super) fn text(path: &Path) -> Option<String> {
    let without_waiting = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(without_waiting).open(path).ok()?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= FILE_MAX).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn program(folder: &Path, name: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn no_program_of_the_working_directory_is_found() {
        let place = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(place.path()).unwrap();
        let (repository, bin) = (root.join("repository"), root.join("bin"));
        fs::create_dir_all(repository.join(".git")).unwrap();
        fs::create_dir_all(repository.join("deep")).unwrap();
        let planted = program(&repository.join("tools"), "npm");
        let good = program(&bin, "pip");
        std::os::unix::fs::symlink(&planted, bin.join("npm")).unwrap();
        std::os::unix::fs::symlink(repository.join("tools"), root.join("link")).unwrap();
        let entries = format!(".:tools::{0}/tools:{1}/link:{1}/bin", repository.display(), root.display());
        let environment = [("PATH", entries.as_str()), ("HOME", "/h"), ("EXEAT_CONFIG", "/x")];
        let machine = Machine::new(environment.map(|(name, value)| (name.to_owned(), value.to_owned())), &repository.join("deep"));
        assert_eq!((&machine.repository, &machine.path), (&repository, &vec![bin]));
        assert_eq!(machine.passed_over.len(), 5);
        assert_eq!((machine.program("npm"), machine.program("pip")), (None, Some(good)));
        assert!(!machine.environment.contains_key("EXEAT_CONFIG"));
    }

    #[test]
    fn in_the_root_folder_programs_are_found_all_the_same() {
        let place = tempfile::tempdir().unwrap();
        let good = program(place.path(), "pip");
        let path = ("PATH".to_owned(), place.path().display().to_string());
        assert_eq!(Machine::new([path], Path::new("/")).program("pip"), Some(good));
    }

    #[test]
    fn a_pipe_a_folder_and_too_much_are_no_text() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        fs::File::create(at("large")).unwrap().set_len(FILE_MAX + 1).unwrap();
        fs::write(at("good"), [b'a', 0xff]).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        for (name, expected) in
            [("pipe", None), ("large", None), ("zero", None), ("", None), ("missing", None), ("good", Some("a\u{fffd}"))]
        {
            assert_eq!(text(&at(name)).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_path_is_shown_as_people_say_it() {
        let at = |work: &str, repository: &str| Machine {
            repository: repository.into(),
            work: work.into(),
            home: Some("/h".into()),
            ..Machine::new([], Path::new("/"))
        };
        for (work, repository, path, expected) in [
            ("/r", "/r", "/h/.npmrc", "~/.npmrc"),
            ("/r", "/r", "/r/a/b", "a/b"),
            ("/r/a", "/r", "/r/a/b", "b"),
            ("/r/a/c", "/r", "/r/a/b", "../b"),
            ("/r/x/y", "/r", "/r/package-lock.json", "../../package-lock.json"),
            ("/r/x", "/r", "/r", ".."),
            ("/r", "/r", "/r", "."),
            ("/r", "/r", "/rest/x", "/rest/x"),
            ("/", "/", "/h/x", "~/x"),
            ("/", "/", "/etc/x", "/etc/x"),
            ("/r", "/r", "/h/a\u{1b}b", "~/a\\u{1b}b"),
        ] {
            assert_eq!(at(work, repository).shown(Path::new(path)), expected, "{work} {path}");
        }
    }
}

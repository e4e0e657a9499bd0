//! Allowlists from files and folders. A broken file leaves its agent out and is named; the others load.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::fault::{Fault, Warning};
use crate::policy::floor::Floor;
use crate::text::trouble;

/// The largest file that is read.
const FILE_MAX: u64 = 64 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct LoadedAllowlists {
    /// The good ones, in the order of their file names.
    pub allowlists: Vec<Allowlist>,
    /// Everything wrong with the others.
    pub faults: Vec<Fault>,
    /// Second looks.
    pub warnings: Vec<Warning>,
}

/// Loads every `*.toml` of the folder. Rules cite the bare file name. A folder that is missing or has no allowlist is a fault.
pub fn load_folder(folder: &Path) -> LoadedAllowlists {
    let mut loaded = LoadedAllowlists::default();
    loaded.folder(folder, |file| file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned());
    loaded
}

/// Loads files, and every `*.toml` of folders. Rules cite the path as given.
pub fn load_paths(paths: &[PathBuf]) -> LoadedAllowlists {
    let mut loaded = LoadedAllowlists::default();
    for path in paths {
        if path.is_dir() {
            loaded.folder(path, |file| file.display().to_string());
        } else {
            loaded.file(path, &path.display().to_string());
        }
    }
    loaded
}

impl LoadedAllowlists {
    fn folder(&mut self, folder: &Path, named: impl Fn(&Path) -> String) {
        let name = folder.display().to_string();
        let files = match entries(folder) {
            Ok(files) => files,
            Err(error) => {
                let found = format!("no readable folder ({})", trouble(error.kind()));
                self.faults.push(Fault::whole(
                    &name,
                    found,
                    "a folder of allowlists",
                    "make it, with one NAME.toml an agent; until then every attempt is refused",
                ));
                return;
            }
        };
        let (mut any, mut bound) = (false, false);
        for file in files {
            let base = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match base.as_str() {
                "floor.toml" => bound |= self.not_yet(&named(&file), "the floor comes with a later version"),
                "freeze" => bound |= self.not_yet(&named(&file), "freezing comes with a later version"),
                base if base.ends_with(".toml") && !base.starts_with('.') && !file.is_dir() => {
                    any = true;
                    self.file(&file, &named(&file));
                }
                _ => {}
            }
        }
        if bound {
            // Whoever wrote one of these meant less to pass, not everything as if it were not there.
            self.allowlists.clear();
        }
        if !any {
            self.faults.push(Fault::whole(
                &name,
                "a folder without allowlists",
                "at least one NAME.toml",
                "write one; until then every attempt is refused",
            ));
        }
    }

    fn file(&mut self, file: &Path, name: &str) {
        match read(file) {
            Ok(text) => match Allowlist::read(name, &text, &Reading { now: SystemTime::now(), floor: &Floor::none(), library: &NoLibrary })
            {
                Ok((allowlist, warnings)) => {
                    self.allowlists.push(allowlist);
                    self.warnings.extend(warnings);
                }
                Err(faults) => self.faults.extend(faults),
            },
            Err(error) => {
                let found = format!("a file that cannot be read ({})", trouble(error.kind()));
                self.faults.push(Fault::whole(name, found, "a readable text file in UTF-8", "check its name, permissions and encoding"));
            }
        }
    }

    fn not_yet(&mut self, name: &str, what: &str) -> bool {
        self.faults.push(Fault::whole(
            name,
            "this file",
            format!("not yet: {what}; until it is gone every attempt is refused"),
            "remove it",
        ));
        true
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = fs::File::open(file)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length <= FILE_MAX) { Ok(text) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_broken_file_leaves_its_agent_out_and_the_others_load() {
        let folder = folder(&[
            ("b.toml", "agent = \"b\"\n"),
            ("a.toml", "agent = 3\n"),
            ("c.toml", "agent = \"c\"\n[[allow]]\nhost = \"x.example.com\"\n"),
        ]);
        let loaded = load_folder(folder.path());
        let agents: Vec<&str> = loaded.allowlists.iter().map(|allowlist| allowlist.agent.as_str()).collect();
        assert_eq!(agents, ["b", "c"]);
        assert_eq!(loaded.allowlists[1].rules[0].place.to_string(), "c.toml:2");
        assert_eq!(loaded.faults.len(), 1);
        assert!(loaded.faults[0].to_string().starts_with("a.toml:1:9: found agent 3"), "{}", loaded.faults[0]);
    }

    #[test]
    fn only_toml_files_of_the_folder_itself_are_agents() {
        let folder = folder(&[
            ("a.toml", "agent = \"a\"\n"),
            ("presets/p.toml", "?"),
            ("README.md", "?"),
            (".b.toml", "?"),
            ("c.toml~", "?"),
            ("d.toml/x", "?"),
        ]);
        let loaded = load_folder(folder.path());
        assert_eq!((loaded.allowlists.len(), loaded.faults), (1, Vec::new()));
    }

    #[test]
    fn what_comes_later_is_not_ignored() {
        let folder = folder(&[("a.toml", "agent = \"a\"\n"), ("floor.toml", ""), ("freeze", "")]);
        let loaded = load_folder(folder.path());
        assert_eq!(loaded.allowlists, [], "nothing passes");
        let said: Vec<String> = loaded.faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            said,
            [
                "floor.toml: found this file; wanted not yet: the floor comes with a later version; until it is gone every attempt is refused; fix: remove it",
                "freeze: found this file; wanted not yet: freezing comes with a later version; until it is gone every attempt is refused; fix: remove it",
            ]
        );
    }

    #[test]
    fn a_missing_or_empty_folder_is_a_fault() {
        let empty = folder(&[("presets/p.toml", "?")]);
        for path in [empty.path().to_owned(), empty.path().join("none")] {
            let loaded = load_folder(&path);
            assert_eq!((loaded.allowlists.len(), loaded.faults.len()), (0, 1));
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_a_fault() {
        let folder = folder(&[("a.toml", "agent = \"a\"\n")]);
        fs::write(folder.path().join("b.toml"), [0xff, 0xfe]).unwrap();
        let loaded = load_paths(&[folder.path().join("b.toml"), folder.path().join("none.toml"), folder.path().to_owned()]);
        assert_eq!((loaded.allowlists.len(), loaded.faults.len()), (1, 3));
        let said: Vec<String> = loaded.faults.iter().map(Fault::to_string).collect();
        assert!(said[0].contains("(not text in UTF-8)") && said[1].contains("(no such file or folder)"), "{said:?}");
    }
}

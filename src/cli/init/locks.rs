//! Lock files in the repository: which clients they call for, and which hosts they name. A repository does not list its own hosts, so those are its word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::found::{Client, Entry, Source, Word};
use super::machine::{Machine, text};
use super::{cargo, maven, npm, pip};

/// How deep below the repository's folder is looked: its own files are 1.
const DEPTH_MAX: usize = 3;

/// The most entries of folders that are looked at.
const ENTRIES_MAX: usize = 20_000;

/// The most files whose text is read.
const FILES_MAX: usize = 64;

/// Folders of what was installed or built.
const PASSED_OVER: &[&str] = &["node_modules", "target", "vendor", "dist", "build", "venv"];

/// How a file names hosts.
#[derive(Clone, Copy, Debug)]
enum Names {
    /// Not at all.
    Nothing,
    /// Strings under these keys of JSON.
    Json(&'static [&'static str]),
    /// Strings under these keys of TOML.
    Toml(&'static [&'static str]),
    /// What follows these words at the beginning of a line.
    Lines(&'static [&'static str]),
}

/// File, the client it calls for, and how it names hosts.
const LOCKS: &[(&str, Client, Names)] = &[
    ("package-lock.json", Client::Npm, Names::Json(&["resolved"])),
    ("npm-shrinkwrap.json", Client::Npm, Names::Json(&["resolved"])),
    ("yarn.lock", Client::Npm, Names::Lines(&["resolved"])),
    ("pnpm-lock.yaml", Client::Npm, Names::Nothing),
    ("poetry.lock", Client::Pip, Names::Toml(&["url"])),
    ("uv.lock", Client::Pip, Names::Toml(&["registry", "url"])),
    ("pdm.lock", Client::Pip, Names::Toml(&["url"])),
    ("Pipfile.lock", Client::Pip, Names::Json(&["url"])),
    ("requirements.txt", Client::Pip, Names::Nothing),
    ("Cargo.lock", Client::Cargo, Names::Toml(&["source"])),
    ("go.sum", Client::Go, Names::Nothing),
    ("pom.xml", Client::Maven, Names::Nothing),
    ("build.gradle", Client::Maven, Names::Nothing),
    ("build.gradle.kts", Client::Maven, Names::Nothing),
    ("Gemfile.lock", Client::Ruby, Names::Lines(&["remote:"])),
    ("composer.lock", Client::Php, Names::Nothing),
    ("packages.lock.json", Client::Dotnet, Names::Nothing),
    ("mix.lock", Client::Elixir, Names::Nothing),
    ("pubspec.lock", Client::Dart, Names::Nothing),
];

/// What the repository's files tell.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// The clients that are called for, with the files that do.
    pub(super) needs: BTreeMap<Client, BTreeSet<String>>,
    /// The hosts that are named, and what was not read.
    pub(super) entries: Vec<Entry>,
    seen: usize,
    read: usize,
}

/// Looks through the repository.
pub(super) fn look(machine: &Machine) -> Locks {
    let mut locks = Locks::default();
    locks.folder(machine, &machine.repository, 1);
    if locks.seen > ENTRIES_MAX {
        locks
            .entries
            .push(Entry::Said(format!("the repository is large: lock files behind its first {ENTRIES_MAX} entries were not looked for")));
    }
    if locks.needs.is_empty() {
        locks.entries.push(Entry::Said("no lock file in the working directory: every client of this machine is listed".to_owned()));
    }
    locks
}

impl Locks {
    fn folder(&mut self, machine: &Machine, folder: &Path, depth: usize) {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).filter_map(Result::ok).map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            self.seen += 1;
            if self.seen > ENTRIES_MAX {
                return;
            }
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // A link may lead out of the repository, or round in it.
            let Ok(kind) = path.symlink_metadata().map(|found| found.file_type()) else { continue };
            if kind.is_file() {
                self.file(machine, &path, name);
            } else if kind.is_dir() && name == ".cargo" {
                self.file(machine, &path.join("config.toml"), ".cargo/config.toml");
            } else if kind.is_dir() && depth < DEPTH_MAX && !name.starts_with('.') && !PASSED_OVER.contains(&name) {
                self.folder(machine, &path, depth + 1);
            }
        }
    }

    fn file(&mut self, machine: &Machine, path: &Path, name: &str) {
        let shown = machine.shown(path);
        let lock = LOCKS.iter().find(|(lock, _, _)| *lock == name);
        if let Some((_, client, _)) = lock {
            self.needs.entry(*client).or_default().insert(shown.clone());
        }
        let settings =
            ["requirements.txt", "pyproject.toml", "uv.toml", ".npmrc", ".yarnrc", ".yarnrc.yml", ".cargo/config.toml", "pom.xml"];
        let names = lock.map_or(Names::Nothing, |(_, _, names)| *names);
        if !settings.contains(&name) && matches!(names, Names::Nothing) {
            return;
        }
        self.read += 1;
        let Some(text) = (self.read <= FILES_MAX).then(|| text(path)).flatten() else {
            if path.exists() {
                self.entries.push(Entry::Said(format!("{shown} was not read: it is too large, or there are too many")));
            }
            return;
        };
        let entries = match name {
            "requirements.txt" | "pyproject.toml" | "uv.toml" => pip::of_repository(name, &text, &shown),
            ".npmrc" | ".yarnrc" | ".yarnrc.yml" => npm::of_repository(name, &text, &shown),
            ".cargo/config.toml" => cargo::of_repository(&text, &shown),
            "pom.xml" => maven::of_repository(&text, &shown),
            _ => lock.map(|(_, client, names)| named(&text, *names, *client, &shown)).unwrap_or_default(),
        };
        self.entries.extend(entries);
    }
}

/// The hosts that a lock file names, each once.
fn named(text: &str, names: Names, client: Client, place: &str) -> Vec<Entry> {
    let mut urls = BTreeSet::new();
    let read = match names {
        Names::Nothing => true,
        Names::Json(keys) => serde_json::from_str(text).map(|value: Value| under(&value, keys, &mut urls)).is_ok(),
        Names::Toml(keys) => toml::from_str(text).map(|value: Value| under(&value, keys, &mut urls)).is_ok(),
        Names::Lines(words) => {
            let lines = text.lines().map(str::trim).filter_map(|line| words.iter().find_map(|word| line.strip_prefix(word)));
            urls.extend(lines.map(|url| url.trim().trim_matches('"').to_owned()));
            true
        }
    };
    if !read {
        return vec![Entry::Said(format!("{}: {place} cannot be read", client.name()))];
    }
    let source = Source { word: Word::Repository, ..Source::machine(client, place) };
    let mut entries: Vec<Entry> = Vec::new();
    for url in urls.iter().filter(|url| url.contains("://")) {
        let entry = source.host(url);
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}

/// The texts under any of the keys, at any depth.
fn under(value: &Value, keys: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => {
                        found.insert(text.clone());
                    }
                    Value::Object(_) | Value::Array(_) => under(value, keys, found),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| under(value, keys, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::super::testing::shown;
    use super::*;

    #[test]
    fn lock_files_name_the_hosts_they_were_made_from() {
        for (name, text, expected) in [
            (
                "package-lock.json",
                r#"{"packages": {"": {"funding": {"url": "https://no.test"}}, "a": {"resolved": "https://u:s3cret@a.test/a.tgz"}, "b": {"resolved": "https://a.test/b.tgz"}}, "dependencies": {"c": {"resolved": "git+ssh://git@no.test/c"}}}"#,
                &["npm: something that is no http or https URL is left out, from f", "npm https://a.test f (repository)"][..],
            ),
            (
                "yarn.lock",
                "a@^1:\n  version \"1\"\n  resolved \"https://a.test/a.tgz#0\"\n  integrity x\n",
                &["npm https://a.test f (repository)"],
            ),
            (
                "Cargo.lock",
                "[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"registry+https://a.test/index\"\n[[package]]\nname = \"b\"\nversion = \"1\"\n[[package]]\nname = \"c\"\nsource = \"git+https://b.test/c?rev=1#2\"",
                &["cargo https://b.test f (repository)", "cargo https://a.test f (repository)"],
            ),
            (
                "uv.lock",
                "[[package]]\nname = \"a\"\nsource = { registry = \"https://a.test/simple\" }\nsdist = { url = \"https://files.test/a.tar.gz\" }\n[[package]]\nsource = { virtual = \".\" }",
                &["pip https://a.test f (repository)", "pip https://files.test f (repository)"],
            ),
            (
                "poetry.lock",
                "[[package]]\nname = \"a\"\n[package.source]\ntype = \"legacy\"\nurl = \"https://a.test/simple\"",
                &["pip https://a.test f (repository)"],
            ),
            ("Pipfile.lock", r#"{"_meta": {"sources": [{"url": "https://a.test/simple"}]}}"#, &["pip https://a.test f (repository)"]),
            ("Gemfile.lock", "GEM\n  remote: https://a.test/\n  specs:\n", &["ruby https://a.test f (repository)"]),
            ("Cargo.lock", "[[package", &["cargo: f cannot be read"]),
            ("package-lock.json", "{", &["npm: f cannot be read"]),
            ("go.sum", "a.test/x v1 h1:x", &[]),
        ] {
            let (_, client, names) = LOCKS.iter().find(|(lock, _, _)| *lock == name).unwrap();
            assert_eq!(shown(&named(text, *names, *client, "f")), expected, "{name}");
        }
    }

    #[test]
    fn a_repository_is_looked_through_within_bounds() {
        let place = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("Cargo.lock", "");
        put("web/app/yarn.lock", "");
        put("web/.npmrc", "registry=https://a.test\n");
        put(".cargo/config.toml", "[registries.a]\nindex = \"https://b.test\"");
        put("a/b/c/go.sum", "");
        put("web/node_modules/poetry.lock", "");
        put(".hidden/mix.lock", "");
        std::os::unix::fs::symlink("/nowhere", place.path().join("Gemfile.lock")).unwrap();
        std::os::unix::fs::symlink(place.path(), place.path().join("round")).unwrap();
        let locks = look(&Machine { repository: place.path().to_owned(), ..Machine::new([], place.path()) });
        let needs: Vec<(Client, Vec<String>)> =
            locks.needs.into_iter().map(|(client, files)| (client, files.into_iter().collect())).collect();
        let expected = [(Client::Npm, vec!["web/app/yarn.lock".to_owned()]), (Client::Cargo, vec!["Cargo.lock".to_owned()])];
        assert_eq!(needs, expected);
        let entries = ["cargo https://b.test .cargo/config.toml (repository)", "npm https://a.test web/.npmrc (repository)"];
        assert_eq!(shown(&locks.entries), entries);
    }
}

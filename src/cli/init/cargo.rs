//! cargo: the source that stands in for its default registry, other registries, and where each keeps its crates.

use std::path::{Path, PathBuf};

use super::ask::{Scratch, ask};
use super::found::{Client, Entry, Origin, Source, Word};
use super::machine::{Machine, text};

const CLIENT: Client = Client::Cargo;

/// The name of the default registry in cargo's configuration.
const DEFAULT: &str = "crates-io";

/// Sources that replace each other in a circle end here; cargo refuses them.
const CHAIN_MAX: usize = 16;

/// The most index folders that are looked into.
const INDEXES_MAX: usize = 64;

/// What cargo is configured with.
pub(super) async fn look(machine: &Machine) -> Vec<Entry> {
    let home = machine.variable("CARGO_HOME").map(PathBuf::from).filter(|home| home.is_absolute()).or_else(|| machine.at_home(".cargo"));
    let program = machine.program("cargo");
    if program.is_none() && home.as_ref().is_none_or(|home| !home.is_dir()) {
        return vec![Entry::Said("cargo: not on PATH".to_owned())];
    }
    let (mut found, mut places) = (Vec::new(), Vec::new());
    let mut default = Standing::Itself;
    if let Some((file, text)) = home.as_ref().and_then(|home| configuration(home)) {
        let place = machine.shown(&file);
        match text.parse::<toml::Table>() {
            Ok(table) => {
                default = standing(&table);
                places.extend(registries(&table).into_iter().map(|url| (url, place.clone())));
            }
            Err(_) => found.push(Entry::Said(format!("cargo: {place} is not TOML, and not read"))),
        }
        match &default {
            Standing::Registry(url) => places.push((url.clone(), place)),
            Standing::Elsewhere => found.push(Entry::Said(format!("cargo: its crates come from a folder or a git repository, by {place}"))),
            Standing::Itself => {}
        }
    }
    let variables = machine.environment.iter().filter(|(name, _)| name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX"));
    places.extend(variables.map(|(name, url)| (url.clone(), name.clone())));
    if default == Standing::Itself {
        match asked(machine, program.as_deref()).await {
            Some(url) => places.push((url, "cargo's own default".to_owned())),
            None if program.is_none() => found.push(Entry::Said("cargo: not on PATH".to_owned())),
            None => found.push(Entry::Said(machine.silent("cargo"))),
        }
    }
    let downloads = home.map(|home| downloads(&home.join("registry/index"))).unwrap_or_default();
    for (url, place) in places {
        found.extend(registry(machine, &url, &place, &downloads));
    }
    found
}

/// A registry's index, and where its crates are.
fn registry(machine: &Machine, url: &str, place: &str, downloads: &[Download]) -> Vec<Entry> {
    let index = Source::machine(CLIENT, place).host(url);
    let Entry::Host(host) = &index else { return vec![index] };
    let host = host.origin.to.host.to_string();
    let mut found = vec![index];
    let mut known = downloads.iter().filter(|download| download.index == host).peekable();
    if known.peek().is_none() {
        found.push(Entry::Said(format!("cargo: where {host} keeps its crates is not known before its first use: the first download asks")));
    }
    for Download { index: _, url, file } in known {
        let place = format!("{}: where {host} keeps its crates", machine.shown(file));
        found.push(Source::machine(CLIENT, &place).host(url));
    }
    found
}

/// Cargo's configuration in a folder: of two files it takes the one without an ending.
fn configuration(folder: &Path) -> Option<(PathBuf, String)> {
    ["config", "config.toml"].into_iter().map(|name| folder.join(name)).find_map(|file| text(&file).map(|text| (file, text)))
}

/// What stands in for the default registry.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Itself,
    /// A registry, by URL.
    Registry(String),
    /// A folder or a git repository.
    Elsewhere,
}

fn standing(table: &toml::Table) -> Standing {
    let mut name = DEFAULT.to_owned();
    for _ in 0..CHAIN_MAX {
        let source = table.get("source").and_then(|sources| sources.get(&name));
        if let Some(next) = source.and_then(|source| source.get("replace-with")).and_then(toml::Value::as_str) {
            next.clone_into(&mut name);
            continue;
        }
        let text = |key: &str| source.and_then(|source| source.get(key)).and_then(toml::Value::as_str).map(str::to_owned);
        // A name that is no source may be one of `[registries]`.
        let named = table.get("registries").and_then(|all| all.get(&name)?.get("index")?.as_str()).map(str::to_owned);
        return match text("registry").or(named) {
            Some(url) => Standing::Registry(url),
            None if name == DEFAULT => Standing::Itself,
            None => Standing::Elsewhere,
        };
    }
    Standing::Elsewhere
}

/// The URLs of `[registries]`.
fn registries(table: &toml::Table) -> Vec<String> {
    let all = table.get("registries").and_then(toml::Value::as_table);
    all.into_iter().flatten().filter_map(|(_, registry)| registry.get("index")?.as_str()).map(str::to_owned).collect()
}

/// cargo's own default. It has no command that prints it, so it is sent to look in a home of its own, with no way out, and says where it could not go.
async fn asked(machine: &Machine, program: Option<&Path>) -> Option<String> {
    let scratch = Scratch::new().ok()?;
    let home = scratch.path().to_str()?;
    let own = [
        ("CARGO_HOME", home),
        ("CARGO_HTTP_PROXY", super::ask::NO_WAY_OUT),
        ("CARGO_NET_RETRY", "0"),
        ("CARGO_NET_OFFLINE", "false"),
        ("CARGO_TERM_COLOR", "never"),
        ("RUSTUP_AUTO_INSTALL", "0"),
    ];
    let answer = ask(machine, program?, &["search", "x"], &own).await?;
    quoted(&answer.err)
}

/// The first URL between backticks.
fn quoted(said: &str) -> Option<String> {
    said.split('`').skip(1).step_by(2).find(|text| Origin::parse(text).is_ok()).map(str::to_owned)
}

/// Where an index that cargo has used says its crates are.
#[derive(Debug, PartialEq, Eq)]
struct Download {
    index: String,
    url: String,
    file: PathBuf,
}

/// The `config.json` of every index in cargo's home; its folder is named after the index's host.
fn downloads(folder: &Path) -> Vec<Download> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(INDEXES_MAX).filter_map(Result::ok);
    let mut found: Vec<Download> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (index, _hash) = name.rsplit_once('-')?;
            let file = entry.path().join("config.json");
            let json: serde_json::Value = serde_json::from_str(&text(&file)?).ok()?;
            Some(Download { index: index.to_owned(), url: json.get("dl")?.as_str()?.to_owned(), file })
        })
        .collect();
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

/// The registries that a repository's `.cargo/config.toml` names.
pub(super) fn of_repository(text: &str, place: &str) -> Vec<Entry> {
    let source = Source { word: Word::Repository, ..Source::machine(CLIENT, place) };
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let standing = match standing(&table) {
        Standing::Registry(url) => Some(url),
        Standing::Itself | Standing::Elsewhere => None,
    };
    registries(&table).into_iter().chain(standing).map(|url| source.host(&url)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::super::testing::shown;
    use super::*;

    #[test]
    fn replacement_of_the_default_is_followed_to_its_end() {
        let registry = |url: &str| Standing::Registry(url.to_owned());
        for (text, expected) in [
            ("", Standing::Itself),
            ("[source.other]\nregistry = \"https://no.test\"", Standing::Itself),
            ("[source.crates-io]\nregistry = \"https://a.test\"", registry("https://a.test")),
            (
                "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nregistry = \"sparse+https://m.test/\"",
                registry("sparse+https://m.test/"),
            ),
            (
                "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nreplace-with = \"n\"\n[source.n]\nregistry = \"https://n.test\"",
                registry("https://n.test"),
            ),
            ("[source.crates-io]\nreplace-with = \"m\"\n[registries.m]\nindex = \"https://m.test\"", registry("https://m.test")),
            ("[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"", Standing::Elsewhere),
            ("[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nreplace-with = \"crates-io\"", Standing::Elsewhere),
        ] {
            assert_eq!(standing(&text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_registry_comes_with_where_its_crates_are_if_that_is_known() {
        let home = tempfile::tempdir().unwrap();
        let index = home.path().join("registry/index");
        for (name, text) in
            [("i.test-0123", r#"{"dl": "https://d.test:8443/x", "api": "https://no.test"}"#), ("j.test-01", "{"), ("odd", "{}")]
        {
            fs::create_dir_all(index.join(name)).unwrap();
            fs::write(index.join(name).join("config.json"), text).unwrap();
        }
        let machine = Machine { home: Some(home.path().to_owned()), ..Machine::new([], Path::new("/nowhere")) };
        let downloads = downloads(&index);
        assert_eq!(
            shown(&registry(&machine, "sparse+https://i.test/", "f", &downloads)),
            ["cargo https://i.test f", "cargo https://d.test:8443 ~/registry/index/i.test-0123/config.json: where i.test keeps its crates"]
        );
        assert_eq!(
            shown(&registry(&machine, "https://j.test/", "f", &downloads)),
            ["cargo https://j.test f", "cargo: where j.test keeps its crates is not known before its first use: the first download asks"]
        );
    }

    #[test]
    fn where_cargo_could_not_go_is_its_default() {
        let said = "    Updating index\nerror: download of `config.json` failed\n\nCaused by:\n  failed to download from `https://i.test/config.json`\n";
        assert_eq!(quoted(said), Some("https://i.test/config.json".into()));
        assert_eq!(quoted("error: no such command: `search`"), None);
    }

    #[test]
    fn a_repository_names_registries_too() {
        let text = "[registries.a]\nindex = \"sparse+https://a.test/\"\n[source.crates-io]\nreplace-with = \"b\"\n[source.b]\nregistry = \"https://b.test\"";
        assert_eq!(shown(&of_repository(text, "f")), ["cargo https://a.test f (repository)", "cargo https://b.test f (repository)"]);
    }
}

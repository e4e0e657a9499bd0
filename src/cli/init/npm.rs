//! npm, and yarn and pnpm beside it: registries, those of scopes included. yarn is not run, as it may fetch another version of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::ask::ask;
use super::found::{Client, Entry, Source, Word};
use super::machine::{Machine, text};

const CLIENT: Client = Client::Npm;

/// All of them.
pub(super) async fn look(machine: &Machine) -> Vec<Entry> {
    let mut found = npm(machine).await;
    for (file, by) in [(".yarnrc", "yarn"), (".yarnrc.yml", "yarn")] {
        let Some(path) = machine.at_home(file) else { continue };
        let shown = machine.shown(&path);
        found.extend(text(&path).iter().flat_map(|text| of_lines(text, Source::machine(CLIENT, &shown).by(by))));
    }
    if let Some(path) = machine.at_config("pnpm/rc") {
        let shown = machine.shown(&path);
        found.extend(text(&path).iter().flat_map(|text| of_npmrc(text, Source::machine(CLIENT, &shown).by("pnpm"))));
    }
    found
}

async fn npm(machine: &Machine) -> Vec<Entry> {
    let Some(program) = machine.program("npm") else { return vec![Entry::Said("npm: not on PATH".to_owned())] };
    let own = &[("npm_config_update_notifier", "false")];
    let answer = ask(machine, &program, &["config", "list", "--json"], own).await.filter(|answer| answer.well);
    let settings = answer.and_then(|answer| serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&answer.out).ok());
    let Some(settings) = settings else { return vec![Entry::Said(machine.silent("npm"))] };
    let setting = |key: &str| settings.get(key).and_then(serde_json::Value::as_str);
    // The user's file comes after the global one, as it wins.
    let files = ["globalconfig", "userconfig"].map(setting).into_iter().flatten().map(PathBuf::from);
    let files: Vec<(String, String)> = files.filter_map(|path| Some((machine.shown(&path), text(&path)?))).collect();
    let mut found = Vec::new();
    if let Some(url) = setting("registry") {
        let written = files.iter().rev().find(|(_, text)| pairs(text).any(|(key, _)| key == "registry")).map(|(path, _)| path.clone());
        let variable = machine.environment.keys().find(|name| name.eq_ignore_ascii_case("npm_config_registry")).cloned();
        let place = variable.or(written).map_or("npm's own default".to_owned(), |place| format!("npm config, {place}"));
        found.push(Source::machine(CLIENT, &place).host(url));
    } else {
        found.push(Entry::Said("npm: it names no registry".to_owned()));
    }
    for (path, text) in &files {
        let scopes = pairs(text).filter(|(key, _)| key.ends_with(":registry"));
        found.extend(scopes.map(|(_, url)| Source::machine(CLIENT, path).host(url)));
    }
    found
}

/// `key = value` of an ini file as npm reads it. Keys that begin with `//` are credentials.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '/']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim().trim_matches(['"', '\''])))
}

/// The registries of an `.npmrc`.
fn of_npmrc(text: &str, source: Source<'_>) -> Vec<Entry> {
    let registry = |key: &str| key == "registry" || key.ends_with(":registry");
    pairs(text).filter(|(key, _)| registry(key)).map(|(_, url)| source.host(url)).collect()
}

/// The registries of an `.yarnrc` (`registry "URL"`) or `.yarnrc.yml` (`npmRegistryServer: "URL"`).
fn of_lines(text: &str, source: Source<'_>) -> Vec<Entry> {
    let url = |line: &str| {
        let (key, value) = line.trim().split_once([' ', ':'])?;
        let key = key.trim_matches('"');
        // `"@scope:registry" "URL"` splits at its first colon.
        let value = value.strip_prefix("registry\"").unwrap_or(value);
        let named = ["registry", "npmRegistryServer", "npmPublishRegistry"].contains(&key) || key.starts_with('@');
        named.then(|| value.trim().trim_start_matches(':').trim().trim_matches(['"', '\'']).to_owned())
    };
    text.lines().filter_map(url).filter(|url| url.contains("://")).map(|url| source.host(&url)).collect()
}

/// The registries that a repository's own files name.
pub(super) fn of_repository(name: &str, text: &str, place: &str) -> Vec<Entry> {
    let source = Source { word: Word::Repository, ..Source::machine(CLIENT, place) };
    if name == ".npmrc" { of_npmrc(text, source) } else { of_lines(text, source.by("yarn")) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::shown;
    use super::*;

    #[test]
    fn registries_are_read_and_credentials_are_not() {
        let npmrc = "registry = \"https://m.test/npm/\"\n@acme:registry=https://user:s3cret@acme.test:8443/\n\
                     //acme.test:8443/:_authToken=s3cret\n_auth=s3cret\n; registry=https://no.test\nproxy=http://no.test\n";
        let found = of_npmrc(npmrc, Source::machine(CLIENT, "f"));
        assert_eq!(shown(&found), ["npm https://m.test f", "npm https://acme.test:8443 f"]);
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn both_kinds_of_yarn_files_are_read() {
        for (text, expected) in [
            ("registry \"https://a.test/\"\n\"@acme:registry\" \"https://b.test\"\nlastUpdateCheck 1\n", &["a.test", "b.test"][..]),
            (
                "npmRegistryServer: \"https://a.test\"\nnpmScopes:\n  acme:\n    npmRegistryServer: https://b.test:8443/x\nyarnPath: x\n",
                &["a.test", "b.test:8443"],
            ),
            ("npmAuthToken: s3cret\n", &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|host| format!("yarn https://{host} f")).collect();
            assert_eq!(shown(&of_lines(text, Source::machine(CLIENT, "f").by("yarn"))), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_in_a_url_is_no_host() {
        let said = shown(&of_npmrc("registry=https://${HOST}/", Source::machine(CLIENT, "f")));
        assert_eq!(said, ["npm: a URL whose host cannot be read is left out, from f"]);
    }
}

//! pip and uv: their indexes as configured, else their own default, and where the default index keeps its files.

use std::path::{Path, PathBuf};

use super::ask::ask;
use super::found::{Client, Entry, Origin, Source, Word};
use super::machine::{Machine, text};

const CLIENT: Client = Client::Pip;

/// Both of them.
pub(super) async fn look(machine: &Machine) -> Vec<Entry> {
    let (mut found, uv) = tokio::join!(pip(machine), uv(machine));
    found.extend(uv);
    found
}

/// What pip is configured with.
async fn pip(machine: &Machine) -> Vec<Entry> {
    let Some((program, before)) = ["pip", "pip3", "python3"].into_iter().find_map(|name| {
        let module: &[&str] = if name == "python3" { &["-m", "pip"] } else { &[] };
        machine.program(name).map(|program| (program, module))
    }) else {
        return vec![Entry::Said("pip: not on PATH".to_owned())];
    };
    let own: &[(&str, &str)] = &[("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_NO_INPUT", "1")];
    let said = async |after: &[&str]| {
        let answer = ask(machine, &program, &[before, after].concat(), own).await;
        answer.filter(|answer| answer.well).map(|answer| answer.out)
    };
    let Some(list) = said(&["config", "list"]).await else { return vec![Entry::Said(machine.silent("pip"))] };
    let settings = settings(&list);
    let mut found = Vec::new();
    if settings.iter().any(Setting::names_hosts) {
        let debug = said(&["config", "debug"]).await.unwrap_or_default();
        found.extend(settings.iter().flat_map(|setting| setting.entries(machine, &debug)));
    }
    if !settings.iter().any(|setting| setting.key.ends_with(".index-url")) {
        let (help, version) = (said(&["download", "--help"]).await, said(&["--version"]).await);
        let Some(help) = help else { return vec![Entry::Said(machine.silent("pip"))] };
        found.extend(default_index(machine, &help, version.and_then(|version| package(&version)).as_deref()));
    }
    found
}

/// The index that pip's own help names, and the host that pip's own source names for its files.
fn default_index(machine: &Machine, help: &str, package: Option<&Path>) -> Vec<Entry> {
    let Some(url) = default_in(help, "--index-url", "(default ") else {
        return vec![Entry::Said("pip: its help names no default index".to_owned())];
    };
    let mut found = vec![Source::machine(CLIENT, "pip's own default").host(&url)];
    let Some(file) = package.map(|package| package.join("_internal/models/index.py")) else { return found };
    let storage = text(&file).and_then(|source| storage(&source));
    if let Some(host) = storage {
        let place = format!("pip's own source, {}: where that index keeps its files", machine.shown(&file));
        let source = Source::machine(CLIENT, &place);
        found.extend(Origin::at("https", 443, &host).map(|origin| source.origin(origin)));
    } else {
        found.push(Entry::Said("pip: where its index keeps its files is not known: the first download asks".to_owned()));
    }
    found
}

/// One line of `pip config list`.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    values: Vec<String>,
}

impl Setting {
    /// The key without its section.
    fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or_default()
    }

    fn names_hosts(&self) -> bool {
        ["index-url", "extra-index-url", "find-links", "no-index"].contains(&self.name())
    }

    fn entries(&self, machine: &Machine, debug: &str) -> Vec<Entry> {
        let written = written_in(debug, &self.key).map_or("its environment".to_owned(), |path| machine.shown(&path));
        let place = format!("pip config, {written}");
        let source = Source::machine(CLIENT, &place);
        match self.name() {
            "index-url" | "extra-index-url" => self.values.iter().map(|url| source.host(url)).collect(),
            // The others are folders.
            "find-links" => self.values.iter().filter(|value| value.contains("://")).map(|url| source.host(url)).collect(),
            "no-index" => vec![Entry::Said(format!("pip: no-index, from {place}: it may ask no index"))],
            _ => Vec::new(),
        }
    }
}

/// The lines of `pip config list`: `global.index-url='https://…'`, the value as Python writes it.
fn settings(list: &str) -> Vec<Setting> {
    let pairs = list.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| {
            let value = value.trim().trim_matches(['\'', '"']).replace("\\n", "\n");
            Setting { key: key.trim().to_owned(), values: value.split_whitespace().map(str::to_owned).collect() }
        })
        .collect()
}

/// The file that `pip config debug` shows a key in; of several the last, which wins. A key of the environment is in none.
fn written_in(debug: &str, key: &str) -> Option<PathBuf> {
    let (mut file, mut found) = (None, None);
    for line in debug.lines().map(str::trim) {
        if let Some(path) = line.strip_suffix(", exists: True") {
            file = Some(PathBuf::from(path));
        } else if line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) {
            found.clone_from(&file);
        }
    }
    found
}

/// The folder of the package, from `pip 24.0 from /usr/lib/python3/dist-packages/pip (python 3.11)`.
fn package(version: &str) -> Option<PathBuf> {
    let (_, rest) = version.split_once(" from ")?;
    let (path, _) = rest.rsplit_once(" (")?;
    Some(PathBuf::from(path)).filter(|path| path.is_absolute())
}

/// The first `file_storage_domain="…"`, which is the default index's.
fn storage(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("file_storage_domain=\"")?;
    rest.split('"').next().map(str::to_owned)
}

/// The URL that a help names as the default of an option.
fn default_in(help: &str, option: &str, opening: &str) -> Option<String> {
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, about) = words.split_once(&format!("{option} <"))?;
    let (_, rest) = about.split_once(opening)?;
    rest.split([')', '>', ' ']).next().map(|url| url.trim_start_matches('<').to_owned()).filter(|url| !url.is_empty())
}

/// What uv is configured with.
async fn uv(machine: &Machine) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut configured = false;
    for (name, replaces) in [("UV_DEFAULT_INDEX", true), ("UV_INDEX_URL", true), ("UV_INDEX", false), ("UV_EXTRA_INDEX_URL", false)] {
        for url in machine.variable(name).unwrap_or_default().split_whitespace() {
            configured |= replaces;
            // UV_INDEX may name an index: `corp=https://…`.
            let url = url.split_once('=').filter(|(before, _)| !before.contains("://")).map_or(url, |(_name, url)| url);
            found.push(Source::machine(CLIENT, name).by("uv").host(url));
        }
    }
    for file in [machine.at_config("uv/uv.toml"), Some(machine.etc.join("uv/uv.toml"))].into_iter().flatten() {
        if let Some(text) = text(&file) {
            let shown = machine.shown(&file);
            let (entries, replaces) = uv_toml(&text, Source::machine(CLIENT, &shown).by("uv"));
            configured |= replaces;
            found.extend(entries);
        }
    }
    let Some(program) = machine.program("uv") else { return found };
    if !configured {
        let help = ask(machine, &program, &["pip", "install", "--help"], &[("UV_NO_CONFIG", "1")]).await;
        let url = help.and_then(|help| default_in(&help.out, "--default-index", "by default: "));
        found.push(
            url.map_or_else(|| Entry::Said(machine.silent("uv")), |url| Source::machine(CLIENT, "uv's own default").by("uv").host(&url)),
        );
    }
    found
}

/// The indexes of a `uv.toml`, and whether one replaces the default.
pub(super) fn uv_toml(text: &str, source: Source<'_>) -> (Vec<Entry>, bool) {
    let Ok(table) = text.parse::<toml::Table>() else {
        return (vec![Entry::Said(format!("uv: {} is not TOML, and not read", source.place))], false);
    };
    let (mut found, mut replaces) = (Vec::new(), false);
    for table in [Some(&table), table.get("pip").and_then(toml::Value::as_table)].into_iter().flatten() {
        if let Some(url) = table.get("index-url").and_then(toml::Value::as_str) {
            replaces = true;
            found.push(source.host(url));
        }
        let extra = table.get("extra-index-url").and_then(toml::Value::as_array);
        found.extend(extra.into_iter().flatten().filter_map(toml::Value::as_str).map(|url| source.host(url)));
    }
    for index in table.get("index").and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_table) {
        replaces |= index.get("default").and_then(toml::Value::as_bool).unwrap_or(false);
        found.extend(index.get("url").and_then(toml::Value::as_str).map(|url| source.host(url)));
    }
    (found, replaces)
}

/// The indexes that a repository's `requirements.txt` or `pyproject.toml` names.
pub(super) fn of_repository(name: &str, text: &str, place: &str) -> Vec<Entry> {
    let source = Source { word: Word::Repository, ..Source::machine(CLIENT, place) };
    if name.ends_with(".txt") {
        let options = ["--index-url", "-i", "--extra-index-url", "--find-links", "-f"];
        let url = |line: &str| {
            let (option, url) = line.trim().split_once([' ', '='])?;
            options.contains(&option).then(|| url.trim().to_owned()).filter(|url| url.contains("://"))
        };
        return text.lines().filter_map(url).map(|url| source.host(&url)).collect();
    }
    if name == "uv.toml" {
        return uv_toml(text, source.by("uv")).0;
    }
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let tool = |tool: &str, list: &str| {
        let tables = table.get("tool").and_then(|tools| tools.get(tool)?.get(list)?.as_array());
        tables.into_iter().flatten().filter_map(|table| table.get("url")?.as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let urls = [tool("uv", "index"), tool("poetry", "source"), tool("pdm", "source")].concat();
    urls.iter().map(|url| source.host(url)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::shown;
    use super::*;

    #[test]
    fn the_lines_of_pip_config_list_are_read_as_python_writes_them() {
        let list = ":env:.index-url='https://a.test/simple'\nglobal.extra-index-url='\\nhttps://b.test\\nhttps://c.test'\n\nodd\n";
        let setting =
            |key: &str, values: &[&str]| Setting { key: key.into(), values: values.iter().map(|value| (*value).to_owned()).collect() };
        let expected = [
            setting(":env:.index-url", &["https://a.test/simple"]),
            setting("global.extra-index-url", &["https://b.test", "https://c.test"]),
        ];
        assert_eq!(settings(list), expected);
    }

    #[test]
    fn a_key_stands_in_the_last_file_that_has_it() {
        let debug = "env_var:\nenv:\nglobal:\n  /etc/xdg/pip/pip.conf, exists: False\n  /etc/pip.conf, exists: True\n    global.index-url: x\n\
                     user:\n  /h/.config/pip/pip.conf, exists: True\n    global.index-url: y\n    global.index-url-more: z\n";
        for (key, expected) in [
            ("global.index-url", Some("/h/.config/pip/pip.conf")),
            ("global.index-url-more", Some("/h/.config/pip/pip.conf")),
            (":env:.index-url", None),
        ] {
            assert_eq!(written_in(debug, key), expected.map(PathBuf::from), "{key}");
        }
    }

    #[test]
    fn pip_is_asked_for_its_own_default() {
        let help = "  -i, --index-url <url>       Base URL of the Python Package Index (default\n       https://index.test/simple). This\n";
        assert_eq!(default_in(help, "--index-url", "(default "), Some("https://index.test/simple".into()));
        let uv = "--default-index <DEFAULT_INDEX>\n  The default package index (by\n default: <https://index.test/simple>) [env: X]";
        assert_eq!(default_in(uv, "--default-index", "by default: "), Some("https://index.test/simple".into()));
        assert_eq!(default_in("usage", "--index-url", "(default "), None);
        let version = "pip 24.0 from /usr/lib/python 3/pip (python 3.11)\n";
        assert_eq!(package(version), Some("/usr/lib/python 3/pip".into()));
        assert_eq!(package("pip 24.0 from pip (python 3.11)"), None);
        let source = "class X:\n  file_storage_domain = y\nA = I(\"https://i.test/\", file_storage_domain=\"files.test\")\nB = I(\"https://j.test/\", file_storage_domain=\"more.test\")";
        assert_eq!(storage(source), Some("files.test".into()));
    }

    #[test]
    fn an_index_of_uv_may_replace_the_default() {
        let source = Source::machine(CLIENT, "f").by("uv");
        for (text, expected, replaces) in [
            (
                "index-url = \"https://t:s@a.test/simple\"\nextra-index-url = [\"https://b.test\"]",
                &["uv https://a.test f", "uv https://b.test f"][..],
                true,
            ),
            ("[pip]\nindex-url = \"http://a.test\"", &["uv http://a.test f"], true),
            ("[[index]]\nname = \"x\"\nurl = \"https://a.test\"", &["uv https://a.test f"], false),
            ("[[index]]\nurl = \"https://a.test\"\ndefault = true", &["uv https://a.test f"], true),
            ("index-url", &["uv: f is not TOML, and not read"], false),
        ] {
            let (found, replaced) = uv_toml(text, source);
            assert_eq!((shown(&found), replaced), (expected.iter().map(|line| (*line).to_owned()).collect(), replaces), "{text}");
        }
    }

    #[test]
    fn the_indexes_a_repository_names_are_its_own_word() {
        for (name, text, expected) in [
            (
                "requirements.txt",
                "--index-url https://a.test/simple\n-i=https://b.test\n--find-links ./wheels\nx==1 # https://no.test\n",
                &["a.test", "b.test"][..],
            ),
            (
                "pyproject.toml",
                "[[tool.uv.index]]\nurl = \"https://a.test\"\n[[tool.poetry.source]]\nurl = \"https://b.test\"\n",
                &["a.test", "b.test"],
            ),
            ("uv.toml", "index-url = \"https://a.test\"", &["a.test"]),
        ] {
            let found = of_repository(name, text, name);
            let hosts: Vec<_> = found.iter().filter_map(|entry| if let Entry::Host(found) = entry { Some(found) } else { None }).collect();
            assert!(hosts.iter().all(|found| found.word == Word::Repository));
            assert_eq!(hosts.iter().map(|found| found.origin.to.host.to_string()).collect::<Vec<_>>(), expected, "{name}");
        }
    }
}

//! apt: the sources of this machine, in both formats.

use std::path::{Path, PathBuf};

use super::found::{Client, Entry, Source};
use super::machine::{Machine, text};

/// The most files of sources that are read.
const FILES_MAX: usize = 256;

/// What apt is configured with.
pub(super) fn look(machine: &Machine) -> Vec<Entry> {
    let folder = machine.etc.join("apt");
    let mut found = Vec::new();
    for file in files(&folder) {
        let Some(text) = text(&file) else { continue };
        let place = machine.shown(&file);
        let urls = if file.extension().is_some_and(|ending| ending == "sources") { deb822(&text) } else { lines(&text) };
        for uri in urls {
            found.push(entry(&uri, Source::machine(Client::Apt, &place)));
        }
    }
    if found.is_empty() {
        found.push(Entry::Said(format!("apt: no sources in {}", folder.display())));
    }
    found
}

fn entry(uri: &str, source: Source<'_>) -> Entry {
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    match scheme {
        "http" | "https" => source.host(uri),
        "mirror" | "mirror+file" | "mirror+http" | "mirror+https" => {
            Entry::Said(format!("apt: a list of mirrors is not read, from {}: name its hosts yourself", source.place))
        }
        _ => Entry::Said(format!("apt: a source that is no http or https URL is left out, from {}", source.place)),
    }
}

/// `sources.list`, and what apt reads beside it, in the order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let parts = std::fs::read_dir(folder.join("sources.list.d")).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut parts: Vec<PathBuf> =
        parts.filter(|path| path.extension().is_some_and(|ending| ending == "list" || ending == "sources")).take(FILES_MAX).collect();
    parts.sort();
    parts.insert(0, folder.join("sources.list"));
    parts
}

/// One-line style, sources.list(5): `deb [options] URI suite component…`.
fn lines(text: &str) -> Vec<String> {
    let uri = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let rest =
            ["deb-src", "deb"].into_iter().find_map(|kind| line.strip_prefix(kind)).filter(|rest| rest.starts_with([' ', '\t']))?.trim();
        let rest = rest.strip_prefix('[').map_or(rest, |options| options.split_once(']').map_or("", |(_, rest)| rest));
        rest.split_whitespace().next().map(str::to_owned)
    };
    text.lines().filter_map(uri).collect()
}

/// Deb822 style, sources.list(5): stanzas of fields, `URIs` among them; a value goes on in lines that begin with a space.
fn deb822(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let (mut uris, mut within, mut enabled) = (Vec::new(), false, true);
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            let value = if line.starts_with([' ', '\t']) {
                line
            } else {
                let (field, value) = line.split_once(':').unwrap_or_default();
                within = field.eq_ignore_ascii_case("URIs");
                if field.eq_ignore_ascii_case("Enabled") {
                    enabled = !["no", "false", "0", "off", "without", "disable"].contains(&value.trim().to_ascii_lowercase().as_str());
                }
                value
            };
            if within {
                uris.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        if enabled {
            found.extend(uris);
        }
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use super::super::testing::shown;
    use super::*;

    #[test]
    fn sources_of_both_formats_are_read() {
        let etc = tempfile::tempdir().unwrap();
        let parts = etc.path().join("apt/sources.list.d");
        fs::create_dir_all(&parts).unwrap();
        for (path, text) in [
            (
                "sources.list",
                "# deb http://no.test/ x main\ndeb http://a.test/debian stable main # more\n\
                 deb-src [ signed-by=/k arch=amd64 ] https://user:s3cret@b.test:8443/debian stable main\ndebris http://no.test x\ndeb cdrom:[x] x\n",
            ),
            (
                "sources.list.d/c.sources",
                "Types: deb\nURIs: http://c.test/debian\n  https://d.test/debian\nSuites: x\n\nTypes: deb\nEnabled: no\nURIs: http://no.test\n\n\
                 # URIs: http://no.test\nuris: mirror+file:/etc/mirrors\nSuites: http://no.test\n",
            ),
            ("sources.list.d/e.list.disabled", "deb http://no.test/ x main\n"),
            ("sources.list.d/f.list", "deb\thttp://f.test\tx main"),
        ] {
            fs::write(etc.path().join("apt").join(path), text).unwrap();
        }
        let at = |path: &str| format!("{}/apt/{path}", etc.path().display());
        let machine = Machine { etc: etc.path().to_owned(), ..Machine::new([], Path::new("/nowhere")) };
        let (list, sources, part) = (at("sources.list"), at("sources.list.d/c.sources"), at("sources.list.d/f.list"));
        let expected = [
            format!("apt http://a.test {list}"),
            format!("apt https://b.test:8443 {list}"),
            format!("apt: a source that is no http or https URL is left out, from {list}"),
            format!("apt http://c.test {sources}"),
            format!("apt https://d.test {sources}"),
            format!("apt: a list of mirrors is not read, from {sources}: name its hosts yourself"),
            format!("apt http://f.test {part}"),
        ];
        assert_eq!(shown(&look(&machine)), expected);
    }

    #[test]
    fn a_machine_without_sources_says_so() {
        let machine = Machine { etc: "/nowhere".into(), ..Machine::new([], Path::new("/nowhere")) };
        assert_eq!(shown(&look(&machine)), ["apt: no sources in /nowhere/apt"]);
    }
}

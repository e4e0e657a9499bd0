//! go: its module proxies and its checksum database, as `go env` has them.

use std::path::Path;

use super::ask::ask;
use super::found::{Client, Entry, Origin, Source};
use super::machine::{Machine, text};

const CLIENT: Client = Client::Go;

/// What go is configured with.
pub(super) async fn look(machine: &Machine) -> Vec<Entry> {
    let Some(program) = machine.program("go") else { return vec![Entry::Said("go: not on PATH".to_owned())] };
    // Any other value may have it fetch another version of itself.
    let answer = ask(machine, &program, &["env", "GOPROXY", "GOSUMDB", "GOENV"], &[("GOTOOLCHAIN", "local")]).await;
    let Some(answer) = answer.filter(|answer| answer.well) else {
        return vec![Entry::Said(machine.silent("go"))];
    };
    let mut lines = answer.out.lines().map(str::trim);
    let [proxies, database, file] = [lines.next(), lines.next(), lines.next()].map(Option::unwrap_or_default);
    let written = text(Path::new(file)).unwrap_or_default();
    let place = |key: &str| {
        if machine.variable(key).is_some() {
            format!("go env, {key}")
        } else if written.lines().any(|line| line.trim().strip_prefix(key).is_some_and(|rest| rest.starts_with('='))) {
            format!("go env, {}", machine.shown(Path::new(file)))
        } else {
            "go's own default".to_owned()
        }
    };
    let mut found = of_proxies(proxies, &place("GOPROXY"));
    found.extend(of_database(database, &place("GOSUMDB")));
    found
}

/// GOPROXY: URLs with `,` or `|` between them, and `direct` and `off`.
fn of_proxies(proxies: &str, place: &str) -> Vec<Entry> {
    let entry = |proxy: &str| match proxy {
        "direct" => Entry::Said(format!(
            "go: direct, from {place}: modules that no proxy has are fetched from hosts of their own, which are not listed"
        )),
        "off" => Entry::Said(format!("go: off, from {place}: it downloads no modules")),
        url => Source::machine(CLIENT, place).host(url),
    };
    proxies.split([',', '|']).map(str::trim).filter(|proxy| !proxy.is_empty()).map(entry).collect()
}

/// GOSUMDB: `off`, or a name that is a host unless a URL follows; a `+` begins the key.
fn of_database(database: &str, place: &str) -> Option<Entry> {
    let (name, url) = database.split_once(' ').map_or((database, None), |(name, url)| (name, Some(url.trim())));
    let source = Source::machine(CLIENT, place);
    if name.is_empty() || name == "off" {
        return Some(Entry::Said(format!("go: no checksum database, from {place}")));
    }
    if let Some(url) = url {
        return Some(source.host(url));
    }
    let host = name.split('+').next().unwrap_or_default();
    Origin::at("https", 443, host).ok().map(|origin| source.origin(origin))
}

#[cfg(test)]
mod tests {
    use super::super::testing::shown;
    use super::*;

    #[test]
    fn proxies_and_words_among_them_are_told_apart() {
        for (proxies, expected) in [
            (
                "https://a.test,direct",
                &[
                    "go https://a.test f",
                    "go: direct, from f: modules that no proxy has are fetched from hosts of their own, which are not listed",
                ][..],
            ),
            (
                "https://u:s3cret@a.test/x|http://b.test:8081,off",
                &["go https://a.test f", "go http://b.test:8081 f", "go: off, from f: it downloads no modules"],
            ),
            ("file:///x", &["go: something that is no http or https URL is left out, from f"]),
            ("", &[]),
        ] {
            assert_eq!(shown(&of_proxies(proxies, "f")), expected, "{proxies}");
        }
    }

    #[test]
    fn the_checksum_database_is_a_name_or_a_url_behind_it() {
        for (database, expected) in [
            ("sum.test", "go https://sum.test f"),
            ("sum.test+033de0ae+Ac4z", "go https://sum.test f"),
            ("sum.test+033de0ae+Ac4z https://proxy.test:8443/sumdb", "go https://proxy.test:8443 f"),
            ("off", "go: no checksum database, from f"),
            ("", "go: no checksum database, from f"),
        ] {
            let found: Vec<Entry> = of_database(database, "f").into_iter().collect();
            assert_eq!(shown(&found), [expected], "{database}");
        }
    }
}

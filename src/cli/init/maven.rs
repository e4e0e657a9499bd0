//! Maven: the repositories it would go to, mirrors counted, and those its settings name. The settings are read lightly, and what was not understood is said.

use super::ask::{Scratch, ask};
use super::found::{Client, Entry, Source, Word};
use super::machine::{Machine, text};

const CLIENT: Client = Client::Maven;

/// What Maven is configured with.
pub(super) async fn look(machine: &Machine) -> Vec<Entry> {
    let mut found = match machine.program("mvn") {
        None => vec![Entry::Said("maven: not on PATH".to_owned())],
        Some(program) => asked(machine, &program).await,
    };
    if let Some(file) = machine.at_home(".m2/settings.xml")
        && let Some(text) = text(&file)
    {
        let place = machine.shown(&file);
        found.extend(of_settings(&text, Source::machine(CLIENT, &place)));
    }
    if let Some(folder) = machine.at_home(".gradle")
        && ["init.gradle", "init.gradle.kts", "init.d"].iter().any(|name| folder.join(name).exists())
    {
        found.push(Entry::Said(format!("gradle: its init scripts in {} are programs, and not read", machine.shown(&folder))));
    }
    found
}

/// A goal that no plug-in has, without network and with an empty store: Maven says where it would have looked.
async fn asked(machine: &Machine, program: &std::path::Path) -> Vec<Entry> {
    let silent = || vec![Entry::Said(machine.silent("maven"))];
    let Ok(scratch) = Scratch::new() else { return silent() };
    let store = format!("-Dmaven.repo.local={}", scratch.path().display());
    let Some(answer) = ask(machine, program, &["--offline", "--batch-mode", &store, "exeat:init"], &[]).await else { return silent() };
    let found = of_answer(&(answer.out + &answer.err));
    if found.is_empty() { silent() } else { found }
}

/// `… available from the repositories [local (/store), central (https://…)]`.
fn of_answer(said: &str) -> Vec<Entry> {
    let Some((_, rest)) = said.split_once("available from the repositories [") else { return Vec::new() };
    let listed = rest.split("] ->").next().unwrap_or_default();
    let source = Source::machine(CLIENT, "maven's answer: its repositories with mirrors counted");
    let urls = listed.split(", ").filter_map(|entry| entry.split_once(" (")).filter(|(id, _)| *id != "local");
    urls.map(|(_, url)| source.host(url.trim_end_matches([')', ']']))).collect()
}

/// The URLs of mirrors and repositories. No XML reader: elements without attributes, as Maven writes and documents them.
fn of_settings(text: &str, source: Source<'_>) -> Vec<Entry> {
    let text = without_comments(text);
    let mut found = Vec::new();
    for kind in ["mirror", "repository", "pluginRepository"] {
        for element in elements(&text, kind) {
            let blocked = elements(element, "blocked").first().is_some_and(|value| value.trim() == "true");
            match elements(element, "url").first().map(|url| url.trim()) {
                _ if blocked => {}
                Some(url) if url.contains("${") => {
                    found.push(Entry::Said(format!("maven: a {kind} whose URL has a property was not understood, from {}", source.place)));
                }
                Some(url) => found.push(source.host(&url.replace("&amp;", "&"))),
                None => found.push(Entry::Said(format!("maven: a {kind} without a URL was not understood, from {}", source.place))),
            }
        }
    }
    found
}

/// The repositories that a repository's `pom.xml` names.
pub(super) fn of_repository(text: &str, place: &str) -> Vec<Entry> {
    of_settings(text, Source { word: Word::Repository, ..Source::machine(CLIENT, place) })
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("<!--");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once("-->").map_or("", |(_comment, rest)| rest))
}

/// What stands between `<name>` and `</name>`, each time.
fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (opening, closing) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&opening).skip(1).filter_map(|rest| rest.split_once(&closing)).map(|(inside, _)| inside).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::shown;
    use super::*;

    #[test]
    fn maven_says_where_it_would_have_looked() {
        let said = "[ERROR] No plugin found for prefix 'exeat' in the current project and in the plugin groups [a, b] available from the repositories \
                    [local (/tmp/r), corp (https://u:s3cret@m.test/all), central (https://c.test/maven2)] -> [Help 1]\n[ERROR] http://no.test";
        let place = "maven's answer: its repositories with mirrors counted";
        assert_eq!(shown(&of_answer(said)), [format!("maven https://m.test {place}"), format!("maven https://c.test {place}")]);
        assert_eq!(of_answer("[ERROR] another error (http://no.test)"), []);
    }

    #[test]
    fn settings_are_read_lightly_and_what_was_not_understood_is_said() {
        let settings = "<settings><!-- <mirror><url>http://no.test</url></mirror> --><mirrors>\n<mirror><id>a</id><url> https://u:s3cret@a.test/x </url></mirror>\n\
            <mirror><url>http://0.0.0.0/</url><blocked>true</blocked></mirror></mirrors>\n<profiles><profile><repositories><repository><url>http://b.test:8081/r</url></repository>\n\
            <repository><url>${corp.url}</url></repository></repositories><pluginRepositories><pluginRepository><id>x</id></pluginRepository></pluginRepositories></profile></profiles>";
        let expected = [
            "maven https://a.test f",
            "maven http://b.test:8081 f",
            "maven: a repository whose URL has a property was not understood, from f",
            "maven: a pluginRepository without a URL was not understood, from f",
        ];
        assert_eq!(shown(&of_settings(settings, Source::machine(CLIENT, "f"))), expected);
    }
}

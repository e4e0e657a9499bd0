//! The list of the corpus: each row tested or still to come, never both, never neither; and the page in `docs/` that shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const IDEAS: &str = include_str!("ideas.tsv");
const ROWS: &str = include_str!("rows.tsv");
const TO_COME: &str = include_str!("to-come.tsv");

/// A line of `rows.tsv`.
struct Tested {
    row: &'static str,
    ways: &'static str,
    result: &'static str,
    /// `path::function`.
    test: &'static str,
    /// What of the row waits for a part of exeat that is not there.
    rest: &'static str,
}

fn cells(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

fn tested() -> Vec<Tested> {
    let lines = cells(ROWS).map(|cells| match cells[..] {
        [row, ways, result, test] => Tested { row, ways, result, test, rest: "" },
        [row, ways, result, test, rest] => Tested { row, ways, result, test, rest },
        _ => panic!("rows.tsv: wanted row, ways, result, test and perhaps a rest, found {cells:?}"),
    });
    lines.collect()
}

fn pairs(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let lines = cells(text).map(|cells| match cells[..] {
        [row, words] => (row, words),
        _ => panic!("wanted a row and words, found {cells:?}"),
    });
    lines.collect()
}

/// The row and way of every try that `rows.tsv` says a test makes.
pub(super) fn cells_of(test: &str) -> BTreeSet<(String, String)> {
    let lines = tested().into_iter().filter(|line| line.test == test);
    lines.flat_map(|line| line.ways.split(", ").map(move |way| (line.row.to_owned(), way.to_owned()))).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_row_is_tested_or_to_come_and_never_both() {
    let ideas: Vec<&str> = pairs(IDEAS).into_iter().map(|(row, _)| row).collect();
    assert!(ideas.is_sorted() && ideas.iter().collect::<BTreeSet<_>>().len() == ideas.len(), "ideas.tsv is not in order");
    let here: BTreeSet<&str> = tested().iter().map(|line| line.row).collect();
    let to_come: BTreeSet<&str> = pairs(TO_COME).into_iter().map(|(row, _)| row).collect();
    let both: Vec<_> = here.intersection(&to_come).collect();
    assert!(both.is_empty(), "tested and to come: {both:?}");
    let listed: BTreeSet<&str> = here.union(&to_come).copied().collect();
    let all: BTreeSet<&str> = ideas.into_iter().collect();
    let (neither, unknown): (Vec<_>, Vec<_>) = (all.difference(&listed).collect(), listed.difference(&all).collect());
    assert!(neither.is_empty() && unknown.is_empty(), "neither tested nor to come: {neither:?}; not in the corpus: {unknown:?}");
}

#[test]
fn every_test_that_the_list_names_is_there() {
    for line in tested() {
        let (path, name) = line.test.rsplit_once("::").unwrap_or_else(|| panic!("{}: {:?} is no path::function", line.row, line.test));
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {path}: {error}", line.row));
        assert!(
            text.contains(&format!("#[test]\nfn {name}()")) || text.contains(&format!("#[test]\n    fn {name}()")),
            "no {name} in {path}"
        );
    }
}

fn page() -> String {
    let mut tests: BTreeMap<&str, Vec<Tested>> = BTreeMap::new();
    for line in tested() {
        tests.entry(line.row).or_default().push(line);
    }
    let mut page = include_str!("page.md").to_owned();
    let (here, to_come) = (tests.len(), pairs(TO_COME));
    let waits: BTreeMap<&str, &str> = to_come.iter().copied().collect();
    writeln!(page, "\n{} rows: {here} tested, {} to come, none red.\n", pairs(IDEAS).len(), to_come.len()).unwrap();
    page.push_str("| row | idea | ways in | result | test |\n| --- | --- | --- | --- | --- |\n");
    for (row, idea) in pairs(IDEAS) {
        if let Some(waits) = waits.get(row) {
            writeln!(page, "| {row} | {idea} | | *to come: {waits}* | |").unwrap();
        }
        for Tested { row: _, ways, result, test, rest } in tests.get(row).into_iter().flatten() {
            let rest = if rest.is_empty() { String::new() } else { format!("; *to come: {rest}*") };
            let (path, name) = test.rsplit_once("::").unwrap();
            let file = path.trim_start_matches("tests/it/");
            writeln!(page, "| {row} | {idea} | {ways} | {result}{rest} | [`{name}`](../{path} \"{file}\") |").unwrap();
        }
    }
    page
}

/// `EXEAT_TEST_WRITE=docs` writes the page instead of comparing it.
#[test]
fn the_page_of_the_corpus_shows_this_list() {
    let path = root().join("docs/corpus.md");
    if std::env::var("EXEAT_TEST_WRITE").as_deref() == Ok("docs") {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    assert!(there == page(), "docs/corpus.md is not what rows.tsv says; EXEAT_TEST_WRITE=docs writes it");
}

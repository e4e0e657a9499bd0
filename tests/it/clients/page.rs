//! `docs/clients.md`: what each client shows. `EXEAT_TEST_WRITE=docs` writes what a run has seen in place of comparing it.
//!
//! A client of another version than the page's is tried as well, but its words are not compared.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use regex::Regex;

use super::callers::{CALLERS, Caller};
use super::matrix::{Outcome, Way};
use super::world::World;

/// What a client did.
pub(super) struct Cell {
    pub(super) name: &'static str,
    version: String,
    /// None: a signal ended it.
    pub(super) exit: Option<i32>,
    /// All it printed.
    pub(super) text: String,
    /// The last lines of it, with everything that differs from run to run named.
    shown: String,
}

impl Cell {
    pub(super) fn new(caller: &Caller, version: String, output: &Output, host: &str, world: &World) -> Self {
        let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let text = Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(&both.join("\n"), "").into_owned();
        // What Java says of its own variable is the same in every cell.
        let said = |line: &&str| !line.is_empty() && !line.starts_with("Picked up JAVA_TOOL_OPTIONS");
        let mut lines: Vec<&str> = text.lines().map(str::trim).filter(said).collect();
        match lines.iter().find(|line| line.contains(caller.success)) {
            Some(success) => lines = vec![success],
            None => {
                lines.retain(|line| line.contains(caller.lines.1));
                drop(lines.drain(..lines.len().saturating_sub(caller.lines.0)));
            }
        }
        let shown = settled(&lines.join(" ⏎ "), host, world);
        Self { name: caller.name, version, exit: output.status.code(), text, shown }
    }

    fn row(&self) -> String {
        let exit = self.exit.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let shown = self.shown.replace('`', "'").replace('|', "\\|");
        format!("| {} | {} | {exit} | `{shown}` |", self.name, self.version)
    }
}

/// The text with hosts, ports, folders, times and identities named.
fn settled(text: &str, host: &str, world: &World) -> String {
    let mut text = text.replace(host, "HOST").replace(&world.site.path().display().to_string(), "FOLDER");
    for port in [world.secure.port(), world.web.port(), world.plain.port()] {
        text = text.replace(&port.to_string(), "PORT");
    }
    for (pattern, name) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T_ ][0-9:_]{5,}([.,][0-9]+)?(Z|\+00:00)?", "TIME"),
        (r"\b0x[0-9a-f]{6,}", "0xADDRESS"),
        (r"\b[0-9]+(\.[0-9]+)? ?(ms|s|kB/s|B/s|MB/s)\b", "TIME"),
        (r"127\.0\.0\.1[: ][0-9]+", "PROXY"),
        (r"content-length: [0-9]+", "content-length: N"),
        (r"(home|clone|wheels|package|crate|go|apt|java|maven)-[0-9]+", "$1"),
        (r"/[^ ]*/(site-packages|toolchains|node_modules)/", "…/"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
    }
    text.chars().take(600).collect()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md")
}

fn heading(way: Way, outcome: Outcome) -> &'static str {
    match (outcome, way) {
        (Outcome::Allowed, Way::Tunnel) => "## Allowed, as a tunnel",
        (Outcome::Allowed, Way::Inspected) => "## Allowed, inspected",
        (Outcome::Blocked, Way::Tunnel) => "## Blocked, as a tunnel",
        (Outcome::Blocked, Way::Inspected) => "## Blocked, inspected",
        (Outcome::Held, Way::Tunnel) => "## Held and then allowed, as a tunnel",
        (Outcome::Held, Way::Inspected) => "## Held and then allowed, inspected",
    }
}

const COLUMNS: &str = "| client | version | exit | the last it prints |\n| --- | --- | --- | --- |\n";

/// Where the rows of a table are on the page.
fn rows(page: &str, heading: &str) -> (usize, usize) {
    let title = page.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading:?} in docs/clients.md"));
    let begin = title + page[title..].find(COLUMNS).unwrap_or_else(|| panic!("no table under {heading:?}")) + COLUMNS.len();
    let table: usize = page[begin..].split_inclusive('\n').take_while(|line| line.starts_with('|')).map(str::len).sum();
    (begin, begin + table)
}

/// Compares a table of the page with what was seen, or writes it.
pub(super) fn compare(way: Way, outcome: Outcome, cells: &[Cell]) {
    let mut page = std::fs::read_to_string(path()).unwrap();
    let (begin, end) = rows(&page, heading(way, outcome));
    if std::env::var("EXEAT_TEST_WRITE").as_deref() == Ok("docs") {
        let mut table = String::new();
        for caller in CALLERS {
            match cells.iter().find(|cell| cell.name == caller.name) {
                Some(cell) => writeln!(table, "{}", cell.row()).unwrap(),
                None => writeln!(table, "| {} | not tried | | |", caller.name).unwrap(),
            }
        }
        page.replace_range(begin..end, &table);
        return std::fs::write(path(), page).unwrap();
    }
    let written: Vec<&str> = page[begin..end].lines().collect();
    for cell in cells {
        let row = written.iter().find(|row| row.starts_with(&format!("| {} | ", cell.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/clients.md; EXEAT_TEST_WRITE=docs writes it", cell.name));
        if row.split(" | ").nth(1) != Some(cell.version.as_str()) {
            eprintln!("NOTICE: {} is {}, and the page is about another version: {row}", cell.name, cell.version);
            continue;
        }
        assert_eq!(*row, cell.row(), "docs/clients.md is not what {} shows; EXEAT_TEST_WRITE=docs writes it", cell.name);
    }
}

//! Findings in one line each, for tests.

use super::found::{Entry, Word};

pub(super) fn shown(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| match entry {
        Entry::Host(found) => {
            let whose = match found.word {
                Word::Machine => "",
                Word::Repository => " (repository)",
            };
            format!("{} {} {}{whose}", found.by, found.origin.shown(), found.place)
        }
        Entry::Fits { preset, what, otherwise } => {
            let otherwise = otherwise.as_ref().map(|found| format!(", else {}", found.origin.shown())).unwrap_or_default();
            format!("{what} fits {preset}{otherwise}")
        }
        Entry::Said(said) => said.clone(),
    };
    entries.iter().map(line).collect()
}

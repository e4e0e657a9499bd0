//! `include`: files that hold only rules, include and expect, read into the allowlist that names them.
//!
//! A file counts once, however many ways lead to it. One that includes itself, over others or not, is a fault that names the way round.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::read::{self, Body};
use super::{Expectation, Reading};
use crate::policy::document::Document;
use crate::policy::fault::{Fault, Warning};
use crate::policy::rule::Rule;
use crate::policy::rule::read::Source;

/// The most files one allowlist may include.
const FILES_MAX: usize = 64;

/// Where included texts come from.
pub trait Library: std::fmt::Debug {
    /// The text that goes by the name.
    fn text(&self, name: &IncludeName) -> Result<IncludedText, Unfound>;
}

/// A library with nothing in it.
#[derive(Clone, Copy, Debug)]
pub struct NoLibrary;

/// What `include` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IncludeName {
    /// `preset:NAME`: ships with exeat.
    Preset(Arc<str>),
    /// `NAME`: `NAME.toml` beside the file that names it.
    Sibling(Arc<str>),
}

/// A text and the name of its file in messages.
#[derive(Clone, Debug)]
pub struct IncludedText {
    /// The file.
    pub file: Arc<str>,
    /// What stands in it.
    pub text: Arc<str>,
}

/// Why there is no text: what was found, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfound {
    /// What was found in place of a file.
    pub found: String,
    /// What to do.
    pub fix: String,
}

/// One entry of `include`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Include {
    pub(super) name: IncludeName,
    pub(super) file: Arc<str>,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Library for NoLibrary {
    fn text(&self, _name: &IncludeName) -> Result<IncludedText, Unfound> {
        Err(Unfound { found: "nothing that can be included".into(), fix: "remove it".into() })
    }
}

impl IncludeName {
    /// Reads `preset:NAME` or `NAME`. The error is the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain =
            |name: &str| (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if text.contains("exeat_") {
            // It would be shown as the name of a file.
            return Err("name a file; if a token stood here, revoke it".to_owned());
        }
        match (text.strip_prefix("preset:"), text.strip_suffix(".toml")) {
            (Some(name), _) if plain(name) => Ok(Self::Preset(name.into())),
            (Some(_), _) => Err("write preset: and a name that `exeat preset list` shows".to_owned()),
            (None, Some(name)) if plain(name) => Err(format!("leave .toml out: write \"{name}\"")),
            (None, _) if plain(text) => Ok(Self::Sibling(text.into())),
            (None, _) => Err("name a file of the same folder, of letters, digits, - and _ and without .toml, or preset:NAME".to_owned()),
        }
    }
}

impl std::fmt::Display for IncludeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IncludeName::Preset(name) => write!(f, "preset:{name}"),
            IncludeName::Sibling(name) => f.write_str(name),
        }
    }
}

/// All that was included, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Included {
    pub(super) rules: Vec<Rule>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) files: Vec<Arc<str>>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
    seen: BTreeSet<IncludeName>,
}

impl Included {
    /// Reads what the entries name, and what that names.
    pub(super) fn read(entries: Vec<Include>, reading: &Reading<'_>) -> Self {
        let mut included = Self::default();
        included.follow(entries, reading, &mut Vec::new());
        included
    }

    fn follow(&mut self, entries: Vec<Include>, reading: &Reading<'_>, way: &mut Vec<IncludeName>) {
        for entry in entries {
            if let Some(from) = way.iter().position(|name| *name == entry.name) {
                let round: Vec<String> = way[from..].iter().chain([&entry.name]).map(ToString::to_string).collect();
                self.fault(
                    &entry,
                    format!("a cycle of includes: {}", round.join(" includes ")),
                    "files that do not include themselves",
                    "remove this entry",
                );
                continue;
            }
            if !self.seen.insert(entry.name.clone()) {
                continue;
            }
            if self.seen.len() > FILES_MAX {
                self.fault(&entry, format!("more than {FILES_MAX} included files"), "fewer", "merge some of them");
                return;
            }
            let IncludedText { file, text } = match reading.library.text(&entry.name) {
                Ok(text) => text,
                Err(Unfound { found, fix }) => {
                    self.fault(&entry, format!("include \"{}\", {found}", entry.name), "a file that can be included", &fix);
                    continue;
                }
            };
            let document = Document::parse(&file, &text);
            let Body { includes, rules, expectations } = read::included(Source { document: &document, inspects: reading.inspects });
            let (faults, warnings) = document.into_findings();
            self.files.push(file);
            self.rules.extend(rules);
            self.expectations.extend(expectations);
            self.faults.extend(faults);
            self.warnings.extend(warnings);
            way.push(entry.name);
            self.follow(includes, reading, way);
            way.pop();
        }
    }

    fn fault(&mut self, entry: &Include, found: String, wanted: &str, fix: &str) {
        let Include { name: _, file, line, column } = entry;
        self.faults.push(Fault { file: file.clone(), line: *line, column: *column, found, wanted: wanted.into(), fix: fix.into() });
    }
}

//! Presets: include files that are part of the binary, each with what it opens beside what it is for, its sources and its date.

use std::sync::{Arc, LazyLock};

use jiff::civil::Date;
use serde::Serialize;

use super::allowlist::{IncludedText, Unfound};
use super::document::{Document, Item, Table};
use super::fault::{Fault, shown};

/// The most characters of `title`, `risk` and one `source`.
const WORDS_MAX: usize = 500;

macro_rules! texts {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../allowlists/presets/", $name, ".toml")))),*] };
}

/// Every file of `allowlists/presets/`, by name.
const TEXTS: &[(&str, &str)] = texts!(
    "alpine" "bitbucket" "claude-code" "codex" "conda" "copilot" "dart" "docker-hub" "docs-read" "dotnet" "elixir" "exfil-watch"
    "fedora" "gemini" "ghcr" "git-read" "github" "gitlab" "go" "haskell" "huggingface" "java" "k8s" "known-telemetry" "mcr" "ocsp-crl" "php"
    "playwright" "pytorch" "quay" "ruby" "swift" "terraform" "ubuntu"
);

/// Names people look for that no file has.
const NOT_SHIPPED: &[(&[&str], Why)] = &[
    (&["hard-floor", "metadata"], Why::BuiltIn),
    (&["apt", "cargo", "crates", "debian", "node", "npm", "pip", "pypi", "python", "rust"], Why::OfTheClient),
];

static PRESETS: LazyLock<Vec<Preset>> =
    LazyLock::new(|| TEXTS.iter().map(|(name, text)| Preset::read(name, text).expect("shipped presets are tested one by one")).collect());

/// One shipped preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What `include = ["preset:NAME"]` calls it.
    pub name: &'static str,
    /// What it is for, in one line.
    pub title: Arc<str>,
    /// What it opens, or stops, beside what it is for.
    pub risk: Arc<str>,
    /// Where the hosts were taken from.
    pub source: Vec<Arc<str>>,
    /// When they were last compared with it.
    pub checked: Date,
    /// What its rules do.
    pub effect: PresetEffect,
    /// How many hosts and patterns its rules list.
    pub hosts: usize,
    /// The file as it is.
    pub text: &'static str,
}

/// What the rules of a preset do; no preset mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PresetEffect {
    /// They let pass.
    Allow,
    /// They refuse.
    Block,
}

/// The keys that describe a file of rules. Presets have all of them; any file that is included may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub title: Option<Arc<str>>,
    /// What it opens beside that.
    pub risk: Option<Arc<str>>,
    /// Where the hosts were taken from.
    pub source: Vec<Arc<str>>,
    /// When.
    pub checked: Option<Date>,
}

/// A name no preset has, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset {}{}; {}", shown(.name), self.reason().map_or_else(String::new, |why| format!(": {why}")), self.fix())]
pub struct NoPreset {
    name: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    BuiltIn,
    OfTheClient,
    Unknown { near: Option<&'static str> },
}

/// All of them, by name.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset of this name.
pub fn preset(name: &str) -> Result<&'static Preset, NoPreset> {
    let found = presets().binary_search_by_key(&name, |preset| preset.name);
    found.map(|at| &presets()[at]).map_err(|_| {
        let known = NOT_SHIPPED.iter().find(|(names, _)| names.contains(&name));
        NoPreset { name: name.to_owned(), why: known.map_or_else(|| Why::Unknown { near: near(name) }, |(_, why)| *why) }
    })
}

/// The text that `include = ["preset:NAME"]` names.
pub fn included(name: &str) -> Result<IncludedText, Unfound> {
    match preset(name) {
        Ok(preset) => Ok(IncludedText { file: format!("preset:{}", preset.name).into(), text: preset.text.into() }),
        Err(none) => {
            let found = none.reason().map_or_else(|| "which is no preset".to_owned(), |why| format!("which is no preset: {why}"));
            Err(Unfound { found, fix: none.fix() })
        }
    }
}

impl Preset {
    fn read(name: &'static str, text: &'static str) -> Result<Self, Vec<Fault>> {
        let document = Document::parse(name, text);
        let mut root = document.root();
        let described = header(&mut root);
        let (allowed, blocked) = (hosts(&mut root, "allow"), hosts(&mut root, "block"));
        drop(root);
        let missing = |key: &str| vec![Fault::whole(name, format!("no {key}"), format!("{key} = …"), "write it at the top of the file")];
        let Header { title, risk, source, checked } = described;
        if source.is_empty() || (allowed > 0) == (blocked > 0) {
            return Err(missing("source, or rules of one kind,"));
        }
        Ok(Self {
            name,
            title: title.ok_or_else(|| missing("title"))?,
            risk: risk.ok_or_else(|| missing("risk"))?,
            source,
            checked: checked.ok_or_else(|| missing("checked"))?,
            effect: if blocked > 0 { PresetEffect::Block } else { PresetEffect::Allow },
            hosts: allowed + blocked,
            text,
        })
    }
}

/// Takes the keys that describe a file of rules; what is wrong with one is a fault of the document.
pub fn header(root: &mut Table<'_>) -> Header {
    let date = |text: &str| text.parse::<Date>().map_err(|_| r#"write it like "2026-11-22""#);
    Header {
        title: root.take("title").and_then(words),
        risk: root.take("risk").and_then(words),
        source: root
            .take("source")
            .map(|item| item.filled_list("at least one address"))
            .unwrap_or_default()
            .into_iter()
            .filter_map(words)
            .collect(),
        checked: root.take("checked").and_then(|item| item.parse("a date", date)),
    }
}

fn words(item: Item<'_>) -> Option<Arc<str>> {
    item.parse("a line of words", |text| {
        if text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > WORDS_MAX {
            return Err(format!("write 1 to {WORDS_MAX} printable characters on one line"));
        }
        Ok(Arc::from(text))
    })
}

fn hosts(root: &mut Table<'_>, kind: &'static str) -> usize {
    root.tables(kind).filter_map(|mut rule| rule.take("host")).map(|hosts| hosts.list().len()).sum()
}

/// The preset that was probably meant: one letter off, or a part of the other's name.
fn near(name: &str) -> Option<&'static str> {
    let of_one_letter = |known: &&str| strsim::osa_distance(name, known) <= 1 + known.len() / 6;
    let of_a_part =
        |known: &&str| name.len() > 2 && (known.contains(name) || known.split('-').any(|part| part.len() > 2 && name.contains(part)));
    let names = || TEXTS.iter().map(|(known, _)| *known);
    names().filter(of_one_letter).min_by_key(|known| strsim::osa_distance(name, known)).or_else(|| names().find(of_a_part))
}

impl NoPreset {
    /// Why there is none, where there is more to say.
    pub fn reason(&self) -> Option<&'static str> {
        match self.why {
            Why::BuiltIn => Some("what is never dialled is built in and bound to every agent"),
            Why::OfTheClient => Some("which registry is used is a matter of the client's own configuration"),
            Why::Unknown { near: _ } => None,
        }
    }

    /// What to do.
    pub fn fix(&self) -> String {
        match self.why {
            Why::BuiltIn => "nothing has to be included".to_owned(),
            Why::OfTheClient => "list the hosts your client is configured with in an [[allow]] rule".to_owned(),
            Why::Unknown { near: Some(near) } => format!("did you mean preset:{near}?"),
            Why::Unknown { near: None } => "see `exeat preset list`".to_owned(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

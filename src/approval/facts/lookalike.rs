//! Names that can be taken for a known one: of the same skeleton (Unicode Technical Standard 39, section 4), or one letter, swap or hyphen away.
//!
//! Whole names are compared in Unicode form, and what somebody registered with what somebody registered. Names of one owner deceive nobody: where the
//! registered part is the same, nothing is marked.

use std::collections::HashMap;
use std::sync::Arc;

use unicode_security::confusable_detection::skeleton;

use crate::policy::host::{Host, Name};
use crate::policy::pattern::HostPattern;
use crate::policy::suffix;

/// Names that are compared; what a longer allowlist lists behind them is not.
const MOST: usize = 100_000;

/// Shorter names are one letter apart by chance.
const SHORTEST: usize = 5;

/// Names that are known, filed so that one is compared with the few that could be near it.
#[derive(Clone, Debug, Default)]
pub(in crate::approval) struct Names {
    names: Vec<Known>,
    at: HashMap<Arc<str>, usize>,
    skeletons: HashMap<Box<str>, Vec<usize>>,
    by_length: HashMap<usize, Vec<usize>>,
}

#[derive(Clone, Debug)]
struct Known {
    /// In A-labels.
    name: Arc<str>,
    /// In Unicode, where that differs.
    unicode: Option<Box<str>>,
    /// Only what somebody registered is compared with it.
    registered: bool,
}

impl Known {
    fn unicode(&self) -> &str {
        self.unicode.as_deref().unwrap_or(&self.name)
    }
}

impl Names {
    /// The names that patterns name, and what was registered of those with wildcards.
    pub(super) fn of<'a>(patterns: impl Iterator<Item = &'a HostPattern>) -> Self {
        let mut names = Self::default();
        for pattern in patterns {
            match pattern.exact() {
                Some(Host::Name(name)) => names.insert(name),
                Some(Host::Address(_)) => {}
                None => {
                    let text = pattern.to_string();
                    if let Ok(Host::Name(under)) = Host::parse(text.trim_start_matches("*").trim_start_matches('.')) {
                        names.insert_registered(&under);
                    }
                }
            }
        }
        names
    }

    /// Adds a name, unless there are too many.
    pub(super) fn insert(&mut self, name: &Name) {
        self.add(name.as_str(), false);
        self.insert_registered(name);
    }

    /// Whether it is one of them.
    pub(super) fn knows(&self, name: &Name) -> bool {
        self.at.contains_key(name.as_str())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    fn insert_registered(&mut self, name: &Name) {
        if let Some(part) = suffix::registrable(name) {
            self.add(part, true);
        }
    }

    fn add(&mut self, name: &str, registered: bool) {
        let registered = registered || psl::domain_str(name) == Some(name);
        if name.len() < SHORTEST || self.names.len() >= MOST || self.at.contains_key(name) {
            return;
        }
        let (text, number) = (unicode(name), self.names.len());
        let name: Arc<str> = name.into();
        self.skeletons.entry(folded(&text)).or_default().push(number);
        self.by_length.entry(text.chars().count()).or_default().push(number);
        self.at.insert(Arc::clone(&name), number);
        self.names.push(Known { unicode: (*text != *name).then(|| text.into()), name, registered });
    }

    /// The known name that this one could be taken for. A name that is known itself is taken for none.
    pub(super) fn like(&self, name: &Name) -> Option<Arc<str>> {
        if self.knows(name) {
            return None;
        }
        let part = suffix::registrable(name).filter(|part| *part != name.as_str());
        self.near(name.as_str(), false).or_else(|| part.filter(|part| !self.at.contains_key(*part)).and_then(|part| self.near(part, true)))
    }

    fn near(&self, name: &str, registered: bool) -> Option<Arc<str>> {
        let owner = psl::domain_str(name);
        let text = unicode(name);
        let deceives = |known: &&Known| (known.registered || !registered) && psl::domain_str(&known.name) != owner;
        let known = |numbers: Option<&Vec<usize>>| {
            numbers.into_iter().flatten().map(|number| &self.names[*number]).filter(deceives).map(|known| known.name.clone()).min()
        };
        if let Some(same) = known(self.skeletons.get(&folded(&text))) {
            return Some(same);
        }
        if !long_enough(name) {
            return None;
        }
        let length = text.chars().count();
        let lengths = (length.saturating_sub(1)..=length + 1).filter_map(|length| self.by_length.get(&length)).flatten();
        let close = |known: &&Known| long_enough(&known.name) && one_apart(&text, known.unicode());
        lengths.map(|number| &self.names[*number]).filter(close).filter(deceives).map(|known| known.name.clone()).min()
    }
}

/// Whether what stands in front of the public suffix has a length at which one letter is no accident.
fn long_enough(name: &str) -> bool {
    let suffix = psl::suffix_str(name).map_or(0, |suffix| suffix.len() + 1);
    name.len() >= SHORTEST + suffix
}

fn unicode(name: &str) -> String {
    if !name.contains("xn--") {
        return name.to_owned();
    }
    let (text, valid) = idna::domain_to_unicode(name);
    if valid.is_ok() { text } else { name.to_owned() }
}

/// What is left of a name once look-alike letters are one letter, and hyphens none.
fn folded(text: &str) -> Box<str> {
    if text.is_ascii() {
        // What the skeleton does to the letters of a name, and what is done to it below.
        return text.replace('-', "").replace('m', "rn").replace('0', "o").replace('1', "l").replace("vv", "w").into();
    }
    let folded: String =
        skeleton(text).flat_map(char::to_lowercase).filter(|char| !matches!(char, '-' | '\u{2010}'..='\u{2015}')).collect();
    folded.replace("vv", "w").into()
}

/// Whether one letter more, fewer, changed or swapped makes the one the other.
fn one_apart(one: &str, other: &str) -> bool {
    let front = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let back = one.bytes().rev().zip(other.bytes().rev()).take_while(|(one, other)| one == other).count();
    // Of two letters at most, of four bytes at most, and what they may share with their neighbours.
    let near = front + back + 8 >= one.len().max(other.len());
    near && strsim::osa_distance(one, other) == 1
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::pattern::Use;

    fn name(text: &str) -> Name {
        match Host::parse(text).unwrap() {
            Host::Name(name) => name,
            Host::Address(address) => panic!("{address}"),
        }
    }

    fn known(patterns: &[&str]) -> Names {
        let patterns: Vec<_> = patterns.iter().map(|text| HostPattern::parse(text, Use::Grant, true).unwrap().pattern).collect();
        Names::of(patterns.iter())
    }

    #[test]
    fn a_name_is_marked_that_a_person_would_take_for_a_known_one() {
        let names = known(&["github.com", "api.openai.com", "paypal.com", "modern.test", "*.mirror.example", "t.co", "eu1.cloud.test"]);
        let rows = [
            ("githud.com", Some("github.com")),
            ("gihtub.com", Some("github.com")),
            ("git-hub.com", Some("github.com")),
            ("g1thub.com", Some("github.com")),
            ("github.co", Some("github.com")),
            ("api.0penai.com", Some("api.openai.com")),
            ("api-openai.com", Some("api.openai.com")),
            ("rnodern.test", Some("modern.test")),
            ("paypa1.com", Some("paypal.com")),
            ("pаypal.com", Some("paypal.com")),
            ("раураӏ.com", Some("paypal.com")),
            ("xn--pypal-4ve.com", Some("paypal.com")),
            ("pαypal.com", Some("paypal.com")),
            ("login.githud.com", Some("github.com")),
            ("cdn.mirr0r.example", Some("mirror.example")),
            ("github.com", None),
            ("gist.github.com", None),
            ("eu2.cloud.test", None),
            ("v.co", None),
            ("gitlab.com", None),
            ("curl.example", None),
        ];
        for (host, like) in rows {
            assert_eq!(names.like(&name(host)).as_deref(), like, "{host}");
        }
    }

    #[test]
    fn plain_letters_fold_as_their_skeleton_does() {
        let letters: String = ('a'..='z').chain('0'..='9').chain(['.']).collect();
        for text in [&letters, "modern.test", "github0-1.example", "vvow.test"] {
            let whole: String = skeleton(text).flat_map(char::to_lowercase).filter(|char| *char != '-').collect();
            assert_eq!(*folded(text), whole.replace("vv", "w"), "{text}");
        }
    }

    #[test]
    fn names_are_bounded_and_one_is_found_among_all_of_them() {
        let mut names = Names::default();
        for number in 0..=MOST / 2 {
            names.insert(&name(&format!("host-{number:06}.of-{}.test", number * 7919)));
        }
        assert_eq!(names.len(), MOST);
        assert_eq!(names.like(&name("host-00x007.of-5543e.testt")), None);
        assert_eq!(names.like(&name("host-000007.of-5543e.test")).as_deref(), Some("host-000007.of-55433.test"));
    }
}

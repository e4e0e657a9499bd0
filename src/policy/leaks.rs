//! `[leaks]`: what an agent's requests are searched for before they leave, and what a find means.
//!
//! Here is what is looked for, as it is written; `secrets::scan` looks.

mod read;
mod rules;
mod whole;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::inject::SecretSource;
use super::rule::RuleRef;
pub(super) use read::leaks;
pub use rules::{LeakRule, LeakRules, entropy};
pub(super) use whole::second_looks;

/// How much of a body is looked at before the decision where the file does not say.
pub const SCAN: usize = 64 << 10;

/// The rule of what cannot be looked into: a body in a content coding.
pub const ENCODED: &str = "encoded-body";

/// The leak guard of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leaks {
    /// Where `[leaks]` stands.
    pub place: RuleRef,
    /// What a find means.
    pub found: OnLeak,
    /// Rules of a file.
    pub rules: Option<Arc<LeakRules>>,
    /// Values that are looked for as they are.
    pub secrets: Vec<SecretSource>,
    /// So many bytes of a body are looked at before the decision; the others as they pass.
    pub scan: usize,
    /// What a body in a content coding means, which cannot be looked into.
    pub encoded: Encoded,
}

impl Leaks {
    /// What one finds the other finds as well, whatever that means and wherever it stands.
    pub fn looks_for_the_same_as(&self, other: &Self) -> bool {
        let Self { place: _, found: _, rules, secrets, scan: _, encoded } = self;
        (rules, secrets, encoded) == (&other.rules, &other.secrets, &other.encoded)
    }
}

/// What a find means for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnLeak {
    /// Somebody is asked.
    Hold,
    /// It is refused.
    Block,
}

/// What a body in a content coding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoded {
    /// It counts as a find.
    Found,
    /// Its bytes are looked at as they are.
    Pass,
}

/// What was found in a request: the names of rules, never the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeakFound {
    /// The rules, in the order of their finds, each once.
    pub rules: Arc<[Arc<str>]>,
    /// Where the first of them found something.
    pub place: LeakPlace,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakPlace {
    /// Path or query.
    Url,
    /// A header field.
    Header,
    /// The body.
    Body,
}

impl LeakPlace {
    /// As words for people have it.
    pub fn as_str(self) -> &'static str {
        match self {
            LeakPlace::Url => "url",
            LeakPlace::Header => "header",
            LeakPlace::Body => "body",
        }
    }
}

impl fmt::Display for LeakFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rules, place } = self;
        let (first, more) = (rules.first().map_or("", |rule| rule), rules.len().saturating_sub(1));
        write!(f, "leak rule {first}")?;
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(f, " in the {}", place.as_str())
    }
}

//! A rule's name: where it stands.

use std::fmt;
use std::sync::Arc;

/// The place of a rule, as records, refusals and `explain` cite it: `coder.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// The line of the table's header, from 1.
    pub line: u32,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

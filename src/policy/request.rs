//! What a rule wants of a request: method, path, query.
//!
//! An allow rule speaks where every reading of the request is one it lists; a hold or block rule where some reading is.

use std::sync::Arc;

use super::attempt::Seen;
use super::path::PathPattern;
use super::query::QueryPattern;

/// Methods that ask for nothing to be changed (RFC 9110 section 9.2.1), of those that are passed on.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// `method`, `path` and `query` of a rule; at least one is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RequestRule {
    /// Any of these; every one where empty.
    pub methods: Vec<Arc<str>>,
    /// Any of these; every one where empty.
    pub paths: Vec<PathPattern>,
    /// All of these.
    pub query: Vec<QueryPattern>,
}

/// Whether an allow rule lets a request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permits {
    /// It does.
    Yes,
    /// It would, but for the content: a rule that lists methods lets none pass with a safe one.
    NoContent,
    /// It is about other requests.
    No,
}

impl RequestRule {
    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        let Self { methods, paths, query } = self;
        methods.is_empty() && paths.is_empty() && query.is_empty()
    }

    /// For allow rules.
    pub fn permits(&self, seen: &Seen) -> Permits {
        let method = self.methods.is_empty() || self.methods.contains(&seen.method);
        let path = self.paths.is_empty() || seen.path.normal().is_ok_and(|path| self.paths.iter().any(|pattern| pattern.matches(path)));
        if !(method && path && self.query.iter().all(|wanted| wanted.surely(&seen.query))) {
            return Permits::No;
        }
        let safe = !self.methods.is_empty() && SAFE.contains(&&*seen.method);
        if safe && seen.content { Permits::NoContent } else { Permits::Yes }
    }

    /// For hold and block rules. Some servers read methods case-blind.
    pub fn concerns(&self, seen: &Seen) -> bool {
        let method = self.methods.is_empty() || self.methods.iter().any(|method| method.eq_ignore_ascii_case(&seen.method));
        let path =
            self.paths.is_empty() || seen.path.normal().map_or(true, |path| self.paths.iter().any(|pattern| pattern.may_match(path)));
        method && path && self.query.iter().all(|wanted| wanted.maybe(&seen.query))
    }
}

//! A request's query, matched and never shown, and what a rule says of one of its names.
//!
//! No standard says how a query is read: servers differ over `;`, `+`, arrays, case, repeated names and broken escapes. A rule that lets pass is sure, a rule that
//! holds or blocks is wary: [`QueryPattern::surely`] and [`QueryPattern::maybe`].

mod fault;
mod reading;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

pub use fault::QueryPatternFault;

/// Past this many pairs some servers stop reading: PHP's `max_input_vars` and the `qs` of Node at 1000.
const PAIRS_MAX: usize = 512;
/// No head is longer by default; a longer query is never surely anything.
const QUERY_MAX: usize = 64 * 1024;
const NAME_MAX: usize = 128;
const VALUE_MAX: usize = 1024;
const VALUES_MAX: usize = 256;

/// The query of a request. It is compared, and shown nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Query(Option<Arc<str>>);

/// A name and the values it may have, both as they read decoded. Values have an order of their own, so equal rules are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryPattern {
    name: Box<str>,
    values: Box<[Box<str>]>,
}

impl Query {
    /// Takes what stands behind the `?`, without it. An empty query is not an absent one, and matches no more than that.
    pub fn read(raw: Option<&str>) -> Self {
        Self(raw.map(Arc::from))
    }

    /// No `?` at all.
    pub fn absent() -> Self {
        Self(None)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(not shown)")
    }
}

impl QueryPattern {
    /// A pattern of one name. What could never surely match is a fault.
    pub fn new(name: &str, values: Vec<String>) -> Result<Self, QueryPatternFault> {
        check_name(name)?;
        if values.is_empty() {
            return Err(QueryPatternFault::NoValues);
        }
        if values.len() > VALUES_MAX {
            return Err(QueryPatternFault::TooManyValues);
        }
        values.iter().try_for_each(|value| check_value(value))?;
        let values: BTreeSet<Box<str>> = values.into_iter().map(String::into_boxed_str).collect();
        Ok(Self { name: name.into(), values: values.into_iter().collect() })
    }

    /// For rules that let pass: the name occurs, and every reading of each of its occurrences is one of the values. `+` reads as itself and as a space, so a value
    /// with a space is surely matched by `%20`, and by `+` only where both spellings are listed.
    pub fn surely(&self, query: &Query) -> bool {
        let Query(Some(raw)) = query else { return false };
        if raw.len() > QUERY_MAX || raw.contains(';') || raw.split('&').count() > PAIRS_MAX {
            return false;
        }
        let mut occurs = 0;
        for (name, value) in reading::pairs(raw, &['&']) {
            let (Some(name), Some(plain), Some(spaced)) =
                (reading::strict(name), reading::strict(value), reading::strict(&value.replace('+', "%20")))
            else {
                return false;
            };
            // A name that still holds a percent sign is another name to who decodes twice.
            if name.contains('%') {
                return false;
            }
            if name == *self.name {
                occurs += 1;
                if !self.lists(&plain) || !self.lists(&spaced) {
                    return false;
                }
            }
        }
        occurs > 0 && self.alone(raw, occurs)
    }

    /// For rules that hold or block: some reading of some occurrence is one of the values. Blind to case, and wary of every way to hide a name or a value known.
    pub fn maybe(&self, query: &Query) -> bool {
        let Query(Some(raw)) = query else { return false };
        let values: HashSet<String> = self.values.iter().map(|value| reading::folded_value(value)).collect();
        let listed = |value: &str| reading::values(value).any(|read| values.contains(&read));
        self.loosely(raw, listed) > 0 || self.loosely(&reading::lossy(raw), listed) > 0
    }

    /// Whether the occurrences that were read strictly are all there are, also for who folds names, or decodes before splitting.
    fn alone(&self, raw: &str, occurs: usize) -> bool {
        let early = reading::lossy(raw);
        self.loosely(raw, |_| true) == occurs
            && self.loosely(&early, |_| true) == occurs
            && self.loosely(&early, |value| self.lists(&reading::lossy(value))) == occurs
    }

    /// How many pairs bear the name, or one that some server takes for it, with a value that is wanted.
    fn loosely(&self, text: &str, wanted: impl Fn(&str) -> bool) -> usize {
        let name = reading::folded_name(&self.name);
        let named = |given: &str| reading::folded_name(&reading::lossy(given)) == name;
        reading::pairs(text, &['&', ';']).filter(|(given, value)| named(given) && wanted(value)).count()
    }

    fn lists(&self, value: &str) -> bool {
        self.values.binary_search_by(|listed| (**listed).cmp(value)).is_ok()
    }
}

impl fmt::Display for QueryPattern {
    /// As a rule writes it: `name = ["value"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}", self.name, self.values)
    }
}

fn check_name(name: &str) -> Result<(), QueryPatternFault> {
    if name.is_empty() {
        return Err(QueryPatternFault::NoName);
    }
    if name.len() > NAME_MAX {
        return Err(QueryPatternFault::NameTooLong);
    }
    if name.contains(['[', ']']) {
        return Err(QueryPatternFault::Array);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~$@!:".contains(&byte);
    if name.bytes().all(plain) { Ok(()) } else { Err(QueryPatternFault::Name) }
}

fn check_value(value: &str) -> Result<(), QueryPatternFault> {
    if value.is_empty() {
        return Err(QueryPatternFault::EmptyValue);
    }
    if value.len() > VALUE_MAX {
        return Err(QueryPatternFault::ValueTooLong);
    }
    value.chars().find_map(value_fault).map_or(Ok(()), Err)
}

fn value_fault(c: char) -> Option<QueryPatternFault> {
    match c {
        '*' => Some(QueryPatternFault::Star),
        '%' => Some(QueryPatternFault::Percent),
        '&' | ';' => Some(QueryPatternFault::Separator),
        _ if c.is_control() => Some(QueryPatternFault::Control),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

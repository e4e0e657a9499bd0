//! Finds the patterns that match a host at a cost that does not grow with their number.
//!
//! Patterns are filed under the labels behind their last wildcard. A look-up hashes each suffix of the name once, and tries only what is filed there. The hasher is
//! the standard one: hosts come from agents, and a name has at most 64 suffixes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::host::Host;
use super::pattern::{HostPattern, Reach, Shape};

/// Patterns with a value each, by host.
#[derive(Clone, Debug)]
pub struct HostIndex<T> {
    names: HashMap<Arc<str>, Vec<(Option<Reach>, T)>>,
    addresses: HashMap<IpAddr, Vec<T>>,
}

impl<T> HostIndex<T> {
    /// The values of every pattern that matches the host, each once, in no promised order. Allocates nothing.
    pub fn lookup<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = &'a T> {
        let (name, address) = match host {
            Host::Name(name) => (Some(name.as_str()), None),
            Host::Address(address) => (None, Some(address)),
        };
        let named = name.into_iter().flat_map(suffixes).flat_map(|(before, suffix)| {
            let filed = self.names.get(suffix).map(Vec::as_slice).unwrap_or_default();
            filed
                .iter()
                .filter(move |(reach, _)| reach.as_ref().map_or(before.is_empty(), |reach| reach.fits(before)))
                .map(|(_, value)| value)
        });
        let addressed = address.and_then(|address| self.addresses.get(address)).into_iter().flatten();
        named.chain(addressed)
    }

    /// Whether no pattern is filed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty()
    }
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self { names: HashMap::new(), addresses: HashMap::new() }
    }
}

impl<T> FromIterator<(HostPattern, T)> for HostIndex<T> {
    fn from_iter<I: IntoIterator<Item = (HostPattern, T)>>(patterns: I) -> Self {
        let mut index = Self::default();
        for (pattern, value) in patterns {
            match pattern.shape {
                Shape::Exact(Host::Address(address)) => index.addresses.entry(address).or_default().push(value),
                Shape::Exact(Host::Name(name)) => index.names.entry(name.as_str().into()).or_default().push((None, value)),
                Shape::Under(under) => index.names.entry(under.tail).or_default().push((Some(under.reach), value)),
            }
        }
        index
    }
}

/// Every split of a name into the labels before and a suffix: the whole name first, the empty suffix last.
fn suffixes(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let whole = std::iter::once(("", name));
    let inner = name.match_indices('.').map(move |(dot, _)| (&name[..dot], &name[dot + 1..]));
    whole.chain(inner).chain(std::iter::once((name, "")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::Use;
    use super::*;

    fn pattern(text: &str) -> Option<HostPattern> {
        HostPattern::parse(text, Use::Block, false).ok().map(|parsed| parsed.pattern)
    }

    fn found(patterns: &[&str], host: &str) -> Vec<String> {
        let index: HostIndex<String> = patterns.iter().filter_map(|text| Some((pattern(text)?, (*text).to_owned()))).collect();
        let mut found: Vec<String> = Host::parse(host).iter().flat_map(|host| index.lookup(host).cloned().collect::<Vec<_>>()).collect();
        found.sort();
        found
    }

    #[test]
    fn every_pattern_that_matches_is_found_and_no_other() {
        let patterns = [
            "a.example.com",
            "*.example.com",
            "**.example.com",
            "a*.example.com",
            "*.*.example.com",
            "*.com",
            "{a,b}.example.*",
            "8.8.8.8",
            "[::1]",
            "other.test",
        ];
        assert_eq!(
            found(&patterns, "a.example.com"),
            ["**.example.com", "*.com", "*.example.com", "a*.example.com", "a.example.com", "{a,b}.example.*"]
        );
        assert_eq!(found(&patterns, "x.y.example.com"), ["**.example.com", "*.*.example.com", "*.com", "*.example.com"]);
        assert_eq!(found(&patterns, "example.com"), ["**.example.com", "*.com"]);
        assert_eq!(found(&patterns, "8.8.8.8"), ["8.8.8.8"]);
        assert_eq!(found(&patterns, "[::1]"), ["[::1]"]);
        assert_eq!(found(&patterns, "com"), Vec::<String>::new());
        assert_eq!(found(&[], "example.com"), Vec::<String>::new());
    }

    #[test]
    fn a_hundred_thousand_patterns_are_filed_and_found() {
        let texts = (0..100_000).map(|n| match n % 20 {
            0..12 => format!("host{n}.example{n}.com"),
            12..16 => format!("**.example{n}.com"),
            16..19 => format!("*.example{n}.com"),
            _ => format!("api-*.example{n}.com"),
        });
        let index: HostIndex<usize> = texts.enumerate().filter_map(|(n, text)| Some((pattern(&text)?, n))).collect();
        let found =
            |host: &str| Host::parse(host).iter().flat_map(|host| index.lookup(host).copied().collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(found("host99980.example99980.com"), [99_980]);
        assert_eq!(found("example99992.com"), [99_992]);
        assert_eq!(found("a.b.example99996.com"), [99_996]);
        assert_eq!(found("api-7.example99999.com"), [99_999]);
        assert_eq!(found("web-7.example99999.com"), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_asking_every_pattern(
            patterns in prop::collection::vec("(\\*\\.|\\*\\*\\.)?([ab*?]{1,2}\\.){0,2}([ab]|\\{a,b\\}|[*]a|[a-b])(\\.(a|b|com))?", 0..12),
            host in "([ab]{1,2}\\.){0,4}(a|b|com)",
        ) {
            let patterns: Vec<HostPattern> = patterns.iter().filter_map(|text| pattern(text)).collect();
            let host = Host::parse(&host).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            let wanted: Vec<usize> = (0..patterns.len()).filter(|&n| patterns[n].matches(&host)).collect();
            let index: HostIndex<usize> = patterns.into_iter().enumerate().map(|(n, pattern)| (pattern, n)).collect();
            let mut found: Vec<usize> = index.lookup(&host).copied().collect();
            found.sort_unstable();
            prop_assert_eq!(found, wanted);
        }
    }
}

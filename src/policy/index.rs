//! Finds the patterns that match a host at a cost that does not grow with their number.
//!
//! Names are filed under the labels behind their last wildcard: a look-up hashes each suffix of the name once, and tries only what is filed there. Networks are
//! filed by prefix: a look-up hashes the address once for each length of prefix in use. The hasher is the standard one: hosts come from agents, and a name has at
//! most 64 suffixes, an address at most 129 prefixes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::host::Host;
use super::pattern::{HostPattern, Reach, Shape};

/// Patterns with a value each, by host.
#[derive(Clone, Debug)]
pub struct HostIndex<T> {
    names: HashMap<Arc<str>, Vec<(Option<Reach>, T)>>,
    addresses: AddressIndex<T>,
}

impl<T> HostIndex<T> {
    /// The values of every pattern that matches the host, each once, in no promised order. Allocates nothing.
    pub fn lookup<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = &'a T> {
        let (name, address) = match host {
            Host::Name(name) => (Some(name.as_str()), None),
            Host::Address(address) => (None, Some(*address)),
        };
        let named = name.into_iter().flat_map(suffixes).flat_map(|(before, suffix)| {
            let filed = self.names.get(suffix).map(Vec::as_slice).unwrap_or_default();
            filed
                .iter()
                .filter(move |(reach, _)| reach.as_ref().map_or(before.is_empty(), |reach| reach.fits(before)))
                .map(|(_, value)| value)
        });
        named.chain(address.into_iter().flat_map(|address| self.addresses.lookup(address)))
    }

    /// Whether no pattern is filed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.addresses.is_empty()
    }
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self { names: HashMap::new(), addresses: AddressIndex::default() }
    }
}

impl<P: Borrow<HostPattern>, T> FromIterator<(P, T)> for HostIndex<T> {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(patterns: I) -> Self {
        let mut index = Self::default();
        for (pattern, value) in patterns {
            let (suffix, reach) = match &pattern.borrow().shape {
                Shape::Exact(Host::Address(address)) => {
                    index.addresses.insert(IpNet::from(*address), value);
                    continue;
                }
                Shape::Network(network) => {
                    index.addresses.insert(*network, value);
                    continue;
                }
                Shape::Exact(Host::Name(name)) => (name.shared(), None),
                Shape::Under(under) => (Arc::clone(&under.tail), Some(under.reach.clone())),
            };
            // Most suffixes have one pattern, and room for four would be most of what the index holds.
            index.names.entry(suffix).or_insert_with(|| Vec::with_capacity(1)).push((reach, value));
        }
        index
    }
}

/// Networks with a value each, by address. An address alone is the network of its full length.
#[derive(Clone, Debug)]
pub struct AddressIndex<T> {
    filed: HashMap<IpNet, Vec<T>>,
    /// The lengths in use, of IPv4 and of IPv6, in the order they came.
    lengths: [Vec<u8>; 2],
}

impl<T> AddressIndex<T> {
    /// Files a value under a network; bits behind its prefix count for nothing.
    pub fn insert(&mut self, network: IpNet, value: T) {
        let network = network.trunc();
        let lengths = &mut self.lengths[usize::from(network.addr().is_ipv6())];
        if !lengths.contains(&network.prefix_len()) {
            lengths.push(network.prefix_len());
        }
        self.filed.entry(network).or_default().push(value);
    }

    /// The values of every network that holds the address as it stands, each once, in no promised order. Allocates nothing.
    pub fn lookup(&self, address: IpAddr) -> impl Iterator<Item = &T> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        let networks = lengths.iter().filter_map(move |length| IpNet::new(address, *length).ok());
        networks.filter_map(|network| self.filed.get(&network.trunc())).flatten()
    }

    /// Whether no network is filed.
    pub fn is_empty(&self) -> bool {
        self.filed.is_empty()
    }
}

impl<T> Default for AddressIndex<T> {
    fn default() -> Self {
        Self { filed: HashMap::new(), lengths: [Vec::new(), Vec::new()] }
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

    /// Few bits that differ, so that networks hold each other and the addresses asked for.
    fn bits() -> impl Strategy<Value = (bool, u128)> {
        (any::<bool>(), 0_u32..4, 0_u32..4, 0_u32..4).prop_map(|(six, high, middle, low)| match six {
            true => (true, u128::from(high) << 126 | u128::from(middle) << 80 | u128::from(low)),
            false => (false, u128::from(high << 30 | middle << 15 | low)),
        })
    }

    fn ip((six, bits): (bool, u128)) -> IpAddr {
        if six { IpAddr::V6(bits.into()) } else { u32::try_from(bits).map(|bits| IpAddr::V4(bits.into())).expect("32 bits") }
    }

    fn address() -> impl Strategy<Value = String> {
        bits().prop_map(|bits| Host::Address(ip(bits)).to_string())
    }

    fn network() -> impl Strategy<Value = String> {
        (bits(), 0_u8..=128).prop_map(|(bits, length)| {
            let length = if bits.0 { length } else { length % 33 };
            IpNet::new(ip(bits), length).expect("a length of the family").trunc().to_string()
        })
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
            "8.8.8.0/24",
            "8.0.0.0/8",
            "0.0.0.0/0",
            "8.8.4.0/24",
            "[::1]",
            "::/64",
            "2001:db8::/32",
            "other.test",
        ];
        assert_eq!(
            found(&patterns, "a.example.com"),
            ["**.example.com", "*.com", "*.example.com", "a*.example.com", "a.example.com", "{a,b}.example.*"]
        );
        assert_eq!(found(&patterns, "x.y.example.com"), ["**.example.com", "*.*.example.com", "*.com", "*.example.com"]);
        assert_eq!(found(&patterns, "example.com"), ["**.example.com", "*.com"]);
        assert_eq!(found(&patterns, "8.8.8.8"), ["0.0.0.0/0", "8.0.0.0/8", "8.8.8.0/24", "8.8.8.8"]);
        assert_eq!(found(&patterns, "[::ffff:8.8.8.9]"), ["0.0.0.0/0", "8.0.0.0/8", "8.8.8.0/24"]);
        assert_eq!(found(&patterns, "[::1]"), ["::/64", "[::1]"]);
        assert_eq!(found(&patterns, "[2001:db8::1]"), ["2001:db8::/32"]);
        assert_eq!(found(&patterns, "[2001:db9::1]"), Vec::<String>::new());
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

    #[test]
    fn a_look_up_asks_once_a_length_however_many_networks_there_are() {
        let texts = (0..100_000).map(|n: usize| match n % 4 {
            0 => format!("10.{}.{}.0/24", n / 4 / 256 % 256, n / 4 % 256),
            1 => format!("11.{}.{}.{}", n / 65_536, n / 256 % 256, n % 256),
            2 => format!("2001:db8:{n:x}::/48", n = n % 65_536),
            _ => format!("[2001:db8::{n:x}]", n = n % 65_536),
        });
        let index: HostIndex<usize> = texts.enumerate().filter_map(|(n, text)| Some((pattern(&text)?, n))).collect();
        assert_eq!(index.addresses.lengths, [vec![24, 32], vec![48, 128]]);
        assert_eq!(index.lookup(&Host::Address([10, 97, 167, 9].into())).collect::<Vec<_>>(), [&99_996]);
        assert_eq!(index.lookup(&Host::Address([11, 1, 134, 157].into())).collect::<Vec<_>>(), [&99_997]);
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_asking_every_pattern(
            patterns in prop::collection::vec(prop_oneof![
                "(\\*\\.|\\*\\*\\.)?([ab*?]{1,2}\\.){0,2}([ab]|\\{a,b\\}|[*]a|[a-b])(\\.(a|b|com))?",
                network(),
            ], 0..24),
            host in prop_oneof!["([ab]{1,2}\\.){0,4}(a|b|com)", address()],
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

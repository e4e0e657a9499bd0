//! Host patterns: one spelling, narrow grants, and the same matches as a reading of the text label by label.
//!
//! The first line is a pattern, the others are hosts.

use std::collections::BTreeSet;

use exeat::policy::host::Host;
use exeat::policy::pattern::{HostPattern, Parsed, Use};

use super::model::pattern as slow;

/// Tried against every pattern, whatever it says.
const HOSTS: [&str; 10] =
    ["com", "evil.test", "example.com", "a.example.com", "a.b.example.com", "8.8.8.8", "10.0.0.1", "[::1]", "[2001:db8::1]", "x.co.uk"];
const HOSTS_MAX: usize = 16;

/// Reads the first line as a pattern of each kind, and matches it.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let written = lines.next().unwrap_or_default();
    let read = |wanted, shared_ok| HostPattern::parse(written, wanted, shared_ok);
    let (narrow, accepted, broad) = (read(Use::Grant, false), read(Use::Grant, true), read(Use::Block, false));
    if let Ok(narrow) = &narrow {
        assert_eq!(narrow.warning, None, "{written:?} is shared and loads without a word");
        assert_eq!(accepted.as_ref(), Ok(narrow), "{written:?} depends on shared_ok");
    }
    if let Ok(accepted) = &accepted {
        assert_eq!(broad.as_ref().map(|broad| &broad.pattern), Ok(&accepted.pattern), "{written:?} is a grant and no block");
    }
    let Ok(Parsed { pattern, warning }) = broad else { return };
    assert_eq!(warning, None, "{written:?}: a block is never too broad");
    let shown = pattern.to_string();
    for (wanted, shared_ok, first) in [(Use::Grant, false, &narrow), (Use::Grant, true, &accepted)] {
        assert_eq!(HostPattern::parse(&shown, wanted, shared_ok).is_ok(), first.is_ok(), "{written:?} and {shown}");
    }
    assert_eq!(HostPattern::parse(&shown, Use::Block, false).map(|again| again.pattern).as_ref(), Ok(&pattern), "{written:?}");
    let matched = matches(&pattern, &shown, lines);
    if narrow.is_ok() && pattern.is_wildcard() {
        let owners: BTreeSet<Option<&str>> = matched.iter().map(|name| psl::domain_str(name)).collect();
        assert!(owners.len() <= 1 && !owners.contains(&None), "{shown} spreads over {owners:?}");
    }
}

/// The names that match, each host judged as the text of the pattern says.
fn matches<'a>(pattern: &HostPattern, shown: &str, lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let given = lines.take(HOSTS_MAX).chain(HOSTS).map(str::to_owned);
    let mut matched = BTreeSet::new();
    let instances = if shown.contains(':') { Vec::new() } else { slow::instances(shown) };
    for text in given.chain(instances) {
        let Ok(host) = Host::parse(&text) else { continue };
        let name = host.to_string();
        let found = pattern.matches(&host);
        match host {
            Host::Address(address) => {
                let network = shown.parse::<ipnet::IpNet>().is_ok_and(|network| network.contains(&address));
                assert_eq!(found, network || name == shown, "{shown} and the address {name}");
            }
            Host::Name(_) => assert_eq!(found, !shown.contains(':') && slow::matches(shown, &name), "{shown} and {name}"),
        }
        if found {
            matched.insert(name);
        }
    }
    matched
}

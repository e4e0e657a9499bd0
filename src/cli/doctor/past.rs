//! `NO_PROXY`: whom it leads past the proxy. Clients differ in how they read it; an entry counts as soon as one of them obeys it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::finding::Finding;
use crate::cli::env::{NO_PROXY, PAST};
use crate::policy::host::Host;

/// Entries that lead more past the proxy than they seem to. What both cases of the variable say is told once.
pub(super) fn odd(variable: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let set: Vec<(&str, String)> = PAST.into_iter().filter_map(|name| Some((name, variable(name)?))).collect();
    match set.as_slice() {
        [(one, value), (other, same)] if value == same => of(&format!("{one} and {other} hold"), value),
        set => set.iter().flat_map(|(name, value)| of(&format!("{name} holds"), value)).collect(),
    }
}

fn of(holds: &str, value: &str) -> Vec<Finding> {
    let odd = |entry: &str| {
        if entry == "*" {
            Some(format!("{holds} *: programs go direct for everything"))
        } else if entry.contains('/') {
            Some(format!("{holds} {entry}: several clients do not read ranges, and some go direct because of one"))
        } else if entry.starts_with("*.") {
            Some(format!("{holds} {entry}: most clients want a dot without the star"))
        } else if !is_usual(entry) {
            Some(format!("{holds} {entry}: it and, for most clients, all names under it go direct, and nothing is recorded of that"))
        } else {
            None
        }
    };
    entries(value).filter_map(odd).map(|text| Finding::warn("variables", text, format!("let it be {NO_PROXY}"))).collect()
}

/// The entry because of which clients go direct to a host.
pub(super) fn entry_for<'a>(value: &'a str, host: &Host) -> Option<&'a str> {
    entries(value).find(|entry| leads_past(entry, host))
}

/// Whether `exeat env` sets the entry: what is for this machine is not for the proxy.
pub(super) fn is_usual(entry: &str) -> bool {
    NO_PROXY.split(',').chain(["[::1]"]).any(|usual| usual == entry)
}

fn entries(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty())
}

fn leads_past(entry: &str, host: &Host) -> bool {
    match host {
        _ if entry == "*" => true,
        Host::Name(name) => {
            let entry = entry.rsplit_once(':').map_or(entry, |(entry, _port)| entry).to_ascii_lowercase();
            let suffix = entry.trim_start_matches('*').trim_matches('.');
            let rest = name.as_str().strip_suffix(suffix).filter(|_| !suffix.is_empty());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
        Host::Address(address) => {
            let bare = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')).map_or(entry, |(entry, _port)| entry);
            let bare = bare.parse().or_else(|_| bare.rsplit_once(':').map_or(bare, |(bare, _port)| bare).parse::<IpAddr>());
            bare.is_ok_and(|bare| bare == *address) || entry.parse::<IpNet>().is_ok_and(|range| range.contains(address))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_entry_that_leads_a_host_past_the_proxy_is_found() {
        let rows = [
            ("localhost,127.0.0.1,::1", "api.example", None),
            ("localhost, API.example", "api.example", Some("API.example")),
            ("example", "api.example", Some("example")),
            (".example", "api.example", Some(".example")),
            ("*.example", "api.example", Some("*.example")),
            ("api.example:443", "api.example", Some("api.example:443")),
            ("pi.example api", "api.example", None),
            (".", "api.example", None),
            ("a,*", "api.example", Some("*")),
            ("10.0.0.0/8", "api.example", None),
            ("10.0.0.0/8", "10.1.2.3", Some("10.0.0.0/8")),
            ("10.1.2.3:80", "10.1.2.3", Some("10.1.2.3:80")),
            ("10.1.2.3", "10.1.2.30", None),
            ("::1", "[::1]", Some("::1")),
            ("[::1]:80", "[::1]", Some("[::1]:80")),
        ];
        for (value, host, expected) in rows {
            assert_eq!(entry_for(value, &Host::parse(host).unwrap()), expected, "{value} {host}");
        }
    }
}

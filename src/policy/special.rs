//! Names that belong to no public zone: what they mean depends on where they are asked, so a rule must spell them and say to which addresses.

use super::host::Name;

/// What a special name needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// No rule opens it.
    Never,
    /// Refused unless a rule spells it and has `addresses`.
    NeedsAddresses,
}

/// Zones that hold no host anybody dials by DNS: Tor (RFC 7686), names that never resolve (RFC 6761 section 6.4), other name systems (RFC 9476), and the
/// infrastructure of DNS itself (RFC 3172), where only `home.arpa` holds hosts. A query for one only tells the resolver what was asked.
const NEVER: [&str; 4] = ["onion", "invalid", "alt", "arpa"];

/// Zones of one network or one machine: RFC 6761 and 6762 with its appendix G, RFC 8375, ICANN's `.internal`, and what resolvers' search lists and clusters add.
const LOCAL: [&str; 11] =
    ["localhost", "localdomain", "local", "internal", "home.arpa", "intranet", "private", "corp", "home", "lan", "svc"];

/// What the name needs if it is special. `.test` and `.example` are ordinary: they resolve only where somebody set them up.
pub fn special(name: &Name) -> Option<Special> {
    let name = name.as_str();
    if LOCAL.iter().any(|zone| within(name, zone)) {
        return Some(Special::NeedsAddresses);
    }
    if NEVER.iter().any(|zone| within(name, zone)) {
        return Some(Special::Never);
    }
    // A single label is completed by search lists, or answered by the local network alone.
    (!name.contains('.')).then_some(Special::NeedsAddresses)
}

fn within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
#[expect(clippy::panic, reason = "tests")]
mod tests {
    use super::super::host::Host;
    use super::*;

    fn of(text: &str) -> Option<Special> {
        match Host::parse(text) {
            Ok(Host::Name(name)) => special(&name),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn local_names_need_a_rule_with_addresses() {
        let rows = [
            ("037", "localhost"),
            ("037", "LOCALHOST"),
            ("037", "localhost."),
            ("037", "x.localhost"),
            ("037", "localhost.localdomain"),
            ("037", "ip6-localhost"),
            ("037", "allowed.test.localhost"),
            ("038", "metadata.google.internal"),
            ("038", "instance-data"),
            ("038", "instance-data.ec2.internal"),
            ("038", "kubernetes.default.svc"),
            ("038", "x.svc.cluster.local"),
            ("038", "vault"),
            ("039", "evil"),
            ("040", "printer.local"),
            ("040", "internal"),
            ("040", "router.home.arpa"),
            ("040", "wiki.corp"),
            ("040", "wiki.intranet"),
            ("040", "nas.lan"),
        ];
        for (row, name) in rows {
            assert_eq!(of(name), Some(Special::NeedsAddresses), "{row}: {name}");
        }
    }

    #[test]
    fn some_zones_are_never_opened() {
        for name in ["abc.onion", "onion", "x.invalid", "wallet.alt", "1.0.0.127.in-addr.arpa", "ipv4only.arpa", "arpa", "nothome.arpa"] {
            assert_eq!(of(name), Some(Special::Never), "040: {name}");
        }
    }

    #[test]
    fn names_of_public_zones_are_ordinary() {
        for name in
            ["api.allowed.test", "shop.example", "example.com", "notlocalhost.com", "local.example.com", "mylocal.dev", "svc.example.com"]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }
}

//! The X.509 name constraints of a certificate authority (RFC 5280 section 4.2.1.10), asked before a leaf is made that clients would refuse.
//!
//! DNS names and addresses alone: a leaf of exeat carries no other name, and its subject is empty.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

use crate::policy::host::Host;

/// Which names and addresses an authority may vouch for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// One name with all below it, or one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// `example.com`; with a leading dot the names below it alone; empty for every name.
    Name(String),
    /// A network.
    Network(IpNet),
}

impl Constraints {
    /// Reads what stands in a certificate; `None` where a subtree is not what RFC 5280 has.
    pub fn of(found: &NameConstraints<'_>) -> Option<Self> {
        let NameConstraints { permitted_subtrees, excluded_subtrees } = found;
        let read = |subtrees: &Option<Vec<GeneralSubtree<'_>>>| -> Option<Vec<Subtree>> {
            let all = subtrees.as_deref().unwrap_or_default();
            all.iter().filter_map(|subtree| Subtree::of(&subtree.base)).collect()
        };
        Some(Self { permitted: read(permitted_subtrees)?, excluded: read(excluded_subtrees)? })
    }

    /// Whether a leaf for this host would be accepted.
    pub fn permit(&self, host: &Host) -> bool {
        let of_its_kind = |subtree: &&Subtree| subtree.is_kind_of(host);
        let permitted: Vec<&Subtree> = self.permitted.iter().filter(of_its_kind).collect();
        let excluded = self.excluded.iter().any(|subtree| subtree.holds(host));
        !excluded && (permitted.is_empty() || permitted.iter().any(|subtree| subtree.holds(host)))
    }

    /// Whether nothing is constrained.
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// What alone is permitted, of each kind that stands here.
    pub fn permitted(&self) -> &[Subtree] {
        &self.permitted
    }

    /// What is excluded.
    pub fn excluded(&self) -> &[Subtree] {
        &self.excluded
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |subtrees: &[Subtree]| subtrees.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (self.permitted.is_empty(), self.excluded.is_empty()) {
            (true, true) => f.write_str("every name"),
            (true, false) => write!(f, "every name but {}", list(&self.excluded)),
            (false, true) => write!(f, "only {}", list(&self.permitted)),
            (false, false) => write!(f, "only {}, and none of {}", list(&self.permitted), list(&self.excluded)),
        }
    }
}

impl Subtree {
    /// `None` inside for a kind that no leaf of exeat has, `Some(None)` for one that cannot be read.
    fn of(name: &GeneralName<'_>) -> Option<Option<Self>> {
        match name {
            GeneralName::DNSName(name) => Some(Some(Subtree::Name(name.to_ascii_lowercase()))),
            GeneralName::IPAddress(bytes) => Some(network(bytes).map(Subtree::Network)),
            GeneralName::Invalid(..) => Some(None),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::RegisteredID(_) => None,
        }
    }

    fn is_kind_of(&self, host: &Host) -> bool {
        matches!((self, host), (Subtree::Name(_), Host::Name(_)) | (Subtree::Network(_), Host::Address(_)))
    }

    fn holds(&self, host: &Host) -> bool {
        match (self, host) {
            (Subtree::Name(base), Host::Name(name)) => below(name.as_str(), base),
            (Subtree::Network(network), Host::Address(address)) => network.contains(address),
            (Subtree::Name(_), Host::Address(_)) | (Subtree::Network(_), Host::Name(_)) => false,
        }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subtree::Name(name) if name.is_empty() => f.write_str("every DNS name"),
            Subtree::Name(name) => f.write_str(name),
            Subtree::Network(network) if network.prefix_len() == 0 => write!(f, "every address of {network}"),
            Subtree::Network(network) => network.fmt(f),
        }
    }
}

fn below(name: &str, base: &str) -> bool {
    if base.is_empty() {
        return true;
    }
    let Some(front) = name.strip_suffix(base) else { return false };
    base.starts_with('.') && !front.is_empty() || front.is_empty() || front.ends_with('.')
}

/// Address and mask, each of 4 or 16 octets.
fn network(bytes: &[u8]) -> Option<IpNet> {
    let (address, mask) = bytes.split_at(bytes.len() / 2);
    let of = |half: &[u8]| -> Option<IpAddr> {
        <[u8; 4]>::try_from(half).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(half).map(IpAddr::from)).ok()
    };
    IpNet::with_netmask(of(address)?, of(mask)?).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn name(text: &str) -> Subtree {
        Subtree::Name(text.to_owned())
    }

    fn net(text: &str) -> Subtree {
        Subtree::Network(text.parse().unwrap())
    }

    #[test]
    fn a_host_is_permitted_as_rfc_5280_has_it() {
        let rows: [(Vec<Subtree>, Vec<Subtree>, &str, bool); 17] = [
            (vec![], vec![], "api.example.test", true),
            (vec![name("example.test")], vec![], "example.test", true),
            (vec![name("example.test")], vec![], "a.b.example.test", true),
            (vec![name("example.test")], vec![], "badexample.test", false),
            (vec![name("example.test")], vec![], "other.test", false),
            (vec![name(".example.test")], vec![], "a.example.test", true),
            (vec![name(".example.test")], vec![], "example.test", false),
            (vec![name("")], vec![], "other.test", true),
            (vec![name("example.test")], vec![name("secret.example.test")], "secret.example.test", false),
            (vec![name("example.test")], vec![name("secret.example.test")], "open.example.test", true),
            (vec![], vec![name("")], "open.example.test", false),
            // A kind that is not named is free: `ca init --permit` excludes every address for that reason.
            (vec![name("example.test")], vec![], "10.0.0.1", true),
            (vec![name("example.test")], vec![net("0.0.0.0/0")], "10.0.0.1", false),
            (vec![net("10.0.0.0/8")], vec![], "10.1.2.3", true),
            (vec![net("10.0.0.0/8")], vec![], "11.1.2.3", false),
            (vec![net("10.0.0.0/8")], vec![], "[2001:db8::1]", false),
            (vec![net("2001:db8::/32")], vec![], "[2001:db8::1]", true),
        ];
        for (permitted, excluded, host, wanted) in rows {
            let constraints = Constraints { permitted, excluded };
            assert_eq!(constraints.permit(&Host::parse(host).unwrap()), wanted, "{constraints}: {host}");
        }
    }

    #[test]
    fn what_is_constrained_is_said() {
        let rows = [
            (vec![], vec![], "every name"),
            (vec![name("a.test"), net("10.0.0.0/8")], vec![], "only a.test, 10.0.0.0/8"),
            (vec![], vec![net("0.0.0.0/0"), name("")], "every name but every address of 0.0.0.0/0, every DNS name"),
            (vec![name("a.test")], vec![name("b.a.test")], "only a.test, and none of b.a.test"),
        ];
        for (permitted, excluded, wanted) in rows {
            assert_eq!(Constraints { permitted, excluded }.to_string(), wanted);
        }
    }

    #[test]
    fn a_network_is_an_address_and_a_mask() {
        assert_eq!(network(&[10, 0, 0, 0, 255, 0, 0, 0]), Some("10.0.0.0/8".parse().unwrap()));
        assert_eq!(network(&[10, 0, 0, 0, 255, 0, 255, 0]), None);
        assert_eq!(network(&[10, 0, 0]), None);
        assert_eq!(network(&[]), None);
    }
}

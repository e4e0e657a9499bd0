//! Which addresses may be dialled at all.
//!
//! IPv4 carried inside an IPv6 address is judged as the IPv4 it is: the packets end there, whatever the text looks like.

mod carried;
mod guard;
mod networks;
mod table;

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::rule::RuleRef;
use carried::Reading;
pub use networks::wide_private;

/// Address and port in one form, whatever family the socket has.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// What the IANA special-purpose registries and the metadata table say of an address. IPv4 hidden in an IPv6 address is judged as the IPv4 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Globally reachable unicast.
    Public,
    /// A metadata service of a cloud; the text names it.
    Metadata(&'static str),
    /// In a special-purpose registry; the text is the registry's name for the block.
    Special(&'static str),
}

impl AddressClass {
    /// Classifies one address. Where it carries others, the strictest class wins.
    pub fn of(address: IpAddr) -> Self {
        let reading = Reading::of(address);
        let carried = reading.carried().map(table::v4);
        let itself = match reading.itself {
            Some(IpAddr::V4(address)) => Some(table::v4(address)),
            Some(IpAddr::V6(address)) => Some(table::v6(address)),
            None => None,
        };
        let named = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => table::metadata_v6(address),
        };
        named.into_iter().chain(carried).chain(itself).reduce(Self::stricter).unwrap_or(Self::Special("unknown"))
    }

    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Metadata(_), _) | (Self::Special(_), Self::Public | Self::Special(_)) => self,
            (Self::Public, _) | (Self::Special(_), Self::Metadata(_)) => other,
        }
    }
}

/// What a destination may resolve to: `addresses` of a rule or of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// `"public"` is listed.
    pub public: bool,
    /// The networks listed.
    pub networks: Vec<IpNet>,
}

/// An entry of `addresses` that is neither `public` nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressesFault {
    /// Not `public`, an address or a CIDR.
    #[error("wanted `public`, an address or a CIDR such as `10.20.0.0/16`")]
    Unreadable,
    /// Bits are set behind the prefix: the author meant another network or another length.
    #[error("the network has bits set behind its prefix; write its first address")]
    HostBits,
    /// Metadata services are never dialled, so listing only them can never work.
    #[error("metadata services are never dialled; leave the entry out")]
    Metadata,
}

impl Addresses {
    /// Only what is globally reachable: the default.
    pub fn public() -> Self {
        Self { public: true, networks: Vec::new() }
    }

    /// No address at all; `add` widens it.
    pub fn none() -> Self {
        Self { public: false, networks: Vec::new() }
    }

    /// Reads one entry as written, `public`, an address or a network, and adds it.
    pub fn add(&mut self, entry: &str) -> Result<(), AddressesFault> {
        if entry == "public" {
            self.public = true;
            return Ok(());
        }
        self.networks.push(Self::parse_entry(entry)?);
        Ok(())
    }

    /// Reads a network, or an address as the network of itself alone.
    pub fn parse_entry(entry: &str) -> Result<IpNet, AddressesFault> {
        let network = match entry.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => IpNet::from(entry.parse::<IpAddr>().map_err(|_| AddressesFault::Unreadable)?),
        };
        if network.trunc() != network {
            return Err(AddressesFault::HostBits);
        }
        let network = unmapped(network)?;
        let alone = network.prefix_len() == network.max_prefix_len();
        if alone && matches!(AddressClass::of(network.addr()), AddressClass::Metadata(_)) {
            Err(AddressesFault::Metadata)
        } else {
            Ok(network)
        }
    }

    /// Whether the address may be dialled under these. Metadata services never may. An address that carries IPv4 may where all it carries may:
    /// naming a translation prefix opens nothing behind it.
    pub fn allows(&self, address: IpAddr) -> bool {
        if matches!(AddressClass::of(address), AddressClass::Metadata(_)) {
            return false;
        }
        let reading = Reading::of(address);
        let carried = reading.carried().all(|address| self.lists(IpAddr::V4(address), table::v4(address)));
        let itself = match reading.itself {
            Some(IpAddr::V4(address)) => self.lists(IpAddr::V4(address), table::v4(address)),
            Some(IpAddr::V6(address)) => self.lists(IpAddr::V6(address), table::v6(address)),
            None => true,
        };
        carried && itself
    }

    fn lists(&self, address: IpAddr, class: AddressClass) -> bool {
        let public = self.public && class == AddressClass::Public;
        public || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// IPv4-mapped networks, so that they compare with the IPv4 addresses that are dialled.
fn unmapped(network: IpNet) -> Result<IpNet, AddressesFault> {
    let IpNet::V6(six) = network else { return Ok(network) };
    let Some(four) = six.addr().to_ipv4_mapped() else { return Ok(network) };
    let length = six.prefix_len().checked_sub(96).ok_or(AddressesFault::HostBits)?;
    Ipv4Net::new(four, length).map(IpNet::V4).map_err(|_| AddressesFault::HostBits)
}

/// The address as it stands, and the IPv4 addresses it carries.
pub(super) fn readings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    Reading::of(address).every()
}

/// What is never dialled, whatever a rule or a person says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// exeat's own listeners; an unspecified address stands for every address of this machine.
    pub own: Vec<SocketAddr>,
    /// Addresses of this machine, for the listeners above that are bound to all of them.
    pub machine: Vec<IpAddr>,
    /// Other names of ours, lower-case A-labels: `known_as`.
    pub known_as: Vec<super::host::Host>,
    /// `[guard] never`.
    pub never: Vec<IpNet>,
}

/// Why an address is not dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressRefusal {
    /// A metadata service.
    Metadata(&'static str),
    /// exeat itself.
    Own,
    /// `[guard] never`.
    Never,
    /// A block rule names the address.
    Blocked(RuleRef),
    /// Not in the rule's `addresses`.
    Outside(AddressClass),
    /// In the rule's `addresses`, and not in `private` of the floor.
    Floor {
        /// What it is.
        class: AddressClass,
        /// The floor's file.
        file: std::sync::Arc<str>,
    },
}

/// Whether the network holds the address or an IPv4 address it carries: for rules that refuse.
pub fn touches(network: &IpNet, address: IpAddr) -> bool {
    Reading::of(address).every().any(|address| network.contains(&address))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! What a network holds: asked of rules when they are read, of addresses never.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{AddressClass, Addresses, table};

/// Prefixes whose last 32 bits are the IPv4 address that is dialled: compatible, translated, NAT64.
const LAST_BITS: [Ipv6Addr; 3] =
    [Ipv6Addr::UNSPECIFIED, Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)];

/// Prefixes that carry IPv4 in other bits: 6to4, Teredo, local-use NAT64.
const OTHER_BITS: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
];

impl Addresses {
    /// Whether an address of the network may be dialled under these; a rule for a network where none may opens nothing. A network that carries IPv4 in part or in
    /// odd places has the benefit of the doubt: each address is judged in full before it is dialled.
    pub fn could_hold(&self, network: &IpNet) -> bool {
        if let Some(carried) = carried(network) {
            return self.could_hold(&carried);
        }
        let closed = table::closed(network);
        let metadata = |(block, class): &(IpNet, AddressClass)| matches!(class, AddressClass::Metadata(_)) && block.contains(network);
        if closed.iter().any(metadata) {
            return false;
        }
        let listed = self.networks.iter().any(|listed| meet(listed, network));
        let in_doubt = carries_elsewhere(network) && (self.public || self.networks.iter().any(|listed| listed.addr().is_ipv4()));
        listed || in_doubt || self.public && beside(*network, &closed)
    }
}

/// Whether the network holds more than a /16 of IPv4 or more than a /48 of IPv6 that is not globally reachable: more than one site has.
pub fn wide_private(network: &IpNet) -> bool {
    let site = if network.addr().is_ipv4() { 16 } else { 48 };
    let held = table::closed(network).into_iter().filter(|(block, _)| meet(block, network));
    held.map(|(block, _)| block.prefix_len().max(network.prefix_len())).any(|length| length < site)
}

fn meet(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Halves the network until a half lies beside every block or none does, so that blocks which fill it together are seen.
fn beside(network: IpNet, blocks: &[(IpNet, AddressClass)]) -> bool {
    if blocks.iter().any(|(block, _)| block.contains(&network)) {
        return false;
    }
    if !blocks.iter().any(|(block, _)| network.contains(block)) {
        return true;
    }
    network.subnets(network.prefix_len() + 1).is_ok_and(|mut halves| halves.any(|half| beside(half, blocks)))
}

/// The IPv4 network that a network of translated addresses stands for.
fn carried(network: &IpNet) -> Option<IpNet> {
    let IpNet::V6(six) = network else { return None };
    let bits = u128::from(six.network());
    let length = six.prefix_len().checked_sub(96)?;
    // Unspecified and loopback are themselves.
    let itself = bits < 2 && length > 30;
    let last = LAST_BITS.iter().any(|prefix| u128::from(*prefix) >> 32 == bits >> 32);
    let four = u32::try_from(bits & u128::from(u32::MAX)).ok().filter(|_| last && !itself)?;
    Ipv4Net::new(Ipv4Addr::from(four), length).ok().map(IpNet::V4)
}

fn carries_elsewhere(network: &IpNet) -> bool {
    let net = |prefix: Ipv6Addr, length| IpNet::new(prefix.into(), length).ok();
    let last = LAST_BITS.into_iter().filter_map(|prefix| net(prefix, 96)).any(|prefix| network.contains(&prefix));
    last || OTHER_BITS.into_iter().filter_map(|(prefix, length)| net(prefix, length)).any(|prefix| meet(&prefix, network))
}

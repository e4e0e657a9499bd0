//! The blocks that are not globally reachable, from the IANA IPv4 and IPv6 Special-Purpose Address Registries, and the metadata services of clouds.
//!
//! Stricter than the registries in one way: parts of a listed block that are globally reachable (192.0.0.9, 2001:1::1 and the like) stay closed with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::AddressClass;

/// What clouds' metadata services answer with credentials. Checked before the blocks: some are publicly numbered.
const METADATA_V4: [(Ipv4Addr, &str); 6] = [
    (Ipv4Addr::new(169, 254, 169, 254), "instance metadata (AWS, GCP, Azure and others)"),
    (Ipv4Addr::new(169, 254, 170, 2), "AWS ECS task credentials"),
    (Ipv4Addr::new(169, 254, 170, 23), "AWS EKS pod identity"),
    (Ipv4Addr::new(100, 100, 100, 200), "Alibaba Cloud metadata"),
    (Ipv4Addr::new(192, 0, 0, 192), "Oracle Cloud metadata"),
    (Ipv4Addr::new(168, 63, 129, 16), "Azure wire server"),
];

const METADATA_V6: [(Ipv6Addr, &str); 5] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), "AWS instance metadata"),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), "AWS EKS pod identity"),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), "GCP metadata"),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), "Scaleway metadata"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), "OpenStack metadata"),
];

type Block4 = (Ipv4Addr, u32, AddressClass);
type Block6 = (Ipv6Addr, u32, AddressClass);

const fn four(address: [u8; 4], length: u32, name: &'static str) -> Block4 {
    let [a, b, c, d] = address;
    (Ipv4Addr::new(a, b, c, d), length, AddressClass::Special(name))
}

const fn six(head: [u16; 4], length: u32, name: &'static str) -> Block6 {
    let [a, b, c, d] = head;
    (Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length, AddressClass::Special(name))
}

/// All of IPv4 link-local is metadata: clouds keep adding services there (169.254.0.23, 169.254.42.42), and nothing else beyond a proxy lives there.
const BLOCKS_V4: [Block4; 16] = [
    (Ipv4Addr::new(169, 254, 0, 0), 16, AddressClass::Metadata("link-local, RFC 3927: where clouds keep metadata services")),
    four([0, 0, 0, 0], 8, "this network, RFC 791"),
    four([10, 0, 0, 0], 8, "private use, RFC 1918"),
    four([100, 64, 0, 0], 10, "shared address space, RFC 6598"),
    four([127, 0, 0, 0], 8, "loopback, RFC 1122"),
    four([172, 16, 0, 0], 12, "private use, RFC 1918"),
    four([192, 0, 0, 0], 24, "IETF protocol assignments, RFC 6890"),
    four([192, 0, 2, 0], 24, "documentation (TEST-NET-1), RFC 5737"),
    four([192, 88, 99, 0], 24, "deprecated 6to4 relay anycast, RFC 7526"),
    four([192, 168, 0, 0], 16, "private use, RFC 1918"),
    four([198, 18, 0, 0], 15, "benchmarking, RFC 2544"),
    four([198, 51, 100, 0], 24, "documentation (TEST-NET-2), RFC 5737"),
    four([203, 0, 113, 0], 24, "documentation (TEST-NET-3), RFC 5737"),
    four([224, 0, 0, 0], 4, "multicast, RFC 5771"),
    four([255, 255, 255, 255], 32, "limited broadcast, RFC 919"),
    four([240, 0, 0, 0], 4, "reserved, RFC 1112"),
];

/// Prefixes that only carry IPv4 are not here: `carried` takes them apart.
const BLOCKS_V6: [Block6; 14] = [
    (Ipv6Addr::UNSPECIFIED, 128, AddressClass::Special("unspecified, RFC 4291")),
    (Ipv6Addr::LOCALHOST, 128, AddressClass::Special("loopback, RFC 4291")),
    six([0x64, 0xff9b, 1, 0], 48, "local-use IPv4/IPv6 translation, RFC 8215"),
    six([0x100, 0, 0, 0], 64, "discard only, RFC 6666"),
    six([0x100, 0, 0, 1], 64, "dummy prefix, RFC 9780"),
    six([0x2001, 0x10, 0, 0], 28, "deprecated ORCHID, RFC 4843"),
    six([0x2001, 0x20, 0, 0], 28, "ORCHIDv2, RFC 7343"),
    six([0x2001, 0, 0, 0], 23, "IETF protocol assignments, RFC 2928"),
    six([0x2001, 0xdb8, 0, 0], 32, "documentation, RFC 3849"),
    six([0x3fff, 0, 0, 0], 20, "documentation, RFC 9637"),
    six([0x5f00, 0, 0, 0], 16, "segment routing (SRv6) SIDs, RFC 9602"),
    six([0xfc00, 0, 0, 0], 7, "unique local, RFC 4193"),
    six([0xfe80, 0, 0, 0], 10, "link-local, RFC 4291"),
    six([0xfec0, 0, 0, 0], 10, "deprecated site-local, RFC 3879"),
];

/// All that is not global unicast, as blocks.
const BESIDE_UNICAST: [Block6; 4] = [
    six([0, 0, 0, 0], 3, "not global unicast"),
    six([0x4000, 0, 0, 0], 2, "not global unicast"),
    six([0x8000, 0, 0, 0], 1, "not global unicast"),
    six([0xff00, 0, 0, 0], 8, "multicast, RFC 4291"),
];

/// The blocks of the network's family that are not globally reachable. Single addresses of metadata services are not among them.
pub(super) fn closed(network: &IpNet) -> Vec<(IpNet, AddressClass)> {
    let block = |address: IpAddr, length: u32, class| Some((IpNet::new(address, u8::try_from(length).ok()?).ok()?, class));
    match network {
        IpNet::V4(_) => BLOCKS_V4.iter().filter_map(|(address, length, class)| block((*address).into(), *length, *class)).collect(),
        IpNet::V6(_) => {
            let blocks = BLOCKS_V6.iter().chain(&BESIDE_UNICAST);
            blocks.filter_map(|(address, length, class)| block((*address).into(), *length, *class)).collect()
        }
    }
}

/// The class of an IPv4 address.
pub(super) fn v4(address: Ipv4Addr) -> AddressClass {
    if let Some((_, name)) = METADATA_V4.iter().find(|(service, _)| *service == address) {
        return AddressClass::Metadata(name);
    }
    let inside = |block: &&Block4| (u32::from(address) ^ u32::from(block.0)) >> (32 - block.1) == 0;
    BLOCKS_V4.iter().find(inside).map_or(AddressClass::Public, |block| block.2)
}

/// The class of an IPv6 address as it stands, whatever it carries.
pub(super) fn v6(address: Ipv6Addr) -> AddressClass {
    if let Some(metadata) = metadata_v6(address) {
        return metadata;
    }
    if address.is_multicast() {
        return AddressClass::Special("multicast, RFC 4291");
    }
    let inside = |block: &&Block6| (u128::from(address) ^ u128::from(block.0)) >> (128 - block.1) == 0;
    let global_unicast = address.segments()[0] & 0xe000 == 0x2000;
    let unlisted = if global_unicast { AddressClass::Public } else { AddressClass::Special("not global unicast") };
    BLOCKS_V6.iter().find(inside).map_or(unlisted, |block| block.2)
}

/// Metadata services by IPv6, also where the address carries IPv4.
pub(super) fn metadata_v6(address: Ipv6Addr) -> Option<AddressClass> {
    METADATA_V6.iter().find(|(service, _)| *service == address).map(|(_, name)| AddressClass::Metadata(name))
}

//! The IPv4 addresses an IPv6 address carries, by the mechanisms that would deliver its packets to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every address that one address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The address as it stands, canonical.
    pub(super) literal: IpAddr,
    /// The address to judge in its own right; `None` where all of it is in what it carries.
    pub(super) itself: Option<IpAddr>,
    first: Option<Ipv4Addr>,
    second: Option<Ipv4Addr>,
}

impl Reading {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::alone(IpAddr::V4(address)),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// The IPv4 addresses inside.
    pub(super) fn carried(self) -> impl Iterator<Item = Ipv4Addr> {
        self.first.into_iter().chain(self.second)
    }

    /// The address as it stands, and the IPv4 addresses inside.
    pub(super) fn every(self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.literal).chain(self.carried().map(IpAddr::V4))
    }

    fn alone(address: IpAddr) -> Self {
        Self { literal: address, itself: Some(address), first: None, second: None }
    }

    fn only(address: Ipv6Addr, first: Ipv4Addr, second: Option<Ipv4Addr>) -> Self {
        Self { literal: IpAddr::V6(address), itself: None, first: Some(first), second }
    }

    fn both(address: Ipv6Addr, first: Ipv4Addr) -> Self {
        Self { literal: IpAddr::V6(address), itself: Some(IpAddr::V6(address)), first: Some(first), second: None }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let parts = address.segments();
        let last = joined(parts[6], parts[7]);
        match parts {
            // Unspecified and loopback are themselves, not IPv4-compatible.
            [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Self::alone(IpAddr::V6(address)),
            // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-translated (RFC 2765, SIIT), NAT64 (RFC 6052).
            [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Self::only(address, last, None),
            // Local-use NAT64 (RFC 8215): the prefix is /48 there, or a /96 cut from it (RFC 6052 section 2.2).
            [0x64, 0xff9b, 1, high, low, middle, 0, 0] => Self::both(address, joined(high, (low & 0xff) << 8 | middle >> 8)),
            [0x64, 0xff9b, 1, ..] => Self::both(address, last),
            // 6to4 (RFC 3056).
            [0x2002, high, low, ..] => Self::only(address, joined(high, low), None),
            // Teredo (RFC 4380): the server as it is, the client with every bit turned.
            [0x2001, 0, high, low, ..] => Self::only(address, Ipv4Addr::from(!u32::from(last)), Some(joined(high, low))),
            // ISATAP (RFC 5214 section 6.1): any prefix; the universal bit may be set.
            [.., 0 | 0x200, 0x5efe, _, _] => Self::both(address, last),
            _ => Self::alone(IpAddr::V6(address)),
        }
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

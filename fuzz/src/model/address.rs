//! Addresses as numbers: what is public, what an IPv6 address carries, and what a list of `addresses` covers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const METADATA: [&str; 9] = [
    "169.254.0.0/16",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "168.63.129.16/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
    "fd00:42::42/128",
    "fe80::a9fe:a9fe/128",
];

const NOT_PUBLIC: [&str; 32] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::/3",
    "4000::/2",
    "8000::/1",
];

/// The prefixes of IPv6 that carry an IPv4 address, at which bit, and whether the address counts beside it.
const CARRIERS: [(&str, u32, bool); 6] = [
    ("::ffff:0:0/96", 96, false),
    ("::ffff:0:0:0/96", 96, false),
    ("64:ff9b::/96", 96, false),
    ("2002::/16", 16, false),
    // Teredo: the server's address; the client's follows.
    ("2001::/32", 32, false),
    ("::/96", 96, false),
];

/// Whether the address is in the network, written `ADDRESS/LENGTH` or as an address alone.
pub fn inside(network: &str, address: IpAddr) -> bool {
    let (first, length) = network.split_once('/').unwrap_or((network, "128"));
    let first: IpAddr = first.parse().expect("networks of the model are well written");
    let length: u32 = length.parse().expect("networks of the model are well written");
    let (one, other, width) = match (first, address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => (u128::from(first.to_bits()), u128::from(address.to_bits()), 32),
        (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits(), address.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let behind = width - length.min(width);
    one.checked_shr(behind) == other.checked_shr(behind)
}

/// What an address stands for.
pub struct Readings {
    /// The address as it stands.
    pub literal: IpAddr,
    /// The address counts itself, beside what it carries.
    pub itself: bool,
    /// The IPv4 addresses inside.
    pub carried: Vec<IpAddr>,
}

impl Readings {
    /// Takes an address apart.
    pub fn of(address: IpAddr) -> Self {
        let alone = |literal| Self { literal, itself: true, carried: Vec::new() };
        let IpAddr::V6(six) = address else { return alone(address) };
        let bits = six.to_bits();
        if let Some(four) = six.to_ipv4_mapped() {
            return alone(IpAddr::V4(four));
        }
        if bits <= 1 {
            return alone(address);
        }
        for (prefix, at, itself) in CARRIERS {
            if inside(prefix, address) {
                let mut carried = vec![four(bits, at)];
                if prefix == "2001::/32" {
                    carried.push(four(!bits, 96));
                }
                return Self { literal: address, itself, carried };
            }
        }
        if inside("64:ff9b:1::/48", address) {
            // RFC 6052 section 2.2: behind a /48 the address has a zero octet in its middle and nothing after it.
            let short = bits & 0xffff_ffff == 0;
            let spread = (bits >> 64 & 0xffff) << 16 | bits >> 40 & 0xffff;
            let inner = if short { IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(spread).expect("32 bits"))) } else { four(bits, 96) };
            return Self { literal: address, itself: true, carried: vec![inner] };
        }
        // ISATAP, with and without the universal bit.
        if matches!(bits >> 32 & 0xffff_ffff, 0x5efe | 0x0200_5efe) {
            return Self { literal: address, itself: true, carried: vec![four(bits, 96)] };
        }
        alone(address)
    }

    /// The address as it stands, then what it carries.
    pub fn every(&self) -> Vec<IpAddr> {
        std::iter::once(self.literal).chain(self.carried.iter().copied()).collect()
    }

    fn counted(&self) -> Vec<IpAddr> {
        let itself = self.itself.then_some(self.literal);
        itself.into_iter().chain(self.carried.iter().copied()).collect()
    }
}

/// Whether it is, or carries, a metadata service.
pub fn is_metadata(address: IpAddr) -> bool {
    Readings::of(address).every().into_iter().any(|address| METADATA.iter().any(|network| inside(network, address)))
}

/// Whether a list of `"public"` and networks covers the address, and all it carries.
pub fn covered(addresses: &[&str], address: IpAddr) -> bool {
    let listed =
        |address: IpAddr| addresses.iter().any(|entry| if *entry == "public" { is_public(address) } else { inside(entry, address) });
    !is_metadata(address) && Readings::of(address).counted().into_iter().all(listed)
}

fn is_public(address: IpAddr) -> bool {
    !METADATA.iter().chain(&NOT_PUBLIC).any(|network| inside(network, address))
}

fn four(bits: u128, at: u32) -> IpAddr {
    let inner = u32::try_from(bits >> (96 - at) & 0xffff_ffff).expect("32 bits");
    IpAddr::V4(Ipv4Addr::from_bits(inner))
}

/// An address as a canonical host spells it.
pub fn spelled(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The address a canonical host spells, if it spells one.
pub fn read(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

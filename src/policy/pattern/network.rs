//! Networks as host patterns: `10.20.0.0/16`, `2001:db8::/32`, `[2001:db8::]/32`.
//!
//! Matched by address literals, never by names. An IPv4-mapped network is the IPv4 one, as the addresses in it are.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fault::PatternFault;
use crate::policy::host::Host;

/// The largest blocks IANA ever gave one holder, and all of private use in one block; what is wider is of many.
const GRANT_V4_MIN: u8 = 8;
/// The least that registries allocate to a provider (RIPE-738 section 4.3); a site holds a /48 of it. Whoever holds more lists it piece by piece.
const GRANT_V6_MIN: u8 = 32;

/// Reads `ADDRESS/LENGTH`. `None` where the text in front of the slash is no address, so that something else was meant.
pub(super) fn read(text: &str) -> Option<Result<IpNet, PatternFault>> {
    let (front, length) = text.split_once('/')?;
    let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let six = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'[' | b']');
    let bracketed = front.starts_with('[') && front.ends_with(']');
    let four = !front.is_empty() && front.bytes().all(digits);
    let address_like = bracketed || four || front.contains(':') && front.bytes().all(six);
    if !address_like || !length.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    Some(address(front).and_then(|address| network(address, length)))
}

fn address(front: &str) -> Result<IpAddr, PatternFault> {
    if front.starts_with('[') && front.ends_with(']') {
        Host::parse(front).map_err(PatternFault::Malformed)?;
    }
    let bare = front.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(front);
    bare.parse().map_err(|_| PatternFault::Network)
}

fn network(address: IpAddr, length: &str) -> Result<IpNet, PatternFault> {
    let plain = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length: u8 = length.parse().ok().filter(|_| plain).ok_or(PatternFault::Network)?;
    let canonical = address.to_canonical();
    let mapped = if canonical == address { None } else { length.checked_sub(96) };
    let written = match mapped {
        Some(length) => IpNet::new(canonical, length),
        None => IpNet::new(address, length),
    };
    let written = written.map_err(|_| PatternFault::Network)?;
    if written.trunc() == written { Ok(written) } else { Err(PatternFault::HostBits { written }) }
}

/// Refuses a network that no one party holds: a rule that lets pass names whom it trusts.
pub(super) fn narrow(network: &IpNet) -> Result<(), PatternFault> {
    let least = match network {
        IpNet::V4(_) => GRANT_V4_MIN,
        IpNet::V6(_) => GRANT_V6_MIN,
    };
    if network.prefix_len() < least { Err(PatternFault::WideNetwork) } else { Ok(()) }
}

//! Targets: what is read has one spelling, and no reader of numbers takes a name for an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use exeat::policy::destination::{Destination, Port};
use exeat::policy::host::Host;

/// Reads the bytes as the target of a CONNECT, as the authority of an absolute form, and as a host.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let http = Port::parse("80").expect("80 is a port");
    let strict = Destination::parse(text);
    let lax = Destination::parse_with_default_port(text, http);
    if strict.is_ok() {
        assert_eq!(strict, lax, "{text:?} means two things");
    }
    if let Ok(destination) = lax {
        assert_eq!(Destination::parse(&destination.to_string()).as_ref(), Ok(&destination), "{text:?}");
        assert_sound(&destination.host);
    }
    let host = Host::parse(text);
    if let Ok(host) = &host {
        assert_sound(host);
        assert_read_as_written(text, host);
    }
    if number_of(text.strip_suffix('.').unwrap_or(text)).is_some() {
        assert!(!matches!(host, Ok(Host::Name(_))), "{text:?} is an address to inet_aton and a name to us");
    }
}

/// What holds for every host there is.
pub fn assert_sound(host: &Host) {
    let shown = host.to_string();
    assert_eq!(Host::parse(&shown).as_ref(), Ok(host), "{shown} reads back as another");
    let name = match host {
        Host::Address(address) => {
            assert_eq!(address.to_canonical(), *address, "{shown} is the spelling of another address");
            return;
        }
        Host::Name(name) => name.as_str(),
    };
    assert!(name.len() <= 253, "{name} is too long");
    assert!(!name.starts_with('-'), "{name} reads as an option");
    for label in name.split('.') {
        assert!((1..=63).contains(&label.len()), "{name} has a label of {} octets", label.len());
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        assert!(label.bytes().all(plain), "{name} has more than LDH and _");
    }
    assert!(name.parse::<IpAddr>().is_err(), "{name} is an address");
    assert_eq!(number_of(name), None, "{name} is an address to inet_aton");
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
    assert!(!hexadecimal && !last.chars().all(|digit| digit.is_ascii_digit()), "{name} ends in a number");
}

/// Plain ASCII is itself in lower case; an address is what the standard library reads in the same text.
fn assert_read_as_written(text: &str, host: &Host) {
    match host {
        Host::Name(name) => {
            let bare = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
            if bare.is_ascii() {
                assert_eq!(name.as_str(), bare, "{text:?}");
            }
        }
        Host::Address(address) => {
            let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let read = match bare {
                Some(inside) => inside.parse::<Ipv6Addr>().map(IpAddr::V6),
                None => text.parse::<Ipv4Addr>().map(IpAddr::V4),
            };
            assert_eq!(read.map(|read| read.to_canonical()), Ok(*address), "{text:?}");
        }
    }
}

/// `inet_aton` of POSIX: one to four parts, each decimal, octal after `0` or hexadecimal after `0x`, the last filling what is left.
pub fn number_of(text: &str) -> Option<u32> {
    let parts: Vec<u64> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, heads) = parts.split_last()?;
    if heads.len() > 3 || heads.iter().any(|head| *head > 255) {
        return None;
    }
    let room = 8 * (4 - heads.len());
    if *last >= 1 << room {
        return None;
    }
    let head = heads.iter().fold(0, |sum, head| sum << 8 | head);
    u32::try_from(head << room | last).ok()
}

fn part(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        (None, _) => (lower.as_str(), 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

//! The first bytes of a tunnel: the same reading however they arrive, and the name that a TLS server would see.

use exeat::tls::client_hello::{FirstBytes, MOST};
use rustls::server::Acceptor;

/// How many cuts of one input are tried.
const CUTS: usize = 256;

/// Reads the bytes whole, in every part from the front, in other records, and by rustls.
pub fn check(data: &[u8]) {
    let bytes = &data[..data.len().min(MOST)];
    let whole = FirstBytes::of(bytes);
    for end in (0..bytes.len()).step_by(1 + bytes.len() / CUTS) {
        let part = FirstBytes::of(&bytes[..end]);
        assert!(part == FirstBytes::More || part == whole, "{part:?} after {end} bytes, then {whole:?}");
    }
    if let (FirstBytes::Tls(ours), Some(theirs)) = (&whole, accepted(bytes)) {
        // rustls drops a final dot, as reading the name as a host does.
        let name = ours.server_name.as_ref().map(|name| name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase());
        match theirs {
            Some(theirs) => assert_eq!(name, Some(theirs.to_ascii_lowercase()), "rustls reads another name"),
            // rustls passes over what is no DNS name; we keep it, and it equals no destination.
            None => assert!(name.is_none_or(|name| !is_dns_name(&name)), "rustls reads no name"),
        }
    }
    if let FirstBytes::Tls(_) = whole {
        for size in [1, 7, 250] {
            let split = recorded_anew(bytes, size);
            if split.len() <= MOST {
                assert_eq!(FirstBytes::of(&split), whole, "in records of {size}");
            }
        }
    }
}

/// The server name as rustls reads it, where it accepts the hello at all.
fn accepted(mut bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut acceptor = Acceptor::default();
    while acceptor.read_tls(&mut bytes).ok()? > 0 {
        if let Some(accepted) = acceptor.accept().map_err(|_refused| ()).ok()? {
            return Some(accepted.client_hello().server_name().map(|name| name.as_bytes().to_vec()));
        }
    }
    None
}

fn is_dns_name(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| rustls::pki_types::DnsName::try_from(name).is_ok())
}

/// The same handshake bytes in records of `size`.
fn recorded_anew(bytes: &[u8], size: usize) -> Vec<u8> {
    let (mut handshake, mut rest) = (Vec::new(), bytes);
    while let [_kind, _major, _minor, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        handshake.extend_from_slice(&after[..length]);
        rest = &after[length..];
    }
    let mut out = Vec::new();
    for part in handshake.chunks(size) {
        out.extend_from_slice(&[22, 3, 1, 0, u8::try_from(part.len()).expect("records are short")]);
        out.extend_from_slice(part);
    }
    out
}

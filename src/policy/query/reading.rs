//! The ways a query is read: strictly, where every server agrees, and loosely, as some servers do.

use crate::policy::path::octet;

/// Names and values as they stand. A pair without `=` has an empty value.
pub(super) fn pairs<'a>(text: &'a str, separators: &'a [char]) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.split(separators).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decoded, if every server decodes it so: printable ASCII as sent, whole escapes, UTF-8 without controls. `+` is itself.
pub(super) fn strict(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match (first, after) {
            (b'%', [high, low, left @ ..]) => {
                rest = left;
                octet(*high, *low)?
            }
            (b'%' | b'#', _) => return None,
            (b'!'..=b'~', _) => *first,
            _ => return None,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Decoded whatever it is: `%XX`, the `%uXXXX` of older servers, broken escapes as they stand, U+FFFD for what is not UTF-8.
pub(super) fn lossy(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [b'u' | b'U', a, b, c, d, left @ ..]) if wide(&[*a, *b, *c, *d]).is_some() => {
                rest = left;
                let read = wide(&[*a, *b, *c, *d]).unwrap_or(char::REPLACEMENT_CHARACTER);
                decoded.extend_from_slice(read.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (b'%', [high, low, left @ ..]) if octet(*high, *low).is_some() => {
                rest = left;
                decoded.extend(octet(*high, *low));
            }
            _ => decoded.push(*first),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn wide([a, b, c, d]: &[u8; 4]) -> Option<char> {
    let (high, low) = (octet(*a, *b)?, octet(*c, *d)?);
    Some(char::from_u32(u32::from(high) << 8 | u32::from(low)).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// A decoded name as the most forgiving servers know it: case, array brackets, what stands around it and behind a NUL dropped; space, dot and
/// underscore the same and nothing at the end, as PHP has it.
pub(super) fn folded_name(decoded: &str) -> String {
    let begun = decoded.trim_start_matches(|c: char| matches!(c, '[' | '?' | '+') || c.is_whitespace());
    let name = begun.split(|c: char| matches!(c, '[' | ']') || c.is_control()).next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c == '+' || c.is_whitespace());
    let folded = |c: char| if matches!(c, ' ' | '+' | '.') { '_' } else { c };
    let name: String = name.chars().map(folded).flat_map(char::to_lowercase).collect();
    name.trim_end_matches('_').to_owned()
}

/// A decoded value in lower case, without white space around it.
pub(super) fn folded_value(decoded: &str) -> String {
    decoded.trim().chars().flat_map(char::to_lowercase).collect()
}

/// Every reading of a value as it stands, folded: `+` as itself and as a space, the whole, what stands before a control, and each part of a list.
pub(super) fn values(value: &str) -> impl Iterator<Item = String> {
    let read = [lossy(value), lossy(&value.replace('+', " "))];
    read.into_iter().flat_map(|read| {
        let cut = read.split(char::is_control).next().unwrap_or_default();
        let parts = read.split(|c: char| matches!(c, ',' | '|') || c.is_whitespace() || c.is_control());
        [read.as_str(), cut].into_iter().chain(parts).map(folded_value).collect::<Vec<_>>()
    })
}

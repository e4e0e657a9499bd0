//! Special names: what depends on where it is asked.

const LOCAL: [&str; 11] =
    ["localhost", "localdomain", "local", "internal", "home.arpa", "intranet", "private", "corp", "home", "lan", "svc"];
const NEVER: [&str; 4] = ["onion", "invalid", "alt", "arpa"];

/// Nothing opens it.
pub fn is_never(name: &str) -> bool {
    !is_under(name, &LOCAL) && is_under(name, &NEVER)
}

/// A rule must spell it and have `addresses`.
pub fn is_local(name: &str) -> bool {
    is_under(name, &LOCAL) || !name.contains('.') && !is_never(name)
}

/// A canonical name without anything that needs a second look.
pub fn is_plain(name: &str) -> bool {
    let plain = |label: &str| !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    !name.starts_with('-') && name.split('.').all(plain) && !name.ends_with(|last: char| last.is_ascii_digit())
}

fn is_under(name: &str, zones: &[&str]) -> bool {
    zones.iter().any(|zone| name == *zone || name.ends_with(&format!(".{zone}")))
}

//! Request paths: one normal form that every order of reading leads to, and patterns that match as their text says.
//!
//! The first line is a path, the others are patterns.

use exeat::policy::path::{PATH_MAX, PathPattern, RequestPath};

use super::model::path as slow;

const PATTERNS: [&str; 8] = ["/", "/**", "/a/**", "/*", "/*/b", "/**/b", "/a*b/**/*c*", "/%20*"];
const PATTERNS_MAX: usize = 8;

/// Reads the first line as a path, and matches it.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let raw = lines.next().unwrap_or_default();
    let path = RequestPath::read(raw);
    assert_eq!(path.raw(), raw);
    if let Ok(normal) = path.normal() {
        assert_normal(normal);
        assert_one_reading(raw, normal);
    }
    for text in lines.take(PATTERNS_MAX).chain(PATTERNS) {
        let Ok(pattern) = PathPattern::parse(text) else { continue };
        let shown = pattern.to_string();
        assert_eq!(PathPattern::parse(&shown), Ok(pattern.clone()), "{text:?}");
        let Ok(normal) = path.normal() else { continue };
        let (sure, wary) = (pattern.matches(normal), pattern.may_match(normal));
        assert_eq!(sure, slow::matches(&shown, normal), "{shown} and {normal}");
        assert_eq!(wary, slow::may_match(&shown, normal), "{shown} and {normal}, loosely");
        assert!(wary || !sure, "{shown} lets {normal} pass and would not block it");
    }
}

/// What holds for every normal form.
fn assert_normal(normal: &str) {
    assert!(normal.starts_with('/') && normal.len() <= PATH_MAX && !normal.contains("//"), "{normal:?}");
    assert_eq!(RequestPath::read(normal).normal(), Ok(normal), "{normal:?} is not its own normal form");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\;?#\"<>[]^`{|}".contains(&byte)), "{normal:?}");
    let parts: Vec<&str> = normal.split('%').collect();
    for escape in &parts[1..] {
        let byte = u8::from_str_radix(&escape[..2], 16).expect("two digits follow a percent sign");
        assert_eq!(escape[..2], format!("{byte:02X}"), "{normal:?}");
        assert!(!(byte.is_ascii_alphanumeric() || b"-._~/\\%;?#\0".contains(&byte)), "{normal:?} has an escape that is read in two ways");
    }
    let segments: Vec<&str> = normal.split('/').collect();
    assert!(segments.iter().all(|segment| !matches!(*segment, "." | "..")), "{normal:?}");
}

/// Dots first and escapes then, escapes first and dots then, or escapes twice: the same segments.
fn assert_one_reading(raw: &str, normal: &str) {
    let sent = if raw.is_empty() { "/" } else { raw };
    let wanted: Vec<Vec<u8>> = normal.split('/').skip(1).map(slow::decoded).collect();
    let dots_first: Option<Vec<Vec<u8>>> = slow::without_dots(sent.as_bytes())
        .map(|parts| parts.into_iter().map(|part| slow::decoded(std::str::from_utf8(part).expect("slashes cut no character"))).collect());
    assert_eq!(dots_first.as_ref(), Some(&wanted), "{sent:?}, dots first");
    let once = slow::decoded(sent);
    let escapes_first = slow::without_dots(&once).map(|parts| parts.into_iter().map(<[u8]>::to_vec).collect());
    assert_eq!(escapes_first.as_ref(), Some(&wanted), "{sent:?}, escapes first");
    let text = std::str::from_utf8(&once).expect("a path with a normal form is text");
    assert_eq!(slow::decoded(text), once, "{sent:?} goes on when decoded again");
}

//! The one normal form of a request path, matched by rules and forwarded (RFC 3986 section 6.2.2, dot segments removed as in 5.2.4).
//!
//! A path that two servers could read in two ways has none. `;` is such a place: RFC 3986 section 3.3 leaves path parameters to each server, Tomcat and Resin cut
//! them before they look for dot segments (`/a/..;/b`), nginx and Node keep them, so only the origin knows which path was meant.

mod pattern;

use std::fmt::Write as _;
use std::sync::Arc;

pub use pattern::{PathPattern, PathPatternFault};

/// The longest path that has a normal form, in octets; the form itself is no longer.
pub const PATH_MAX: usize = 8 * 1024;

/// A request path as it was sent, and its normal form or why it has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPath {
    raw: Arc<str>,
    normal: Result<Arc<str>, AmbiguousPath>,
}

/// Why a path has no normal form. Static words only: nothing an agent sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AmbiguousPath {
    /// The asterisk form, or a path relative to nothing.
    #[error("the path does not begin with `/`; begin it with one")]
    NotAbsolute,
    /// Longer than [`PATH_MAX`], as sent or in normal form.
    #[error("the path is longer than 8 KiB; send a shorter one")]
    TooLong,
    /// nginx and Go merge slashes, others do not.
    #[error("the path has an empty segment (`//`); put single slashes between segments")]
    EmptySegment,
    /// RFC 3986 stays at the root, others refuse or climb.
    #[error("the path climbs above its root; send the path it stands for")]
    AboveRoot,
    /// `%2e%2e` and its like: some decode before they remove dot segments, some after (CVE-2021-41773).
    #[error("the path has a segment that decodes to `.` or `..`; send the path it stands for")]
    HiddenDots,
    /// `%2f`, `%5c` and `\`: a separator to some, text to others.
    #[error("the path holds a backslash or an encoded slash, which is a separator to some servers; put plain slashes between segments")]
    Slash,
    /// `;` and `%3b`; see the head of this module.
    #[error("the path holds `;`, plain or encoded, where some servers cut the segment; leave it out")]
    Parameter,
    /// `?` and `#` inside a path: decoded and read again they end it (CVE-2024-38474, CVE-2021-32779).
    #[error("the path holds `#` or an encoded `?`, where some servers end it; send a query behind a plain `?` and no fragment")]
    Delimiter,
    /// A `%` without two hexadecimal digits, `%u002f` among them.
    #[error("the path has a `%` that two hexadecimal digits do not follow; encode an octet as `%` and two digits")]
    Percent,
    /// `%25`: decoded twice somewhere, it begins another octet (CVE-2021-42013).
    #[error("the path holds `%25`, which some servers decode twice; leave percent signs out")]
    TwiceEncoded,
    /// C0, DEL and C1: strings end there, lines end there, and some drop them.
    #[error("the path holds a control character; leave it out")]
    Control,
    /// Overlong forms (`%c0%af`) and other charsets: replaced, refused or mapped to another character (CVE-2000-0884, CVE-2008-2938).
    #[error("the path is not UTF-8 once decoded; encode its text as UTF-8")]
    Utf8,
    /// Compatibility forms (UAX 15, NFKC) and best fits of `/ \ . % ; ? #`.
    #[error("the path holds a character that some servers turn into a slash, dot, percent sign or delimiter; leave it out")]
    LookAlike,
    /// Windows drops dots and spaces behind a name, and a prefix without its slash meets `..` (`/static../`).
    #[error("the path has a segment that ends in a dot or a space, which some servers drop; leave it out")]
    DroppedEnd,
    /// `::$DATA`, `:$I30:`: NTFS names the same file or folder in another way (CVE-1999-0278, CVE-2010-2731).
    #[error("the path holds `:$`, which names the same file in another way on some servers; leave it out")]
    Stream,
}

impl RequestPath {
    /// Reads a path without its query. Never fails: what has no normal form says why, when asked for it. An empty path is `/`.
    pub fn read(raw: &str) -> Self {
        let normal = normalised(raw);
        let raw = Arc::from(raw);
        let normal = normal.map(|normal| if *normal == *raw { Arc::clone(&raw) } else { normal.into() });
        Self { raw, normal }
    }

    /// The path as it was sent.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The normal form: what rules match, and the only path that may be forwarded where one does.
    pub fn normal(&self) -> Result<&str, AmbiguousPath> {
        match &self.normal {
            Ok(normal) => Ok(normal),
            Err(why) => Err(*why),
        }
    }
}

fn normalised(raw: &str) -> Result<String, AmbiguousPath> {
    if raw.len() > PATH_MAX {
        return Err(AmbiguousPath::TooLong);
    }
    let Some(inside) = raw.strip_prefix('/') else {
        return if raw.is_empty() { Ok("/".to_owned()) } else { Err(AmbiguousPath::NotAbsolute) };
    };
    let mut out = String::with_capacity(raw.len());
    let mut segments = inside.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "" if !is_last => return Err(AmbiguousPath::EmptySegment),
            "." if !is_last => {}
            "." => out.push('/'),
            ".." => {
                let parent = out.rfind('/').ok_or(AmbiguousPath::AboveRoot)?;
                out.truncate(parent + usize::from(is_last));
            }
            _ => {
                out.push('/');
                push_segment(&mut out, segment)?;
            }
        }
    }
    if out.len() > PATH_MAX { Err(AmbiguousPath::TooLong) } else { Ok(out) }
}

/// Appends the normal form of a segment that is not spelled as a dot segment.
fn push_segment(out: &mut String, segment: &str) -> Result<(), AmbiguousPath> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, encoded);
        (byte, encoded, rest) = match (first, after) {
            (b'%', [high, low, left @ ..]) => (octet(*high, *low).ok_or(AmbiguousPath::Percent)?, true, left),
            (b'%', _) => return Err(AmbiguousPath::Percent),
            _ => (*first, false, after),
        };
        one_reading(byte)?;
        decoded.push(byte);
        if is_unreserved(byte) || !encoded && is_plain(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    let text = std::str::from_utf8(&decoded).map_err(|_| AmbiguousPath::Utf8)?;
    one_name(text)
}

/// The octet two hexadecimal digits stand for.
pub(super) fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Octets that are read in two ways however they are spelled.
fn one_reading(byte: u8) -> Result<(), AmbiguousPath> {
    match byte {
        0..=0x1f | 0x7f => Err(AmbiguousPath::Control),
        b'/' | b'\\' => Err(AmbiguousPath::Slash),
        b';' => Err(AmbiguousPath::Parameter),
        b'?' | b'#' => Err(AmbiguousPath::Delimiter),
        b'%' => Err(AmbiguousPath::TwiceEncoded),
        _ => Ok(()),
    }
}

/// Whether a decoded segment names one thing to every server.
fn one_name(text: &str) -> Result<(), AmbiguousPath> {
    if matches!(text, "." | "..") {
        return Err(AmbiguousPath::HiddenDots);
    }
    if text.chars().any(char::is_control) {
        return Err(AmbiguousPath::Control);
    }
    if text.chars().any(is_look_alike) {
        return Err(AmbiguousPath::LookAlike);
    }
    if text.ends_with(|last: char| last == '.' || last.is_whitespace()) {
        return Err(AmbiguousPath::DroppedEnd);
    }
    if text.contains(":$") { Err(AmbiguousPath::Stream) } else { Ok(()) }
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What else of `pchar` (RFC 3986 section 3.3) stands for itself.
fn is_plain(byte: u8) -> bool {
    b"!$&'()*+,=:@".contains(&byte)
}

/// Characters whose NFKC form holds one of `/ \ % ; ? #` or is dots alone, and those that code pages fit to a slash or backslash.
fn is_look_alike(c: char) -> bool {
    matches!(
        c,
        '\u{37e}'
            | '\u{2024}'..='\u{2026}' | '\u{2047}'..='\u{2049}' | '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}'
            | '\u{fe14}' | '\u{fe16}' | '\u{fe19}' | '\u{fe30}' | '\u{fe52}' | '\u{fe54}' | '\u{fe56}' | '\u{fe5f}' | '\u{fe68}' | '\u{fe6a}'
            | '\u{ff03}' | '\u{ff05}' | '\u{ff0e}' | '\u{ff0f}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff3c}'
            | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{a5}' | '\u{20a9}' | '\u{ffe5}' | '\u{ffe6}'
    )
}

#[cfg(test)]
mod tests;

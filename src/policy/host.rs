//! A host, parsed and canonicalised once.
//!
//! Names are UTS 46 non-transitional, with LDH and `_` and nothing else in the A-labels. Hyphens may stand anywhere but in front of the whole name: DNS carries
//! such labels and people rent them. What two readers could read in two ways is malformed.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::malformed::Malformed;

const LABEL_MAX: usize = 63;
const NAME_MAX: usize = 253;
/// Bounds the walk over a name's suffixes; names people use have fewer than ten.
const LABELS_MAX: usize = 64;
/// UTF-8 takes at most four octets a code point, so nothing longer can become a name.
const TEXT_MAX: usize = 4 * NAME_MAX;

/// Everything in ASCII but letters, digits, hyphen, dot and underscore: STD3 as DNS is used.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// A canonical host: what is judged, recorded and dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name: lower-case A-labels without the final dot.
    Name(Name),
    /// An address literal; IPv4-mapped IPv6 is the IPv4 address it dials.
    Address(IpAddr),
}

/// A DNS name in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text, A-labels, no final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Host {
    /// Reads a host as it stands in a target or a rule; IPv6 literals stand in brackets.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed::EmptyHost);
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(rest);
        }
        let (bare, dotted) = text.strip_suffix('.').map_or((text, false), |bare| (bare, true));
        let name = canonical(bare)?;
        if !ends_in_a_number(&name) {
            return Ok(Host::Name(Name(Arc::from(&*name))));
        }
        match name.parse::<Ipv4Addr>() {
            Ok(_) if dotted => Err(Malformed::AddressDot),
            Ok(address) => Ok(Host::Address(IpAddr::V4(address))),
            Err(_) => Err(Malformed::NumericName),
        }
    }
}

impl fmt::Display for Host {
    /// IPv6 literals in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name.as_str()),
            Host::Address(IpAddr::V4(address)) => address.fmt(f),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// What follows `[`. The kernel dials IPv4 for an IPv4-mapped address, so both spellings are one host: a rule that names either binds both.
fn bracketed(rest: &str) -> Result<Host, Malformed> {
    let inside = rest.strip_suffix(']').ok_or(Malformed::Bracket)?;
    if inside.contains('%') {
        return Err(Malformed::Zone);
    }
    let address: Ipv6Addr = inside.parse().map_err(|_| Malformed::Ipv6)?;
    Ok(Host::Address(IpAddr::V6(address).to_canonical()))
}

/// Lower-case A-labels of a name or of some of its labels, without a final dot.
pub(super) fn canonical(text: &str) -> Result<Cow<'_, str>, Malformed> {
    if text.len() > TEXT_MAX {
        return Err(Malformed::NameTooLong);
    }
    if let Some(fault) = text.bytes().find_map(denied) {
        return Err(fault);
    }
    let name = if text.is_ascii() && !text.split('.').any(is_a_label) { lower(text) } else { Cow::Owned(internationalised(text)?) };
    if name.split('.').any(str::is_empty) {
        return Err(Malformed::EmptyLabel);
    }
    if name.split('.').any(|label| label.len() > LABEL_MAX) {
        return Err(Malformed::LabelTooLong);
    }
    if name.len() > NAME_MAX || name.split('.').count() > LABELS_MAX {
        return Err(Malformed::NameTooLong);
    }
    if name.starts_with('-') { Err(Malformed::LeadingHyphen) } else { Ok(name) }
}

fn denied(byte: u8) -> Option<Malformed> {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | 0x80.. => None,
        b' ' | b'\t' | b'\r' | b'\n' => Some(Malformed::Space),
        b'%' => Some(Malformed::Percent),
        b'@' => Some(Malformed::Userinfo),
        b'\\' => Some(Malformed::Backslash),
        b'*' => Some(Malformed::Star),
        b':' => Some(Malformed::BareIpv6),
        0..0x20 | 0x7f => Some(Malformed::Control),
        b'!'..=b'~' => Some(Malformed::Character),
    }
}

fn is_a_label(label: &str) -> bool {
    label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}

/// UTS 46 mapping deletes some code points and turns others into ASCII; both would give one name many spellings, so both are malformed here.
fn internationalised(text: &str) -> Result<String, Malformed> {
    let uts46 = Uts46::new();
    for character in text.chars().filter(|character| !character.is_ascii()) {
        let mut buffer = [0; 4];
        let alone = character.encode_utf8(&mut buffer).as_bytes();
        let (mapped, _) = uts46.to_unicode(alone, AsciiDenyList::EMPTY, Hyphens::Allow);
        if mapped.is_empty() {
            return Err(Malformed::Invisible);
        }
        if mapped.bytes().any(|byte| byte.is_ascii()) {
            return Err(Malformed::Lookalike);
        }
    }
    let fault = if text.is_ascii() { Malformed::ALabel } else { Malformed::Unicode };
    let encode =
        |name: &str| uts46.to_ascii(name.as_bytes(), DENIED, Hyphens::Allow, DnsLength::Ignore).map(Cow::into_owned).map_err(|_| fault);
    let name = encode(text)?;
    let (shown, valid) = uts46.to_unicode(name.as_bytes(), DENIED, Hyphens::Allow);
    if valid.is_err() || encode(&shown)? != name { Err(fault) } else { Ok(name) }
}

/// The "ends in a number" rule of the WHATWG URL standard: resolvers and URL readers may take such a host for an IPv4 address.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn text(host: &str) -> Result<String, Malformed> {
        Host::parse(host).map(|host| host.to_string())
    }

    #[test]
    fn one_host_has_one_canonical_form() {
        let rows = [
            ("001", "api.allowed.test.", "api.allowed.test"),
            ("004", "API.Allowed.TEST", "api.allowed.test"),
            ("021", "evilwild.test", "evilwild.test"),
            ("027", "api.\u{430}llowed.test", "api.xn--llowed-2nf.test"),
            ("028", "xn--ls8h.test", "xn--ls8h.test"),
            ("028", "XN--LS8H.test", "xn--ls8h.test"),
            ("032", "fa\u{df}.test", "xn--fa-hia.test"),
            ("032", "fass.test", "fass.test"),
            ("032", "\u{3b2}\u{3cc}\u{3bb}\u{3bf}\u{3c2}.test", "xn--nxasmm1c.test"),
            ("idna", "b\u{fc}cher.test", "xn--bcher-kva.test"),
            ("idna", "B\u{dc}CHER.test", "xn--bcher-kva.test"),
            ("idna", "bu\u{308}cher.test", "xn--bcher-kva.test"),
            ("035", "api-.allowed.test", "api-.allowed.test"),
            ("035", "_x.wild.test", "_x.wild.test"),
            ("035", "a--b.wild.test", "a--b.wild.test"),
            ("037", "localhost.", "localhost"),
            ("v4", "8.8.8.8", "8.8.8.8"),
            ("069", "[::1]", "[::1]"),
            ("069", "[0:0:0:0:0:0:0:1]", "[::1]"),
            ("069", "[::0001]", "[::1]"),
            ("069", "[0000::1]", "[::1]"),
            ("070", "[::ffff:127.0.0.1]", "127.0.0.1"),
            ("070", "[::ffff:7f00:1]", "127.0.0.1"),
            ("070", "[0:0:0:0:0:ffff:a9fe:a9fe]", "169.254.169.254"),
            ("070", "[::ffff:0.0.0.0]", "0.0.0.0"),
            ("071", "[::127.0.0.1]", "[::7f00:1]"),
            ("v6", "[2001:DB8::A]", "[2001:db8::a]"),
        ];
        for (row, given, wanted) in rows {
            assert_eq!(text(given), Ok(wanted.to_owned()), "{row}: {given}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn a_host_that_can_be_read_in_two_ways_is_malformed() {
        let rows = [
            ("003", ".api.allowed.test", Malformed::EmptyLabel),
            ("003", "a..wild.test", Malformed::EmptyLabel),
            ("003", "api.allowed.test..", Malformed::EmptyLabel),
            ("003", ".", Malformed::EmptyLabel),
            ("007", "evil.test\0.wild.test", Malformed::Control),
            ("009", "evil.test%00.wild.test", Malformed::Percent),
            ("010", "plain%2eallowed%2etest", Malformed::Percent),
            ("010", "pl%61in.allowed.test", Malformed::Percent),
            ("011", "evil.test .wild.test", Malformed::Space),
            ("011", "evil.test\t.wild.test", Malformed::Space),
            ("011", "evil.test\r\n", Malformed::Space),
            ("011", "evil.test\u{b}.wild.test", Malformed::Control),
            ("011", "evil.test\u{a0}.wild.test", Malformed::Lookalike),
            ("014", "evil.test\\@api.allowed.test", Malformed::Backslash),
            ("015", "api.allowed.test@evil.test", Malformed::Userinfo),
            ("018", "a@b@plain.allowed.test", Malformed::Userinfo),
            ("023", "*.wild.test", Malformed::Star),
            ("023", "*", Malformed::Star),
            ("025", "\u{ff11}\u{ff12}\u{ff17}.0.0.1", Malformed::Lookalike),
            ("025", "127\u{3002}0\u{3002}0\u{3002}1", Malformed::Lookalike),
            ("025", "evil\u{ff0e}test", Malformed::Lookalike),
            ("025", "evil\u{ff61}test", Malformed::Lookalike),
            ("025", "\u{ff45}vil.test", Malformed::Lookalike),
            ("026", "\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}", Malformed::Lookalike),
            ("026", "1\u{3257}.0.0.1", Malformed::Lookalike),
            ("026", "\u{246b}7.0.0.1", Malformed::Lookalike),
            ("026", "\u{212a}elvin.test", Malformed::Lookalike),
            ("028", "xn--\u{80}", Malformed::Unicode),
            ("028", "xn--", Malformed::ALabel),
            ("028", "xn--a", Malformed::ALabel),
            ("028", "xn--a.test", Malformed::ALabel),
            ("029", "xn--api-.allowed.test", Malformed::ALabel),
            ("029", "xn--example-.com", Malformed::ALabel),
            ("029", "XN--API-.allowed.test", Malformed::ALabel),
            ("030", "api\u{ad}.allowed.test", Malformed::Invisible),
            ("030", "a\u{200b}pi.allowed.test", Malformed::Invisible),
            ("030", "a\u{2060}pi.allowed.test", Malformed::Invisible),
            ("030", "a\u{34f}pi.allowed.test", Malformed::Invisible),
            ("030", "a\u{fe0f}pi.allowed.test", Malformed::Invisible),
            ("032", "a\u{200d}b.test", Malformed::Unicode),
            ("035", "-api.allowed.test", Malformed::LeadingHyphen),
            ("036", "", Malformed::EmptyHost),
            ("057", "2130706433", Malformed::NumericName),
            ("057", "0x7f000001", Malformed::NumericName),
            ("057", "0X7F000001", Malformed::NumericName),
            ("057", "017700000001", Malformed::NumericName),
            ("057", "0177.0.0.1", Malformed::NumericName),
            ("057", "0x7f.1", Malformed::NumericName),
            ("057", "127.1", Malformed::NumericName),
            ("057", "127.0.1", Malformed::NumericName),
            ("057", "127.0.0.0x1", Malformed::NumericName),
            ("058", "0x17f000001", Malformed::NumericName),
            ("058", "45080379393", Malformed::NumericName),
            ("058", "4294967295", Malformed::NumericName),
            ("058", "256", Malformed::NumericName),
            ("058", "256.0.0.1", Malformed::NumericName),
            ("058", "1.2.3", Malformed::NumericName),
            ("058", "1.2.3.4.5", Malformed::NumericName),
            ("058", "api.0x", Malformed::NumericName),
            ("060", "08.8.8.8", Malformed::NumericName),
            ("060", "010.0.0.1", Malformed::NumericName),
            ("061", "127.0.0.1.", Malformed::AddressDot),
            ("061", "2130706433.", Malformed::NumericName),
            ("061", "[::1].", Malformed::Bracket),
            ("079", "[fe80::1%eth0]", Malformed::Zone),
            ("079", "[::1%25.wild.test]", Malformed::Zone),
            ("079", "[::%evil.test]", Malformed::Zone),
            ("080", "[v1.evil.test]", Malformed::Ipv6),
            ("080", "[1::1::1]", Malformed::Ipv6),
            ("080", "[::1", Malformed::Bracket),
            ("080", "[::1]x", Malformed::Bracket),
            ("080", "[::\u{fb00}\u{fb00}:7f00:1]", Malformed::Ipv6),
            ("080", "[127.0.0.1]", Malformed::Ipv6),
            ("080", "[::ffff:127.0.0.01]", Malformed::Ipv6),
            ("080", "[]", Malformed::Ipv6),
            ("080", "::1", Malformed::BareIpv6),
        ];
        for (row, given, wanted) in rows {
            assert_eq!(text(given), Err(wanted), "{row}: {given:?}");
        }
        for between in ";,!'({*&`+=~$)}\"<>^|?#/".chars() {
            let given = format!("evil.test{between}.plain.allowed.test");
            let wanted = if between == '*' { Malformed::Star } else { Malformed::Character };
            assert_eq!(text(&given), Err(wanted), "020: {given}");
        }
    }

    #[test]
    fn mongolian_vowel_separator_is_never_dropped_in_silence() {
        // UTS 46 revisions disagree on U+180E (row 030): deleted by some, disallowed by others.
        assert!(matches!(text("a\u{180e}pi.allowed.test"), Err(Malformed::Invisible | Malformed::Unicode)));
    }

    #[test]
    fn lengths_are_those_of_dns() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert_eq!(text(&longest), Ok(longest.clone()));
        assert_eq!(text(&format!("{longest}.")), Ok(longest.clone()));
        assert_eq!(text(&format!("{longest}a")), Err(Malformed::NameTooLong), "034");
        assert_eq!(text(&format!("{label}a.test")), Err(Malformed::LabelTooLong), "034");
        assert_eq!(text(&vec!["a"; 127].join(".")), Err(Malformed::NameTooLong), "034");
        assert_eq!(text(&vec!["a"; 64].join(".")), Ok(vec!["a"; 64].join(".")));
        assert_eq!(text(&"\u{fc}".repeat(60)).unwrap_err(), Malformed::LabelTooLong);
        assert_eq!(text(&"a".repeat(100_000)), Err(Malformed::NameTooLong));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_reads_back_as_itself(given in "\\PC{0,24}|[a-zA-Z0-9._\\-\u{e0}-\u{ff}\u{430}-\u{44f}]{1,24}|\\[[0-9a-f:.]{0,20}\\]") {
            if let Ok(host) = Host::parse(&given) {
                let shown = host.to_string();
                proptest::prop_assert!(shown.is_ascii());
                proptest::prop_assert_eq!(Host::parse(&shown), Ok(host));
            }
        }
    }
}

use proptest::prelude::*;

use super::AmbiguousPath::*;
use super::*;

fn normal(raw: &str) -> Result<String, AmbiguousPath> {
    RequestPath::read(raw).normal().map(str::to_owned)
}

#[test]
fn a_path_has_the_normal_form_of_rfc_3986() {
    let rows = [
        ("", "/"),
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a/b/c", "/a/b/c"),
        ("/v1/../admin", "/admin"),
        ("/v1/./admin", "/v1/admin"),
        ("/a/b/../../c", "/c"),
        ("/a/b/../../c/..", "/"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/./", "/a/"),
        ("/./a", "/a"),
        ("/a/./b/.././c", "/a/c"),
        ("/.git", "/.git"),
        ("/..a", "/..a"),
        ("/a..b", "/a..b"),
        ("/compare/v1...v2", "/compare/v1...v2"),
        ("/%61%2D%5f%7e%30", "/a-_~0"),
        ("/v1%2e0", "/v1.0"),
        ("/%2egit", "/.git"),
        ("/%2E%2Ea", "/..a"),
        ("/a%3ab", "/a%3Ab"),
        ("/a:b", "/a:b"),
        ("/%40scope/name", "/%40scope/name"),
        ("/a%20b", "/a%20b"),
        ("/%20a", "/%20a"),
        ("/a b", "/a%20b"),
        ("/a+b", "/a+b"),
        ("/a+", "/a+"),
        ("/a%2bb", "/a%2Bb"),
        ("/*", "/*"),
        ("/%2a", "/%2A"),
        ("/!$&'()*+,=:@", "/!$&'()*+,=:@"),
        ("/caf\u{e9}", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/\"<>[]^`{|}", "/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
        ("/%5b%7B", "/%5B%7B"),
        ("/documents:commit", "/documents:commit"),
        ("/$batch", "/$batch"),
        ("/.\u{200c}a", "/.%E2%80%8Ca"),
    ];
    for (raw, wanted) in rows.map(|(raw, wanted)| (raw, wanted.to_owned())) {
        assert_eq!(normal(raw), Ok(wanted), "{raw}");
    }
}

/// Each row: a spelling, why it has no normal form, and servers that differ over it.
const AMBIGUOUS: &[(&str, AmbiguousPath, &str)] = &[
    ("*", NotAbsolute, "asterisk form"),
    ("a/b", NotAbsolute, "no request target"),
    (" /a", NotAbsolute, "trimmed or not"),
    ("http://a.example/b", NotAbsolute, "absolute form is split before"),
    ("//admin", EmptySegment, "nginx merges, Node does not"),
    ("//", EmptySegment, "nginx merges, Node does not"),
    ("/a//b", EmptySegment, "nginx merges, Node does not"),
    ("/a//", EmptySegment, "nginx merges, Node does not"),
    ("/a//../b", EmptySegment, "merged before or after the dots"),
    ("/..", AboveRoot, "nginx refuses, RFC 3986 stays"),
    ("/../a", AboveRoot, "nginx refuses, RFC 3986 stays"),
    ("/a/../../b", AboveRoot, "nginx refuses, RFC 3986 stays"),
    ("/v1/%2e%2e/admin", HiddenDots, "Go's client keeps, nginx removes"),
    ("/v1/%2E%2e/admin", HiddenDots, "Go's client keeps, nginx removes"),
    ("/v1/.%2e/admin", HiddenDots, "Apache 2.4.49"),
    ("/v1/%2e./admin", HiddenDots, "Apache 2.4.49"),
    ("/v1/%2e/admin", HiddenDots, "Go's client keeps, nginx removes"),
    ("/v1/%2e", HiddenDots, "Go's client keeps, nginx removes"),
    ("/v1%2fadmin", Slash, "nginx decodes, Node's routers split before"),
    ("/v1%2Fadmin", Slash, "nginx decodes, Node's routers split before"),
    ("/v1\\admin", Slash, "IIS and WHATWG URLs split, others do not"),
    ("/v1%5cadmin", Slash, "IIS splits, others do not"),
    ("/v1/..%2fadmin", Slash, "decoded before or after the dots"),
    ("/v1/..\\admin", Slash, "IIS climbs, nginx does not"),
    ("/v1/..%5Cadmin", Slash, "IIS climbs, nginx does not"),
    ("/v1;x/..%2f", Parameter, "Tomcat cuts, nginx does not"),
    ("/v1/..;/admin", Parameter, "Tomcat climbs, nginx does not"),
    ("/admin;", Parameter, "Tomcat cuts, nginx does not"),
    ("/admin;a=b/c", Parameter, "Tomcat cuts, nginx does not"),
    ("/admin%3bjsessionid=1", Parameter, "decoded before or after the cut"),
    ("/admin%3B", Parameter, "decoded before or after the cut"),
    ("/a%3fb", Delimiter, "Apache's rewriting before 2.4.60 ends the path"),
    ("/a%3Fb", Delimiter, "Apache's rewriting before 2.4.60 ends the path"),
    ("/a?b", Delimiter, "the query is split before"),
    ("/a#b", Delimiter, "Envoy before 1.19.1 kept it, origins cut it"),
    ("/a%23b", Delimiter, "nginx's decoded $uri passed on ends the path"),
    ("/a%252fb", TwiceEncoded, "IIS with double escapes decodes twice"),
    ("/a%25", TwiceEncoded, "decoded twice, an invalid escape"),
    ("/%2525", TwiceEncoded, "decoded twice"),
    ("/%%32%65%%32%65/a", Percent, "Apache 2.4.50"),
    ("/%u002f", Percent, "IIS knows it, others refuse"),
    ("/%u002e%u002e/a", Percent, "IIS knows it, others refuse"),
    ("/%", Percent, "kept or refused"),
    ("/a%2", Percent, "kept or refused"),
    ("/%2/a", Percent, "kept or refused"),
    ("/%zz", Percent, "kept or refused"),
    ("/%+1", Percent, "a number to lenient parsers"),
    ("/%1 ", Percent, "a number to lenient parsers"),
    ("/a%00", Control, "C strings end"),
    ("/a%00.html", Control, "C strings end"),
    ("/a%0d%0aHost:%20b", Control, "lines end where it is passed on decoded"),
    ("/a%09b", Control, "WHATWG URLs drop it raw"),
    ("/a\tb", Control, "WHATWG URLs drop it"),
    ("/a\u{7f}", Control, "dropped or kept"),
    ("/a%7f", Control, "dropped or kept"),
    ("/a%1f", Control, "dropped or kept"),
    ("/a%c2%85", Control, "a line end to some"),
    ("/a\u{85}b", Control, "a line end to some"),
    ("/%c0%af", Utf8, "overlong slash: Resin and old IIS split"),
    ("/%c0%ae%c0%ae/a", Utf8, "overlong dots: old Tomcat climbs"),
    ("/%e0%80%af", Utf8, "overlong slash"),
    ("/%ff", Utf8, "another charset, replaced or refused"),
    ("/caf%e9", Utf8, "Latin-1, replaced or refused"),
    ("/%c3", Utf8, "cut short"),
    ("/%c3/%a9", Utf8, "never across a slash"),
    ("/%ed%a0%80", Utf8, "a surrogate"),
    ("/%f4%90%80%80", Utf8, "beyond Unicode"),
    ("/a%ef%bc%8fb", LookAlike, "fullwidth slash, folded by NFKC"),
    ("/a\u{ff0f}b", LookAlike, "fullwidth slash, raw"),
    ("/\u{ff0e}\u{ff0e}/a", LookAlike, "fullwidth dots"),
    ("/\u{2025}/a", LookAlike, "two dot leader"),
    ("/a%e2%88%95b", LookAlike, "division slash, a best fit"),
    ("/a%c2%a5b", LookAlike, "yen sign, a backslash in code page 932"),
    ("/admin.", DroppedEnd, "Windows drops it"),
    ("/admin./x", DroppedEnd, "Windows drops it"),
    ("/admin%2e", DroppedEnd, "Windows drops it"),
    ("/...", DroppedEnd, "Windows drops them"),
    ("/a/.../b", DroppedEnd, "Windows drops them"),
    ("/static../x", DroppedEnd, "nginx's alias without its slash climbs"),
    ("/admin%20", DroppedEnd, "Windows drops it"),
    ("/admin ", DroppedEnd, "Windows drops it"),
    ("/..%20/x", DroppedEnd, "Windows climbs"),
    ("/.%e2%80%8c./x", DroppedEnd, "HFS+ drops what is between the dots"),
    ("/admin%c2%a0/x", DroppedEnd, "a space to who trims Unicode"),
    ("/admin%e3%80%80", DroppedEnd, "a space to who trims Unicode"),
    ("/a.asp::$DATA", Stream, "NTFS reads the source"),
    ("/a.asp%3a%3a%24data", Stream, "NTFS reads the source"),
    ("/admin:$I30:$INDEX_ALLOCATION/x", Stream, "NTFS names the folder"),
    ("/a%00/../b", Control, "a segment that goes is read too"),
];

#[test]
fn what_two_servers_read_in_two_ways_has_no_normal_form() {
    for (raw, wanted, who) in AMBIGUOUS {
        assert_eq!(normal(raw), Err(*wanted), "{raw}: {who}");
    }
}

#[test]
fn length_is_bounded_as_sent_and_in_normal_form() {
    let of = |length: usize, with: &str| format!("/{}", with.repeat(length - 1));
    assert_eq!(normal(&of(PATH_MAX, "a")).map(|path| path.len()), Ok(PATH_MAX));
    assert_eq!(normal(&of(PATH_MAX + 1, "a")), Err(TooLong));
    assert_eq!(normal(&of(PATH_MAX / 2, "{")), Err(TooLong));
    assert_eq!(normal(&format!("/{}b", "a/../".repeat(PATH_MAX / 5 + 1))), Err(TooLong));
    assert_eq!(normal(&format!("/{}b", "a/../".repeat(1600))), Ok("/b".to_owned()));
}

#[test]
fn the_raw_text_is_kept_whatever_it_is() {
    for raw in ["", "/", "*", "/a/../b", "/%zz", "/%61", "//", "/caf\u{e9}"] {
        assert_eq!(RequestPath::read(raw).raw(), raw);
    }
}

#[test]
fn words_for_the_agent_are_whole_and_hold_a_fix() {
    let all = [
        NotAbsolute,
        TooLong,
        EmptySegment,
        AboveRoot,
        HiddenDots,
        Slash,
        Parameter,
        Delimiter,
        Percent,
        TwiceEncoded,
        Control,
        Utf8,
        LookAlike,
        DroppedEnd,
        Stream,
    ];
    for why in all {
        let words = why.to_string();
        let (what, fix) = words.split_once("; ").expect("what, and the fix");
        assert!(what.starts_with("the path ") && !fix.is_empty() && words.is_ascii() && words.len() < 160, "{words}");
    }
}

/// UTS 46 maps by NFKC, so its tables know the compatibility forms that the list here spells out.
#[test]
fn no_compatibility_form_of_a_delimiter_is_missing() {
    use idna::uts46::{AsciiDenyList, Hyphens, Uts46};
    let mut found = 0;
    for c in ('\u{80}'..=char::MAX).filter(|c| !matches!(c, '\u{3002}' | '\u{ff61}')) {
        let mut buffer = [0; 4];
        let (mapped, _) = Uts46::new().to_unicode(c.encode_utf8(&mut buffer).as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        if mapped.contains(['/', '\\', '%', ';', '?', '#']) || mapped.chars().all(|c| c == '.') && !mapped.is_empty() {
            found += 1;
            assert!(is_look_alike(c), "{c:?} maps to {mapped:?}");
        }
    }
    assert!(found > 15, "the tables map delimiters: {found}");
}

/// Pieces of paths, harmless and not.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "/", "/", "/", "/a/", "/../", "/./", ".", "..", "%2e", "%2E", "%2f", "%5C", "\\", ";", "%3b", "%25", "%", "%4", "%zz", "%00",
        "%7F", "%c3%a9", "%C3", "%a9", "%c0%af", "\u{e9}", " ", "%20", "*", "%2a", ":", "$", "?", "#", "{", "\u{ff0f}", "\t",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 3 => "[a-zA-Z0-9_~-]{1,3}", 1 => "%[2-7][0-9a-fA-F]", 1 => any::<char>().prop_map(String::from)]
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// A segment with one reading, from unreserved characters.
const SEGMENT: &str = "[a-zA-Z0-9_~-]([a-zA-Z0-9._~-]{0,6}[a-zA-Z0-9_~-])?";

/// RFC 3986 section 5.2.4, letter by letter as it stands there.
fn remove_dot_segments(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input.replace_range(..input.len().min(3), "/");
        } else if input.starts_with("/../") || input == "/.." {
            input.replace_range(..input.len().min(4), "/");
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_normal_form_is_its_own_normal_form(raw in any_path()) {
        if let Ok(once) = normal(&raw) {
            prop_assert_eq!(normal(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn a_normal_form_holds_nothing_that_could_be_read_again(raw in any_path()) {
        if let Ok(path) = normal(&raw) {
            prop_assert!(path.starts_with('/'));
            for foreign in ["//", "/../", "/./", "\\", ";", "?", "#", "%2F", "%5C", "%25", "%2E", "%3B", "%00"] {
                prop_assert!(!path.contains(foreign), "{} in {}", foreign, path);
            }
            prop_assert!(!path.ends_with("/.") && !path.ends_with("/.."));
            let known = |byte: u8| byte == b'/' || byte == b'%' || is_unreserved(byte) || is_plain(byte);
            prop_assert!(path.bytes().all(known));
            for (at, _) in path.match_indices('%') {
                let digits = &path.as_bytes()[at + 1..at + 3];
                prop_assert!(digits.iter().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit)));
                prop_assert!(!is_unreserved(octet(digits[0], digits[1]).unwrap_or(b'a')));
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(raw in any::<String>()) {
        let path = RequestPath::read(&raw);
        prop_assert_eq!(path.raw(), &*raw);
    }

    #[test]
    fn encoded_unreserved_characters_change_nothing(
        segments in prop::collection::vec(SEGMENT, 1..5),
        how in prop::collection::vec(0_u8..4, 40),
    ) {
        let plain = format!("/{}", segments.join("/"));
        let mut how = how.into_iter().cycle();
        let spelled: String = plain.chars().map(|c| match (c, how.next()) {
            ('/', _) | (_, Some(0 | 1)) => c.to_string(),
            (_, Some(2)) => format!("%{:02x}", u32::from(c)),
            (_, _) => format!("%{:02X}", u32::from(c)),
        }).collect();
        prop_assert_eq!(normal(&plain), Ok(plain.clone()));
        prop_assert_eq!(normal(&spelled), Ok(plain), "{}", spelled);
    }

    #[test]
    fn dot_segments_go_as_the_rfc_has_it(
        segments in prop::collection::vec(prop_oneof![2 => SEGMENT, 1 => Just(".".to_owned()), 1 => Just("..".to_owned())], 1..8),
        slash in any::<bool>(),
    ) {
        let raw = format!("/{}{}", segments.join("/"), if slash { "/" } else { "" });
        let mut depth = 0_i32;
        let climbs = segments.iter().any(|segment| {
            depth += match segment.as_str() { "." => 0, ".." => -1, _ => 1 };
            depth < 0
        });
        let wanted = if climbs { Err(AboveRoot) } else { Ok(remove_dot_segments(&raw)) };
        prop_assert_eq!(normal(&raw), wanted);
    }
}

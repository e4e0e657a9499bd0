use globset::GlobBuilder;
use proptest::prelude::*;

use super::*;
use crate::policy::path::{AmbiguousPath, RequestPath};

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

fn globset(pattern: &str, path: &str) -> bool {
    GlobBuilder::new(pattern).literal_separator(true).build().unwrap().compile_matcher().is_match(path)
}

/// Each row: a pattern, and paths; `:no` behind those it does not match.
const MATCHES: &[(&str, &str)] = &[
    ("/", "/ /a:no"),
    ("/a", "/a /a/:no /ab:no /A:no /b/a:no /:no"),
    ("/a/", "/a/ /a:no /a/b:no"),
    ("/v1/models", "/v1/models /v1/models/x:no /v1:no /V1/models:no"),
    ("/*", "/ /a /a/:no /a/b:no"),
    ("/a/*", "/a/b /a/ /a:no /a/b/:no /a/b/c:no"),
    ("/a/*/c", "/a/b/c /a/bb/c /a/c:no /a/b/b/c:no"),
    ("/v1/models-*", "/v1/models-x /v1/models- /v1/models:no /v1/models-x/y:no"),
    ("/*.json", "/a.json /.json /a.jsonx:no /a/b.json:no"),
    ("/a*c", "/ac /abc /abcc /abcb:no /a/c:no"),
    ("/a*a", "/aa /aba /a:no"),
    ("/*ab*ab*", "/abab /xabyabz /ab:no /aba:no /abxa:no"),
    ("/*-*-*", "/a-b-c /-- /a-b:no"),
    ("/**", "/ /a /a/ /a/b/c"),
    ("/**/x", "/x /a/x /a/b/x /x/:no /ax:no /a/x/b:no"),
    ("/**/", "/ /a/ /a/b/ /a:no /a/b:no"),
    ("/**/x/**", "/x/ /x/y /a/x/y/z /x:no /a/x:no"),
    ("/repos/acme/**", "/repos/acme/x/y /repos/acme/x /repos/acme/ /repos/acme:no /repos/acme2/x:no /repos:no"),
    ("/repos/*/pulls/**", "/repos/a/pulls/1 /repos/a/pulls/ /repos/a/pulls:no /repos/a/b/pulls/1:no"),
    ("/a/**/z", "/a/z /a/b/z /a/b/c/z /a/bz:no /az:no /a/z/:no"),
    ("/a/**/b/**/c", "/a/b/c /a/x/b/y/c /a/b/x/b/c /a/c:no /a/b:no"),
    ("/**/a/*/b", "/a/x/b /a/a/x/b /a/x/a/y/b /a/b:no"),
    ("/*/**", "/a/b /a/ /a/b/c /a:no"),
    ("/.well-known/**", "/.well-known/x /well-known/x:no"),
    ("/.*ignore", "/.gitignore /ignore:no"),
    ("/a%20b", "/a%20b /a+b:no"),
    ("/%2A", "/%2A /*:no /a:no"),
    ("/v1/*:read", "/v1/x:read /v1/:read /v1/x%3Aread:no /v1/x:write:no"),
    ("/!x", "/!x /x:no"),
    ("/a,b", "/a,b /a:no"),
    ("/(default)/$x", "/(default)/$x"),
];

#[test]
fn a_pattern_matches_the_paths_it_stands_for() {
    for (text, paths) in MATCHES {
        for word in paths.split(' ') {
            let (path, wanted) = word.strip_suffix(":no").map_or((word, true), |path| (path, false));
            assert_eq!(RequestPath::read(path).normal(), Ok(path), "the table holds normal forms");
            assert_eq!(pattern(text).matches(path), wanted, "{text} and {path}");
        }
    }
}

#[test]
fn globset_agrees_with_the_table() {
    for (text, paths) in MATCHES {
        for word in paths.split(' ') {
            let (path, wanted) = word.strip_suffix(":no").map_or((word, true), |path| (path, false));
            assert_eq!(globset(text, path), wanted, "{text} and {path}");
        }
    }
}

#[test]
fn a_rule_that_holds_or_blocks_sees_through_spelling() {
    let rows = [
        ("/admin", "/admin /ADMIN /Admin/ /admin/x:no /admi:no"),
        ("/admin/**", "/admin /admin/ /Admin/x /administrator:no"),
        ("/admin/", "/admin /Admin /admin/ /admin/x:no"),
        ("/", "/ /a:no"),
        ("/repos/Acme/*", "/repos/acme/X /REPOS/ACME/x/ /repos/acme/x/y:no"),
        ("/v1/*:delete", "/v1/x:delete /v1/x%3Adelete /v1/x%3aDELETE /v1/x:deleted:no"),
        ("/v1/x%3Adelete", "/v1/x:delete /v1/x%3Adelete"),
        ("/%40scope/x", "/@scope/x /%40Scope/x"),
        ("/a*b", "/a*b /a%2Ab /axB /ac:no"),
        ("/a%2Ab", "/a*b /a%2Ab /A%2AB /axb:no"),
        ("/a*2A", "/ab%2A /ab2a"),
        ("/*2a*b", "/x2ab /2A/b:no /a*b:no /a%2Ab:no"),
        ("/caf%C3%A9", "/caf%C3%89 /caf%C3%A9 /cafe:no"),
        ("/%CE%A3*", "/%CF%83 /%CE%A3x /%CF%83X"),
        ("/**/x", "/X /a/X/ /a/y:no"),
    ];
    for (text, paths) in rows {
        for word in paths.split(' ') {
            let (path, wanted) = word.strip_suffix(":no").map_or((word, true), |path| (path, false));
            assert_eq!(pattern(text).may_match(path), wanted, "{text} and {path}");
        }
    }
}

#[test]
fn what_is_no_pattern_says_what_to_write() {
    use PathPatternFault::*;
    let normal = |text: &str| NotNormal { normal: text.into() };
    let rows = [
        ("", NotAbsolute, "begin it with `/`"),
        ("*", NotAbsolute, "`/**` is every path"),
        ("**", NotAbsolute, "`/**` is every path"),
        ("v1/*", NotAbsolute, "begin it with `/`"),
        ("!/v1", NotAbsolute, "begin it with `/`"),
        ("^/v1", NotAbsolute, "begin it with `/`"),
        ("https://api.example/v1", Url, "`host`"),
        ("/v1?x=1", QuestionMark, "query = {"),
        ("/v?", QuestionMark, "`*`"),
        ("/a#b", Fragment, "leave it out"),
        ("/[ab]", Set, "one by one"),
        ("/a]", Set, "`%5D`"),
        ("/{a,b}", Braces, "one by one"),
        ("/repos/{owner}/x", Braces, "`*`"),
        ("/repos/<owner>/x", Braces, "`*`"),
        ("/a**", DoubleStar, "`/**/`"),
        ("/**a/b", DoubleStar, "`/**/`"),
        ("/***", DoubleStar, "`/**/`"),
        ("/a/**/**/b", RepeatedStars, "once"),
        ("/**/**", RepeatedStars, "once"),
        ("/v1/.*", Regex, "`**`"),
        ("/v1/.+/x", Regex, "`**`"),
        ("/a//b", Ambiguous(AmbiguousPath::EmptySegment), "as it is passed on"),
        ("//**", Ambiguous(AmbiguousPath::EmptySegment), "as it is passed on"),
        ("/a%2fb", Ambiguous(AmbiguousPath::Slash), "as it is passed on"),
        ("/a\\b", Ambiguous(AmbiguousPath::Slash), "as it is passed on"),
        ("/a;b", Ambiguous(AmbiguousPath::Parameter), "as it is passed on"),
        ("/%2e%2e/a", Ambiguous(AmbiguousPath::HiddenDots), "as it is passed on"),
        ("/../a", Ambiguous(AmbiguousPath::AboveRoot), "as it is passed on"),
        ("/100%", Ambiguous(AmbiguousPath::Percent), "as it is passed on"),
        ("/%*", Ambiguous(AmbiguousPath::Percent), "as it is passed on"),
        ("/%4*", Ambiguous(AmbiguousPath::Percent), "as it is passed on"),
        ("/%C3*", Ambiguous(AmbiguousPath::Utf8), "as it is passed on"),
        ("/*.", Ambiguous(AmbiguousPath::DroppedEnd), "`*` alone"),
        ("/a\nb", Ambiguous(AmbiguousPath::Control), "as it is passed on"),
        ("/a/../b", normal("/b"), "write `/b`"),
        ("/**/../b", normal("/b"), "write `/b`"),
        ("/a/./b", normal("/a/b"), "write `/a/b`"),
        ("/a b*", normal("/a%20b*"), "write `/a%20b*`"),
        ("/caf\u{e9}", normal("/caf%C3%A9"), "write `/caf%C3%A9`"),
        ("/%61/*", normal("/a/*"), "write `/a/*`"),
        ("/%c3%a9", normal("/%C3%A9"), "write `/%C3%A9`"),
        ("/a|b", normal("/a%7Cb"), "write `/a%7Cb`"),
    ];
    for (text, wanted, fix) in rows {
        let fault = PathPattern::parse(text).unwrap_err();
        assert_eq!(fault, wanted, "{text}");
        assert!(fault.fix().contains(fix), "{text}: {}", fault.fix());
        assert!(!fault.found().is_empty() && !fault.wanted().is_empty(), "{text}");
    }
}

#[test]
fn a_pattern_is_bounded_in_length_and_segments() {
    let of = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(pattern(&of(TEXT_MAX)).to_string().len(), TEXT_MAX);
    assert_eq!(PathPattern::parse(&of(TEXT_MAX + 1)), Err(PathPatternFault::TooLong));
    assert_eq!(pattern(&"/*".repeat(SEGMENTS_MAX)).to_string(), "/*".repeat(SEGMENTS_MAX));
    assert_eq!(PathPattern::parse(&"/*".repeat(SEGMENTS_MAX + 1)), Err(PathPatternFault::TooLong));
}

#[test]
fn what_is_no_path_matches_nothing() {
    for path in ["", "a", "*"] {
        assert!(!pattern("/**").matches(path) && !pattern("/**").may_match(path), "{path:?}");
    }
}

/// Without a bound these take longer than anybody waits.
#[test]
fn stars_upon_stars_end() {
    let path = format!("/{}", "a".repeat(8000));
    assert!(!pattern(&format!("/{}b", "a*".repeat(500))).matches(&path));
    let deep = "/a".repeat(4000);
    assert!(!pattern(&format!("{}/b", "/**/a".repeat(31))).matches(&deep));
    assert!(pattern(&format!("{}/**", "/**/a".repeat(31))).matches(&deep));
}

/// On purpose: a set, a choice, `?`, an escape and `**` inside a segment mean something to globset, and are faults here; a repeated `**` too.
#[test]
fn globset_knows_more_than_the_language() {
    for (text, path) in [("/[ab]", "/a"), ("/{a,b}", "/b"), ("/?", "/a"), ("/\\*", "/*"), ("/a**", "/ab"), ("/**/**/x", "/a/x")] {
        assert!(globset(text, path), "{text}");
        assert!(PathPattern::parse(text).is_err(), "{text}");
    }
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ab*]{1,4}".prop_map(|text| text.replace("**", "*b")), 1 => Just("**".to_owned()), 1 => Just("*".to_owned())]
}

fn any_pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 1..6), any::<bool>()).prop_map(|(mut segments, slash)| {
        segments.dedup_by(|a, b| a == b && a == "**");
        format!("/{}{}", segments.join("/"), if slash { "/" } else { "" })
    })
}

fn any_path() -> impl Strategy<Value = String> {
    (prop::collection::vec("[abA]{1,4}", 0..7), any::<bool>())
        .prop_map(|(segments, slash)| format!("/{}{}", segments.join("/"), if slash && !segments.is_empty() { "/" } else { "" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn globset_and_the_matcher_agree(text in any_pattern(), paths in prop::collection::vec(any_path(), 8)) {
        for path in paths {
            prop_assert_eq!(pattern(&text).matches(&path), globset(&text, &path), "{} and {}", text, path);
        }
    }

    #[test]
    fn what_matches_may_match(text in any_pattern(), paths in prop::collection::vec(any_path(), 8)) {
        for path in paths {
            prop_assert!(!pattern(&text).matches(&path) || pattern(&text).may_match(&path), "{} and {}", text, path);
        }
    }

    #[test]
    fn a_path_in_normal_form_is_a_pattern_of_itself(raw in "/[ -~\u{e9}\u{3a3}]{0,12}") {
        let path = RequestPath::read(&raw);
        if let Ok(normal) = path.normal()
            && let Ok(pattern) = PathPattern::parse(normal)
        {
            prop_assert_eq!(pattern.to_string(), normal);
            prop_assert!(pattern.matches(normal) && pattern.may_match(normal), "{}", normal);
        }
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in any::<String>(), tail in "[/*%.a?\\[\u{e9}]{0,12}") {
        for text in [text, format!("/{tail}")] {
            if let Ok(pattern) = PathPattern::parse(&text) {
                prop_assert_eq!(PathPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}

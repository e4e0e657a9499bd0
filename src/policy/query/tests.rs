use proptest::prelude::*;

use super::*;
use Answer::{Maybe, No, Surely};

fn service() -> QueryPattern {
    QueryPattern::new("service", vec!["git-upload-pack".to_owned(), "a b".to_owned(), "c+d".to_owned()]).unwrap()
}

fn read(raw: &str) -> Query {
    Query::read(Some(raw))
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Every server reads a listed value.
    Surely,
    /// Some server may.
    Maybe,
    /// No server does.
    No,
}

fn answer(pattern: &QueryPattern, raw: &str) -> Answer {
    match (pattern.surely(&read(raw)), pattern.maybe(&read(raw))) {
        (true, true) => Surely,
        (false, true) => Maybe,
        (false, false) => No,
        (true, false) => panic!("{raw}: surely and not maybe"),
    }
}

/// Each row: a query, the answer of [`service`], and why.
const ANSWERS: &[(&str, Answer, &str)] = &[
    ("service=git-upload-pack", Surely, "as written"),
    ("a=1&service=git-upload-pack&b", Surely, "among others"),
    ("&&service=git-upload-pack&", Surely, "empty pairs"),
    ("service=git%2Dupload%2dpack", Surely, "escapes every server decodes"),
    ("%73ervice=git-upload-pack", Surely, "escapes in the name too"),
    ("service=git-upload-pack&service=git-upload-pack", Surely, "first or last, it is the same"),
    ("service=git-upload-pack&service=a%20b", Surely, "first or last, both are listed"),
    ("service=a%20b", Surely, "a space in one spelling"),
    ("service=c%2Bd", Surely, "a plus in one spelling"),
    ("services=x&xservice=y&service=git-upload-pack", Surely, "other names"),
    ("x=service&service=git-upload-pack", Surely, "the name as a value"),
    ("x=a%26b%3Dc&service=git-upload-pack", Surely, "other values may hold anything"),
    ("", No, "empty"),
    ("a=1", No, "absent"),
    ("service", No, "no value: nil, empty or true"),
    ("service=", No, "empty, or dropped"),
    ("service=git-receive-pack", No, "not listed"),
    ("service=git-upload-packs", No, "not listed"),
    ("service==git-upload-pack", No, "the value begins with `=`"),
    ("services=git-upload-pack", No, "another name"),
    ("x=service=git-upload-pack", No, "inside another value"),
    ("service%3Dgit-upload-pack", Maybe, "who decodes before splitting"),
    ("service=a+b", Maybe, "a space, or a plus"),
    ("service=c+d", Maybe, "a plus, or a space"),
    ("service=git-upload-pack&service=git-receive-pack", Maybe, "first, last or all"),
    ("service=git-receive-pack&service=git-upload-pack", Maybe, "first, last or all"),
    ("service=git-upload-pack&service", Maybe, "first, last or all"),
    ("service=git-upload-pack&service=", Maybe, "first, last or all"),
    ("service=git-upload-pack&Service=x", Maybe, "ASP.NET is blind to case"),
    ("SERVICE=git-upload-pack", Maybe, "ASP.NET is blind to case"),
    ("service=GIT-upload-pack", Maybe, "enumerations blind to case"),
    ("service=git-upload-pack;x=1", Maybe, "`;` separates, or is the value"),
    ("x=1;service=git-upload-pack", Maybe, "`;` separates, or is the value"),
    ("service=git-upload-pack&x=1;y=2", Maybe, "`;` drops the pair in Go"),
    ("service=git-upload-pack&amp;service=x", Maybe, "`;` separates, or is the name"),
    ("service[]=git-upload-pack", Maybe, "PHP and Rails read a list"),
    ("service=git-upload-pack&service[]=x", Maybe, "PHP reads the list alone"),
    ("service=git-upload-pack&service%5B%5D=x", Maybe, "PHP reads the list alone"),
    ("service=git-upload-pack&service[0]=x", Maybe, "PHP reads the list alone"),
    ("service=git-upload-pack&service[=x", Maybe, "PHP reads `service_`"),
    ("service=git-upload-pack&[service]=x", Maybe, "the qs of Node"),
    ("service=git-upload-pack&%20service=x", Maybe, "PHP drops spaces in front"),
    ("service=git-upload-pack&+service=x", Maybe, "PHP drops spaces in front"),
    ("service=git-upload-pack&service+=x", Maybe, "trimmed"),
    ("service=git-upload-pack&service%00y=x", Maybe, "C strings end"),
    ("?service=git-upload-pack", Maybe, "URLSearchParams drops it"),
    ("service=git-upload-pack%00.x", Maybe, "C strings end"),
    ("service=git-upload-pack%0a", Maybe, "a line end, trimmed"),
    ("service=git-upload-pack%20", Maybe, "trimmed"),
    ("service=git-upload-pack,git-receive-pack", Maybe, "a list in one value"),
    ("service=git-receive-pack%7Cgit-upload-pack", Maybe, "a list in one value"),
    ("service=git-upload-pack&x=%", Maybe, "Go drops the pair, others refuse"),
    ("service=git-upload-pack&x=%zz", Maybe, "Go drops the pair, others refuse"),
    ("service=git-upload-pack&x=%ff", Maybe, "not UTF-8"),
    ("service=git-upload-pack&x=%00", Maybe, "a control"),
    ("service=git-upload-pack&x=%c2%85", Maybe, "a control"),
    ("service=git-upload-pack&x=\u{e9}", Maybe, "raw octets, of whatever charset"),
    ("service=git-upload-pack&x=a b", Maybe, "no request line holds it"),
    ("service=git-upload-pack#x", No, "no request line holds it"),
    ("service=git-upload-pack&x#y", Maybe, "no request line holds it"),
    ("%2573ervice=git-upload-pack", Maybe, "decoded twice"),
    ("service=git-upload-pack&%2573ervice=x", Maybe, "decoded twice"),
    ("service=git-upload-pack&%252573ervice=x", Maybe, "decoded three times"),
    ("service=git%252Dupload-pack", Maybe, "decoded twice"),
    ("service=git-upload-pac%u006b", Maybe, "IIS knows it"),
    ("%u0073ervice=git-upload-pack", Maybe, "IIS knows it"),
    ("x=1%26service=git-upload-pack", Maybe, "who decodes before splitting"),
    ("service=git-upload-pack%26service=x", Maybe, "who decodes before splitting"),
    ("service=git-upload-pack&x=1%26service%3Dy", Maybe, "who decodes before splitting"),
    ("service=git-upload-pack&x=1%3Bservice%3Dy", Maybe, "who decodes before splitting"),
];

#[test]
fn a_query_is_matched_as_servers_read_it() {
    for (raw, wanted, who) in ANSWERS {
        assert_eq!(answer(&service(), raw), *wanted, "{raw}: {who}");
    }
}

#[test]
fn names_fold_as_php_folds_them() {
    let pattern = QueryPattern::new("a_b", vec!["x".to_owned()]).unwrap();
    for raw in ["a.b=x", "a+b=x", "a%20b=x", "A_B=x", "a_b[]=x", "a_b_=x", "a.b[c][d]=x"] {
        assert_eq!(answer(&pattern, raw), Maybe, "{raw}");
    }
    assert_eq!(answer(&pattern, "a_b=x"), Surely);
    assert_eq!(answer(&pattern, "a_b=x&a.b=y"), Maybe);
    assert_eq!(answer(&pattern, "a-b=x"), No);
    let dotted = QueryPattern::new("a.b_", vec!["x".to_owned()]).unwrap();
    assert_eq!(answer(&dotted, "a.b_=x"), Surely);
    assert_eq!(answer(&dotted, "a_b%20=x"), Maybe);
}

#[test]
fn both_spellings_of_a_space_are_surely_matched_where_both_are_listed() {
    let pattern = QueryPattern::new("q", vec!["a b".to_owned(), "a+b".to_owned()]).unwrap();
    for raw in ["q=a+b", "q=a%20b", "q=a%2Bb"] {
        assert_eq!(answer(&pattern, raw), Surely, "{raw}");
    }
}

#[test]
fn values_may_be_of_any_script() {
    let pattern = QueryPattern::new("q", vec!["caf\u{e9}".to_owned(), "x=\"y\"".to_owned()]).unwrap();
    for raw in ["q=caf%C3%A9", "q=caf%c3%a9", "q=x=%22y%22", "q=x%3D%22y%22"] {
        assert_eq!(answer(&pattern, raw), Surely, "{raw}");
    }
    assert_eq!(answer(&pattern, "q=CAF%C3%89"), Maybe);
    assert_eq!(answer(&pattern, "q=caf\u{e9}"), Maybe);
    assert_eq!(answer(&pattern, "q=caf%e9"), No);
}

#[test]
fn an_absent_query_matches_nothing() {
    for query in [Query::absent(), Query::read(None), Query::read(Some(""))] {
        assert!(!service().surely(&query) && !service().maybe(&query));
    }
    assert_eq!(Query::absent(), Query::read(None));
    assert_ne!(Query::absent(), Query::read(Some("")));
}

#[test]
fn past_the_bounds_nothing_is_sure_and_nothing_slips_by() {
    let with = |pairs: usize| format!("{}service=git-upload-pack", "a&".repeat(pairs - 1));
    assert_eq!(answer(&service(), &with(PAIRS_MAX)), Surely);
    assert_eq!(answer(&service(), &with(PAIRS_MAX + 1)), Maybe);
    let long = |length: usize| format!("service=git-upload-pack&x={}", "a".repeat(length - 26));
    assert_eq!(answer(&service(), &long(QUERY_MAX)), Surely);
    assert_eq!(answer(&service(), &long(QUERY_MAX + 1)), Maybe);
    assert_eq!(answer(&service(), &"%25".repeat(200_000)), No);
    assert_eq!(answer(&service(), &format!("{}service=git-upload-pack", ";".repeat(500_000))), Maybe);
}

#[test]
fn a_query_is_not_shown() {
    assert_eq!(format!("{:?}", read("token=secret")), "Query(not shown)");
    assert_eq!(format!("{:#?}", Query::absent()), "Query(not shown)");
}

#[test]
fn a_pattern_shows_itself_and_knows_no_order() {
    let of = |values: &[&str]| QueryPattern::new("service", values.iter().map(ToString::to_string).collect()).unwrap();
    assert_eq!(of(&["b", "a"]).to_string(), "service = [\"a\", \"b\"]");
    assert_eq!(of(&["b", "a", "b"]), of(&["a", "b"]));
    assert_eq!(of(&["say \"x\""]).to_string(), "service = [\"say \\\"x\\\"\"]");
}

#[test]
fn what_could_never_surely_match_is_a_fault() {
    use QueryPatternFault::*;
    let long = |length: usize| "a".repeat(length);
    let rows = [
        ("", "x", NoName),
        (&*long(NAME_MAX + 1), "x", NameTooLong),
        ("service[]", "x", Array),
        ("service]", "x", Array),
        ("a b", "x", Name),
        ("a+b", "x", Name),
        ("a%20b", "x", Name),
        ("a&b", "x", Name),
        ("a=b", "x", Name),
        ("a;b", "x", Name),
        ("?a", "x", Name),
        ("caf\u{e9}", "x", Name),
        ("a\n", "x", Name),
        ("a", "", EmptyValue),
        ("a", &*long(VALUE_MAX + 1), ValueTooLong),
        ("a", "git-*", Star),
        ("a", "a%20b", Percent),
        ("a", "a&b", Separator),
        ("a", "a;b", Separator),
        ("a", "a\tb", Control),
        ("a", "a\u{85}", Control),
    ];
    for (name, value, wanted) in rows {
        let fault = QueryPattern::new(name, vec!["fine".to_owned(), value.to_owned()]).unwrap_err();
        assert_eq!(fault, wanted, "{name} {value}");
        assert!(!fault.found().is_empty() && !fault.wanted().is_empty() && !fault.fix().is_empty());
    }
    assert_eq!(QueryPattern::new("a", Vec::new()), Err(NoValues));
    let many = |count: usize| (0..count).map(|value| value.to_string()).collect();
    assert_eq!(QueryPattern::new("a", many(VALUES_MAX + 1)), Err(TooManyValues));
    assert!(QueryPattern::new(&long(NAME_MAX), many(VALUES_MAX)).is_ok());
    assert!(QueryPattern::new("$filter", vec![long(VALUE_MAX)]).is_ok());
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Pieces of queries, most of which meet in the name and the values of [`service`].
fn any_query() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "service",
        "service",
        "=",
        "=",
        "=",
        "&",
        "&",
        ";",
        "git-upload-pack",
        "git-upload-pack",
        "a b",
        "a%20b",
        "a+b",
        "c+d",
        "c%2Bd",
        "%",
        "%2",
        "%zz",
        "%00",
        "%0a",
        "%26",
        "%3D",
        "%3B",
        "%25",
        "%2573",
        "%ff",
        "%u0073",
        "[]",
        "[",
        "]",
        "%5B",
        "?",
        "#",
        "+",
        "%20",
        ".",
        "_",
        ",",
        "|",
        "\u{e9}",
        "SERVICE",
        "x",
    ]);
    let listed = prop::sample::select(vec!["service=git-upload-pack&", "&service=a%20b", "%73ervice=c%2bd&", "x=y&"]);
    prop::collection::vec(prop_oneof![1 => fixed, 2 => listed], 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_surely_so_may_be_so(raw in any_query()) {
        prop_assert!(!service().surely(&read(&raw)) || service().maybe(&read(&raw)), "{}", raw);
    }

    #[test]
    fn any_listed_value_is_surely_matched_in_full_escapes(value in "[^%*&;\u{0}-\u{1f}\u{7f}-\u{9f}]{1,8}", others in "([xyz]=[a-z]{0,3}&){0,3}") {
        let pattern = QueryPattern::new("name", vec![value.clone(), value.replace('+', " ")]).unwrap();
        for name in ["name".to_owned(), percent("name")] {
            prop_assert_eq!(answer(&pattern, &format!("{others}{name}={}", percent(&value))), Surely);
        }
    }

    /// Written from the words of the URL standard, sharing no code: whoever reads so reads a listed value wherever the pattern is sure.
    #[test]
    fn who_reads_forms_reads_a_listed_value_where_it_is_sure(raw in any_query()) {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            let mut parts = text.split('%');
            let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
            for part in parts {
                match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => { bytes.push(byte); bytes.extend_from_slice(&part.as_bytes()[2..]); }
                    None => { bytes.push(b'%'); bytes.extend_from_slice(part.as_bytes()); }
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let values: Vec<String> = raw.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name) == "service").then(|| decoded(value))
        }).collect();
        let listed = |value: &String| ["git-upload-pack", "a b", "c+d"].contains(&value.as_str());
        if service().surely(&read(&raw)) {
            prop_assert!(!values.is_empty() && values.iter().all(listed), "{}", raw);
        }
        if values.iter().any(listed) {
            prop_assert!(service().maybe(&read(&raw)), "{}", raw);
        }
    }
}

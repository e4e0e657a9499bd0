use std::time::{Duration, SystemTime};

use super::*;
use crate::policy::allowlist::NoLibrary;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn warnings(floor: &str, text: &str) -> Vec<String> {
    let floor = Floor::parse("floor.toml", floor).unwrap().0;
    read(text, &Reading { now: now(), floor: &floor, library: &NoLibrary, inspects: false })
}

fn read(text: &str, reading: &Reading<'_>) -> Vec<String> {
    let text = format!("agent = \"a\"\n{text}");
    let (_, warnings) = Allowlist::read("a.toml", &text, reading).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    warnings.iter().map(ToString::to_string).collect()
}

/// Where exeat can look into TLS.
fn codes_seeing(floor: &str, text: &str) -> Vec<String> {
    let floor = Floor::read("floor.toml", floor, true).unwrap().0;
    let lines = read(text, &Reading { now: now(), floor: &floor, library: &NoLibrary, inspects: true });
    lines.into_iter().map(code).collect()
}

fn code(line: String) -> String {
    line.rsplit_once('[').map(|(_, code)| code.trim_end_matches(']').to_owned()).unwrap()
}

fn codes(floor: &str, text: &str) -> Vec<String> {
    warnings(floor, text).into_iter().map(code).collect()
}

#[test]
fn a_rule_that_never_speaks_is_told_and_no_other() {
    let allow = "[[allow]]\nhost = \"a.example.com\"\n";
    for (text, wanted) in [
        (format!("{allow}[[block]]\nhost = \"a.example.com\"\n"), true),
        (format!("{allow}[[block]]\nhost = \"*.example.com\"\n"), true),
        (format!("{allow}[[block]]\nhost = \"a.example.com\"\nport = 443\n"), false),
        (format!("{allow}[[block]]\nhost = \"a.example.com\"\nport = 80\nmethod = \"POST\"\n"), false),
        (format!("{allow}[[block]]\nhost = \"a.example.com\"\nuntil = \"2030-01-01\"\n"), false),
        (format!("{allow}until = \"2029-01-01\"\n[[block]]\nhost = \"a.example.com\"\nuntil = \"2030-01-01\"\n"), true),
        ("[[allow]]\nhost = [\"a.example.com\", \"b.example.com\"]\n[[block]]\nhost = \"a.example.com\"\n".to_owned(), false),
        ("[[allow]]\nhost = [\"a.example.com\", \"b.example.com\"]\n[[block]]\nhost = \"{a,b}.example.com\"\n".to_owned(), true),
        ("[[allow]]\nhost = \"*.a.example.com\"\n[[block]]\nhost = \"**.example.com\"\n".to_owned(), true),
        ("[[allow]]\nhost = \"**.example.com\"\n[[block]]\nhost = \"*.example.com\"\n".to_owned(), false),
        ("[[hold]]\nhost = \"a.example.com\"\n[[block]]\nhost = \"a.example.com\"\n".to_owned(), true),
        ("[[allow]]\nhost = \"10.1.0.0/16\"\naddresses = [\"10.1.0.0/16\"]\n[[block]]\nhost = \"10.0.0.0/8\"\n".to_owned(), true),
        ("[[block]]\nhost = \"*.example.com\"\n[[block]]\nhost = \"a.example.com\"\nbecause = \"no\"\n".to_owned(), true),
        ("[[block]]\nhost = \"a.example.com\"\nbecause = \"no\"\n[[block]]\nhost = \"*.example.com\"\n".to_owned(), false),
        (format!("{allow}{allow}"), true),
        (format!("{allow}[[allow]]\nhost = [\"a.example.com\", \"b.example.com\"]\n"), true),
        (format!("{allow}[[allow]]\nhost = \"a.example.com\"\nport = 8080\n"), false),
        (format!("{allow}[[allow]]\nhost = \"*.example.com\"\n"), false),
        (format!("{allow}[[hold]]\nhost = \"a.example.com\"\n"), false),
    ] {
        let expected: &[&str] = if wanted { &["shadowed-rule"] } else { &[] };
        assert_eq!(codes("", &text), expected, "{text}");
    }
}

#[test]
fn a_rule_about_requests_beside_a_plain_one_narrows_nothing_and_is_told() {
    let narrow = "[[allow]]\nhost = \"a.example.com\"\nport = 8080\nmethod = \"GET\"\n";
    for (text, wanted) in [
        ("[[allow]]\nhost = \"a.example.com\"\nport = 8080\n", true),
        ("[[allow]]\nhost = \"*.example.com\"\nport = [80, 8080]\nnote = \"all\"\n", true),
        ("[[allow]]\nhost = \"a.example.com\"\n", false),
        ("[[allow]]\nhost = \"b.example.com\"\nport = 8080\n", false),
        ("[[allow]]\nhost = \"a.example.com\"\nport = 8080\nuntil = \"2030-01-01\"\n", false),
        ("[[allow]]\nhost = \"a.example.com\"\nport = 8080\npath = \"/x\"\n", false),
        ("[[hold]]\nhost = \"a.example.com\"\nport = 8080\n", false),
    ] {
        let expected: &[&str] = if wanted { &["shadowed-rule"] } else { &[] };
        assert_eq!(codes("", &format!("{narrow}{text}")), expected, "{text}");
        assert_eq!(codes("", &format!("{text}{narrow}")), expected, "{text}");
    }
    let text = format!("[[allow]]\nhost = \"a.example.com\"\nport = 8080\n{narrow}");
    let said = "a.toml:5: warning: this allow rule narrows nothing: a.toml:2 lets every request to all its hosts and ports pass; narrow or remove that one, or remove this [shadowed-rule]";
    assert_eq!(warnings("", &text), [said]);
}

#[test]
fn the_words_name_both_rules() {
    let text = "[[allow]]\nhost = \"a.example.com\"\n[[block]]\nhost = \"*.example.com\"\n[[allow]]\nhost = \"x.example.org\"\n[[allow]]\nhost = \"x.example.org\"\n";
    assert_eq!(
        warnings("[[block]]\nhost = \"**.example.org\"\n", text),
        [
            "a.toml:2: warning: this allow rule never speaks: a.toml:4 blocks all it is about, and a block comes before every allow [shadowed-rule]",
            "a.toml:6: warning: this allow rule never speaks: the floor floor.toml blocks all it is about, at line 1 [floor-shadow]",
            "a.toml:8: warning: this allow rule changes nothing: a.toml:6 says the same of all its hosts and ports [shadowed-rule]",
        ]
    );
}

#[test]
fn what_has_ended_and_what_is_too_wide_are_told() {
    let text = "observe_until = \"2020-01-01\"\n[[allow]]\nhost = \"a.example.com\"\nuntil = \"2020-01-01\"\n";
    assert_eq!(codes("", text), ["past-until", "past-until"]);
    assert_eq!(codes("", "addresses = [\"public\", \"10.0.0.0/8\"]\n"), ["wide-private"]);
    assert_eq!(
        codes("", "addresses = [\"public\", \"10.1.0.0/16\"]\n[[allow]]\nhost = \"a.example.com\"\naddresses = [\"fc00::/7\"]\n"),
        ["wide-private"]
    );
}

#[test]
fn an_opaque_rule_and_one_about_requests_never_meet() {
    let opaque = "[[allow]]\nhost = \"*.example.com\"\nport = 5432\nopaque = true\n";
    let read = |floor: &str, text: String| {
        let floor = Floor::parse("floor.toml", floor).unwrap().0;
        let reading = Reading { now: now(), floor: &floor, library: &NoLibrary, inspects: false };
        let faults = Allowlist::read("a.toml", &format!("agent = \"a\"\n{text}"), &reading).err().unwrap_or_default();
        faults.iter().map(|fault| format!("{}: {}", fault.line, fault.found)).collect::<Vec<_>>()
    };
    let request = |host: &str, port: u16| format!("{opaque}[[block]]\nhost = \"{host}\"\nport = {port}\nmethod = \"POST\"\n");
    let found = ["6: method, path or query where a.toml:2 says opaque"];
    for host in ["a.example.com", "*.a.example.com", "**.example.com", "**.com"] {
        assert_eq!(read("", request(host, 5432)), found, "{host}");
    }
    for (host, port) in [("a.example.com", 80), ("example.com", 5432), ("*.example.org", 5432)] {
        assert_eq!(read("", request(host, port)), [""; 0], "{host}:{port}");
    }
    let floor = "[[hold]]\nhost = \"a.example.com\"\nport = 5432\npath = \"/x\"\n";
    assert_eq!(read(floor, opaque.to_owned()), ["2: opaque = true where the floor floor.toml looks at requests, at line 1"]);
}

#[test]
fn a_host_that_its_rule_never_opens_is_an_error() {
    for (text, found) in [
        ("host = \"10.20.0.0/16\"\n", Some("10.20.0.0/16, of which the rule's addresses hold nothing")),
        ("host = \"10.20.0.0/16\"\naddresses = [\"10.20.7.0/24\"]\n", None),
        (
            "host = \"169.254.0.0/16\"\naddresses = [\"169.254.0.0/16\"]\n",
            Some("169.254.0.0/16, of which the rule's addresses hold nothing"),
        ),
        ("host = \"8.8.8.0/24\"\n", None),
        ("host = \"*.abc.onion\"\n", Some("*.abc.onion, names no rule opens")),
        ("host = \"*.abc.internal\"\n", None),
    ] {
        let read = Allowlist::parse("a.toml", &format!("agent = \"a\"\n[[allow]]\n{text}"));
        let told = read.err().and_then(|faults| faults.first().map(|fault| fault.found.clone()));
        assert_eq!(told.as_deref(), found, "{text}");
    }
}

#[test]
fn a_name_at_servers_of_many_is_told_unless_its_requests_are_looked_at() {
    let at = |host: &str, more: &str| format!("[[allow]]\nhost = \"{host}\"\n{more}\n");
    let edge = at("d1.cloudfront.net", "");
    let looking = |more: &str| format!("[[block]]\nhost = \"d1.cloudfront.net\"\n{more}\n");
    let injected = |allowed: &str, port: u16| {
        let inject =
            format!("[[inject]]\nhost = \"d1.cloudfront.net\"\nport = {port}\nheader = \"authorization\"\nvalue = {{ env = \"X\" }}\n");
        format!("{}{inject}", at("d1.cloudfront.net", allowed))
    };
    for (text, wanted) in [
        (edge.clone(), true),
        (at("acme.global.ssl.fastly.net", "port = 8443"), true),
        (at("*.d1.cloudfront.net", ""), true),
        (at("d1.cloudfront.net", "exclude = true"), true),
        (at("d1.cloudfront.net", "port = 80"), false),
        (at("d1.cloudfront.net", "path = \"/x/**\""), false),
        (at("d1.cloudfront.net", "until = \"2020-01-01\""), false),
        (at("notcloudfront.net", ""), false),
        (at("cdn.example.com", ""), false),
        ("[[hold]]\nhost = \"d1.cloudfront.net\"\n".to_owned(), false),
        (format!("{edge}{}", looking("path = \"/x/**\"\nport = 443")), false),
        (format!("{edge}{}", looking("path = \"/x/**\"\nport = 8443")), true),
        (format!("{edge}{}", at("d2.cloudfront.net", "port = 443\npath = \"/x/**\"")), true),
        (format!("{edge}[[hold]]\nhost = \"**.d1.cloudfront.net\"\nmethod = \"POST\"\n"), false),
        (injected("port = 443", 443), false),
        (injected("port = 443", 8443), true),
        (injected("port = 8443", 8443), false),
        (injected("port = [443, 8443]", 8443), true),
    ] {
        let told = codes_seeing("", &text).iter().filter(|code| *code == "shared-edge").count();
        assert_eq!(told, usize::from(wanted), "{text}");
    }
    for (floor, wanted) in [("path = \"/x/**\"", false), ("path = \"/x/**\"\nport = 8443", true)] {
        assert_eq!(codes_seeing(&looking(floor), &edge).contains(&"shared-edge".to_owned()), wanted, "{floor}");
    }
    let said = "a.toml:2: warning: d1.cloudfront.net leads to servers of cloudfront.net that answer for other customers too: a tunnel there can ask for any of them; look into it, by a rule with path or method, or list a name at servers of its own [shared-edge]";
    assert_eq!(warnings("", &edge), [said]);
}

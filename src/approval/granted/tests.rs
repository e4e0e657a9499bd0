use std::os::unix::fs::PermissionsExt as _;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::approval::PlaceView;
use crate::policy::allowlist::{Allowlist, NoLibrary, Reading};
use crate::policy::attempt::Scheme;

#[test]
fn an_agents_file_says_who_said_what_when_and_its_heading_that_it_is_a_copy() {
    let state = tempfile::tempdir().unwrap();
    let granted = Granted::new(state.path());
    let [coder, other] = ["coder", "other"].map(|name| AgentId::parse(name).unwrap());
    let mut request = approval("coder", "api.test", 80);
    request.place.scheme = Some(Scheme::Http);
    request.place.only = Some(RequestLine { method: "POST".into(), path: "/a".into() });
    request.note = Some("why \"not\"\u{7f}".to_owned());
    request.hold = Some("abc123".to_owned());
    let ends = ApprovalView { scope: "for".to_owned(), ..approval("coder", "short.test", 443) };
    let all = vec![approval("coder", "db.test", 5432), request, ends, approval("other", "elsewhere.test", 443)];
    granted.write(&coder, || all.clone()).unwrap();

    let path = state.path().join("granted/coder.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(
        text.starts_with(
            "# What people let coder reach without end. exeat writes this file and never reads it: its store is what counts.\n"
        )
    );
    let wanted = "\n[[approved]]\nid = \"00000000-0000-0000-0000-000000000007\"\nhost = \"db.test\"\nport = 5432\naddresses = [\"public\", \"10.0.0.0/8\"]\n\
                  who = \"alice\"\nwhen = 1970-01-01T00:00:00Z\n\
                  \n[[approved]]\nid = \"00000000-0000-0000-0000-000000000007\"\nhold = \"abc123\"\nhost = \"api.test\"\nport = 80\nscheme = \"http\"\n\
                  method = \"POST\"\npath = \"/a\"\naddresses = [\"public\", \"10.0.0.0/8\"]\nwho = \"alice\"\nwhen = 1970-01-01T00:00:00Z\n\
                  note = \"why \\\"not\\\"\\u007F\"\n";
    assert_eq!(text.split_once("allowlist.\n").unwrap().1, wanted);
    let read: toml::Table = text.parse().unwrap();
    assert_eq!(read["approved"][1]["note"].as_str(), Some("why \"not\"\u{7f}"));

    assert_eq!(granted.agents(), std::slice::from_ref(&coder));
    granted.write(&other, || all.clone()).unwrap();
    granted.write(&coder, Vec::new).unwrap();
    granted.write(&coder, Vec::new).unwrap();
    assert_eq!(granted.agents(), [other], "who has no approval without end any more has no file");
    let names: Vec<_> = fs::read_dir(state.path().join("granted")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["other.toml"], "nothing else is left");
}

#[test]
fn approvals_without_end_are_rules_that_an_allowlist_loads() {
    let mut request = approval("coder", "api.test", 80);
    request.place.only = Some(RequestLine { method: "POST".into(), path: "/repos/acme".into() });
    request.place.scheme = Some(Scheme::Http);
    request.note = Some(format!("a \"quoted\" word, {}", "and so on ".repeat(49)));
    let mut masked = approval("coder", "masked.test", 80);
    masked.place.only = Some(RequestLine { method: "GET".into(), path: "/token/***".into() });
    let plain = ApprovalView { addresses: vec!["public".to_owned()], ..approval("coder", "8.8.8.8", 443) };
    let ends = ApprovalView { scope: "for".to_owned(), ..approval("coder", "short.test", 443) };
    let mut in_clear = approval("other", "http.example.com", 80);
    in_clear.place.scheme = Some(Scheme::Http);
    let mut inside = approval("other", "tls.example.com", 443);
    inside.place.scheme = Some(Scheme::Https);
    let mut one_inside = inside.clone();
    one_inside.place.only = Some(RequestLine { method: "PUT".into(), path: "/x".into() });
    let text = as_rules(&[approval("other", "z.example.com", 443), in_clear, inside, one_inside, plain, request, masked, ends]);
    let floor = crate::policy::floor::Floor::none();
    let reading = Reading { now: std::time::SystemTime::UNIX_EPOCH, floor: &floor, library: &NoLibrary, inspects: true };
    let (allowlist, warnings) = Allowlist::read("coder.toml", &format!("agent = \"coder\"\n{text}"), &reading).unwrap();
    let mut rules: Vec<_> = allowlist.rules.iter().map(|rule| rule.note.as_deref().unwrap().chars().take(35).collect::<String>()).collect();
    rules.sort();
    assert_eq!(
        rules,
        [
            "alice, 1970-01-01",
            "alice, 1970-01-01",
            "alice, 1970-01-01",
            "alice, 1970-01-01",
            "alice, 1970-01-01",
            "alice, 1970-01-01: a \"quoted\" word,"
        ],
        "{text}\n{warnings:?}"
    );
    assert!(text.contains("# host = \"masked.test\"") && !text.contains("short.test"), "{text}");
    let wider = "\n# The yes is to plain HTTP alone; a rule lets a tunnel there pass as well.\n[[allow]]\nhost = ";
    assert_eq!((text.matches(wider).count(), text.contains(&format!("{wider}\"http.example.com\""))), (1, true), "{text}");
    let inside = "\n# The yes is to requests that are seen inside TLS; a rule lets a tunnel pass as well, once nothing looks at them.\n[[allow]]\nhost = \"tls.example.com\"\n";
    assert_eq!(text.matches(inside).count(), 1, "{text}");
    assert!(text.contains("[[allow]]\nhost = \"tls.example.com\"\nport = [443]\nmethod = [\"PUT\"]\npath = [\"/x\"]\n"), "{text}");
    assert!(text.contains("# For the allowlist of coder.") && text.contains("# For the allowlist of other."), "{text}");
    assert_eq!(as_rules(&[]), "");
}

#[test]
fn a_yes_to_what_the_leak_guard_found_is_no_rule_and_says_why() {
    for path in ["/a (leak rule x in the body)", "(path 0a1b2c3d, not shown) (leak rule x and 1 more in the url)"] {
        let mut found = approval("coder", "api.test", 443);
        found.place.scheme = Some(Scheme::Https);
        found.place.only = Some(RequestLine { method: "POST".into(), path: path.into() });
        let text = as_rules(&[found]);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
        assert!(text.contains("# No rule lets what the leak guard found pass") && text.contains(path), "{text}");
    }
}

fn approval(agent: &str, host: &str, port: u16) -> ApprovalView {
    let place = PlaceView { host: host.to_owned(), unicode: None, registrable: None, mixed_script: false, port, scheme: None, only: None };
    ApprovalView {
        id: Uuid::from_u128(7),
        hold: None,
        agent: AgentId::parse(agent).unwrap(),
        instance: None,
        place,
        scope: "always".to_owned(),
        until: None,
        addresses: vec!["public".to_owned(), "10.0.0.0/8".to_owned()],
        approver: "alice".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        note: None,
        open: 0,
    }
}

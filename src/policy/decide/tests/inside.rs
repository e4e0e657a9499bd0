//! Rules about requests inside TLS, and the credentials that exeat puts into them.

use super::*;
use crate::policy::attempt::{AttemptId, Scheme};

/// One allowlist where there is a CA.
fn inspecting(floor: &str, rules: &str) -> Policy {
    let floor = Floor::read("floor.toml", floor, true).map_or_else(|faults| panic!("{}", said(&faults)), |(floor, _)| floor);
    let reading = Reading { now: NOW, floor: &floor, library: &NoLibrary, inspects: true };
    let text = format!("agent = \"a\"\n{rules}");
    let (allowlist, _) = Allowlist::read("a.toml", &text, &reading).unwrap_or_else(|faults| panic!("{}", said(&faults)));
    Policy::under(floor.into(), vec![allowlist], Guard::default()).unwrap()
}

/// The request of an `https` URL, as it is found in a tunnel that is looked into.
fn inside(text: &str) -> Attempt {
    let plain = attempt(&text.replacen("https://", "http://", 1));
    let mut destination = plain.destination.clone();
    if destination.port.number() == 80 {
        destination.port = Port::parse("443").unwrap();
    }
    Attempt { scheme: Some(Scheme::Https), destination, ..plain }
}

fn granted(policy: &Policy, attempt: &Attempt) -> Grant {
    match policy.decide(attempt, &Approvals::default(), NOW) {
        Decision::Allow(grant) => grant,
        other @ (Decision::Look(_) | Decision::Hold(_) | Decision::Block(_)) => panic!("{}", word(&other)),
    }
}

const API: &str = r#"[[allow]]
host = "api.example.com"
[[allow]]
host = "api.example.com"
port = 8443
method = "GET"
path = "/repos/**"
[[hold]]
host = "*.example.com"
method = "POST"
"#;

#[test]
fn a_request_inside_tls_is_judged_by_its_rules_and_its_tunnel_is_looked_into() {
    let policy = inspecting("", API);
    for (tried, wanted) in [
        ("https://api.example.com/x", "allow a.toml:2"),
        ("POST https://api.example.com/x", "hold a.toml:9 this"),
        ("GET https://api.example.com:8443/repos/x", "allow a.toml:4"),
        ("GET https://api.example.com:8443/other", "unlisted a.toml:2"),
        ("POST https://api.example.com:8443/repos/x", "unlisted a.toml:2"),
    ] {
        assert_eq!(decided_at(&policy, &inside(tried), NOW), wanted, "{tried}");
    }
    // However the host is spelled, and with whatever port the rule is about.
    for (tried, wanted) in [
        ("api.example.com:443", "look a.toml:9"),
        ("API.Example.COM.:443", "look a.toml:9"),
        ("other.example.com:443", "look a.toml:9"),
        ("api.example.com:80", "look a.toml:9"),
        ("api.example.com:8443", "look a.toml:4"),
        ("api.example.com:22", "unlisted a.toml:2"),
        ("example.com:443", "unlisted"),
    ] {
        assert_eq!(decided_at(&policy, &attempt(&format!("CONNECT {tried}")), NOW), wanted, "{tried}");
    }
}

#[test]
fn the_floor_looks_at_requests_of_every_agent_inside_tls_and_on_every_port() {
    let floor = "[[block]]\nhost = \"**.example.com\"\nmethod = \"DELETE\"\n[[hold]]\nhost = \"pay.example.com\"\npath = \"/charge/**\"\n";
    let policy = inspecting(floor, "[[allow]]\nhost = [\"api.example.com\", \"pay.example.com\"]\nport = [443, 9443]\n");
    for (tried, wanted) in [
        ("DELETE https://api.example.com/x", "blocked floor.toml:1"),
        ("delete https://api.example.com:9443/x", "blocked floor.toml:1"),
        ("GET https://api.example.com:9443/x", "allow a.toml:2"),
        ("GET https://pay.example.com/charge/1", "hold floor.toml:4 this"),
    ] {
        assert_eq!(decided_at(&policy, &inside(tried), NOW), wanted, "{tried}");
    }
    table(&policy, &[("api.example.com:9443", "look floor.toml:1"), ("CONNECT api.example.com:5", "look floor.toml:1")]);
}

#[test]
fn a_yes_to_a_tunnel_is_none_to_where_a_rule_looks_and_one_to_a_scheme_none_to_another() {
    let policy = inspecting("", &format!("unlisted = \"hold\"\n{API}"));
    let yes = |attempt: &Attempt, asking: Asking| {
        let mut approvals = Approvals::default();
        approvals.insert(always(attempt, asking));
        approvals
    };
    let (tunnel, post) = (attempt("api.example.com:443"), inside("POST https://api.example.com/x"));
    let plain = Attempt { scheme: Some(Scheme::Http), ..post.clone() };
    let carried = Attempt { within: Some(AttemptId(Uuid::from_u128(9))), ..post.clone() };
    let got = |attempt: &Attempt, approvals: &Approvals| word(&policy.decide(attempt, approvals, NOW));
    let (every, this) = (Asking::EveryRequest, Asking::ThisRequest);
    for (said_to, asking, tried, wanted) in [
        (&tunnel, every, &tunnel, "look a.toml:10"),
        (&tunnel, every, &post, "hold a.toml:10 this"),
        (&tunnel, every, &carried, "hold a.toml:10 this"),
        (&tunnel, this, &tunnel, "look a.toml:10"),
        (&tunnel, this, &post, "hold a.toml:10 this"),
        (&tunnel, this, &carried, "hold a.toml:10 this"),
        (&plain, this, &post, "hold a.toml:10 this"),
        (&post, this, &plain, "hold a.toml:10 this"),
        (&post, this, &post, "approved"),
        (&post, every, &post, "hold a.toml:10 this"),
        (&post, this, &tunnel, "look a.toml:10"),
    ] {
        assert_eq!(got(tried, &yes(said_to, asking)), wanted, "{tried:?} after a yes to {asking:?} of {said_to:?}");
    }
}

const INJECTS: &str = r#"[[allow]]
host = ["api.example.com", "127.0.0.1"]
port = [80, 443, 8443]
addresses = ["public", "127.0.0.1"]
[[inject]]
host = "api.example.com"
header = "authorization"
value = { env = "READ" }
method = "GET"
path = "/repos/**"
[[inject]]
host = "api.example.com"
header = "authorization"
value = { env = "WRITE" }
method = "POST"
path = "/repos/acme/**"
[[inject]]
host = "api.example.com"
header = "x-trace"
value = { file = "trace" }
[[inject]]
host = "127.0.0.1"
scheme = "http"
header = "cookie"
value = { env = "LOCAL" }
"#;

#[test]
fn a_credential_goes_into_the_requests_it_is_for_and_every_other_field_for_it_is_named() {
    let policy = inspecting("", INJECTS);
    let put_in = |attempt: &Attempt| {
        let grant = granted(&policy, attempt);
        grant.inject().map(|injection| {
            let headers: Vec<&str> = injection.headers.iter().map(AsRef::as_ref).collect();
            let lines: Vec<u32> = injection.apply.iter().map(|inject| inject.place.line).collect();
            (headers.join(" "), lines)
        })
    };
    let both = |lines: &[u32]| Some(("authorization x-trace".to_owned(), lines.to_vec()));
    for (tried, expected) in [
        ("https://api.example.com/repos/x", both(&[6, 18])),
        ("https://API.example.com./repos/%78", both(&[6, 18])),
        ("POST https://api.example.com/repos/acme/x", both(&[12, 18])),
        ("POST https://api.example.com/repos/other/x", both(&[18])),
        ("https://api.example.com/repos/acme/../../user", both(&[18])),
        ("https://api.example.com/x%2frepos/x", both(&[18])),
        ("get https://api.example.com/user", both(&[18])),
        ("https://api.example.com:8443/repos/x", None),
    ] {
        assert_eq!(put_in(&inside(tried)), expected, "{tried}");
    }
    let content = seen(|seen| seen.content = true, "GET http://api.example.com/repos/x");
    let content = Attempt { scheme: Some(Scheme::Https), destination: inside("https://api.example.com/").destination, ..content };
    assert_eq!(put_in(&content), both(&[18]), "a request of a safe method with content is not the one meant");
    assert_eq!(put_in(&attempt("http://api.example.com:443/repos/x")), None, "plain HTTP takes nothing");
    assert_eq!(put_in(&attempt("http://127.0.0.1/")), Some(("cookie".to_owned(), vec![22])));
    assert_eq!(put_in(&inside("https://127.0.0.1/")), None, "another port and scheme");
    assert!(granted(&policy, &inside("https://api.example.com/repos/x")).normal_path());
    table(
        &policy,
        &[
            ("CONNECT api.example.com:443", "look a.toml:6"),
            ("CONNECT api.example.com:8443", "allow a.toml:2"),
            ("CONNECT 127.0.0.1:80", "look a.toml:22"),
        ],
    );
}

#[test]
fn a_request_that_may_be_taken_for_another_gets_no_credential_for_some_requests() {
    let policy = inspecting("", INJECTS);
    let rewriting = seen(|seen| seen.rewrites = true, "POST http://api.example.com:443/repos/acme/x");
    let rewriting = Attempt { scheme: Some(Scheme::Https), ..rewriting };
    assert_eq!(decided_at(&policy, &rewriting, NOW), "blocked a.toml:6");
    assert_eq!(decided_at(&policy, &Attempt { scheme: Some(Scheme::Http), ..rewriting }, NOW), "allow a.toml:2");
}

#[test]
fn an_agent_known_only_by_where_it_connects_from_gets_no_credential_and_nothing_past_it() {
    let policy = inspecting("", INJECTS);
    for (attempt, refused) in [
        (attempt("CONNECT api.example.com:443"), true),
        (inside("https://api.example.com/repos/x"), true),
        (inside("POST https://api.example.com/other"), true),
        (attempt("http://127.0.0.1/"), true),
        (attempt("CONNECT api.example.com:8443"), false),
        (attempt("http://api.example.com:80/repos/x"), false),
    ] {
        let attempt = Attempt { proven: false, ..attempt };
        let decision = policy.decide(&attempt, &Approvals::default(), NOW);
        let because = "exeat puts a credential in here, and does so only for an agent with a token; send yours";
        let told = matches!(&decision, Decision::Block(Block { reason: Reason::Blocked, rule: Some(_), because: Some(words), echo: None }) if &**words == because);
        assert_eq!(told, refused, "{attempt:?}: {}", word(&decision));
        assert!(!word(&policy.decide(&Attempt { proven: true, ..attempt }, &Approvals::default(), NOW)).starts_with("blocked"));
    }
}

#[test]
fn a_yes_carries_the_credentials_too() {
    let policy = inspecting("", &INJECTS.replacen("[[allow]]", "[[hold]]", 1));
    let attempt = inside("https://api.example.com/repos/x");
    let mut approvals = Approvals::default();
    approvals.insert(always(&attempt, Asking::EveryRequest));
    let Decision::Allow(grant) = policy.decide(&attempt, &approvals, NOW) else { panic!("a yes") };
    assert_eq!(grant.inject().map(|injection| injection.apply.len()), Some(2));
}

#[test]
fn a_credential_is_part_of_what_a_policy_is_called_by() {
    let hash = |rules: &str| inspecting("", rules).hash().clone();
    assert_eq!(hash(INJECTS), hash(INJECTS));
    for changed in [
        INJECTS.replace("\"READ\"", "\"OTHER\""),
        INJECTS.replace("x-trace", "x-trace-2"),
        INJECTS.replace("value = { file = \"trace\" }", "value = { file = \"trace\" }\nmask = true"),
        INJECTS.replace("path = \"/repos/**\"", "path = \"/user\""),
    ] {
        assert_ne!(hash(INJECTS), hash(&changed), "{changed}");
    }
}

mod never_a_tunnel {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// One rule as written, and what of it the oracle reads.
    #[derive(Clone, Debug)]
    struct Written {
        kind: &'static str,
        host: &'static str,
        port: Option<u16>,
        request: &'static str,
        until: Option<u64>,
    }

    const REQUEST: [&str; 5] = ["", "", "method = \"GET\"\n", "path = \"/x/**\"\n", "query = { a = \"1\" }\n"];
    const HOSTS: [&str; 7] = [
        "api.example.com",
        "*.example.com",
        "**.example.com",
        "API.example.com.",
        "a*.example.com",
        "xn--bcher-kva.example.com",
        "9.9.9.9",
    ];
    const TRIED: [&str; 7] =
        ["api.example.com", "API.EXAMPLE.com.", "example.com", "bücher.example.com", "9.9.9.9", "x.api.example.com", "[::ffff:9.9.9.9]"];

    fn rule(kinds: &'static [&'static str]) -> impl Strategy<Value = Written> {
        let port = prop_oneof![Just(None), select(vec![80, 443, 8443]).prop_map(Some)];
        let until = prop_oneof![Just(None), select(vec![5_u64, 15]).prop_map(Some)];
        (select(kinds), select(HOSTS.to_vec()), port, select(REQUEST.to_vec()), until)
            .prop_map(|(kind, host, port, request, until)| Written { kind, host, port, request, until })
    }

    impl Written {
        fn text(&self) -> String {
            let Self { kind, host, port, request, until } = self;
            let port = port.map(|port| format!("port = {port}\n")).unwrap_or_default();
            let until = until.map(|second| format!("until = \"1970-01-01T00:00:{second:02}Z\"\n")).unwrap_or_default();
            if *kind == "inject" {
                return format!(
                    "[[inject]]\nhost = \"{host}\"\n{port}header = \"authorization\"\nvalue = {{ env = \"X\" }}\n{}",
                    request.replace("query", "# query")
                );
            }
            // `exclude` is not beside what looks at the same requests, or nothing loads.
            let exclude = if *kind == "exclude" { "exclude = true\n" } else { "" };
            let table = if *kind == "exclude" { "allow" } else { kind };
            format!("[[{table}]]\nhost = \"{host}\"\n{port}{until}{exclude}{request}")
        }

        /// Whether it wants to see the requests of a tunnel to there, read anew and simply.
        fn looks(&self, (host, port, second): (&str, u16, u64)) -> bool {
            let in_force = self.kind == "inject" || self.until.is_none_or(|until| second < until);
            let wants = self.kind == "inject" || !self.request.is_empty();
            let usual: &[u16] = match self.kind {
                "block" => &[80, 443, 8443],
                "inject" => &[443],
                _ => &[80, 443],
            };
            let here = self.port.map_or(usual.contains(&port), |own| own == port);
            let name = self.host.trim_end_matches('.').to_ascii_lowercase();
            let named = match name.as_str() {
                "*.example.com" => host.ends_with(".example.com"),
                "**.example.com" => host == "example.com" || host.ends_with(".example.com"),
                "a*.example.com" => host.strip_suffix(".example.com").is_some_and(|label| label.starts_with('a') && !label.contains('.')),
                name => host == name,
            };
            in_force && wants && here && named
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn where_anything_looks_at_requests(
            own in prop::collection::vec(rule(&["allow", "allow", "hold", "block", "inject", "exclude"]), 0..5),
            of_floor in prop::collection::vec(rule(&["hold", "block"]), 0..3),
            observed in any::<bool>(),
            unlisted in select(vec!["block", "hold"]),
            (tried, port, second, proven) in (select(TRIED.to_vec()), select(vec![80_u16, 443, 8443]), select(vec![0_u64, 10, 20]), any::<bool>()),
        ) {
            let floor = of_floor.iter().map(Written::text).collect::<String>();
            let Ok((floor, _)) = Floor::read("floor.toml", &floor, true) else { return Ok(()) };
            let observe = if observed { "observe_until = \"1970-01-08\"\n" } else { "" };
            let rules = own.iter().map(Written::text).collect::<String>();
            let text = format!("agent = \"a\"\nunlisted = \"{unlisted}\"\n{observe}{rules}");
            let reading = Reading { now: NOW, floor: &floor, library: &NoLibrary, inspects: true };
            let Ok((allowlist, _)) = Allowlist::read("a.toml", &text, &reading) else { return Ok(()) };
            let policy = Policy::under(floor.into(), vec![allowlist], Guard::default()).unwrap();
            let tunnel = Attempt { proven, ..attempt(&format!("CONNECT {tried}:{port}")) };
            let host = match tried {
                "bücher.example.com" => "xn--bcher-kva.example.com".to_owned(),
                "[::ffff:9.9.9.9]" => "9.9.9.9".to_owned(),
                tried => tried.trim_end_matches('.').to_ascii_lowercase(),
            };
            let looks = own.iter().chain(&of_floor).any(|rule| rule.looks((&host, port, second)));
            let mut approvals = Approvals::default();
            approvals.insert(always(&tunnel, Asking::EveryRequest));
            for approvals in [Approvals::default(), approvals] {
                let decision = policy.decide(&tunnel, &approvals, NOW + Duration::from_secs(second));
                let seen = matches!(decision, Decision::Look(_) | Decision::Block(_));
                prop_assert!(!looks || seen, "{} {tried}:{port} at {second}\n{text}", word(&decision));
                prop_assert!(looks || !matches!(decision, Decision::Look(_)), "nothing looks: {} {tried}:{port} at {second}\n{text}", word(&decision));
            }
        }
    }
}

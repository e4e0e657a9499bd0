//! Who asks: evidence that agrees, evidence that does not, and evidence that proves two.

use super::*;

fn evidence(listener: &str, source: &str, offered: Offered) -> Evidence {
    Evidence { listener: listener.into(), source: source.parse().unwrap(), offered }
}

fn token(agent: &str, token: &str) -> Offered {
    Offered::Token { agent: agent.to_owned(), digest: TokenDigest::of(token) }
}

#[test]
fn all_evidence_must_be_valid_and_agree() {
    let hash = |token: &str| TokenDigest::of(token).to_string();
    let files = [
        format!(
            "agent = \"a\"\n[[identify]]\ntoken = \"{}\"\n[[identify]]\ntoken = \"{}\"\nsource = \"10.1.0.0/16\"\n",
            hash("ta"),
            hash("ta-bound")
        ),
        "agent = \"b\"\n[[identify]]\nsource = \"10.2.0.0/16\"\n".to_owned(),
        "agent = \"c\"\n[[identify]]\nlistener = \"sidecar\"\nsource = \"10.3.0.0/16\"\n".to_owned(),
        "agent = \"d\"\n".to_owned(),
    ];
    let lists = files.iter().enumerate().map(|(n, text)| Allowlist::parse(&format!("{n}.toml"), text).unwrap().0).collect();
    let policy = Policy::new(lists, Guard::default()).unwrap();
    let state = [("td", "d"), ("tb", "b"), ("tx", "gone"), ("ta-bound", "a"), ("ta", "d")]
        .map(|(token, name)| (TokenDigest::of(token), agent(name)));
    let policy = policy.with_tokens(state.into_iter().take(4)).with_listener("bound", agent("d")).with_listener("lost", agent("gone"));
    let rows = [
        ("main", "10.9.0.1", Offered::Nothing, None),
        ("main", "10.9.0.1", Offered::Garbled, None),
        ("main", "10.9.0.1", token("a", "ta"), Some("a")),
        ("main", "10.9.0.1", token("b", "ta"), None),
        ("main", "10.9.0.1", token("A", "ta"), None),
        ("main", "10.9.0.1", token("", "ta"), None),
        ("main", "10.9.0.1", token("a", "wrong"), None),
        // A file binds its token, whatever state says.
        ("main", "10.1.0.1", token("a", "ta-bound"), Some("a")),
        ("main", "10.9.0.1", token("a", "ta-bound"), None),
        // By source; also mapped, and never beside a bad credential or another agent's.
        ("main", "10.2.0.1", Offered::Nothing, Some("b")),
        ("main", "::ffff:10.2.0.1", Offered::Nothing, Some("b")),
        ("main", "10.2.0.1", token("b", "tb"), Some("b")),
        ("main", "10.2.0.1", Offered::Garbled, None),
        ("main", "10.2.0.1", token("b", "wrong"), None),
        ("main", "10.2.0.1", token("a", "ta"), None),
        ("main", "10.2.0.1", token("a", "ta-bound"), None),
        // Keys inside one table must all hold.
        ("sidecar", "10.3.0.1", Offered::Nothing, Some("c")),
        ("sidecar", "10.9.0.1", Offered::Nothing, None),
        ("main", "10.3.0.1", Offered::Nothing, None),
        // A bound listener; and one bound to an agent without rules is nobody's.
        ("bound", "10.9.0.1", Offered::Nothing, Some("d")),
        ("bound", "10.9.0.1", token("d", "td"), Some("d")),
        ("bound", "10.9.0.1", token("a", "ta"), None),
        ("bound", "10.2.0.1", Offered::Nothing, None),
        ("lost", "10.9.0.1", Offered::Nothing, None),
        ("lost", "10.9.0.1", token("a", "ta"), None),
        ("main", "10.9.0.1", token("gone", "tx"), None),
    ];
    for (listener, source, offered, expected) in rows {
        let said = policy.identify(&evidence(listener, source, offered.clone()));
        assert_eq!(said, expected.map(agent).ok_or(Reason::UnknownAgent), "{listener} {source} {offered:?}");
    }
    let gone = policy.with_tokens([(TokenDigest::of("ta"), agent("gone"))]);
    assert_eq!(gone.identify(&evidence("main", "10.9.0.1", token("a", "ta"))), Ok(agent("a")));
    let disputed = policy.with_tokens([(TokenDigest::of("ta"), agent("d"))]);
    for name in ["a", "d"] {
        assert_eq!(disputed.identify(&evidence("main", "10.9.0.1", token(name, "ta"))), Err(Reason::UnknownAgent));
    }
}

#[test]
fn evidence_that_would_prove_two_agents_does_not_load() {
    let hash = TokenDigest::of("t");
    let together = |one: &str, other: &str| {
        let list = |name: &str, keys: &str| {
            Allowlist::parse(&format!("{name}.toml"), &format!("agent = \"{name}\"\n[[identify]]\n{keys}\n")).unwrap().0
        };
        let said = Policy::new(vec![list("a", one), list("b", other)], Guard::default());
        said.map_or_else(|faults| faults.iter().map(Fault::to_string).collect(), |_| Vec::<String>::new())
    };
    let token = format!("token = \"{hash}\"");
    for (one, other, clash) in [
        (token.as_str(), token.as_str(), true),
        ("source = \"10.0.0.0/8\"", "source = \"10.2.0.0/16\"", true),
        ("source = \"10.2.0.0/16\"", "source = \"10.0.0.0/8\"", true),
        ("source = \"10.1.0.0/16\"", "source = \"10.2.0.0/16\"", false),
        ("listener = \"x\"", "listener = \"x\"", true),
        ("listener = \"x\"", "listener = \"y\"", false),
        ("source = \"10.0.0.0/8\"\nlistener = \"x\"", "source = \"10.0.0.0/8\"\nlistener = \"y\"", false),
        ("source = \"10.0.0.0/8\"\nlistener = \"x\"", "source = \"10.0.0.0/8\"", true),
        (&format!("{token}\nsource = \"10.1.0.0/16\""), "source = \"10.0.0.0/8\"", true),
        (&token, "source = \"10.0.0.0/8\"", false),
    ] {
        let said = together(one, other);
        assert_eq!(said.len(), usize::from(clash), "{one} / {other}: {said:?}");
        assert!(!said.iter().any(|line| line.contains(&hash.to_string())), "{said:?}");
    }
}

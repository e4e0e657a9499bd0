//! The index against a scan of every rule, and very many rules.

use super::*;

/// What the rules say, read one by one: the reference the index must agree with.
fn scanned(allowlist: &Allowlist, target: &Destination) -> &'static str {
    let speaks = |kind: &str| {
        let about = |rule: &&Rule| rule.effect.as_str() == kind && rule.ports.contain(target.port);
        allowlist.rules.iter().filter(about).any(|rule| rule.hosts.iter().any(|host| host.matches(&target.host)))
    };
    match (speaks("block"), speaks("hold"), speaks("allow"), allowlist.unlisted) {
        (true, ..) => "blocked",
        (_, true, ..) => "hold",
        (_, _, true, _) => "allow",
        (.., Unlisted::Block) => "unlisted",
        (.., Unlisted::Hold) => "hold",
    }
}

proptest! {
    #[test]
    fn the_index_agrees_with_reading_every_rule(
        rules in prop::collection::vec(("(allow|hold|block)", "(\\*\\.|\\*\\*\\.)?([ab]\\.|a\\*\\.){0,2}x\\.com", prop::option::of(1u16..4)), 0..12),
        host in "([ab]{1,2}\\.){0,3}x\\.com",
        port in 1u16..4,
        hold in any::<bool>(),
    ) {
        let mut text = format!("agent = \"a\"\nunlisted = \"{}\"\n", if hold { "hold" } else { "block" });
        for (kind, pattern, port) in &rules {
            let port = port.map(|port| format!("port = {port}\n")).unwrap_or_default();
            text.push_str(&format!("[[{kind}]]\nhost = \"{pattern}\"\n{port}"));
        }
        let allowlist = load(&text);
        let destination = Destination { host: Host::parse(&host).unwrap(), port: Port(NonZeroU16::new(port).unwrap()) };
        let expected = scanned(&allowlist, &destination);
        let mut attempt = attempt("x.com:1");
        attempt.destination = destination;
        let said = word(&Policy::new(vec![allowlist], Guard::default()).unwrap().decide(&attempt, &Approvals::default(), NOW));
        prop_assert_eq!(said.split(' ').next(), Some(expected), "{}", text);
    }

    #[test]
    fn no_text_ends_the_process(text in "(\\PC|\\n|\\[\\[allow\\]\\]\\n|host = |agent = \"a\"\\n){0,40}") {
        let _ = Allowlist::parse("f.toml", &text);
    }
}

#[test]
fn a_hundred_thousand_rules_load_and_decide() {
    let mut text = "agent = \"a\"\n".to_owned();
    for n in 0..100_000 {
        text.push_str(&format!("[[allow]]\nhost = \"h{n}.example{n}.com\"\n"));
    }
    let policy = policy(&text);
    assert_eq!(decided(&policy, "h99999.example99999.com:443"), "allow 200000");
    assert_eq!(decided(&policy, "h99999.example99998.com:443"), "unlisted");
}

//! Networks as hosts: an allow or hold rule matches literals, a block rule also what a name resolves to.

use std::net::IpAddr;

use super::*;

const NE2RKS: &str = r#"agent = "a"
addresses = ["10.20.0.0/16", "public"]
[[allow]]
host = ["10.0.0.0/8", "*.example.com"]
addresses = ["10.0.0.0/8", "public"]
[[allow]]
host = "8.8.8.0/24"
[[allow]]
host = ["10.20.0.0/16", "2001:4860::/32"]
addresses = ["10.20.0.0/16", "public"]
opaque = true
[[hold]]
host = "10.20.30.0/24"
addresses = ["10.20.30.0/24"]
[[block]]
host = "10.20.0.0/24"
[[block]]
host = ["10.20.0.128/25", "9.9.9.0/24", "64:ff9b::/96"]
because = "no"
[[block]]
host = ["8.8.8.8/31", "10.20.0.200"]
port = 53
"#;

#[test]
fn a_network_matches_literals_and_the_longest_prefix_speaks() {
    let policy = policy(NE2RKS);
    for (target, expected) in [
        ("10.1.2.3:443", "allow 3"),
        ("10.20.1.1:443", "allow 8"),
        ("10.20.30.1:443", "hold 12"),
        ("[2001:4860::1]:443", "allow 8"),
        ("8.8.8.7:443", "allow 6"),
        ("8.8.8.9:443", "allow 6"),
        ("8.8.8.9:53", "blocked 20"),
        ("10.20.0.1:443", "blocked 15"),
        ("[::ffff:10.20.0.1]:443", "blocked 15"),
        ("10.20.0.200:443", "blocked 15"),
        ("10.20.0.200:53", "blocked 15"),
        ("[64:ff9b::9.9.9.9]:443", "blocked 17"),
        ("[64:ff9b::10.20.0.1]:443", "blocked 15"),
        ("[2002:a14:81::]:443", "blocked 15"),
        ("7.7.7.7:443", "unlisted"),
    ] {
        assert_eq!(decided(&policy, target), expected, "{target}");
    }
}

#[test]
fn a_blocked_network_also_refuses_names_that_resolve_into_it() {
    let policy = policy(NE2RKS);
    let blocked = |line| Err(AddressRefusal::Blocked(RuleRef { file: "f.toml".into(), line }));
    let grant = grant(&policy, "x.example.com:443", &Approvals::default());
    for (address, expected) in [
        ("10.20.0.1", blocked(15)),
        ("10.20.0.129", blocked(15)),
        ("2002:a14:1::", blocked(15)),
        ("9.9.9.255", blocked(17)),
        ("64:ff9b::9.9.9.9", blocked(17)),
        ("64:ff9b::10.20.0.1", blocked(15)),
        ("8.8.8.8", Ok(())),
        ("9.9.8.255", Ok(())),
        ("10.20.1.1", Ok(())),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(grant.judge(address), expected, "{address}");
    }
}

#[test]
fn a_block_of_every_address_leaves_names_to_their_answers() {
    let policy =
        policy("agent = \"a\"\n[[allow]]\nhost = [\"x.example.com\", \"8.8.8.8\", \"[2606:4700::1]\"]\n[[block]]\nhost = \"0.0.0.0/0\"\n");
    assert_eq!(decided(&policy, "8.8.8.8:443"), "blocked 4");
    assert_eq!(decided(&policy, "[2606:4700::1]:443"), "allow 2");
    assert_eq!(decided(&policy, "[64:ff9b::808:808]:443"), "blocked 4");
    let grant = grant(&policy, "x.example.com:443", &Approvals::default());
    assert!(!grant.covers("1.1.1.1".parse().unwrap()) && !grant.covers("64:ff9b::101:101".parse().unwrap()));
    assert!(grant.covers("2606:4700::2".parse().unwrap()));
}

#[test]
fn a_block_rule_of_many_addresses_is_kept_once() {
    let hosts: Vec<String> = (0..20_000).map(|n: u32| format!("\"11.{}.{}.{}\"", n >> 16, n >> 8 & 255, n & 255)).collect();
    let text = format!("agent = \"a\"\n[[block]]\nhost = [{}]\n", hosts.join(","));
    let policy = policy(&text);
    let bounds = &policy.agent(&agent("a")).unwrap().bounds;
    assert_eq!(bounds.blocked("11.0.78.31".parse().unwrap(), Port(NonZeroU16::MIN), NOW).map(|rule| rule.place.line), Some(2));
}

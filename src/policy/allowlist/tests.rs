mod language;

use super::*;
use crate::policy::destination::Port;
use crate::policy::rule::{Allow, Effect, Ports};

fn faults(text: &str) -> Vec<String> {
    Allowlist::parse("coder.toml", text).map_or_else(|faults| faults.iter().map(Fault::to_string).collect(), |_| Vec::new())
}

fn warnings(text: &str) -> Vec<String> {
    Allowlist::parse("coder.toml", text).unwrap().1.iter().map(Warning::to_string).collect()
}

fn port(number: u16) -> Port {
    Port(std::num::NonZeroU16::new(number).unwrap())
}

#[test]
#[expect(clippy::too_many_lines, reason = "every key there is")]
fn a_full_file_reads_as_written() {
    let digest = TokenDigest::of("exeat_t");
    let text = format!(
        r#"agent = "coder"
unlisted = "hold"
addresses = ["public", "10.20.0.0/16"]
[[identify]]
token = "{digest}"
source = "10.2.0.0/16"
[[identify]]
listener = "sidecar"
[[allow]]
host = ["API.example.com.", "*.example.org"]
note = "models"
[[allow]]
host = "db.example.net"
port = [5433, 5432, 5432]
addresses = "10.20.0.0/16"
opaque = true
[[hold]]
host = "api.example.com"
port = 443
[[block]]
host = "*.example.io"
because = "no"
"#
    );
    let (allowlist, warnings) = Allowlist::parse("coder.toml", &text).unwrap();
    assert_eq!(warnings, Vec::new());
    assert_eq!((allowlist.agent.as_str(), allowlist.agent_line, allowlist.unlisted), ("coder", 1, Unlisted::Hold));
    assert!(allowlist.addresses.public && allowlist.addresses.networks.len() == 1);
    let place = |line| RuleRef { file: "coder.toml".into(), line };
    let identify = vec![
        Identify { token: Some(digest), source: Some("10.2.0.0/16".parse().unwrap()), listener: None, place: place(4) },
        Identify { token: None, source: None, listener: Some("sidecar".into()), place: place(7) },
    ];
    assert_eq!(allowlist.identify, identify);
    let rules: Vec<String> = allowlist
        .rules
        .iter()
        .map(|rule| {
            let hosts: Vec<String> = rule.hosts.iter().map(ToString::to_string).collect();
            format!("{} {} {} ports {} {:?}", rule.place, rule.effect.as_str(), hosts.join(" "), rule.ports, rule.note)
        })
        .collect();
    assert_eq!(
        rules,
        [
            "coder.toml:9 allow api.example.com *.example.org ports 80, 443 Some(\"models\")",
            "coder.toml:12 allow db.example.net ports 5432, 5433 None",
            "coder.toml:17 hold api.example.com ports 443 None",
            "coder.toml:20 block *.example.io ports every port None",
        ]
    );
    let mut addresses = Addresses::none();
    addresses.add("10.20.0.0/16").unwrap();
    assert_eq!(
        allowlist.rules[1].effect,
        Effect::Allow(Allow {
            addresses: Arc::new(addresses),
            spelled: true,
            opaque: true,
            exclude: false,
            websocket: false,
            limits: Limits::default()
        })
    );
}

#[test]
fn an_agent_alone_blocks_everything() {
    let allowlist = Allowlist::parse("a.toml", "agent = \"a\"\n").unwrap().0;
    assert_eq!((allowlist.unlisted, allowlist.rules.len(), allowlist.addresses.public), (Unlisted::Block, 0, true));
}

#[test]
fn keys_of_later_versions_are_faults_that_say_so() {
    let identify = ["client_cert", "service_account", "unix_uid"];
    let rows = identify.map(|key| (key, format!("agent = \"a\"\n[[identify]]\n{key} = 1\n")));
    for (key, text) in rows {
        let said = faults(&text);
        assert!(
            said.len() == 1
                && said[0]
                    .contains(&format!("found {key}, not yet a key of this version; wanted a key this version knows: {key} comes with a later version; fix: remove it")),
            "{text}: {said:?}"
        );
    }
}

#[test]
fn every_table_refuses_unknown_and_misplaced_keys() {
    for (text, expected) in [
        ("agent = \"a\"\nzebra = 1", "2:1: found the unknown key \"zebra\" in the top level"),
        ("agent = \"a\"\n[[identify]]\nlistener = \"x\"\nzebra = 1", "4:1: found the unknown key \"zebra\" in [[identify]]"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nhots = 1", "did you mean host?"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nunlisted = \"hold\"", "move unlisted to the top of the file"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nbecause = \"x\"", "wanted because only in [[block]]"),
        ("agent = \"a\"\n[[hold]]\nhost = \"x.example.com\"\nopaque = true", "wanted opaque only in [[allow]]"),
        ("agent = \"a\"\n[[hold]]\nhost = \"x.example.com\"\nexclude = true", "wanted exclude only in [[allow]]"),
        ("agent = \"a\"\n[[block]]\nhost = \"x.example.com\"\nexclude = true", "wanted exclude only in [[allow]]"),
        ("agent = \"a\"\nexclude = true", "2:1: found exclude in the top level; wanted exclude only in [[allow]]"),
        ("agent = \"a\"\n[[block]]\nhost = \"x.example.com\"\naddresses = \"public\"", "wanted addresses only in [[allow]] and [[hold]]"),
        ("agent = \"a\"\n[[block]]\nhost = \"x.example.com\"\nshared_ok = \"x\"", "wanted shared_ok only in"),
    ] {
        let said = faults(text);
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }
}

#[test]
fn values_that_mean_nothing_are_faults() {
    for (text, expected) in [
        ("", "found no key agent"),
        ("agent = \"Coder\"", "1:9: found agent \"Coder\"; wanted an agent's name"),
        ("agent = \"a\"\nunlisted = \"allow\"", "2:12: found unlisted \"allow\"; wanted block or hold; fix: write one of block, hold"),
        ("agent = \"a\"\naddresses = []", "found an empty list; wanted \"public\" or a network"),
        (
            "agent = \"a\"\naddresses = [\"10.0.0.1/8\"]",
            "found addresses \"10.0.0.1/8\"; wanted \"public\" or a network; fix: write 10.0.0.0/8, or 10.0.0.1 for that address alone",
        ),
        ("agent = \"a\"\naddresses = \"private\"", "wanted \"public\" or a network; fix: write one such as 10.20.0.0/16 or 10.20.0.7"),
        (
            "agent = \"a\"\nhold = \"2m\"",
            "found hold \"2m\"; wanted a list of tables, [[hold]]; fix: write [[hold]] with double brackets; how long an attempt waits is `wait` in [hold] of exeat.toml",
        ),
        ("agent = \"a\"\n[hold]\nwait = \"2m\"", "how long an attempt waits is `wait` in [hold] of exeat.toml"),
        (
            "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nshared_ok = true",
            "found shared_ok true; wanted a text that says why the sharing is acceptable; fix: write shared_ok = \"why\"",
        ),
        ("agent = \"a\"\nagent = \"b\"", "2:1: found the key \"agent\" a second time"),
        ("agent = \"a\"\n[[identify]]", "2:1: found an empty [[identify]]"),
        ("agent = \"a\"\n[[identify]]\nsource = \"10.0.0.1/8\"", "write 10.0.0.0/8"),
        ("agent = \"a\"\n[[allow]]\nport = 443", "2:1: found no key host in [[allow]]"),
        ("agent = \"a\"\n[[allow]]\nhost = []", "3:8: found an empty list; wanted at least one host"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nport = []", "wanted at least one port"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nport = [0]", "a whole number from 1 to 65535"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nnote = \"a\\nb\"", "printable characters on one line"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\nopaque = \"yes\"", "wanted true or false"),
        ("agent = \"a\"\n[[allow]]\nhost = \"*\"", "3:8: found \"*\", a pattern for everything"),
        ("agent = \"a\"\n[[allow]]\nhost = [\"x.example.com\", \"*.com\"]", "3:26: found \"*.com\""),
        ("agent = \"a\"\n[[allow]]\nhost = \"*.github.io\"", "a public suffix"),
        ("agent = \"a\"\n[[allow]]\nhost = \"10.0.0.1\"", "add addresses = [\"10.0.0.1/32\"] to the rule"),
        ("agent = \"a\"\n[[allow]]\nhost = \"169.254.169.254\"", "metadata services are never dialled"),
        ("agent = \"a\"\n[[allow]]\nhost = \"localhost\"", "a name of a local network; wanted a rule with addresses"),
        ("agent = \"a\"\n[[hold]]\nhost = \"localhost\"", "a name of a local network; wanted a rule with addresses"),
        ("agent = \"a\"\n[[allow]]\nhost = \"x.onion\"\naddresses = \"public\"", "a name no rule opens"),
        ("agent = \"a\"\n[allow]\nhost = \"x.example.com\"", "write [[allow]] with double brackets"),
    ] {
        let said = faults(text);
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }
}

#[test]
fn all_faults_of_a_file_come_at_once() {
    let said = faults("agent = 1\nunlisted = 2\n[[allow]]\nhost = 3\nport = \"x\"\n[[block]]\nhosts = \"x\"\nuntil = 1\n");
    assert_eq!(said.len(), 7, "{said:#?}");
}

#[test]
fn a_token_in_a_file_is_never_shown() {
    for value in ["exeat_verysecret", "verysecret", "sha256:verysecret"] {
        let said = faults(&format!("agent = \"a\"\n[[identify]]\ntoken = \"{value}\"\n"));
        assert!(said.len() == 1 && !said[0].contains("verysecret") && said[0].contains("3:9"), "{said:?}");
    }
    let said = faults("agent = \"a\"\ninclude = \"exeat_verysecret\"\n");
    assert!(said.len() == 1 && !said[0].contains("verysecret") && said[0].contains("2:11"), "{said:?}");
}

#[test]
fn one_host_and_port_has_one_word_on_its_addresses() {
    let two = |first: &str, second: &str| {
        faults(&format!(
            "agent = \"a\"\n[[allow]]\nhost = \"x.example.com\"\n{first}\n[[allow]]\nhost = [\"y.example.com\", \"X.example.com\"]\n{second}\n"
        ))
    };
    assert_eq!(two("", ""), Vec::<String>::new());
    assert_eq!(two("addresses = \"public\"", ""), Vec::<String>::new());
    assert_eq!(two("port = 8080\nopaque = true", ""), Vec::<String>::new());
    for said in [two("addresses = \"10.0.0.0/8\"", ""), two("opaque = true\nport = [443, 5432]", "")] {
        assert!(said.len() == 1 && said[0].contains("found a second [[allow]] for x.example.com, unlike coder.toml:2; "), "{said:?}");
    }
}

#[test]
fn a_second_look_is_a_warning_with_a_code() {
    let said = warnings(
        "agent = \"a\"\n[[identify]]\nsource = \"0.0.0.0/0\"\n[[allow]]\nhost = \"*.amazonaws.com\"\nshared_ok = \"ours\"\n[[allow]]\nhost = \"*.corp.internal\"\n",
    );
    let codes: Vec<&str> = said.iter().filter_map(|line| line.rsplit_once('[').map(|(_, code)| code)).collect();
    assert_eq!(codes, ["identifies-everyone]", "shared-hosting]", "special-name]"], "{said:?}");
}

#[test]
fn flags_of_run_make_an_allowlist() {
    let agent = AgentId::parse("local").unwrap();
    let run = |hosts: &[&str], networks: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<String>>();
        Allowlist::for_run(agent.clone(), &owned(hosts), &owned(networks), Unlisted::Hold)
    };
    let (allowlist, _) = run(&["*.example.com", "example.org:8443", "[::1]:80", "localhost:8000"], &["127.0.0.0/8", "::1"]).unwrap();
    let rules: Vec<String> = allowlist.rules.iter().map(|rule| format!("{} {} {}", rule.place, rule.hosts[0], rule.ports)).collect();
    assert_eq!(rules, ["--allow:1 *.example.com 80, 443", "--allow:2 example.org 8443", "--allow:3 [::1] 80", "--allow:4 localhost 8000"]);
    assert!(allowlist.addresses.public && allowlist.addresses.networks.len() == 2);
    for (hosts, networks, expected) in [
        (&["*.com"][..], &[][..], "--allow, value 1: found \"*.com\""),
        (&["a.com,b.com"], &[], "--allow, value 1: found \"a.com,b.com\", a list; wanted one host per --allow; fix: repeat the flag"),
        (&["a.com:99999"], &[], "--allow, value 1: found the port \"99999\"; wanted a port from 1 to 65535; fix: correct it"),
        (&["a.com:0"], &[], "--allow, value 1: found the port \"0\"; wanted a port from 1 to 65535; fix: correct it"),
        (&["[::1]:x"], &[], "--allow, value 1: found the port \"x\"; wanted a port from 1 to 65535; fix: correct it"),
        (
            &["a.com/v1"],
            &[],
            "--allow, value 1: found \"a.com/v1\", more than a host; wanted a host, or HOST:PORT; fix: write --allow a.com",
        ),
        (
            &["http://u@[::1]:8080/v1"],
            &[],
            "--allow, value 1: found \"http://u@[::1]:8080/v1\", more than a host; wanted a host, or HOST:PORT; fix: write --allow [::1]:8080",
        ),
        (
            &["10.0.0.1/8"],
            &[],
            "--allow, value 1: found \"10.0.0.1/8\", a network with bits set behind its prefix; wanted a network's first address",
        ),
        (&["*.internal"], &[], "--allow, value 1: found \"*.internal\", a wildcard over `internal`, a whole zone; wanted"),
        (&["*.test"], &[], "--allow, value 1: found \"*.test\", a wildcard over `test`, a whole zone; wanted"),
        (&["a.example.com", "localhost"], &[], "--allow, value 2: found localhost, a name of a local network"),
        (&["10.0.0.1"], &[], "--allow, value 1: found 10.0.0.1, which the rule's addresses do not hold"),
        (
            &["https://a.example.com/"],
            &[],
            "--allow, value 1: found \"https://a.example.com/\", more than a host; wanted a host, or HOST:PORT; fix: write --allow a.example.com",
        ),
        (
            &[],
            &["foo"],
            "--addresses, value 1: found \"foo\"; wanted a network or an address; fix: write one such as 10.20.0.0/16 or 10.20.0.7",
        ),
        (
            &[],
            &["127.0.0.1/8"],
            "--addresses, value 1: found \"127.0.0.1/8\"; wanted a network or an address; fix: write 127.0.0.0/8, or 127.0.0.1 for that address alone",
        ),
    ] {
        let said = run(hosts, networks).unwrap_err();
        assert!(said.len() == 1 && said[0].to_string().starts_with(expected), "{said:?}");
    }
}

#[test]
fn the_embedded_default_holds_everything() {
    let allowlist = Allowlist::embedded(AgentId::parse("local").unwrap());
    assert_eq!((allowlist.unlisted, allowlist.rules.len(), allowlist.addresses.public), (Unlisted::Hold, 0, true));
}

#[test]
fn ports_meet_where_one_is_in_both() {
    for (one, other, meet) in [
        (Ports::Every, Ports::these([port(1)]), true),
        (Ports::these([port(1), port(2)]), Ports::these([port(2)]), true),
        (Ports::these([port(1)]), Ports::these([port(2)]), false),
    ] {
        assert_eq!((one.meet(&other), other.meet(&one)), (meet, meet));
    }
}

#[test]
fn a_range_of_ports_is_told_as_one() {
    for (port, expected) in [
        ("\"8000-9000\"", "port \"8000-9000\", a range; wanted ports one by one; fix: write each port"),
        ("[80, \"8000:9000\"]", "port \"8000:9000\", a range; wanted ports one by one; fix: write each port"),
        ("\"80\"", "port \"80\"; wanted a whole number from 1 to 65535"),
        ("\"a-b\"", "port \"a-b\"; wanted a whole number from 1 to 65535"),
    ] {
        let faults = Allowlist::parse("a.toml", &format!("agent = \"a\"\n[[allow]]\nhost = \"x.example\"\nport = {port}\n")).unwrap_err();
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(&format!("found {expected}")), "{said:?}");
    }
}

#[test]
fn a_method_that_is_nearly_a_common_one_is_doubted_and_every_other_loads() {
    for (method, near) in [
        ("GTE", Some("GET")),
        ("DELET", Some("DELETE")),
        ("POTS", Some("POST")),
        ("PATHC", Some("PATCH")),
        ("GET", None),
        ("PUT", None),
        ("PURGE", None),
        ("PROPFIND", None),
        ("X-OWN", None),
        ("BAN", None),
    ] {
        let text = format!("agent = \"a\"\n[[allow]]\nhost = \"x.example\"\nport = 80\nmethod = [\"HEAD\", \"{method}\"]\n");
        let (_, warnings) = Allowlist::parse("a.toml", &text).unwrap();
        let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let words = |near| {
            format!("a.toml:5:19: warning: \"{method}\" is no registered method, but nearly {near}: did you mean that? [near-method]")
        };
        assert_eq!(said, near.map(words).into_iter().collect::<Vec<_>>());
    }
}

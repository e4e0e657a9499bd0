//! Judge what you dial: names before DNS, every address after it, and exactly a judged address is dialled, on every path.

use serde_json::json;

use crate::support::dns::Reply;
use crate::support::origin::{Origin, ok};
use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::{decided, ended, of_kind};
use crate::support::site::Site;

/// What a name may not lead to unless its rule says so, in every disguise.
const FORBIDDEN: [&str; 24] = [
    "127.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "fd00:ec2::254",
    "fe80::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::5efe:7f00:1",
];

#[test]
fn a_listed_name_without_addresses_is_refused_where_it_resolves_inward() {
    let site = Site::new();
    let origin = Origin::http(|_| ok("reached"));
    site.agent("a", "", &format!("[[allow]]\nhost = \"*.listed.test\"\nport = [{}]", origin.port()));
    for (index, address) in FORBIDDEN.iter().enumerate() {
        site.dns.script(&format!("n{index}.listed.test"), [Reply::Addresses(vec![address.parse().unwrap()], 60)]);
    }
    let proxy = site.start();
    for (index, address) in FORBIDDEN.iter().enumerate() {
        let target = format!("n{index}.listed.test:{}", origin.port());
        assert_refused(&proxy.get(&format!("http://{target}/"), &a()), 403, "forbidden-address");
        assert_refused(&proxy.talk().connect(&target, &a()), 403, "forbidden-address");
        let records = proxy.settled();
        for decided in decided(&records, &format!("n{index}.listed.test")) {
            let ended = ended(&records, &decided["id"]);
            assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("refused"), &json!("forbidden-address")), "{address}");
            assert!(ended["address"].is_string(), "{address}: the refused address is not recorded: {ended}");
        }
    }
    assert!(origin.connections().is_empty(), "something was dialled");
}

#[test]
fn an_unlisted_name_is_never_sent_to_the_resolver() {
    let p0 = P0::new();
    let proxy = p0.start();
    for credentials in [a(), b(), String::new()] {
        proxy.get(&p0.url("secret-in-a-name.evil.test", "/"), &credentials);
        proxy.talk().connect(&p0.at_secure("secret-in-a-name.evil.test"), &credentials);
    }
    assert_eq!(p0.site.dns.queries(), []);
}

#[test]
fn a_held_name_is_not_looked_up_before_the_answer() {
    let p0 = P0::new();
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let mut talk = proxy.talk();
    talk.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", p0.at_secure("held.test"), a()));
    let holds = proxy.until_held(1, 1);
    assert_eq!(p0.site.dns.queries(), []);
    proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
    assert_eq!(talk.answer_to("CONNECT").status, 200);
    assert_eq!(p0.site.dns.count("held.test", "A"), 1);
}

#[test]
fn one_attempt_makes_one_lookup_and_dials_what_it_judged() {
    let site = Site::new();
    let good = Origin::http_at("127.0.0.2:0", |_| ok("good"));
    let evil = Origin::http_at(&format!("127.0.0.3:{}", good.port()), |_| ok("evil"));
    site.agent("a", "", &format!("[[allow]]\nhost = \"rebind.test\"\nport = [{}]\naddresses = [\"127.0.0.2/32\"]", good.port()));
    site.dns.script("rebind.test", [Reply::fleeting(["127.0.0.2"]), Reply::fleeting(["127.0.0.3"])]);
    let proxy = site.start();
    let target = format!("rebind.test:{}", good.port());
    assert_eq!(proxy.talk().connect(&target, &a()).status, 200);
    assert_eq!((site.dns.count("rebind.test", "A"), site.dns.count("rebind.test", "AAAA")), (1, 1));
    assert_refused(&proxy.talk().connect(&target, &a()), 403, "forbidden-address");
    assert!(evil.connections().is_empty());
    let records = proxy.settled();
    let addresses: Vec<_> =
        decided(&records, "rebind.test").iter().map(|record| ended(&records, &record["id"])["address"].clone()).collect();
    assert_eq!(addresses, [json!(format!("127.0.0.2:{}", good.port())), json!(format!("127.0.0.3:{}", good.port()))]);
}

#[test]
fn one_forbidden_answer_among_good_ones_refuses() {
    let p0 = P0::new();
    for (name, addresses) in [
        ("first.wild.test", ["10.0.0.1", "127.0.0.1"]),
        ("last.wild.test", ["127.0.0.1", "10.0.0.1"]),
        ("v6.wild.test", ["127.0.0.1", "fd00::1"]),
        ("mapped.wild.test", ["127.0.0.1", "::ffff:169.254.169.254"]),
    ] {
        p0.site.dns.script(name, [Reply::to(addresses)]);
    }
    let proxy = p0.start();
    for name in ["first.wild.test", "last.wild.test", "v6.wild.test", "mapped.wild.test"] {
        assert_refused(&proxy.get(&p0.url(name, "/"), &a()), 403, "forbidden-address");
        assert_refused(&proxy.talk().connect(&p0.at_plain(name), &a()), 403, "forbidden-address");
    }
    assert!(p0.plain.connections().is_empty());
}

#[test]
fn an_alias_is_judged_by_where_it_ends() {
    let p0 = P0::new();
    p0.site.dns.script("inner.evil.test", [Reply::to(["10.0.0.1"])]);
    p0.site.dns.script("outer.evil.test", [Reply::to(["127.0.0.1"])]);
    p0.site.dns.script("in.wild.test", [Reply::Alias("inner.evil.test".into(), 60)]);
    p0.site.dns.script("out.wild.test", [Reply::Alias("outer.evil.test".into(), 60)]);
    let proxy = p0.start();
    assert_refused(&proxy.get(&p0.url("in.wild.test", "/"), &a()), 403, "forbidden-address");
    assert_eq!(proxy.get(&p0.url("out.wild.test", "/"), &a()).status, 200);
}

#[test]
fn a_name_is_asked_with_its_final_dot_and_never_under_a_search_domain() {
    let p0 = P0::new();
    p0.site.dns.script("missing.wild.test", [Reply::NoSuchName]);
    let proxy = p0.start();
    assert_refused(&proxy.get(&p0.url("missing.wild.test", "/"), &a()), 502, "dns-failed");
    assert!(p0.site.dns.queries().iter().all(|question| question.name == "missing.wild.test"), "{:?}", p0.site.dns.queries());
    assert!(p0.site.dns.queries().len() <= 4, "a retry storm: {:?}", p0.site.dns.queries());
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    let p0 = P0::new();
    p0.site.dns.script("long.wild.test", [Reply::OnlyOverTcp(vec!["127.0.0.1".parse().unwrap()])]);
    let proxy = p0.start();
    assert_eq!(proxy.get(&p0.url("long.wild.test", "/"), &a()).status, 200);
}

#[test]
fn an_approved_name_is_judged_by_the_address_it_has_after_the_answer() {
    let p0 = P0::new();
    p0.site.dns.script("held.test", [Reply::fleeting(["169.254.169.254"]), Reply::fleeting(["127.0.0.1"])]);
    let proxy = p0.start();
    let _watcher = proxy.watch();
    for (status, address) in [(403, "169.254.169.254"), (200, "127.0.0.1")] {
        let mut talk = proxy.talk();
        talk.send(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", p0.at_secure("held.test"), a()));
        let holds = proxy.until_held(1, 1);
        proxy.said(&["approve", holds[0]["id"].as_str().unwrap()]);
        let answer = talk.answer_to("CONNECT");
        assert_eq!(answer.status, status, "{answer:?}");
        drop(talk);
        let records = proxy.settled();
        let last = of_kind(&records, "ended").pop().unwrap();
        assert_eq!(last["address"], format!("{address}:{}", p0.secure.port()));
        if status == 403 {
            assert_eq!(answer.reason(), "forbidden-address");
            assert!(answer.text().contains("address"), "it does not say what would permit it: {}", answer.text());
        }
    }
}

#[test]
fn an_approval_with_its_own_address_reaches_that_address_and_the_next_one_does_not_inherit_it() {
    let p0 = P0::new();
    p0.site.agent("a", "unlisted = \"hold\"", "");
    p0.site.dns.script("pooled.test", [Reply::fleeting(["127.0.0.1"])]);
    let proxy = p0.start();
    let _watcher = proxy.watch();
    let url = p0.url("pooled.test", "/");
    let mut talk = proxy.talk();
    let request = format!("GET {url} HTTP/1.1\r\nHost: {}\r\n{}\r\n", p0.at_plain("pooled.test"), a());
    talk.send(&request);
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", holds[0]["id"].as_str().unwrap(), "--once", "--address", "127.0.0.0/8"]);
    assert_eq!(talk.answer().status, 200);
    talk.send(&request);
    let holds = proxy.until_held(1, 1);
    proxy.said(&["approve", holds[0]["id"].as_str().unwrap(), "--once"]);
    let refused = talk.answer();
    assert_refused(&refused, 403, "forbidden-address");
    assert!(refused.phrase.ends_with("; a yes needs --address 127.0.0.1/32"), "{}", refused.phrase);
    assert!(refused.text().contains("`exeat run` when it is started, as --addresses."), "{}", refused.text());
    assert_eq!(p0.plain.requests().len(), 1, "a parked connection was used whose address the second grant does not cover");
}

#[test]
fn a_parked_connection_is_used_again_without_a_lookup_and_its_address_is_recorded() {
    let p0 = P0::new();
    let proxy = p0.start();
    let mut talk = proxy.talk();
    for _ in 0..3 {
        assert_eq!(talk.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
    }
    assert_eq!(p0.plain.connections().len(), 1);
    assert_eq!(p0.site.dns.count("plain.allowed.test", "A"), 1);
    let records = proxy.settled();
    let decided = decided(&records, "plain.allowed.test");
    assert_eq!(decided.len(), 3);
    assert!(decided.iter().all(|record| ended(&records, &record["id"])["address"] == p0.at_plain("127.0.0.1")));
}

#[test]
fn a_parked_connection_serves_no_other_agent_and_no_other_name() {
    let p0 = P0::new();
    let ports = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", p0.plain.port());
    p0.site.agent("b", "", &format!("[[allow]]\nhost = \"*.wild.test\"\n{ports}"));
    let proxy = p0.start();
    let mut talk = proxy.talk();
    for (name, credentials) in [("x.wild.test", a()), ("y.wild.test", a()), ("x.wild.test", b()), ("x.wild.test", a())] {
        assert_eq!(talk.get(&p0.url(name, "/"), &credentials).status, 200);
    }
    assert_eq!(p0.plain.connections().len(), 3, "one for each of (a, x), (a, y), (b, x)");
}

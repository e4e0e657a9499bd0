//! d.1: how a host may be spelled, and what only looks like one.

use super::{Bench, Way};
use crate::support::p0::a;
use crate::support::site::credentials;

/// Text that is no host, or a host that can be read in two ways, by row.
const BAD: [(u16, &[&str]); 21] = [
    (3, &[".api.allowed.test", ".plain.allowed.test", "a..wild.test", "a.wild..test", "a.wild.test.."]),
    (9, &["evil.test%00.wild.test", "evil.test%2500.wild.test", "evil.test%2e.wild.test"]),
    (10, &["plain%2eallowed%2etest", "pl%61in.allowed.test", "%70lain.allowed.test"]),
    (11, &["evil.test .wild.test", "evil.test\t.wild.test", "evil.test\u{b}.wild.test", "evil.test\u{a0}.wild.test"]),
    (14, &["evil.test\\@api.allowed.test", "evil.test\\.api.allowed.test", "api.allowed.test\\@evil.test"]),
    (15, &["api.allowed.test@evil.test", "evil.test@api.allowed.test", "a:b@api.allowed.test", "@api.allowed.test"]),
    (16, &["plain.allowed.test@evil.test", "evil.test@plain.allowed.test"]),
    (18, &["a@b@plain.allowed.test", "plain.allowed.test:@evil.test", "plain.allowed.test:80:\\@@evil.test"]),
    (23, &["*.wild.test", "*", "a.*.wild.test", "*wild.test"]),
    (25, &["１２７.0.0.1", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1"]),
    (26, &["①②⑦.⓪.⓪.①", "1㉗.0.0.1", "⑫7.0.0.1"]),
    (27, &["api.аllowed.test", "plаin.allowed.test"]),
    (28, &["xn--\u{80}.test", "xn--.test", "xn--a.test", "xn--.wild.test", "xn--a.wild.test"]),
    (29, &["xn--api-.allowed.test", "xn--example-.test", "xn--wild-.test"]),
    (
        30,
        &[
            "api\u{ad}.allowed.test",
            "api\u{200b}.allowed.test",
            "api\u{2060}.allowed.test",
            "api\u{34f}.allowed.test",
            "api\u{180e}.allowed.test",
        ],
    ),
    (32, &["faß.wild.test", "ς.wild.test", "a\u{200d}b.wild.test"]),
    (35, &["-api.allowed.test", "-", "-.wild.test"]),
    (36, &[""]),
    (45, &["a:443, b", "api.allowed.test,plain.allowed.test"]),
    (79, &["[fe80::1%eth0]", "[fe80::1%25eth0]", "[::1%25.wild.test]", "[::%evil.test]", "fe80::1%eth0"]),
    (80, &["[v1.evil.test]", "[1::1::1]", "[::1", "::1]", "[::1]x", "[::ﬀﬀ:7f00:1]", "::1", "[127.0.0.1]", "[]", "[[::1]]"]),
];

/// All of them, with those that only bytes or counting can spell.
pub(super) fn bad() -> Vec<(u16, Vec<u8>)> {
    let mut hosts: Vec<(u16, Vec<u8>)> =
        BAD.iter().flat_map(|(row, hosts)| hosts.iter().map(|host| (*row, host.as_bytes().to_vec()))).collect();
    for byte in [&b"\0"[..], b"\x01", b"\x0c", b"\x1b[2J", b"\x7f", b"\xff\xfe"] {
        hosts.push((7, [b"evil.test", byte, b".wild.test"].concat()));
    }
    hosts.extend([b"evil.test\xa0.wild.test".to_vec(), b"\xa0plain.allowed.test".to_vec()].map(|host| (11, host)));
    for between in [";", ",", "!", "'", "(", ")", "{", "}", "*", "&", "`", "+", "=", "~", "$", "|", "^", "<", "\""] {
        hosts.push((20, format!("evil.test{between}.plain.allowed.test").into_bytes()));
        hosts.push((20, format!("evil.test{between}plain.allowed.test").into_bytes()));
    }
    hosts.push((34, format!("{}.wild.test", "x".repeat(64)).into_bytes()));
    hosts.push((34, format!("{}xx.wild.test", "x.".repeat(121)).into_bytes()));
    hosts.push((34, format!("{0}.{0}.{0}.{1}.wild.test", "x".repeat(63), "x".repeat(52)).into_bytes()));
    hosts
}

/// The bytes of a host in each place that names one.
fn places(bench: &Bench, host: &[u8]) -> Vec<(Way, Vec<u8>)> {
    let (listed, port) = (bench.listed(), bench.p0.plain.port());
    let text = |parts: &[&[u8]]| parts.concat();
    let credentials = a();
    let end = [credentials.as_bytes(), b"\r\n"].concat();
    let url = text(&[b"http://", host, format!(":{port}/").as_bytes()]);
    let mut places = vec![
        (Way::Connect, text(&[b"CONNECT ", host, b":443 HTTP/1.1\r\nHost: api.allowed.test:443\r\n", &end])),
        (Way::Forward, text(&[b"GET ", &url, b" HTTP/1.1\r\nHost: plain.allowed.test\r\n", &end])),
        (Way::Inside, text(&[b"GET ", &url, b" HTTP/1.1\r\nHost: ", listed.as_bytes(), b"\r\n\r\n"])),
    ];
    let port = format!(":{port}");
    // White space around a field's value is none of the value.
    if host.trim_ascii() == host {
        places.extend([
            (Way::Connect, text(&[b"CONNECT ", listed.as_bytes(), b" HTTP/1.1\r\nHost: ", host, port.as_bytes(), b"\r\n", &end])),
            (Way::Forward, text(&[b"GET http://", listed.as_bytes(), b"/ HTTP/1.1\r\nHost: ", host, port.as_bytes(), b"\r\n", &end])),
            (Way::Inside, text(&[b"GET / HTTP/1.1\r\nHost: ", host, port.as_bytes(), b"\r\n\r\n"])),
        ]);
    }
    places
}

#[test]
fn what_is_no_host_is_malformed_wherever_it_stands() {
    let mut bench = Bench::new();
    for (row, host) in bad() {
        for (way, bytes) in places(&bench, &host) {
            bench.shoot(row, way, bytes).bad();
        }
    }
    bench.done("tests/it/corpus/hosts.rs::what_is_no_host_is_malformed_wherever_it_stands");
}

/// Spellings of a listed host, and the one name they are.
pub(crate) const SAME: [(u16, &str, &str); 10] = [
    (1, "plain.allowed.test.", "plain.allowed.test"),
    (1, "x.wild.test.", "x.wild.test"),
    (4, "PLAIN.Allowed.TEST", "plain.allowed.test"),
    (4, "pLAIN.aLLOWED.tEST.", "plain.allowed.test"),
    (28, "xn--ls8h.wild.test", "xn--ls8h.wild.test"),
    (28, "XN--bcher-KVA.wild.test", "xn--bcher-kva.wild.test"),
    (32, "xn--fa-hia.wild.test", "xn--fa-hia.wild.test"),
    (35, "_x.wild.test", "_x.wild.test"),
    (35, "a--b.wild.test", "a--b.wild.test"),
    (35, "api-.wild.test", "api-.wild.test"),
];

#[test]
fn other_spellings_of_a_listed_host_are_that_host_to_everyone() {
    let mut bench = Bench::new();
    let port = bench.p0.plain.port();
    for (row, host, canonical) in SAME {
        let spelled = format!("{host}:{port}");
        let message = bench.shoot(row, Way::Forward, Way::Forward.head("GET", &spelled, "/norm") + "\r\n").passed(canonical);
        assert_eq!((message.line.as_str(), message.all("host")), ("GET /norm HTTP/1.1", vec![format!("{canonical}:{port}").as_str()]));
        let seen = bench.shoot(row, Way::Connect, Way::Connect.head("", &spelled, "") + "\r\n");
        let (decided, ended) = &seen.records[0];
        assert_eq!((seen.answers[0].status, &decided["destination"]["host"]), (200, &canonical.into()), "{}", seen.shown);
        assert_eq!(ended["address"], format!("127.0.0.1:{port}"), "{}", seen.shown);
        // Inside, the tunnel's host is spelled in another way than its CONNECT spelled it.
        if canonical == "plain.allowed.test" {
            let message = bench.shoot(row, Way::Inside, Way::Inside.head("GET", &spelled, "/norm") + "\r\n").passed(canonical);
            assert_eq!(message.all("host"), [format!("{canonical}:{port}")]);
        }
    }
    for host in ["blocked.test.", "BLOCKED.test", "Blocked.Test."] {
        let row = if host == "blocked.test." { 1 } else { 4 };
        for way in [Way::Connect, Way::Forward] {
            let bytes = way.head("GET", &format!("{host}:{port}"), "/") + "\r\n";
            bench.shoot(row, way, bytes).denied(&["blocked"], "blocked.test");
        }
    }
    bench.done("tests/it/corpus/hosts.rs::other_spellings_of_a_listed_host_are_that_host_to_everyone");
}

#[test]
fn a_rule_in_unicode_is_the_name_that_idna_says_and_no_older_reading_of_it() {
    let p0 = crate::support::p0::P0::new();
    let ports = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", p0.plain.port());
    p0.write_agents(&format!("[[allow]]\nhost = [\"faß.idna.test\", \"bücher.idna.test\"]\n{ports}"));
    for name in ["xn--fa-hia.idna.test", "fass.idna.test", "xn--bcher-kva.idna.test"] {
        p0.site.dns.script(name, [crate::support::dns::Reply::to(["127.0.0.1"])]);
    }
    let mut bench = Bench::over(p0);
    for host in ["xn--fa-hia.idna.test", "xn--bcher-kva.idna.test"] {
        let bytes = Way::Forward.head("GET", &bench.p0.at_plain(host), "/") + "\r\n";
        bench.shoot(32, Way::Forward, bytes).passed(host);
    }
    for way in [Way::Connect, Way::Forward] {
        let bytes = way.head("GET", &bench.p0.at_plain("fass.idna.test"), "/") + "\r\n";
        bench.shoot(32, way, bytes).denied(&["unattended"], "fass.idna.test");
    }
    bench.done("tests/it/corpus/hosts.rs::a_rule_in_unicode_is_the_name_that_idna_says_and_no_older_reading_of_it");
}

/// Names that are not listed, however they look, and those that belong to no public zone.
pub(crate) const DENIED: [(u16, &str, &[&str]); 6] = [
    (21, "unattended", &["evilwild.test", "wild.test.evil.test", "wild.test", "api.allowed.test.evil.test", "xapi.allowed.test"]),
    (27, "unattended", &["api.xn--llowed-2nf.test", "xn--plin-63d.allowed.test"]),
    (
        37,
        "special-name",
        &["localhost", "LOCALHOST", "localhost.", "x.localhost", "localhost.localdomain", "ip6-localhost", "allowed.test.localhost"],
    ),
    (
        38,
        "special-name",
        &[
            "metadata.google.internal",
            "instance-data",
            "instance-data.ec2.internal",
            "kubernetes.default.svc",
            "x.svc.cluster.local",
            "vault",
        ],
    ),
    (39, "special-name", &["evil"]),
    (40, "special-name", &["x.onion", "printer.local", "1.0.0.127.in-addr.arpa", "x.invalid", "x.alt", "x.internal"]),
];

#[test]
fn a_name_that_is_not_listed_reaches_no_resolver() {
    let mut bench = Bench::new();
    let port = bench.p0.plain.port();
    for (row, reason, hosts) in DENIED {
        for host in hosts {
            let canonical = host.trim_end_matches('.').to_ascii_lowercase();
            for way in [Way::Connect, Way::Forward] {
                let bytes = way.head("GET", &format!("{host}:{port}"), "/") + "\r\n";
                bench.shoot(row, way, bytes).denied(&[reason], &canonical);
            }
            // In a tunnel another name is another host, whatever it is; what would be dialled is the tunnel's.
            let bytes = Way::Inside.head("GET", &format!("{host}:{port}"), "/") + "\r\n";
            bench.shoot(row, Way::Inside, bytes).denied(&["name-mismatch"], "plain.allowed.test");
        }
    }
    assert_eq!(bench.p0.site.dns.queries().iter().filter(|question| question.name != "plain.allowed.test").count(), 0);
    bench.done("tests/it/corpus/hosts.rs::a_name_that_is_not_listed_reaches_no_resolver");
}

#[test]
fn where_unlisted_is_blocked_it_is_said_so() {
    let bench = Bench::new();
    for host in ["evilwild.test", "api.xn--llowed-2nf.test"] {
        let answer = bench.proxy.talk().connect(&bench.p0.at_secure(host), &credentials("b"));
        crate::support::p0::assert_refused(&answer, 403, "unlisted");
    }
    assert_eq!(bench.p0.site.dns.queries(), []);
}

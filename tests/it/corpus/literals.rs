//! d.3: addresses as a literal and as an answer of the name server.

use super::{Bench, Way};
use crate::support::dns::Reply;
use crate::support::p0::P0;
use crate::support::site::credentials;

/// Numbers that some resolver takes for an address, by row.
pub(super) const BAD: [(u16, &[&str]); 4] = [
    (57, &["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.1", "0X7F.0.0.1", "127.0.0.0x1"]),
    (
        58,
        &[
            "0x17f000001",
            "45080379393",
            "4294967295",
            "4294967296",
            "256",
            "256.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "evil.test.1",
            "evil.test.0x1",
        ],
    ),
    (60, &["08.8.8.8", "010.0.0.1", "8.8.8.08", "127.0.0.01"]),
    (61, &["127.0.0.1.", "2130706433.", "0x7f.1.", "1.2.3."]),
];

#[test]
fn a_number_that_is_no_address_in_four_parts_is_malformed() {
    let mut bench = Bench::new();
    for (row, hosts) in BAD {
        for host in hosts {
            let target = bench.p0.at_plain(host);
            for way in [Way::Connect, Way::Forward, Way::Inside] {
                let bytes = way.head("GET", &target, "/") + "\r\n";
                bench.shoot(row, way, bytes).bad();
            }
        }
    }
    bench.done("tests/it/corpus/literals.rs::a_number_that_is_no_address_in_four_parts_is_malformed");
}

/// Addresses that `public` does not cover, with the one form a record has for them.
const FORBIDDEN: [(u16, &str, &str); 57] = [
    (63, "10.0.0.0", "10.0.0.0"),
    (63, "10.255.255.255", "10.255.255.255"),
    (63, "172.16.0.0", "172.16.0.0"),
    (63, "172.31.255.255", "172.31.255.255"),
    (63, "192.168.0.0", "192.168.0.0"),
    (63, "192.168.255.255", "192.168.255.255"),
    (64, "100.64.0.1", "100.64.0.1"),
    (64, "100.127.255.254", "100.127.255.254"),
    (65, "169.254.169.254", "169.254.169.254"),
    (65, "169.254.170.2", "169.254.170.2"),
    (65, "169.254.170.23", "169.254.170.23"),
    (65, "169.254.0.1", "169.254.0.1"),
    (66, "[fd00:ec2::254]", "fd00:ec2::254"),
    (66, "[fd00:ec2::23]", "fd00:ec2::23"),
    (66, "[fe80::a9fe:a9fe]", "fe80::a9fe:a9fe"),
    (67, "100.100.100.200", "100.100.100.200"),
    (67, "192.0.0.192", "192.0.0.192"),
    (67, "168.63.129.16", "168.63.129.16"),
    (68, "192.0.0.1", "192.0.0.1"),
    (68, "192.0.2.1", "192.0.2.1"),
    (68, "198.51.100.1", "198.51.100.1"),
    (68, "203.0.113.1", "203.0.113.1"),
    (68, "198.18.0.1", "198.18.0.1"),
    (68, "198.19.255.255", "198.19.255.255"),
    (68, "192.88.99.1", "192.88.99.1"),
    (68, "240.0.0.1", "240.0.0.1"),
    (68, "255.255.255.255", "255.255.255.255"),
    (68, "224.0.0.1", "224.0.0.1"),
    (68, "0.0.0.0", "0.0.0.0"),
    (69, "[::1]", "::1"),
    (69, "[0:0:0:0:0:0:0:1]", "::1"),
    (69, "[::0001]", "::1"),
    (69, "[0000::1]", "::1"),
    (70, "[::ffff:127.0.0.1]", "127.0.0.1"),
    (70, "[::ffff:7f00:1]", "127.0.0.1"),
    (70, "[0:0:0:0:0:ffff:a9fe:a9fe]", "169.254.169.254"),
    (70, "[::ffff:0.0.0.0]", "0.0.0.0"),
    (71, "[::127.0.0.1]", "::7f00:1"),
    (71, "[::a00:1]", "::a00:1"),
    (72, "[::ffff:0:7f00:1]", "::ffff:0:7f00:1"),
    (73, "[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
    (73, "[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
    (74, "[64:ff9b:1::a00:1]", "64:ff9b:1::a00:1"),
    (75, "[2002:7f00:1::]", "2002:7f00:1::"),
    (75, "[2002:a9fe:a9fe::]", "2002:a9fe:a9fe::"),
    (76, "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    (77, "[2001:db8::5efe:7f00:1]", "2001:db8::5efe:7f00:1"),
    (77, "[2606:4700::5efe:7f00:1]", "2606:4700::5efe:7f00:1"),
    (78, "[fc00::1]", "fc00::1"),
    (78, "[fec0::1]", "fec0::1"),
    (78, "[fe80::1]", "fe80::1"),
    (78, "[ff02::1]", "ff02::1"),
    (78, "[100::1]", "100::1"),
    (78, "[2001:db8::1]", "2001:db8::1"),
    (78, "[3fff::1]", "3fff::1"),
    (78, "[5f00::1]", "5f00::1"),
    (78, "[2001:20::1]", "2001:20::1"),
];

/// Just outside those blocks: unlisted, and nothing worse.
const PUBLIC: [(u16, &str); 9] = [
    (63, "9.255.255.255"),
    (63, "11.0.0.0"),
    (63, "172.15.255.255"),
    (63, "172.32.0.0"),
    (63, "192.167.255.255"),
    (63, "192.169.0.0"),
    (64, "100.63.255.254"),
    (64, "100.128.0.1"),
    (73, "[64:ff9b::808:808]"),
];

#[test]
fn a_literal_is_judged_by_what_it_leads_to() {
    let mut bench = Bench::new();
    let port = bench.p0.plain.port();
    let heads = |literal: &str| {
        let target = format!("{literal}:{port}");
        let end = format!(" HTTP/1.1\r\nHost: {target}\r\n{}\r\n", credentials("b"));
        [(Way::Connect, format!("CONNECT {target}{end}")), (Way::Forward, format!("GET http://{target}/{end}"))]
    };
    for (row, literal, canonical) in FORBIDDEN {
        for (way, bytes) in heads(literal) {
            bench.shoot(row, way, bytes).denied(&["forbidden-address"], canonical);
        }
        let bytes = Way::Inside.head("GET", &format!("{literal}:{port}"), "/") + "\r\n";
        bench.shoot(row, Way::Inside, bytes).denied(&["name-mismatch"], "plain.allowed.test");
    }
    for (row, literal) in PUBLIC {
        for (way, bytes) in heads(literal) {
            bench.shoot(row, way, bytes).denied(&["unlisted"], literal.trim_matches(['[', ']']));
        }
    }
    bench.done("tests/it/corpus/literals.rs::a_literal_is_judged_by_what_it_leads_to");
}

#[test]
fn a_listed_name_is_judged_by_what_it_leads_to() {
    let p0 = P0::new();
    p0.write_agents(&format!("[[allow]]\nhost = \"*.inward.test\"\nport = [{}]", p0.plain.port()));
    let name = |index: usize| format!("n{index}.inward.test");
    for (index, (_, literal, _)) in FORBIDDEN.iter().enumerate() {
        p0.site.dns.script(&name(index), [Reply::Addresses(vec![literal.trim_matches(['[', ']']).parse().unwrap()], 60)]);
    }
    let mut bench = Bench::over(p0);
    for (index, (row, literal, _)) in FORBIDDEN.iter().enumerate() {
        for way in [Way::Connect, Way::Forward] {
            let bytes = way.head("GET", &bench.p0.at_plain(&name(index)), "/") + "\r\n";
            let seen = bench.shoot(*row, way, bytes);
            crate::support::p0::assert_refused(&seen.answers[0], 403, "forbidden-address");
            let (decided, ended) = &seen.records[0];
            assert_eq!((&decided["reason"], &decided["destination"]["host"]), (&"listed".into(), &name(index).into()), "{literal}");
            assert_eq!((&ended["outcome"], &ended["reason"]), (&"refused".into(), &"forbidden-address".into()), "{literal}");
            assert!(ended["address"].is_string() && seen.upstream.is_empty(), "{literal}: {ended}");
        }
    }
    bench.done("tests/it/corpus/literals.rs::a_listed_name_is_judged_by_what_it_leads_to");
}

#[test]
fn nobody_is_asked_what_an_address_is_called() {
    let p0 = P0::new();
    p0.write_agents(&format!("[[allow]]\nhost = \"127.0.0.1\"\nport = [{}]\naddresses = [\"127.0.0.0/8\"]", p0.plain.port()));
    for name in ["1.0.0.127.in-addr.arpa", "2.0.0.127.in-addr.arpa"] {
        p0.site.dns.script(name, [Reply::Alias("plain.allowed.test".into(), 60)]);
    }
    let mut bench = Bench::over(p0);
    let bytes = Way::Forward.head("GET", &bench.p0.at_plain("127.0.0.1"), "/") + "\r\n";
    bench.shoot(82, Way::Forward, bytes).passed("127.0.0.1");
    for way in [Way::Connect, Way::Forward] {
        let bytes = way.head("GET", &bench.p0.at_plain("127.0.0.2"), "/") + "\r\n";
        bench.shoot(82, way, bytes).denied(&["unattended"], "127.0.0.2");
    }
    assert_eq!(bench.p0.site.dns.queries(), []);
    bench.done("tests/it/corpus/literals.rs::nobody_is_asked_what_an_address_is_called");
}

//! d.2: ports, schemes, target forms and methods.

use super::{Bench, Way};
use crate::support::p0::a;

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: api.allowed.test:443\r\n{}\r\n", a())
}

fn absolute(method: &str, url: &str) -> String {
    format!("{method} {url} HTTP/1.1\r\nHost: plain.allowed.test\r\n{}\r\n", a())
}

#[test]
fn a_connect_whose_target_is_no_host_and_port_is_malformed() {
    let table: [(u16, &[&str]); 6] = [
        (42, &["api.allowed.test", "api.allowed.test:", "api.allowed.test."]),
        (36, &[":443", ":"]),
        (45, &["api.allowed.test:443:80", "api.allowed.test:443,", "api.allowed.test:443,b:443", "a:443,b:443", "a:443, b:443"]),
        (
            46,
            &[
                "https://api.allowed.test:443",
                "http://api.allowed.test/",
                "http://api.allowed.test:443",
                "/x",
                "*",
                "//api.allowed.test:443",
            ],
        ),
        (46, &["api.allowed.test:443/", "api.allowed.test:443?x", "api.allowed.test:443#x", "api.allowed.test/..:443"]),
        (80, &["[::1]x:443", "[::1:443", "::1:443"]),
    ];
    let mut bench = Bench::new();
    for (row, targets) in table {
        for target in targets {
            bench.shoot(row, Way::Connect, connect(target)).bad();
        }
    }
    bench.shoot(52, Way::Connect, connect(" api.allowed.test:443")).bad();
    bench.shoot(52, Way::Connect, connect("api.allowed.test:443 ")).bad();
    bench.shoot(52, Way::Connect, connect("api.allowed.test:443").replacen("CONNECT", "connect", 1)).bad();
    bench.shoot(52, Way::Connect, connect("api.allowed.test:443").replacen("CONNECT", "Connect", 1)).bad();
    bench.done("tests/it/corpus/targets.rs::a_connect_whose_target_is_no_host_and_port_is_malformed");
}

/// Ports that are none, by row.
const PORTS: [(u16, &[&str]); 2] = [
    (43, &["65536", "65979", "65616", "4294967739", "4294967376", "4430000000000000000000000000000000000000", "0"]),
    (44, &["443x", "80x", "+443", "-443", "0443", "080", " 443", "443 ", "0x1bb", "https", "4_43", "４４３", "443\t", "8\u{b}0"]),
];

#[test]
fn a_port_is_digits_without_a_sign_or_a_leading_zero_in_every_place() {
    let mut bench = Bench::new();
    let listed = bench.listed();
    for (row, ports) in PORTS {
        for port in ports {
            let target = format!("plain.allowed.test:{port}");
            bench.shoot(row, Way::Connect, connect(&target)).bad();
            bench.shoot(row, Way::Forward, absolute("GET", &format!("http://{target}/"))).bad();
            bench.shoot(row, Way::Inside, format!("GET http://{target}/ HTTP/1.1\r\nHost: {listed}\r\n\r\n")).bad();
            if port.trim_ascii_end() == *port {
                let head = format!("GET http://{listed}/ HTTP/1.1\r\nHost: {target}\r\n{}\r\n", a());
                bench.shoot(row, Way::Forward, head).bad();
                bench.shoot(row, Way::Inside, format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n")).bad();
            }
        }
    }
    bench.done("tests/it/corpus/targets.rs::a_port_is_digits_without_a_sign_or_a_leading_zero_in_every_place");
}

#[test]
fn a_target_that_is_no_http_url_is_malformed() {
    let table: [(u16, &[&str]); 4] = [
        (18, &["http://a@b@plain.allowed.test/", "http://plain.allowed.test:@evil.test/", "http://plain.allowed.test:80:\\@@evil.test/"]),
        (36, &["http:///", "http://:80/", "http://", "http://?", "http://@/"]),
        (47, &["/", "/index.html", "//plain.allowed.test/", "*", "plain.allowed.test", "plain.allowed.test:80", "plain.allowed.test/"]),
        (
            49,
            &[
                "ftp://plain.allowed.test/",
                "gopher://plain.allowed.test/",
                "file:///etc/passwd",
                "ws://plain.allowed.test/",
                "wss://plain.allowed.test/",
                "https://api.allowed.test/",
                "unix:/run/docker.sock|http://x/",
                "javascript:alert(1)",
                "http:/plain.allowed.test/",
                "http:plain.allowed.test/",
                "httpx://plain.allowed.test/",
                "http+unix://plain.allowed.test/",
            ],
        ),
    ];
    let mut bench = Bench::new();
    for (row, urls) in table {
        for url in urls {
            bench.shoot(row, Way::Forward, absolute("GET", url)).bad();
        }
    }
    let listed = bench.listed();
    for url in ["ftp://plain.allowed.test/", "https://plain.allowed.test/", "plain.allowed.test", "*"] {
        bench.shoot(49, Way::Inside, format!("GET {url} HTTP/1.1\r\nHost: {listed}\r\n\r\n")).bad();
    }
    bench.done("tests/it/corpus/targets.rs::a_target_that_is_no_http_url_is_malformed");
}

#[test]
fn a_method_that_mirrors_or_is_none_goes_nowhere() {
    let mut bench = Bench::new();
    for way in super::REQUESTS {
        let listed = bench.at(way);
        for method in ["TRACE", "TRACK", "DEBUG"] {
            let seen = bench.shoot(51, way, way.head(method, &listed, "/") + "Max-Forwards: 0\r\n\r\n");
            seen.bad();
            assert!(!seen.answers[0].text().contains("Basic") && !seen.answers[0].text().contains("Max-Forwards"), "{}", seen.shown);
        }
        for method in ["G=\":<>(e),[T];?\"", "GE T", "G\u{e9}T", "(GET)", "\u{1}GET", ""] {
            bench.shoot(52, way, way.head(method, &listed, "/") + "\r\n").bad();
        }
    }
    // Case counts: this is a method nobody knows, and no tunnel. A tunnel that begins with it does not begin as HTTP does.
    let head = |way: Way| way.head("connect", "plain.allowed.test", "/m") + "\r\n";
    bench.shoot(52, Way::Inside, head(Way::Inside)).bad();
    let bytes = Way::Forward.head("connect", &bench.listed(), "/m") + "\r\n";
    assert_eq!(bench.shoot(52, Way::Forward, bytes).passed("plain.allowed.test").line, "connect /m HTTP/1.1");
    bench.shoot(51, Way::Forward, absolute("OPTIONS", "*")).bad();
    bench.shoot(51, Way::Forward, absolute("OPTIONS", "/")).bad();
    bench.done("tests/it/corpus/targets.rs::a_method_that_mirrors_or_is_none_goes_nowhere");
}

#[test]
fn a_fragment_or_query_that_looks_like_another_host_is_none() {
    let mut bench = Bench::new();
    let listed = bench.listed();
    for (rest, forwarded) in [
        ("#@evil.test", "/"),
        ("#@evil.test/", "/"),
        ("/#@evil.test/", "/"),
        ("/x#?y", "/x"),
        ("?@evil.test", "/?@evil.test"),
        ("/?@evil.test", "/?@evil.test"),
        ("/x?u=http://evil.test/", "/x?u=http://evil.test/"),
        ("/@evil.test", "/@evil.test"),
    ] {
        let bytes = format!("GET http://{listed}{rest} HTTP/1.1\r\nHost: {listed}\r\n{}\r\n", a());
        let message = bench.shoot(19, Way::Forward, bytes).passed("plain.allowed.test");
        assert_eq!((message.line, message.fields[0].clone()), (format!("GET {forwarded} HTTP/1.1"), ("host".into(), listed.clone())));
        let bytes = format!("GET http://{listed}{rest} HTTP/1.1\r\nHost: {listed}\r\n\r\n");
        let message = bench.shoot(19, Way::Inside, bytes).passed("plain.allowed.test");
        assert_eq!(message.line, format!("GET {forwarded} HTTP/1.1"));
    }
    assert!(!bench.p0.site.dns.was_asked("evil.test"));
    bench.done("tests/it/corpus/targets.rs::a_fragment_or_query_that_looks_like_another_host_is_none");
}

//! d.1 and d.2: hosts, ports, schemes and targets.

use super::Lab;
use crate::support::p0::{a, assert_refused};

/// Text that is no host, or a host that can be read in two ways.
const BAD_HOSTS: [&str; 48] = [
    ".api.allowed.test",
    "a..wild.test",
    "evil.test%00.wild.test",
    "plain%2eallowed%2etest",
    "pl%61in.allowed.test",
    "evil.test\t.wild.test",
    "evil.test\\@api.allowed.test",
    "*.wild.test",
    "*",
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "xn--.test",
    "xn--a.test",
    "xn--example-.test",
    "api\u{ad}.allowed.test",
    "api\u{200b}.allowed.test",
    "api\u{2060}.allowed.test",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0x17f000001",
    "45080379393",
    "4294967295",
    "256",
    "1.2.3",
    "08.8.8.8",
    "010.0.0.1",
    "127.0.0.1.",
    "2130706433.",
    "1.2.3.4.5",
    "evil.test.1",
    "[fe80::1%eth0]",
    "[::1%25.wild.test]",
    "[::%evil.test]",
    "[v1.evil.test]",
    "[1::1::1]",
    "[::1",
    "::1",
    "[127.0.0.1]",
    "[]",
    "",
    "-",
    "api.allowed.test/..",
];

/// All of them, with those that only bytes can spell.
fn bad_hosts() -> Vec<Vec<u8>> {
    let mut hosts: Vec<Vec<u8>> = BAD_HOSTS.iter().map(|host| host.as_bytes().to_vec()).collect();
    for between in [";", ",", "!", "'", "(", ")", "{", "}", "*", "&", "`", "+", "=", "~", "$", "|", "<", "\"", "^"] {
        hosts.push(format!("evil.test{between}.allowed.test").into_bytes());
    }
    for between in [&b"\0"[..], b"\x0b", b"\xa0", b"\x7f", b"\x1b[2J", b"\xff\xfe"] {
        hosts.push([b"evil.test", between, b".wild.test"].concat());
    }
    hosts.push(format!("{}.wild.test", "x".repeat(64)).into_bytes());
    hosts.push(format!("{}wild.test", "x.".repeat(125)).into_bytes());
    hosts
}

fn connect(target: &[u8]) -> Vec<u8> {
    [b"CONNECT ", target, b" HTTP/1.1\r\nHost: api.allowed.test:443\r\n", a().as_bytes(), b"\r\n"].concat()
}

fn absolute(url: &[u8]) -> Vec<u8> {
    [b"GET ", url, b" HTTP/1.1\r\nHost: plain.allowed.test\r\n", a().as_bytes(), b"\r\n"].concat()
}

#[test]
fn a_host_that_is_not_one_is_malformed_in_connect() {
    let mut lab = Lab::new();
    for host in bad_hosts() {
        lab.assert_bad(&connect(&[&host[..], b":443"].concat()));
    }
}

#[test]
fn a_host_that_is_not_one_is_malformed_in_absolute_form() {
    let mut lab = Lab::new();
    // After `/` a path begins, so that one host is another target here.
    for host in bad_hosts().into_iter().filter(|host| !host.contains(&b'/')) {
        lab.assert_bad(&absolute(&[b"http://", &host[..], b":80/"].concat()));
    }
}

#[test]
fn a_target_that_is_no_authority_is_malformed_in_connect() {
    let mut lab = Lab::new();
    for target in [
        "api.allowed.test",
        "api.allowed.test:",
        ":443",
        "api.allowed.test:0",
        "api.allowed.test:65536",
        "api.allowed.test:65979",
        "api.allowed.test:4294967739",
        "api.allowed.test:4430000000000000000000000000000000000000",
        "api.allowed.test:443x",
        "api.allowed.test:+443",
        "api.allowed.test:-443",
        "api.allowed.test:0443",
        "api.allowed.test: 443",
        "api.allowed.test:0x1bb",
        "api.allowed.test:https",
        "api.allowed.test:443:80",
        "api.allowed.test:443,",
        "api.allowed.test@evil.test:443",
        "evil.test@api.allowed.test:443",
        "a:b@api.allowed.test:443",
        "@api.allowed.test:443",
        "https://api.allowed.test:443",
        "http://api.allowed.test/",
        "/x",
        "*",
        "api.allowed.test:443/",
        "api.allowed.test:443?x",
        "api.allowed.test:443#x",
        "[::1]x:443",
    ] {
        lab.assert_bad(&connect(target.as_bytes()));
    }
    lab.assert_bad(format!("CONNECT a:443, b:443 HTTP/1.1\r\nHost: a:443\r\n{}\r\n", a()).as_bytes());
    lab.assert_bad(format!("CONNECT  api.allowed.test:443 HTTP/1.1\r\nHost: x\r\n{}\r\n", a()).as_bytes());
    lab.assert_bad(format!("connect api.allowed.test:443 HTTP/1.1\r\nHost: x\r\n{}\r\n", a()).as_bytes());
}

#[test]
fn a_target_that_is_no_http_url_is_malformed_in_absolute_form() {
    let mut lab = Lab::new();
    for url in [
        "http://plain.allowed.test@evil.test/",
        "http://a@b@plain.allowed.test/",
        "http://plain.allowed.test:@evil.test/",
        "http://plain.allowed.test:80:\\@@evil.test/",
        "http:///",
        "http://:80/",
        "http://plain.allowed.test:80x/",
        "http://plain.allowed.test:65616/",
        "http://plain.allowed.test:080/",
        "http://plain.allowed.test:+80/",
        "http:/plain.allowed.test/",
        "http:plain.allowed.test/",
        "ftp://plain.allowed.test/",
        "gopher://plain.allowed.test/",
        "file:///etc/passwd",
        "ws://plain.allowed.test/",
        "https://api.allowed.test/",
        "unix:/run/docker.sock|http://x/",
        "javascript:alert(1)",
        "plain.allowed.test:80",
        "//plain.allowed.test/",
        "/",
        "/index.html",
        "*",
    ] {
        lab.assert_bad(&absolute(url.as_bytes()));
    }
    lab.assert_bad(format!("OPTIONS * HTTP/1.1\r\nHost: plain.allowed.test\r\n{}\r\n", a()).as_bytes());
}

#[test]
fn other_spellings_of_a_listed_host_are_that_host() {
    let lab = Lab::new();
    for host in
        ["plain.allowed.test", "plain.allowed.test.", "PLAIN.Allowed.TEST", "_x.wild.test", "a--b.wild.test", "xn--bcher-kva.wild.test"]
    {
        let target = lab.p0.at_plain(host);
        let answer = lab.proxy.get(&format!("http://{target}/norm"), &a());
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        let wanted = host.to_ascii_lowercase();
        let got = lab.p0.plain.requests().pop().unwrap();
        assert_eq!(
            got.header("host").unwrap().to_ascii_lowercase().replace(".:", ":"),
            format!("{}:{}", wanted.trim_end_matches('.'), lab.p0.plain.port())
        );
    }
}

#[test]
fn a_fragment_or_query_that_looks_like_another_host_is_none() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    for (url, forwarded) in
        [(format!("http://{host}?@evil.test"), "/?@evil.test"), (format!("http://{host}/x?u=http://evil.test/"), "/x?u=http://evil.test/")]
    {
        let answers = lab.throw(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()).as_bytes());
        assert_eq!(answers[0].status, 200, "{url}");
        assert_eq!(lab.p0.plain.requests().pop().unwrap().target(), forwarded);
    }
    let answers = lab.throw(format!("GET http://{host}#@evil.test HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a()).as_bytes());
    assert!([200, 400].contains(&answers[0].status), "{answers:?}");
    assert!(lab.p0.plain.requests().iter().all(|request| !request.line.contains('#')), "a fragment was sent on");
    assert!(!lab.p0.site.dns.was_asked("evil.test"));
}

#[test]
fn a_name_that_only_looks_listed_is_not() {
    let lab = Lab::new();
    for host in
        ["evilwild.test", "wild.test.evil.test", "wild.test", "api.allowed.test.evil.test", "xapi.allowed.test", "api.xn--llowed-2nf.test"]
    {
        assert_refused(&lab.proxy.talk().connect(&lab.p0.at_secure(host), &a()), 403, "unattended");
    }
    assert_eq!(lab.p0.site.dns.queries(), []);
}

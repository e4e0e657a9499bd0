//! d.7: where one request ends and the next begins, judged by the bytes that reach the origin.

use super::Lab;
use crate::support::p0::a;

/// A second request that must never emerge from a body.
fn smuggled(lab: &Lab) -> String {
    format!("GET /smuggled HTTP/1.1\r\nHost: {}\r\n\r\n", lab.p0.at_plain("plain.allowed.test"))
}

fn post(lab: &Lab, headers: &str, body: &[u8]) -> Vec<u8> {
    let host = lab.p0.at_plain("plain.allowed.test");
    let head = format!("POST http://{host}/first HTTP/1.1\r\nHost: {host}\r\n{}{headers}\r\n", a());
    [head.as_bytes(), body].concat()
}

/// What the origin saw is at most whole requests of ours, each framed in one way.
fn assert_clean(lab: &Lab, shown: &str) {
    for request in lab.p0.plain.requests() {
        assert_ne!(request.target(), "/smuggled", "{shown:?} smuggled a request: {:?}", lab.p0.plain.connections());
        let (lengths, codings) = (request.all("content-length"), request.all("transfer-encoding"));
        assert!(lengths.len() + codings.len() <= 1, "{shown:?} is framed twice: {request:?}");
        assert!(lengths.iter().all(|length| length.bytes().all(|byte| byte.is_ascii_digit())), "{shown:?}: {request:?}");
        assert!(codings.iter().all(|coding| *coding == "chunked"), "{shown:?}: {request:?}");
    }
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_malformed() {
    let mut lab = Lab::new();
    let long = smuggled(&lab);
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 31\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked, identity\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: cow\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer Encoding: chunked\r\nContent-Length: 5\r\n",
        "X-A: b\r\n Transfer-Encoding: chunked\r\n",
        "X-A: b\rTransfer-Encoding: chunked\r\n",
        "X-A: b\0c\r\n",
        "X-A b\r\n",
        ": b\r\n",
        "X A: b\r\n",
        "X-\u{e9}: b\r\n",
    ] {
        lab.assert_bad(&post(&lab, headers, long.as_bytes()));
    }
    for coding in [&b"Transfer-Encoding: chunked\x0b\r\n"[..], b"Transfer-Encoding: \xa0chunked\r\n", b"Transfer-Encoding: \x0cchunked\r\n"]
    {
        let host = lab.p0.at_plain("plain.allowed.test");
        let head = format!("POST http://{host}/first HTTP/1.1\r\nHost: {host}\r\n{}", a());
        lab.assert_bad(&[head.as_bytes(), coding, b"\r\n0\r\n\r\n"].concat());
    }
    assert!(lab.p0.plain.requests().is_empty());
}

#[test]
fn a_length_beside_chunks_is_refused_or_dropped_and_smuggles_nothing() {
    let lab = Lab::new();
    let inner = smuggled(&lab);
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding:\tchunked\r\n",
        "Transfer-Encoding: chunked \r\n",
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let answers = lab.throw(&post(&lab, headers, format!("0\r\n\r\n{inner}").as_bytes()));
        assert!(!answers.is_empty(), "{headers:?} got no answer");
        let through_us = answers.iter().filter(|answer| answer.status == 200).count();
        // The rest is a pipelined request of its own, which offers no credential.
        assert!(through_us <= 1, "{headers:?}: {answers:?}");
        assert_clean(&lab, headers);
    }
}

#[test]
fn every_control_or_high_byte_around_transfer_encoding_smuggles_nothing() {
    let lab = Lab::new();
    let inner = smuggled(&lab);
    let host = lab.p0.at_plain("plain.allowed.test");
    for byte in (0..=0x20_u8).chain(0x7f..=0xff).filter(|byte| ![b'\r', b'\n'].contains(byte)) {
        for header in [
            [b"Transfer-Encoding", &[byte][..], b": chunked"].concat(),
            [b"Transfer-Encoding:", &[byte][..], b"chunked"].concat(),
            [b"Transfer-Encoding: chunked", &[byte][..]].concat(),
            [&[byte][..], b"Transfer-Encoding: chunked"].concat(),
        ] {
            let head = format!("POST http://{host}/first HTTP/1.1\r\nHost: {host}\r\n{}Content-Length: {}\r\n", a(), 5 + inner.len());
            let mut talk = lab.proxy.talk();
            talk.send([head.as_bytes(), &header, b"\r\n\r\n0\r\n\r\n", inner.as_bytes()].concat());
            let _ = talk.try_answer("POST");
            assert_clean(&lab, &String::from_utf8_lossy(&header));
        }
    }
    lab.proxy.settled();
    assert_clean(&lab, "one of them");
}

#[test]
fn chunks_that_are_none_break_the_request_and_its_connection() {
    let mut lab = Lab::new();
    let inner = smuggled(&lab);
    for size in ["0x3", "+3", "-1", "3_0", "3\0", "10000000000000003", "", "3;a\rb", "3\r\r;a"] {
        let body = format!("{size}\r\nabc\r\n0\r\n\r\n{inner}");
        let mut talk = lab.proxy.talk();
        talk.send(post(&lab, "Transfer-Encoding: chunked\r\n", body.as_bytes()));
        let answer = talk.try_answer("POST");
        assert!(answer.is_none_or(|answer| answer.status >= 400), "chunk size {size:?} passed");
        assert!(lab.p0.plain.requests().is_empty(), "chunk size {size:?}: {:?}", lab.p0.plain.requests());
    }
    lab.p0.plain.until("the end of broken requests", |origin| origin.open() == 0);
    assert!(lab.proxy.is_alive());
    lab.proxy.settled();
}

#[test]
fn a_body_that_ends_too_early_reaches_the_origin_as_unfinished() {
    let lab = Lab::new();
    for (headers, body) in [
        ("Content-Length: 10\r\n", "short"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nab"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n"),
    ] {
        let mut talk = lab.proxy.talk();
        talk.send(post(&lab, headers, body.as_bytes()));
        let seen = lab.p0.plain.connections().len();
        lab.p0
            .plain
            .until("the head", |origin| origin.connections().len() > seen || origin.connections().iter().any(|bytes| !bytes.is_empty()));
        drop(talk);
        lab.proxy.settled();
    }
    lab.p0.plain.until("the end of unfinished requests", |origin| origin.open() == 0);
    assert!(lab.p0.plain.requests().is_empty(), "{:?}", lab.p0.plain.requests());
}

#[test]
fn a_body_of_any_method_is_consumed_exactly() {
    let lab = Lab::new();
    let host = lab.p0.at_plain("plain.allowed.test");
    let inner = smuggled(&lab);
    for method in ["GET", "OPTIONS", "DELETE", "PUT"] {
        for (header, body) in [
            (format!("Content-Length: {}\r\n", inner.len()), inner.clone()),
            ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len())),
        ] {
            let request = format!("{method} http://{host}/whole HTTP/1.1\r\nHost: {host}\r\n{}{header}\r\n{body}", a());
            let answers = lab.throw(request.as_bytes());
            assert_eq!(answers.len(), 1, "{method}: {answers:?}");
            assert_clean(&lab, method);
            if answers[0].status == 200 {
                assert_eq!(lab.p0.plain.requests().pop().unwrap().body, inner.as_bytes(), "{method} with {header:?}");
            }
        }
    }
}

#[test]
fn chunk_extensions_and_forbidden_trailers_are_not_passed_on() {
    let lab = Lab::new();
    let body =
        "3;name=\"value\"\r\nabc\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\nAuthorization: x\r\n\r\n";
    let answers = lab.throw(&post(&lab, "Transfer-Encoding: chunked\r\n", body.as_bytes()));
    assert_eq!(answers.len(), 1, "{answers:?}");
    let bytes = String::from_utf8(lab.p0.plain.connections().concat()).unwrap();
    assert!(!bytes.contains("name=") && !bytes.contains("evil.test") && !bytes.contains("Authorization"), "{bytes}");
    assert!(lab.p0.plain.requests().iter().all(|request| request.body == b"abc"));
}

#[test]
fn pipelined_requests_are_judged_alone_and_answered_in_order() {
    let lab = Lab::new();
    let listed = lab.p0.at_plain("plain.allowed.test");
    let one = |host: &str, path: &str| format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", a());
    let evil = lab.p0.at_plain("evil.test");
    let mut talk = lab.proxy.talk();
    talk.send(format!("{}{}{}", one(&listed, "/1"), one(&evil, "/2"), one(&listed, "/3")));
    let answers = [(); 3].map(|()| talk.answer());
    let statuses = answers.each_ref().map(|answer| answer.status);
    assert_eq!(statuses, [200, 403, 200], "{answers:?}");
    assert_eq!((answers[0].text().as_str(), answers[2].text().as_str()), ("plain /1", "plain /3"));
    assert!(!lab.p0.site.dns.was_asked("evil.test"));
}

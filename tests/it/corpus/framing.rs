//! d.7: where one request ends and the next begins, judged by the bytes that reach the origin.

use std::io::{Read, Write};

use super::{Bench, REQUESTS, Way};
use crate::support::p0::a;
use crate::support::proxy::of_kind;
use crate::support::strict::{Framing, Message};
use crate::support::talk::Talk;

/// A second request, which must never emerge from a body.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: plain.allowed.test\r\n\r\n";

/// What a row wants of a message.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Bad,
    /// It reaches the origin with this body, framed so.
    Whole(Framing, &'a [u8]),
    /// The origin gets no whole request.
    Broke,
}

use Framing::{Chunks, Length, Nothing};
use Wanted::{Bad, Broke, Whole};

fn post(bench: &Bench, way: Way, fields: &[u8], body: &[u8]) -> Vec<u8> {
    [way.head("POST", &bench.at(way), "/first").as_bytes(), fields, b"\r\n", body].concat()
}

/// The one message that these bytes may become upstream.
#[track_caller]
fn assert_whole(message: &Message, at: &str, wanted: (Framing, &[u8])) {
    assert_eq!((message.line.as_str(), message.all("host")), ("POST /first HTTP/1.1", vec![at]));
    assert_eq!((message.framing, String::from_utf8_lossy(&message.body)), (wanted.0, String::from_utf8_lossy(wanted.1)), "{message:?}");
}

fn try_all(bench: &mut Bench, row: u16, fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>, wanted: Wanted<'_>) {
    for way in REQUESTS {
        let bytes = post(bench, way, fields.as_ref(), body.as_ref());
        match wanted {
            Bad => bench.shoot(row, way, bytes).bad(),
            Broke => bench.shoot_and_finish(row, way, bytes).broke(),
            Whole(framing, body) => {
                let message = bench.shoot(row, way, bytes).passed(way.host());
                assert_whole(&message, &bench.at(way), (framing, body));
            }
        }
    }
}

#[test]
fn a_length_is_one_number_or_the_message_is_malformed() {
    let mut bench = Bench::new();
    // The coding wins, the length is gone, and the connection ends after the one message.
    let both = format!("0\r\n\r\n{SMUGGLED}");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ntransfer-encoding: CHUNKED\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n",
    ] {
        try_all(&mut bench, 134, fields, &both, Whole(Chunks, b""));
    }
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 31\r\n",
        "Content-Length: 31\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\nContent-length: 6\r\n",
    ] {
        try_all(&mut bench, 135, fields, SMUGGLED, Bad);
    }
    for fields in [
        "Content-Length: 3, 3\r\n",
        "Content-Length: 3,3\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 3;a\r\n",
        "Content-Length: \"3\"\r\n",
        "Content-Length: 3_0\r\n",
        "Content-Length: \r\n",
        "Content-Length: ,\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        "Content-Length: 3\x0b\r\n",
        "Content-Length: \u{a0}3\r\n",
        "Content-Length: ３\r\n",
    ] {
        try_all(&mut bench, 136, fields, format!("abc{SMUGGLED}"), Bad);
    }
    try_all(&mut bench, 136, "Content-Length: 3\r\nContent-Length: 3\r\n", "abc", Whole(Length, b"abc"));
    try_all(&mut bench, 136, "Content-Length: 3\r\n", "abc", Whole(Length, b"abc"));
    try_all(&mut bench, 136, "content-length:\t3 \r\n", "abc", Whole(Length, b"abc"));
    try_all(&mut bench, 136, "Content-Length: 0\r\n", "", Whole(Length, b""));
    bench.done("tests/it/corpus/framing.rs::a_length_is_one_number_or_the_message_is_malformed");
}

/// Values that some reader takes for `chunked`, and some for nothing.
const NOT_CHUNKED: [&[u8]; 44] = [
    b"xchunked",
    b"chunkedx",
    b",chunked",
    b"chunked,",
    b", chunked",
    b"chunked ,",
    b"chunked, identity",
    b"identity, chunked",
    b"identity",
    b"identity,chunked,identity",
    b"chunked, chunked",
    b"chunked,chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"gzip",
    b"deflate",
    b"compress, chunked",
    b"chunked;q=1",
    b"chunked; q=0.5",
    b"chunked;",
    b";chunked",
    b"\"chunked\"",
    b"'chunked'",
    b"(chunked)",
    b"chunked\x0b",
    b"\x0bchunked",
    b"\x0cchunked",
    b"chunked\x0c",
    b"\xa0chunked",
    b"chunked\xa0",
    b"\xc2\xa0chunked",
    b"\x00chunked",
    b"chunked\x00",
    b"chunked\x7f",
    b"chun\x00ked",
    b"chun ked",
    b"chun\tked",
    b"c\xc4\xa7unked",
    b"cow",
    b"trailers",
    b"=chunked",
    b":chunked",
    b"chunked/1",
    b"",
];

#[test]
fn a_coding_is_the_one_word_chunked_or_the_message_is_malformed() {
    let mut bench = Bench::new();
    let body = format!("3\r\nabc\r\n0\r\n\r\n{SMUGGLED}");
    for value in NOT_CHUNKED {
        try_all(&mut bench, 139, [b"Transfer-Encoding: ", value, b"\r\n"].concat(), &body, Bad);
    }
    for fields in [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
        "transfer-encoding:chunked\r\n",
        "TRANSFER-ENCODING: \t chunked \t\r\n",
    ] {
        try_all(&mut bench, 139, fields, "3\r\nabc\r\n0\r\n\r\n", Whole(Chunks, b"abc"));
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nTransfer-encoding: chunked\r\n",
    ] {
        try_all(&mut bench, 140, fields, &body, Bad);
    }
    bench.done("tests/it/corpus/framing.rs::a_coding_is_the_one_word_chunked_or_the_message_is_malformed");
}

#[test]
fn every_control_or_high_byte_around_transfer_encoding_smuggles_nothing() {
    let mut bench = Bench::new();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    let length = format!("Content-Length: {}\r\n", body.len());
    let mut passed = 0;
    for byte in (0..=0x20_u8).chain(0x7f..=0xff) {
        for coding in [
            [&[byte][..], b"Transfer-Encoding: chunked"].concat(),
            [b"Transfer-Encoding", &[byte][..], b": chunked"].concat(),
            [b"Transfer-Encoding:", &[byte][..], b"chunked"].concat(),
            [b"Transfer-Encoding: chunked", &[byte][..]].concat(),
        ] {
            // An LF beside a line's end makes an empty line: the head ends there, for every reader that takes LF for an end.
            if coding.starts_with(b"\n") || coding.ends_with(b"\n") {
                continue;
            }
            // A handshake each is slow: within TLS one order does.
            let both = [true, false].into_iter().flat_map(|before| REQUESTS.map(|way| (way, before)));
            for (way, before) in both.filter(|(way, before)| *before || *way != Way::Secure) {
                let fields = if before {
                    [length.as_bytes(), &coding].concat()
                } else {
                    [&coding[..], b"\r\n", length.trim_end().as_bytes()].concat()
                };
                let bytes = post(&bench, way, &[&fields, &b"\r\n"[..]].concat(), body.as_bytes());
                let seen = bench.shoot_and_finish(141, way, bytes);
                if seen.answers.first().is_some_and(|answer| answer.status == 200) {
                    // It is white space around the value, or a line end before the line: the coding wins, and the connection ends.
                    assert_whole(&seen.passed(way.host()), &bench.at(way), (Chunks, b""));
                    passed += 1;
                } else {
                    seen.bad();
                }
            }
        }
    }
    // A blank before or after the value, in either order and every way.
    assert_eq!(passed, 2 * 8 + 4);
    bench.done("tests/it/corpus/framing.rs::every_control_or_high_byte_around_transfer_encoding_smuggles_nothing");
}

#[test]
fn a_field_that_only_looks_like_framing_frames_nothing() {
    let mut bench = Bench::new();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    let length = format!("Content-Length: {}\r\n", body.len());
    for look_alike in
        ["Transfer_Encoding: chunked", "TransferEncoding: chunked", "Content-Encoding: chunked", "X-Transfer-Encoding: chunked"]
    {
        try_all(&mut bench, 142, format!("{length}{look_alike}\r\n"), &body, Whole(Length, body.as_bytes()));
    }
    for none in [
        "Transfer Encoding: chunked\r\n",
        "Transfer-Encoding\r\n",
        "X: X\rTransfer-Encoding: chunked\r\n",
        "X: X\r\rTransfer-Encoding: chunked\r\n",
        "Transfer\u{2010}Encoding: chunked\r\n",
    ] {
        try_all(&mut bench, 142, format!("{length}{none}"), &body, Bad);
    }
    bench.done("tests/it/corpus/framing.rs::a_field_that_only_looks_like_framing_frames_nothing");
}

#[test]
fn chunks_that_are_none_break_the_request_and_its_connection() {
    let mut bench = Bench::new();
    let chunked = "Transfer-Encoding: chunked\r\n";
    for size in ["0x3", "+3", "-1", " 3", "\t3", "3_0", "3\0", "3\u{a0}", "g", "", "3 3", "10000000000000003", "3\x0b", "３"] {
        try_all(&mut bench, 144, chunked, format!("{size}\r\nabc\r\n0\r\n\r\n{SMUGGLED}"), Broke);
        try_all(&mut bench, 144, chunked, format!("3\r\nabc\r\n{size}\r\nabc\r\n0\r\n\r\n{SMUGGLED}"), Broke);
    }
    // The longest size there is: more than will ever come, so whatever comes is of this body.
    for size in ["FFFFFFFFFFFFFFFF", "7fffffffffffffff"] {
        try_all(&mut bench, 144, chunked, format!("{size}\r\nabc\r\n0\r\n\r\n"), Broke);
    }
    for start in ["3;a\rb\r\nabc", "3;a\nb\r\nabc", "3\r\r;a\r\nabc", "3\nabc", "3\r\nabcd", "3\r\nab", "3\r\nabc\n", "3\r\nabc\rx"] {
        try_all(&mut bench, 145, chunked, format!("{start}\r\n0\r\n\r\n{SMUGGLED}"), Broke);
    }
    try_all(&mut bench, 145, chunked, format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(17 * 1024)), Broke);
    let many = "1;xxxxxxxx\r\na\r\n".repeat(4 * 1024);
    try_all(&mut bench, 145, chunked, format!("{many}0\r\n\r\n"), Broke);
    // What was on its way of so much is no part of the next row.
    for origin in [&bench.p0.plain, &bench.p0.secure] {
        origin.until("the end of what broke", |origin| origin.open() == 0);
    }
    for end in
        ["3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "3\r\nab", "3\r\n", "3", "", "3\r\nabc\r\n0\r\nX: y\r\n", "3\r\nabc\r\n0\r\nX y\r\n\r\n"]
    {
        try_all(&mut bench, 147, chunked, end, Broke);
    }
    try_all(&mut bench, 147, "Content-Length: 10\r\n", "short", Broke);
    try_all(&mut bench, 147, "Content-Length: 18446744073709551615\r\n", "short", Broke);
    for origin in [&bench.p0.plain, &bench.p0.secure] {
        origin.until("the end of broken requests", |origin| origin.requests().is_empty());
    }
    bench.done("tests/it/corpus/framing.rs::chunks_that_are_none_break_the_request_and_its_connection");
}

#[test]
fn what_rides_on_chunks_is_left_behind() {
    let mut bench = Bench::new();
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    for body in [
        "3\r\nabc\r\n0\r\n\r\n",
        "003\r\nabc\r\n000\r\n\r\n",
        "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "3;name=\"value\"\r\nabc\r\n0;last\r\n\r\n",
        "3 ;a\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3;\0\r\nabc\r\n0\r\n\r\n",
    ] {
        let row = if body.contains("3 \r") { 144 } else { 145 };
        try_all(&mut bench, row, chunked, body, Whole(Chunks, b"abc"));
    }
    for trailers in [
        "Content-Length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: evil.test\r\n",
        "Authorization: Bearer x\r\n",
        "Set-Cookie: a=b\r\n",
        "Content-Length: 7\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\nAuthorization: x\r\n",
    ] {
        try_all(&mut bench, 148, chunked, format!("3\r\nabc\r\n0\r\n{trailers}\r\n"), Whole(Chunks, b"abc"));
    }
    // One that only speaks of the body passes within TLS, and nowhere else.
    for way in REQUESTS {
        let bytes = post(&bench, way, chunked.as_bytes(), b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil.test\r\n\r\n");
        let mut seen = bench.shoot(148, way, bytes);
        if way == Way::Secure {
            let sent = String::from_utf8(seen.upstream.concat()).unwrap();
            let (rest, sum) = sent.split_at(sent.len() - "x-sum: 1\r\n\r\n".len());
            assert!(rest.ends_with("\r\n0\r\n") && sum.eq_ignore_ascii_case("x-sum: 1\r\n\r\n"), "{sent:?}");
            seen.upstream = vec![[rest, "\r\n"].concat().into_bytes()];
        }
        assert_whole(&seen.passed(way.host()), &bench.at(way), (Chunks, b"abc"));
    }
    let sent = [bench.p0.plain.connections(), bench.p0.secure.connections()].concat().concat();
    assert!(!sent.windows(4).any(|window| window == b"evil" || window == b"name"));
    bench.done("tests/it/corpus/framing.rs::what_rides_on_chunks_is_left_behind");
}

#[test]
fn a_head_that_two_readers_may_split_in_two_ways_is_malformed() {
    let mut bench = Bench::new();
    for fields in [
        "X-A: b\r\n Transfer-Encoding: chunked\r\n",
        "X-A: b\r\n\tTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Content-Length:\r\n 3\r\n",
        "X-A:\r\n \r\n b\r\n",
    ] {
        try_all(&mut bench, 149, fields, SMUGGLED, Bad);
    }
    let (listed, credentials) = (bench.listed(), a());
    for (first, host) in [
        (" X: y\r\n", format!("Host: {listed}\r\n")),
        ("\tX: y\r\n", format!("Host: {listed}\r\n")),
        ("", format!("Host:\r\n {listed}\r\n")),
    ] {
        bench.shoot(149, Way::Forward, format!("GET http://{listed}/ HTTP/1.1\r\n{first}{host}{credentials}\r\n")).bad();
        bench.shoot(149, Way::Inside, format!("GET / HTTP/1.1\r\n{first}{host}\r\n")).bad();
        let host = host.replace(&listed, &bench.at(Way::Secure));
        bench.shoot(149, Way::Secure, format!("GET / HTTP/1.1\r\n{first}{host}\r\n")).bad();
    }
    let fields: [&[u8]; 22] = [
        b"X-A: b\0c\r\n",
        b"X-A: \0\r\n",
        b"X-\0A: b\r\n",
        b"X-A: b\x01\r\n",
        b"X-A: b\x1b[2J\r\n",
        b"X-A: b\x7f\r\n",
        b"X-A b\r\n",
        b"X-A\r\n",
        b": b\r\n",
        b" : b\r\n",
        b"X A: b\r\n",
        b"X-A : b\r\n",
        b"X-A\t: b\r\n",
        b"X\x85A: b\r\n",
        b"X-\xc3\xa9: b\r\n",
        b"X(A): b\r\n",
        b"X/A: b\r\n",
        b"X[A]: b\r\n",
        b"X\"A: b\r\n",
        b"X,A: b\r\n",
        b"X-A: b\rc\r\n",
        b"X-A: b\r\r\n",
    ];
    for field in fields {
        try_all(&mut bench, 151, field, SMUGGLED, Bad);
    }
    bench.done("tests/it/corpus/framing.rs::a_head_that_two_readers_may_split_in_two_ways_is_malformed");
}

#[test]
fn a_line_that_ends_in_lf_alone_is_sent_on_as_one_that_ends_in_crlf() {
    let mut bench = Bench::new();
    for (fields, body) in [("X-A: b\nContent-Length: 3\r\n", "abc"), ("Content-Length: 3\nX-A: b\n", "abc")] {
        for way in REQUESTS {
            let bytes = post(&bench, way, fields.as_bytes(), body.as_bytes());
            let message = bench.shoot(149, way, bytes).passed(way.host());
            assert_whole(&message, &bench.at(way), (Length, b"abc"));
            assert_eq!(message.all("x-a"), ["b"]);
        }
    }
    bench.done("tests/it/corpus/framing.rs::a_line_that_ends_in_lf_alone_is_sent_on_as_one_that_ends_in_crlf");
}

#[test]
fn a_body_of_any_method_is_consumed_exactly() {
    let mut bench = Bench::new();
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
    let chunks = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for way in REQUESTS {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "POST", "PURGE", "PROPFIND"] {
            for (row, fields, body, framing) in
                [(152, length.as_str(), SMUGGLED, Length), (153, "Transfer-Encoding: chunked\r\n", chunks.as_str(), Chunks)]
            {
                let bytes = way.head(method, &bench.at(way), "/whole") + fields + "\r\n" + body;
                let message = bench.shoot(row, way, bytes).passed(way.host());
                assert_eq!((message.framing, message.body.as_slice()), (framing, SMUGGLED.as_bytes()), "{method}");
                // An origin that ignores the coding of such a method is told to end the connection, and it is used for nothing more.
                let doubtful = framing == Chunks && !["PUT", "PATCH", "POST"].contains(&method);
                assert_eq!(message.all("connection"), if doubtful { vec!["close"] } else { vec![] }, "{method}");
            }
        }
        let bytes = way.head("GET", &bench.at(way), "/none") + "\r\n";
        assert_eq!(bench.shoot(152, way, bytes).passed(way.host()).framing, Nothing);
    }
    bench.done("tests/it/corpus/framing.rs::a_body_of_any_method_is_consumed_exactly");
}

#[test]
fn an_expectation_is_met_once_or_refused() {
    let mut bench = Bench::new();
    for value in ["y 100-continue", "100-continue, x", "100-continu", "200-ok", "\"100-continue\"", "", "100-continue;q=1"] {
        try_all(&mut bench, 155, format!("Expect: {value}\r\nContent-Length: 3\r\n"), format!("abc{SMUGGLED}"), Bad);
    }
    // The body comes early: the one 100 that may precede the answer is no answer.
    for way in REQUESTS {
        for fields in ["Expect: 100-continue\r\n", "expect: 100-CONTINUE\r\n", "Expect: 100-continue\r\nExpect: 100-continue\r\n"] {
            let bytes = post(&bench, way, format!("{fields}Content-Length: 3\r\n").as_bytes(), b"abc");
            let mut seen = bench.shoot(155, way, bytes);
            let continues = seen.answers.iter().filter(|answer| answer.status == 100).count();
            assert!(continues <= 1, "{}", seen.shown);
            seen.answers.retain(|answer| answer.status != 100);
            let message = seen.passed(way.host());
            assert_whole(&message, &bench.at(way), (Length, b"abc"));
            assert_eq!(message.all("expect"), Vec::<&str>::new());
        }
    }
    bench.done("tests/it/corpus/framing.rs::an_expectation_is_met_once_or_refused");
}

#[test]
fn other_versions_and_other_protocols_are_refused() {
    let mut bench = Bench::new();
    let (listed, seen) = (bench.listed(), bench.at(Way::Secure));
    for version in [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3",
        "HTTP/0.9",
        "http/1.1",
        "HTTP/01.1",
        "HTTP/1.1 ",
        "HTTP/1.10",
        "HTTP/1,1",
        "ICY/1.1",
        "HTTP/1.",
        "HTP/1.1",
    ] {
        bench.shoot(161, Way::Forward, format!("GET http://{listed}/ {version}\r\nHost: {listed}\r\n{}\r\n", a())).bad();
        bench.shoot(161, Way::Inside, format!("GET / {version}\r\nHost: {listed}\r\n\r\n")).bad();
        bench.shoot(161, Way::Secure, format!("GET / {version}\r\nHost: {seen}\r\n\r\n")).bad();
    }
    bench.shoot(161, Way::Forward, format!("GET http://{listed}/\r\n\r\n")).bad();
    bench.shoot(161, Way::Inside, "GET /\r\n\r\n").bad();
    bench.shoot(161, Way::Secure, "GET /\r\n\r\n").bad();
    for garbage in [
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"[..],
        b"\x05\x01\x00\r\n\r\n",
        b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET\r\n\r\n",
        b" GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"\r\nx\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        bench.shoot(162, Way::Forward, garbage).bad();
        bench.shoot(162, Way::Secure, garbage).bad();
    }
    let request = format!("GET http://{listed}/crlf HTTP/1.1\r\nHost: {listed}\r\n{}\r\n", a());
    for count in [1, 2, 1000] {
        let seen = bench.shoot(162, Way::Forward, "\r\n".repeat(count) + &request);
        assert_eq!(seen.passed("plain.allowed.test").line, "GET /crlf HTTP/1.1");
    }
    bench.shoot(162, Way::Forward, "\r\n".repeat(40_000) + &request).bad();
    bench.done("tests/it/corpus/framing.rs::other_versions_and_other_protocols_are_refused");
}

/// One connection with these requests; the statuses and the targets that reached the origin.
fn pipeline(bench: &Bench, way: Way, requests: &[(&str, &str)], more: &str) -> (Vec<u16>, Vec<String>) {
    let mut talk = bench.proxy.talk();
    if way != Way::Forward {
        assert_eq!(talk.connect(&bench.at(way), &a()).status, 200);
    }
    let origin = bench.origin(way);
    let mark = origin.requests().len();
    let at = |host: &str| format!("{host}:{}", origin.port());
    let bytes: String = requests.iter().map(|(host, path)| way.head("GET", &at(host), path) + more + "\r\n").collect();
    let statuses = if way == Way::Secure {
        statuses(talk.tls(&bench.ours, way.host()).unwrap(), &bytes, requests.len())
    } else {
        statuses(talk, &bytes, requests.len())
    };
    bench.proxy.settled();
    (statuses, origin.requests()[mark..].iter().map(|request| request.target().to_owned()).collect())
}

fn statuses<S: Read + Write>(mut talk: Talk<S>, bytes: &str, most: usize) -> Vec<u16> {
    talk.send(bytes);
    (0..most).map_while(|_| talk.try_answer("GET")).map(|answer| answer.status).collect()
}

#[test]
fn pipelined_requests_are_judged_alone_and_answered_in_order() {
    let mut bench = Bench::new();
    for way in REQUESTS {
        bench.tried.insert((156, way));
        let requests = [(way.host(), "/1"), ("evil.test", "/2"), (way.host(), "/3")];
        let (statuses, targets) = pipeline(&bench, way, &requests, "");
        assert_eq!(
            (statuses, targets),
            (vec![200, if way == Way::Secure { 421 } else { 403 }, 200], vec!["/1".to_owned(), "/3".to_owned()]),
            "{way:?}"
        );
        // What follows a message that can be read in two ways may be a part of it.
        let requests = [(way.host(), "/1"), (way.host(), "/2")];
        let (statuses, targets) = pipeline(&bench, way, &requests, "Transfer-Encoding: chunked, chunked\r\n");
        assert_eq!((statuses, targets), (vec![400], Vec::new()), "{way:?}");
    }
    assert!(!bench.p0.site.dns.was_asked("evil.test"));
    let records = bench.proxy.settled();
    assert_eq!(of_kind(&records, "decided").len(), 3 + 1 + 2 * (1 + 3 + 1 + 1));
    bench.tail.settled(16, "all of them");
    bench.done("tests/it/corpus/framing.rs::pipelined_requests_are_judged_alone_and_answered_in_order");
}

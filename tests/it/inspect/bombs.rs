//! Heads over HTTP/2 that grow when they are unpacked, and streams that ask for tunnels: refused, and none reaches an origin.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::bounds::resident;
use super::frames::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Raw, block, frame, head};
use super::{H1, H2, HOST, OPEN, World, assert_refused, inner, tunnels};
use crate::support::proxy::of_kind;
use crate::support::web::body::Flow;
use crate::support::web::run;

/// The field that is put into the table, and the octet that stands for it from then on (RFC 7541, 6.1 and 6.2.1).
fn entry(length: usize) -> Vec<u8> {
    let mut bytes = b"\x40\x05x-own\x7f".to_vec();
    // An integer above 126 goes on by seven bits at a time (RFC 7541, 5.1).
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes.extend(vec![b'v'; length]);
    bytes
}

const ENTRY: u8 = 0xbe;

/// `:status` 431 in Huffman's code, put into the table; then as it stands there (RFC 7541, 6.1, 6.2.1 and B).
const TOO_LARGE: [&[u8]; 3] = [&[0x48, 0x83, 0x69, 0x90, 0xff], &[ENTRY], &[ENTRY]];

#[test]
fn a_head_that_unpacks_beyond_the_limit_is_refused_alone() {
    for origin in [H1, H2] {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let head = head(&world, "GET", "/page", &[]);
        let ask = |stream, more: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[&head[..], more].concat());
        run(async {
            let mut raw = Raw::new(&world, &proxy).await;
            raw.send(&ask(1, &entry(4000))).await;
            assert!(raw.comes(DATA, 1).await);
            // Far beyond the limit: the answer is bare, and made before exeat knows of it.
            for (stream, payload) in [3, 5, 7].into_iter().zip(TOO_LARGE) {
                raw.send(&ask(stream, &[ENTRY; 40])).await;
                let answer = after(&mut raw, 1).await;
                assert_eq!(answer, Frame { kind: HEADERS, flags: END_HEADERS | END_STREAM, stream, payload: payload.to_vec() });
            }
            raw.send(&ask(9, &[ENTRY; 20])).await;
            let answer = after(&mut raw, 7).await;
            assert_eq!((answer.kind, answer.flags, answer.stream), (HEADERS, END_HEADERS, 9), "{answer:?}");
            assert!(raw.comes(DATA, 9).await, "a document follows");
            raw.send(&ask(11, &[ENTRY])).await;
            assert!(raw.comes(DATA, 11).await, "one reference is within the limit");
        });
        assert_eq!(world.web.seen().len(), 2, "{:?}", world.web.seen());
        let records = proxy.settled();
        let ends: Vec<_> = of_kind(&records, "ended").into_iter().filter(|end| end["status"] == 200).collect();
        assert_eq!((ends.len(), too_long(&records)), (2, 1), "{records:?}");
    }
}

/// The first frame of a later stream.
async fn after(raw: &mut Raw, stream: u32) -> Frame {
    loop {
        let frame = raw.next().await.unwrap();
        if frame.stream > stream {
            return frame;
        }
    }
}

/// Requests of which nothing was read but that their heads are none.
fn too_long(records: &[Value]) -> usize {
    let decided = of_kind(records, "decided").into_iter();
    decided.filter(|record| record["reason"] == "malformed" && record["within"].is_string() && record["request"].is_null()).count()
}

#[test]
fn a_head_beyond_the_limit_is_refused_with_a_document_and_recorded_whatever_is_spoken() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    for length in [40_000, 120_000] {
        let request = visit.request("GET", "/page").header("cookie", "c".repeat(length)).body(Flow::whole("")).unwrap();
        let answer = run(visit.ask(request)).unwrap();
        assert_refused(&answer, 431, "malformed");
        assert!(answer.text().contains("longer than exeat reads"), "{}", answer.text());
    }
    assert_eq!(run(visit.get("/page")).unwrap().status, 200);
    let one = world.visit(&proxy, H1);
    let request = one.request("GET", "/page").header("cookie", "c".repeat(40_000)).body(Flow::whole("")).unwrap();
    assert_eq!(run(one.ask(request)).unwrap().status, 431);
    drop((visit, one));
    assert_eq!(world.web.seen().len(), 1, "{:?}", world.web.seen());
    assert_eq!(too_long(&proxy.settled()), 3);
}

#[test]
fn heads_that_unpack_to_far_more_than_is_sent_end_their_connection_and_take_no_memory() {
    let world = World::new(OPEN);
    let mut proxy = world.start();
    let other = world.visit(&proxy, H2);
    assert_eq!(run(other.get("/page")).unwrap().status, 200);
    let before = resident(&proxy);
    let head = head(&world, "GET", "/page", &[]);
    let ask = |stream, more: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[&head[..], more].concat());
    // Unpacked, each is 48 MB.
    let bombs: Vec<u8> = (1..100).flat_map(|at| ask(2 * at + 1, &[ENTRY; 12_000])).collect();
    let last = run(async {
        let mut raw = Raw::new(&world, &proxy).await;
        raw.send(&ask(1, &entry(4000))).await;
        assert!(raw.comes(DATA, 1).await);
        raw.send(&bombs).await;
        let mut last = None;
        while let Some(frame) = raw.next().await {
            last = Some(frame);
        }
        last
    });
    // The reset may overtake it.
    assert!(last.as_ref().is_none_or(|frame| frame.kind == GOAWAY && frame.payload[4..8] == 11u32.to_be_bytes()), "{last:?}");
    let grown = resident(&proxy).saturating_sub(before);
    assert!(grown < 40_000, "{grown} kB more");
    assert_eq!(world.web.seen().len(), 2, "{:?}", world.web.seen());
    assert_eq!(run(other.get("/page")).unwrap().status, 200);
    drop(other);
    let records = proxy.settled();
    assert_eq!(inner(&records).len(), 3, "{records:?}");
    let cut = tunnels(&records).into_iter().filter(|(_, end)| json!([end["outcome"], end["reason"]]) == json!(["cut", "overloaded"]));
    assert_eq!((cut.count(), proxy.is_alive()), (1, true));
}

/// More than a connection may have at once, many times over.
const MANY: u32 = 3000;

#[test]
fn streams_that_ask_for_tunnels_within_one_get_none() {
    for elsewhere in [false, true] {
        let world = World::new(OPEN);
        let mut proxy = world.start();
        let other = world.visit(&proxy, H2);
        let authority = if elsewhere { "other.test:443".to_owned() } else { format!("{HOST}:{}", world.web.port()) };
        let connect = block(&[(":method", "CONNECT"), (":authority", &authority)]);
        let streams =
            |range: std::ops::Range<u32>| -> Vec<u8> { range.flat_map(|at| frame(HEADERS, END_HEADERS, 2 * at + 1, &connect)).collect() };
        let (mut answered, mut over) = (0, BTreeSet::new());
        run(async {
            let mut raw = Raw::new(&world, &proxy).await;
            for (range, wanted) in [(0..100, 100), (100..MANY, MANY as usize)] {
                raw.send(&streams(range)).await;
                while over.len() < wanted {
                    let Some(frame) = raw.next().await else { break };
                    if frame.kind == GOAWAY {
                        assert_eq!(frame.payload[4..8], 11u32.to_be_bytes());
                        continue;
                    }
                    if frame.kind == HEADERS {
                        // `:status` 400 is the twelfth of the fields that everybody knows.
                        assert_eq!(frame.payload[0], 0x80 | 12);
                        answered += 1;
                    }
                    over.insert(frame.stream);
                }
                assert!(answered >= 100);
            }
        });
        assert!(world.web.seen().is_empty() && world.web.met().is_empty() && !world.site.dns.was_asked("other.test"));
        assert_eq!((run(other.get("/page")).unwrap().status, proxy.is_alive()), (200, true));
        drop(other);
        let records = proxy.settled();
        let decided = of_kind(&records, "decided").into_iter().filter(|record| record["request"]["method"] == "CONNECT");
        let reasons: Vec<_> = decided.map(|record| json!([record["decision"], record["reason"]])).collect();
        assert!(reasons.len() >= answered && reasons.iter().all(|reason| *reason == json!(["block", "malformed"])), "{reasons:?}");
    }
}

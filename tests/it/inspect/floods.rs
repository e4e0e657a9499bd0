//! Who floods a connection of HTTP/2, or writes on it what is none, loses it, and nobody else loses anything.

use http::Uri;
use serde_json::json;

use super::frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST, Raw, SETTINGS, frame, head};
use super::{H1, H2, HOST, OPEN, World, assert_refused, inner, tunnels};
use crate::support::visit::Visit;
use crate::support::web::body::Flow;
use crate::support::web::run;

fn resets(world: &World) -> Vec<u8> {
    let head = head(world, "GET", "/page", &[]);
    let pair = |stream| [frame(HEADERS, END_HEADERS | END_STREAM, stream, &head), frame(RST, 0, stream, &8u32.to_be_bytes())].concat();
    (0..500).flat_map(|index| pair(2 * index + 1)).collect()
}

fn continuations(world: &World) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_STREAM, 1, &head(world, "GET", "/page", &[]));
    bytes.extend((0..5000).flat_map(|_| frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b")));
    bytes
}

#[test]
fn a_flood_that_costs_exeat_more_than_its_sender_is_cut_and_recorded() {
    for flood in [resets, continuations] {
        let world = World::new(OPEN);
        let proxy = world.start();
        let other = world.visit(&proxy, H2);
        let ended = run(async {
            let mut raw = Raw::new(&world, &proxy).await;
            raw.send(&flood(&world)).await;
            let mut last = None;
            while let Some(frame) = raw.next().await {
                last = Some(frame);
            }
            last
        });
        // The alert or the reset may overtake it.
        assert!(ended.is_none_or(|frame| frame.kind == GOAWAY && frame.payload[4..8] == 11u32.to_be_bytes()));
        assert_eq!(run(other.get("/page")).unwrap().status, 200);
        assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"streams\""]), 1.0);
        drop(other);
        let records = proxy.settled();
        let cut: Vec<_> = tunnels(&records).into_iter().map(|(_, end)| end).filter(|end| end["outcome"] == "cut").collect();
        assert_eq!((cut.len(), &cut[0]["reason"]), (1, &json!("overloaded")));
    }
}

#[test]
fn what_only_costs_an_answer_is_answered_and_holds_nobody_up() {
    for kind in [PING, SETTINGS] {
        let world = World::new(OPEN);
        let proxy = world.start();
        let other = world.visit(&proxy, H2);
        run(async {
            let mut raw = Raw::new(&world, &proxy).await;
            let payload = vec![0; if kind == PING { 8 } else { 0 }];
            for _ in 0..100 {
                let flood = frame(kind, 0, 0, &payload).repeat(100);
                let (sent, answer) = tokio::join!(raw.send(&flood), other.get("/page"));
                assert!(sent && answer.unwrap().status == 200);
            }
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&world, "GET", "/page", &[]))).await;
            assert!(raw.comes(DATA, 1).await, "{kind}");
        });
    }
}

#[test]
fn what_is_no_http2_is_an_attempt_that_cannot_be_read() {
    let world = World::new(OPEN);
    let proxy = world.start();
    run(async {
        let mut raw = Raw::new(&world, &proxy).await;
        raw.send(&frame(DATA, 0, 0, b"x")).await;
        assert!(raw.comes(GOAWAY, 0).await);
    });
    let records = proxy.settled();
    let [(decided, ended)] = inner(&records)[..] else {
        let all: Vec<_> = records.iter().filter(|record| record["within"].is_string()).collect();
        assert_eq!((all.len(), &all[0]["decision"], &all[0]["reason"]), (1, &json!("block"), &json!("malformed")), "{records:?}");
        return;
    };
    assert_eq!((&decided["reason"], &ended["outcome"]), (&json!("malformed"), &json!("refused")));
}

#[test]
fn a_length_that_lies_ends_its_stream_alone_and_frames_nothing_anew() {
    for origin in [H1, H2] {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: web.test\r\n\r\n";
        run(async {
            let mut raw = Raw::new(&world, &proxy).await;
            for (stream, length, body) in [(1, "5", &b""[..]), (3, "90", smuggled), (5, "2", smuggled), (7, "0", smuggled)] {
                let head = head(&world, "POST", "/echo", &[("content-length", length)]);
                if body.is_empty() {
                    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).await;
                } else {
                    raw.send(&frame(HEADERS, END_HEADERS, stream, &head)).await;
                    raw.send(&frame(DATA, END_STREAM, stream, body)).await;
                }
                assert!(raw.comes(RST, stream).await, "{length}");
            }
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 9, &head(&world, "GET", "/page", &[]))).await;
            assert!(raw.comes(DATA, 9).await);
        });
        assert!(world.web.seen().iter().all(|seen| ["/echo", "/page"].contains(&seen.target.as_str())), "{:?}", world.web.seen());
        assert_eq!(world.web.seen().last().unwrap().target, "/page");
    }
}

fn asterisk(visit: &Visit, world: &World, method: &str) -> http::Request<Flow> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some("https".parse().unwrap());
    parts.authority = Some(format!("{HOST}:{}", world.web.port()).parse().unwrap());
    parts.path_and_query = Some("*".parse().unwrap());
    visit.request(method, "/").uri(Uri::from_parts(parts).unwrap()).body(Flow::whole("")).unwrap()
}

#[test]
fn an_asterisk_is_a_target_of_options_alone() {
    for origin in [H1, H2] {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, H2);
        assert_refused(&run(visit.ask(asterisk(&visit, &world, "GET"))).unwrap(), 400, "malformed");
        assert!(world.web.seen().is_empty());
        run(visit.ask(asterisk(&visit, &world, "OPTIONS"))).unwrap();
        assert_eq!(world.web.seen()[0].target, "*");
    }
}

//! Streams that are long, slow or large, through inspection: nothing waits for the rest, and memory stays what it is.
//!
//! `EXEAT_TEST_FLOW` is how many MiB go up and down (256 by itself), `EXEAT_TEST_GAP` the seconds between events (none by itself: a signal).

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;

use super::World;
use crate::support::proxy::Proxy;
use crate::support::visit::{Missed, Visit, Way, piece};
use crate::support::web::body::Flow;
use crate::support::web::routes::framed;
use crate::support::web::{run, run_on};

const BOTH: [&[&str]; 2] = [&["h2"], &["http/1.1"]];

/// How much memory a flow may add to the proxy's, in KiB, whatever its length: windows and buffers of two connections of HTTP/2, and what the allocator keeps.
const ROOM: u64 = 48 * 1024;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The most memory that the proxy has had resident, in KiB.
fn peak(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn visit(world: &World, proxy: &Proxy, alpn: &[&str]) -> Visit {
    world.way(proxy, alpn).visit().await.unwrap()
}

async fn upload(visit: &Visit, bytes: u64) -> String {
    let (tap, flow) = Flow::new();
    let request = visit.request("POST", "/up").body(flow).unwrap();
    tokio::spawn(async move {
        let block = Bytes::from(vec![b'u'; 64 * 1024]);
        for _ in 0..bytes / block.len() as u64 {
            if !tap.send(block.clone()).await {
                return;
            }
        }
    });
    visit.ask(request).await.unwrap().text()
}

async fn download(visit: &Visit, bytes: u64) -> u64 {
    let request = visit.request("GET", &format!("/down?bytes={bytes}")).body(Flow::whole("")).unwrap();
    let mut body = visit.send(request).await.unwrap().into_body();
    let mut got = 0;
    while let Some(frame) = body.frame().await {
        got += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
    }
    got
}

#[test]
fn what_is_large_goes_up_and_down_in_constant_memory() {
    let world = World::new();
    let proxy = world.site.start();
    let bytes = number("EXEAT_TEST_FLOW", 256) << 20;
    for alpn in BOTH {
        run_on(async {
            let visit = visit(&world, &proxy, alpn).await;
            assert_eq!((upload(&visit, 8 << 20).await, download(&visit, 8 << 20).await), ((8 << 20).to_string(), 8 << 20));
            let (before, begun) = (peak(&proxy), Instant::now());
            assert_eq!(upload(&visit, bytes).await, bytes.to_string());
            assert_eq!(download(&visit, bytes).await, bytes);
            // The kernel adds it up of counters that may lag by some pages (proc(5)).
            let grown = peak(&proxy).saturating_sub(before);
            eprintln!("{alpn:?}: {} MiB each way in {:?}, {before} KiB before, {grown} KiB more", bytes >> 20, begun.elapsed());
            assert!(grown < ROOM, "{grown} KiB more for {bytes} bytes each way");
        });
    }
}

#[test]
fn a_first_byte_arrives_though_the_rest_waits_for_the_agent() {
    let world = World::new();
    let proxy = world.site.start();
    for (alpn, gate) in BOTH.into_iter().zip(["one", "two"]) {
        run(async {
            let (waits, tells) = (visit(&world, &proxy, alpn).await, visit(&world, &proxy, alpn).await);
            let request = waits.request("GET", &format!("/gated/{gate}")).body(Flow::whole("")).unwrap();
            let mut body = waits.send(request).await.unwrap().into_body();
            assert_eq!(piece(&mut body).await.unwrap(), "first");
            let signal = tells.request("POST", &format!("/signal/{gate}")).body(Flow::whole("")).unwrap();
            assert_eq!(tells.ask(signal).await.unwrap().status, 204);
            assert_eq!(body.collect().await.unwrap().to_bytes(), " rest");
        });
    }
}

#[test]
fn events_arrive_one_by_one_however_long_the_silence_between_them() {
    let world = World::new();
    let proxy = world.site.start();
    let gap = number("EXEAT_TEST_GAP", 0);
    for (alpn, gate) in BOTH.into_iter().zip(["one", "two"]) {
        run_on(async {
            let visit = visit(&world, &proxy, alpn).await;
            let target = if gap == 0 { format!("/sse?events=3&gate={gate}") } else { format!("/sse?events=3&gap_ms={}", gap * 1000) };
            let request = visit.request("GET", &target).header("accept", "text/event-stream").body(Flow::whole("")).unwrap();
            let begun = Instant::now();
            let mut body = visit.send(request).await.unwrap().into_body();
            for event in 1..=3 {
                let came = tokio::time::timeout(Duration::from_secs(gap + 30), piece(&mut body)).await.unwrap().unwrap();
                assert_eq!(came, format!("id: {event}\ndata: event {event}\n\n"));
                world.web.signal(gate);
            }
            assert!(begun.elapsed() >= Duration::from_secs(2 * gap), "the gaps were none");
            if gap == 0 {
                assert_eq!(body.collect().await.unwrap().to_bytes(), "");
            }
        });
    }
}

#[test]
fn a_call_of_grpc_streams_both_ways_message_by_message_and_ends_with_its_status() {
    let world = World::new();
    let proxy = world.site.start();
    run(async {
        let visit = visit(&world, &proxy, &["h2"]).await;
        let call = |method: &str, flow| {
            let request = visit.request("POST", &format!("/exeat.Echo/{method}"));
            request.header("content-type", "application/grpc").header("te", "trailers").body(flow).unwrap()
        };
        let (tap, flow) = Flow::new();
        let mut body = visit.send(call("Both", flow)).await.unwrap().into_body();
        for index in 0..50 {
            let message = framed(format!("message {index}").as_bytes());
            assert!(tap.send(message.clone()).await);
            assert_eq!(piece(&mut body).await.unwrap(), message);
        }
        drop(tap);
        assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "0");
        let (tap, flow) = Flow::new();
        tokio::spawn(async move {
            for _ in 0..100 {
                tap.send(framed(&[b'm'; 1000])).await;
            }
        });
        let up = visit.ask(call("Up", flow)).await.unwrap();
        assert_eq!((up.body, up.trailers), (framed(b"100 100000").to_vec(), vec![("grpc-status".into(), "0".into())]));
        let down = visit.ask(call("Down", Flow::whole(framed(b"3")))).await.unwrap();
        let expected: Vec<u8> = (0..3).flat_map(|index| framed(format!("message {index}").as_bytes()).to_vec()).collect();
        assert_eq!((down.body, down.trailers), (expected, vec![("grpc-status".into(), "0".into())]));
        let failed = visit.ask(call("Fail", Flow::whole(framed(b"")))).await.unwrap();
        assert_eq!((failed.status, failed.header("grpc-status"), failed.header("grpc-message")), (200, Some("7"), Some("not today")));
    });
}

#[test]
fn what_is_not_listed_is_refused_before_tls() {
    let world = World::new();
    let proxy = world.site.start();
    let way = Way { host: "other.test".into(), ..world.way(&proxy, &["h2"]) };
    let Err(Missed::Refused(head)) = run(way.secure()) else { panic!("a tunnel to a host that no rule lists") };
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

//! Heads of requests to the proxy: hyper as the fronts set it up, their claim, and a gate that lets nothing pass.
//!
//! The first byte says where the others are cut in two.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use exeat::egress::Gate;
use exeat::egress::record::Front;
use exeat::front::{FrontSettings, builder, claim};
use exeat::policy::attempt::Sight;
use exeat::policy::destination::{Destination, Port};
use exeat::policy::malformed::Malformed;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use parking_lot::Mutex;

use super::model::head::Plain;
use super::wire::{Ledger, Parts, gate};

const SETTINGS: FrontSettings = FrontSettings {
    head: 32 << 10,
    head_timeout: std::time::Duration::from_secs(10),
    idle: std::time::Duration::from_secs(3600),
    connections: 1,
    per_source: 1,
};
const VIA: &str = "exeat-1";

/// What was read of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    front: Front,
    wanted: Result<Destination, Malformed>,
    sight: Sight,
    came_back: bool,
}

/// Sends the bytes in one part and in two.
pub fn check(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let (head, tail) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    let whole = heads(Parts::new([bytes]));
    let parts = heads(Parts::new([head, tail]));
    for (one, other) in whole.iter().zip(&parts) {
        assert_eq!(one, other, "cut after {cut} bytes: {:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(whole.is_empty(), parts.is_empty(), "cut after {cut} bytes: {:?}", String::from_utf8_lossy(bytes));
    if let Some(first) = whole.first() {
        assert_plain(first, whole.len() == 1, bytes);
    }
}

/// Every head of a connection, each refused by the gate and recorded once.
fn heads(parts: Parts) -> Vec<Read> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let ledger = Arc::new(Ledger::default());
    let read: Mutex<Vec<Read>> = Mutex::default();
    let gate = gate(&ledger);
    let service = service_fn(|request: Request<Incoming>| async {
        let answered = answer(request, &gate, &read).await;
        let read = read.lock();
        ledger.assert_refused(read.len(), read.iter().filter(|read| read.wanted.is_ok() && !read.came_back).count());
        answered
    });
    // Time passes when nothing else happens: the connection is given up. How it ends says nothing of the heads before.
    let _ended =
        runtime.block_on(async { tokio::time::timeout(2 * SETTINGS.idle, builder(&SETTINGS).serve_connection(parts, service)).await });
    read.into_inner()
}

async fn answer(request: Request<Incoming>, gate: &Arc<Gate>, read: &Mutex<Vec<Read>>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let peer: SocketAddr = ([127, 0, 0, 1], 40_000).into();
    let claim = claim(&request, peer, "main".into(), VIA);
    let (front, wanted, sight) = (claim.front, claim.wanted.clone(), claim.sight.clone());
    read.lock().push(Read { front, wanted, sight, came_back: claim.objection.is_some() });
    let refused = gate.admit(claim).await.expect_err("nothing is allowed");
    assert_eq!(refused.destination.as_ref(), read.lock().last().and_then(|read| read.wanted.as_ref().ok()));
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::FORBIDDEN;
    Ok(response)
}

/// What passes as readable is what a plain reading of the lines shows.
fn assert_plain(read: &Read, alone: bool, bytes: &[u8]) {
    let Ok(destination) = &read.wanted else { return };
    let shown = String::from_utf8_lossy(bytes);
    let plain = Plain::read(bytes).unwrap_or_else(|| panic!("{destination} was read in {shown:?}"));
    let http = Port::parse("80").expect("80 is a port");
    assert_eq!(read.front == Front::Connect, plain.method == "CONNECT", "{shown:?}");
    assert_eq!(Destination::parse_with_default_port(plain.authority(), http).as_ref(), Ok(destination), "{shown:?}");
    assert!(!["TRACE", "TRACK", "DEBUG"].contains(&plain.method.as_str()), "{shown:?}");
    let (lengths, codings, hosts) = (plain.fields("content-length"), plain.fields("transfer-encoding"), plain.fields("host"));
    assert!(hosts.len() == 1 || hosts.is_empty() && plain.version == "HTTP/1.0", "{} hosts in {shown:?}", hosts.len());
    assert!(hosts.iter().all(|host| Destination::parse_with_default_port(host, http).is_ok()), "{hosts:?} in {shown:?}");
    match (read.front, lengths.as_slice(), codings.as_slice()) {
        (_, [], []) => {}
        (Front::Connect | Front::Transparent, ..) => panic!("a tunnel with content: {shown:?}"),
        // Equal lengths are one length to hyper.
        (Front::Forward, [first, others @ ..], []) => {
            let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
            assert!(number(first).is_some() && others.iter().all(|other| number(other) == number(first)), "{shown:?}");
        }
        // The coding wins, the length goes, and nothing follows (RFC 9112 section 6.3).
        (Front::Forward, lengths, codings) => {
            assert!(codings.len() == 1 && codings[0].eq_ignore_ascii_case("chunked"), "{shown:?}");
            assert!(lengths.is_empty() || alone, "another head after {shown:?}");
        }
    }
}

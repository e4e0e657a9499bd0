//! One HTTP/1 connection of an agent: requests one after the other, until one of them turns it into a tunnel.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Handoff};
use super::head;
use super::listener::{FrontSettings, Ways};
use super::{forward, refusal};
use crate::egress::record::Front;
use crate::egress::{Claim, RecordedBody, Refusal};
use crate::policy::attempt::{Evidence, Offered, RequestLine, Sight};
use crate::policy::malformed::Malformed;

/// An answer of the origin, or words of ours.
pub(super) type Reply = Response<Either<RecordedBody, Full<Bytes>>>;

/// Serves a connection to its end, and the tunnel it may become.
pub(super) async fn connection(stream: TcpStream, peer: SocketAddr, ways: &Arc<Ways>, door: Arc<str>, stop: CancellationToken) {
    let handoff: Arc<Mutex<Option<Handoff>>> = Arc::default();
    let service = service_fn(|request| {
        let (door, handoff) = (Arc::clone(&door), Arc::clone(&handoff));
        async move { Ok::<Reply, Infallible>(answer(request, peer, ways, door, &handoff).await) }
    });
    let mut connection = pin!(builder(&ways.settings).serve_connection(TokioIo::new(stream), service).with_upgrades());
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        if unreadable(&error) {
            record_unreadable(ways, peer, door).await;
        }
        tracing::debug!(%error, "a connection ended");
    }
    let tunnel = handoff.lock().take();
    if let Some(tunnel) = tunnel {
        connect::carry(tunnel, peer, ways, stop).await;
    }
}

/// The server side of HTTP/1 with our limits; the same for requests found in a tunnel.
pub(super) fn builder(settings: &FrontSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_header_size(settings.head)
        .max_buf_size(settings.head.max(8 * 1024))
        .preserve_header_case(true)
        .auto_date_header(false);
    builder
}

/// Whether hyper refused the head itself: it has answered with its bare status, and the attempt is ours to record.
pub(super) fn unreadable(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_too_large()
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, ways: &Arc<Ways>, door: Arc<str>, handoff: &Mutex<Option<Handoff>>) -> Reply {
    let claim = head::claim(&request, peer, door, &ways.via);
    let replied = if request.method() == Method::CONNECT {
        connect::open(request, claim, ways, handoff).await
    } else {
        forward::exchange(request, claim, ways).await
    };
    replied.unwrap_or_else(|refusal| refused(&refusal))
}

pub(super) fn refused(refusal: &Refusal) -> Reply {
    refusal::response(refusal).map(Either::Right)
}

async fn record_unreadable(ways: &Ways, peer: SocketAddr, door: Arc<str>) {
    let evidence = Evidence { listener: door, source: peer.ip(), offered: Offered::Nothing };
    let claim = Claim::new(Front::Forward, peer, evidence, Err(Malformed::Head), Sight::NotYet);
    let _answered_by_hyper = ways.gate.admit(claim).await;
}

/// The request line of a request in plain sight, its query dropped.
pub(super) fn request_line<B>(request: &Request<B>) -> RequestLine {
    RequestLine { method: request.method().as_str().into(), path: request.uri().path().into() }
}

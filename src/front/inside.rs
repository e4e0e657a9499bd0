//! Plain HTTP found in a tunnel: each request is an attempt of its own, to the tunnel's host and no other.

use std::convert::Infallible;
use std::io::Cursor;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::http1::{Reply, builder, refused, request_line, unreadable};
use super::listener::Ways;
use super::{forward, head};
use crate::egress::{Client, Interception};
use crate::policy::attempt::Sight;
use crate::policy::malformed::Malformed;

/// Serves the requests of one tunnel until either side ends it or its own answer is no longer allow.
pub(super) async fn serve(interception: Interception, client: Client, peer: SocketAddr, ways: &Arc<Ways>, stop: CancellationToken) {
    let Client { early, stream } = client;
    let (reader, writer) = stream.into_split();
    let wire = TokioIo::new(tokio::io::join(Cursor::new(early).chain(reader), writer));
    let lost = {
        let service = service_fn(|request: Request<Incoming>| {
            let named = head::named_inside(&request, interception.destination());
            let claim = interception.claim(peer, Sight::Seen(request_line(&request)), named);
            async move { Ok::<Reply, Infallible>(forward::exchange(request, claim, ways).await.unwrap_or_else(|refusal| refused(&refusal))) }
        });
        let mut connection = pin!(builder(&ways.settings).serve_connection(wire, service));
        let served = tokio::select! {
            served = connection.as_mut() => Some(served),
            () = interception.lost() => None,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                Some(connection.await)
            }
        };
        if let Some(Err(error)) = &served
            && unreadable(error)
        {
            let _answered_by_hyper = ways.gate.admit(interception.claim(peer, Sight::NotYet, Err(Malformed::Head))).await;
        }
        served.is_none()
    };
    let receipt = if lost { interception.cut() } else { interception.finish() };
    tracing::debug!(attempt = %receipt.id, "a tunnel is over");
}

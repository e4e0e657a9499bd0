//! Plain HTTP found in a tunnel: each request is an attempt of its own, to the tunnel's host and no other.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

use super::http1::{Line, Reply, builder, ended_badly, refused, unreadable};
use super::listener::Seat;
use super::websocket::wants_upgrade;
use super::wire::{Heard, Wire};
use super::{forward, head};
use crate::egress::{self, AgentSide, InnerEnd, Interception, Objection};
use crate::policy::attempt::Sight;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;

/// Serves the requests of one tunnel until either side ends it or its own answer is no longer allow.
pub(super) async fn serve(interception: Interception, agent: AgentSide, peer: SocketAddr, seat: &Seat, stop: CancellationToken) {
    let (ways, AgentSide { early, stream }) = (seat.ways(), agent);
    let (watch, watching) = egress::watch();
    let line = Line::new(ways, watch, &stream, seat);
    let end = {
        let service =
            service_fn(|request: Request<Incoming>| async { Ok::<Reply, Infallible>(answer(request, peer, &interception, &line).await) });
        let wire = Wire::new(early, stream.clone(), Heard::default(), ways.settings.idle);
        let mut connection = pin!(builder(&ways.settings).serve_connection(wire, service).with_upgrades());
        let mut over = pin!(async {
            tokio::select! {
                biased;
                reason = watching.cut() => InnerEnd::Cut(reason),
                reason = interception.lost() => InnerEnd::Cut(reason),
                () = line.gone() => InnerEnd::Broken,
            }
        });
        let served = tokio::select! {
            // The request before the tunnel, here and above: what is cut with its tunnel is recorded as cut.
            biased;
            served = connection.as_mut() => Ok(served),
            end = over.as_mut() => Err(end),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection => Ok(served),
                    end = over => Err(end),
                }
            }
        };
        match served {
            Ok(Ok(())) if stop.is_cancelled() => InnerEnd::Cut(Reason::Internal),
            Ok(Ok(())) => InnerEnd::Closed,
            Ok(Err(error)) => {
                ended_badly(&error, ways);
                if unreadable(&error) {
                    let _answered_by_hyper = ways.gate.admit(interception.claim(peer, Sight::NotYet, Err(Malformed::Head))).await;
                }
                InnerEnd::Broken
            }
            Err(end) => end,
        }
    };
    let socket = line.socket.lock().take();
    let mut lost = None;
    if let Some(socket) = socket {
        socket.carry(async { *lost.insert(interception.lost().await) }).await;
    }
    let receipt = interception.finish(lost.map_or(end, InnerEnd::Cut)).await;
    tracing::debug!(attempt = %receipt.id, "a tunnel is over");
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, interception: &Interception, line: &Line<'_>) -> Reply {
    let upgrade = wants_upgrade(&request);
    let named = head::named_inside(&request, interception.destination());
    let mut claim = interception.claim(peer, head::sight(&request), named);
    claim.trace = head::trace(request.headers());
    if head::came_back(request.headers(), &line.ways.via) {
        claim.objection = Some(Objection::Loop);
    }
    forward::exchange(request, claim, line).await.unwrap_or_else(|refusal| refused(&refusal, upgrade))
}

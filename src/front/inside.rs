//! HTTP found in a tunnel, plain or within TLS that exeat terminates: each request is an attempt of its own, to the tunnel's host and no other.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{Request, Version};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http1::{Lane, Line, Reply, builder, ended_badly, last, refused, unreadable};
use super::listener::Seat;
use super::websocket::wants_upgrade;
use super::wire::{Heard, Wire, linger};
use super::{forward, head, http2};
use crate::egress::{self, AgentSide, InnerEnd, Interception, Objection, Speaks};
use crate::policy::attempt::Sight;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;

/// The agent's connection around a tunnel.
pub(super) struct Around<'a> {
    pub(super) peer: SocketAddr,
    pub(super) seat: &'a Seat,
}

/// A tunnel whose requests are served.
pub(super) struct Inside<'a> {
    pub(super) interception: &'a Interception,
    pub(super) line: Line<'a>,
    peer: SocketAddr,
}

/// Serves the requests of one tunnel until either side ends it or its own answer is no longer allow.
pub(super) async fn plain(interception: Interception, agent: AgentSide, around: Around<'_>) {
    let AgentSide { early, stream } = agent;
    let wire = Wire::new(early, stream.clone(), Heard::default(), around.seat.ways().settings.idle);
    let inside = Inside { interception: &interception, line: Line::new(around.seat.ways(), &stream, around.seat), peer: around.peer };
    let end = one_by_one(&inside, wire).await;
    let sending = inside.line.is_sending();
    finish(interception, (end, sending), &stream).await;
}

/// The same within TLS: the handshake first, then what was agreed on in it.
pub(super) async fn tls(mut interception: Interception, (agent, config): (AgentSide, Arc<ServerConfig>), around: Around<'_>) {
    let AgentSide { early, stream } = agent;
    let ways = around.seat.ways();
    let wire = Wire::new(early, stream.clone(), Heard::default(), ways.settings.idle);
    let shaken = tokio::select! {
        biased;
        reason = interception.lost() => Err(InnerEnd::Cut(reason)),
        () = ways.stopped() => Err(InnerEnd::Cut(Reason::Internal)),
        shaken = tokio::time::timeout(ways.settings.head_timeout, TlsAcceptor::from(config).accept(TokioIo::new(wire))) => match shaken {
            Ok(Ok(within)) => Ok(within),
            Ok(Err(error)) => Err(unshaken(&error)),
            Err(_elapsed) => {
                ways.limit_hit("limits.head_timeout");
                Err(InnerEnd::Cut(Reason::Overloaded))
            }
        },
    };
    let (end, sending) = match shaken {
        Err(end) => (end, false),
        Ok(within) => {
            let spoken = spoken(&within);
            interception.terminated(spoken);
            let inside = Inside { interception: &interception, line: Line::new(ways, &stream, around.seat), peer: around.peer };
            let end = match spoken {
                Speaks::Http1 => one_by_one(&inside, TokioIo::new(within)).await,
                Speaks::Http2 => http2::serve(&inside, TokioIo::new(within)).await,
            };
            (end, inside.line.is_sending())
        }
    };
    finish(interception, (end, sending), &stream).await;
}

async fn finish(interception: Interception, (end, sending): (InnerEnd, bool), stream: &TcpStream) {
    let receipt = interception.finish(end).await;
    tracing::debug!(attempt = %receipt.id, "a tunnel is over");
    if sending && end == InnerEnd::Closed {
        linger(stream).await;
    }
}

fn spoken(within: &TlsStream<TokioIo<Wire>>) -> Speaks {
    if within.get_ref().1.alpn_protocol() == Some(b"h2") { Speaks::Http2 } else { Speaks::Http1 }
}

/// How a tunnel ends whose handshake failed; the alert is sent by then.
fn unshaken(error: &io::Error) -> InnerEnd {
    tracing::debug!(%error, "a handshake with an agent failed");
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) if distrusts(*alert) => InnerEnd::Distrusted,
        Some(rustls::Error::AlertReceived(_)) | None => InnerEnd::Broken,
        Some(_) => InnerEnd::Cut(Reason::NotTls),
    }
}

/// What clients say to a certificate whose authority they do not know, or that they have pinned otherwise.
fn distrusts(alert: AlertDescription) -> bool {
    [
        AlertDescription::UnknownCA,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateRevoked,
    ]
    .contains(&alert)
}

/// Serves requests of HTTP/1.1, and the socket one of them may become.
async fn one_by_one(inside: &Inside<'_>, io: impl Read + Write + Unpin + Send + 'static) -> InnerEnd {
    let (interception, ways) = (inside.interception, inside.line.ways);
    let (watch, watching) = egress::watch();
    let lane = Lane::new(watch);
    let end = {
        let service = service_fn(|request| async {
            lane.was_asked();
            inside.line.was_asked(&request);
            Ok::<Reply, Infallible>(last(inside.answer(request, &lane).await, ways))
        });
        let mut connection = pin!(builder(&ways.settings).serve_connection(io, service).with_upgrades());
        let mut watched = pin!(watching.cut().fuse());
        let mut over = pin!(async {
            tokio::select! {
                biased;
                reason = interception.lost() => InnerEnd::Cut(reason),
                () = ways.stopped() => InnerEnd::Cut(Reason::Internal),
                () = inside.line.gone() => InnerEnd::Broken,
            }
        });
        let mut closed = pin!(lane.closed(ways).fuse());
        let served = loop {
            tokio::select! {
                // The request before the tunnel: what is cut with its tunnel is recorded as cut.
                biased;
                served = connection.as_mut() => break Ok(served),
                reason = watched.as_mut() => break Err(InnerEnd::Cut(reason)),
                end = over.as_mut() => break Err(end),
                () = closed.as_mut() => connection.as_mut().graceful_shutdown(),
            }
        };
        if let Err(InnerEnd::Cut(reason)) = served {
            interception.cut(reason);
            // It hears of it before its connection is gone, which would look as if the agent had left.
            let _ = connection.as_mut().now_or_never();
            let _ = watched.as_mut().now_or_never();
        }
        match served {
            Ok(Ok(())) if ways.stop.now.is_cancelled() => InnerEnd::Cut(Reason::Internal),
            Ok(Ok(())) => InnerEnd::Closed,
            Ok(Err(error)) => {
                ended_badly(&error, ways);
                if unreadable(&error) {
                    inside.unreadable().await;
                }
                InnerEnd::Broken
            }
            Err(end) => end,
        }
    };
    let socket = lane.socket.lock().take();
    let mut lost = None;
    if let Some(socket) = socket {
        socket.carry(async { *lost.insert(interception.lost().await) }).await;
    }
    lost.map_or(end, InnerEnd::Cut)
}

impl Inside<'_> {
    /// Records what came in place of a request; hyper has answered it.
    pub(super) async fn unreadable(&self) {
        let claim = self.interception.claim(self.peer, Sight::NotYet, Err(Malformed::Head));
        let _answered_by_hyper = self.line.ways.gate.admit(claim).await;
    }

    /// Passes one request on, if it is admitted.
    pub(super) async fn answer(&self, request: Request<Incoming>, lane: &Lane) -> Reply {
        let Self { interception, line, peer } = self;
        let upgrade = wants_upgrade(&request);
        let http2 = request.version() == Version::HTTP_2;
        let (sight, named) = if http2 && head::length(&request) > line.ways.settings.head {
            (Sight::NotYet, Err(Malformed::HeadTooLong))
        } else {
            let named = head::named_inside(&request, interception.destination(), interception.scheme());
            (head::sight(&request, http2 && !request.body().is_end_stream()), named)
        };
        let mut claim = interception.claim(*peer, sight, named);
        claim.trace = head::trace(request.headers());
        if head::came_back(request.headers(), &line.ways.via) {
            claim.objection = Some(Objection::Loop);
        }
        forward::exchange(request, claim, (line, lane)).await.unwrap_or_else(|refusal| refused(&refusal, upgrade))
    }
}

//! One HTTP/1 connection of an agent: requests one after the other, until one of them turns it into a tunnel.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Handoff};
use super::head;
use super::inside::Around;
use super::listener::{FrontSettings, Seat, Ways};
use super::transparent::Redirected;
use super::websocket::{Socket, wants_upgrade};
use super::wire::{Heard, Wire, hung_up, linger};
use super::{forward, refusal};
use crate::egress::record::Front;
use crate::egress::{self, Admission, AgentSide, Cause, Claim, NetworkFault, RecordedBody, Refusal, Watch};
use crate::policy::attempt::{Evidence, Offered, Sight};
use crate::policy::malformed::Malformed;

/// An answer of the origin, or words of ours.
pub(super) type Reply = Response<Either<RecordedBody, Full<Bytes>>>;

const NO_HTTP2: &[u8] = b"HTTP/1.1 505 exeat speaks HTTP/1.1 here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 exeat waited too long for the rest of the head\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What the requests of one connection share.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) ways: &'a Ways,
    stream: &'a TcpStream,
    /// Where it came in.
    local: Option<SocketAddr>,
    seat: &'a Seat,
    gone: CancellationToken,
    /// The last request has a body, which may be on its way still when it is answered.
    sends: AtomicBool,
}

impl<'a> Line<'a> {
    pub(super) fn new(ways: &'a Ways, stream: &'a TcpStream, seat: &'a Seat) -> Self {
        Self { ways, stream, local: stream.local_addr().ok(), seat, gone: CancellationToken::new(), sends: AtomicBool::new(false) }
    }

    /// Asks the gate, for as long as the agent is there: one that hangs up while it waits takes its attempt along.
    pub(super) async fn admit(&self, mut claim: Claim) -> Result<Admission, Refusal> {
        if let Some(local) = self.local {
            claim.came_in_at(local);
        }
        let admitted = tokio::select! {
            // First, as most are decided at once and nobody is looked after for that.
            biased;
            admitted = self.ways.gate.admit(claim) => admitted,
            () = hung_up(self.stream) => {
                self.gone.cancel();
                std::future::pending().await
            }
        };
        if admitted.as_ref().map_or_else(|refusal| refusal.agent.is_some(), |_admitted| true) {
            self.seat.identified();
        }
        admitted
    }

    pub(super) fn was_asked<B: Body>(&self, request: &Request<B>) {
        self.sends.store(!request.body().is_end_stream(), Ordering::Relaxed);
    }

    /// What the agent sends may not have been read to its end.
    pub(super) fn is_sending(&self) -> bool {
        self.sends.load(Ordering::Relaxed)
    }

    /// Resolves when the agent hung up while it waited.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

/// What requests that come one after the other share: those of a connection, or the one of a stream.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) watch: Watch,
    /// What becomes of it once the head that says so is sent.
    pub(super) socket: Mutex<Option<Socket>>,
    /// A request has come on it.
    asked: Notify,
}

impl Lane {
    pub(super) fn new(watch: Watch) -> Self {
        Self { watch, socket: Mutex::default(), asked: Notify::new() }
    }

    pub(super) fn was_asked(&self) {
        self.asked.notify_one();
    }

    /// Resolves once nothing is accepted any more and its connection had its first request. That one is on its way when the agent connects, and
    /// its connection would else end without an answer.
    pub(super) async fn closed(&self, ways: &Ways) {
        ways.stop.closed.cancelled().await;
        self.asked.notified().await;
    }
}

/// Serves a connection to its end, and the tunnel it may become.
pub(super) async fn connection(agent: AgentSide, arrival: Arrival, seat: &Seat) {
    let AgentSide { early, stream } = agent;
    let ways = seat.ways();
    let (watch, watching) = egress::watch();
    let (line, lane) = (Line::new(ways, &stream, seat), Lane::new(watch));
    let state = State::default();
    let served = {
        let service = service_fn(|request| async { Ok::<Reply, Infallible>(answer(request, &arrival, (&line, &lane), &state).await) });
        let wire = Wire::new(early, Arc::clone(&stream), state.heard.clone(), ways.settings.idle);
        let mut connection = pin!(builder(&ways.settings).serve_connection(wire, service).with_upgrades());
        let mut over = pin!(async {
            tokio::select! {
                _reason = watching.cut() => {}
                () = line.gone() => {}
            }
        });
        tokio::select! {
            served = connection.as_mut() => Some(served),
            () = over.as_mut() => None,
            () = lane.closed(ways) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    served = connection => Some(served),
                    () = over => None,
                }
            }
        }
    };
    let in_order = matches!(served, Some(Ok(())));
    if let Some(Err(error)) = served {
        ended_badly(&error, ways);
        // hyper leaves these two without an answer.
        if error.is_parse_version_h2() {
            let _ = stream.try_write(NO_HTTP2);
        } else if error.is_timeout() && state.heard.take() {
            let _ = stream.try_write(TOO_SLOW);
        }
        // What follows a refused CONNECT was meant for the tunnel: it is discarded, and no attempt of its own.
        if unreadable(&error) && !state.refused_tunnel.load(Ordering::Relaxed) {
            let _answered_by_hyper = ways.gate.admit(arrival.unreadable()).await;
        }
    }
    let (tunnel, socket) = (state.handoff.lock().take(), lane.socket.lock().take());
    if let Some(tunnel) = tunnel {
        connect::carry(tunnel, Around { peer: arrival.peer, seat }).await;
    } else if let Some(socket) = socket {
        socket.carry(std::future::pending()).await;
    } else if in_order && line.is_sending() {
        linger(&stream).await;
    }
}

/// A connection as it came in.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) peer: SocketAddr,
    /// The listener's name.
    pub(super) door: Arc<str>,
    /// What is known where its agent did not mean to talk to a proxy.
    pub(super) redirected: Option<Redirected>,
}

impl Arrival {
    pub(super) fn new(peer: SocketAddr, door: &Arc<str>) -> Self {
        Self { peer, door: Arc::clone(door), redirected: None }
    }

    /// All that speaks for who asks, where nothing is offered.
    pub(super) fn evidence(&self) -> Evidence {
        Evidence { listener: Arc::clone(&self.door), source: self.peer.ip(), offered: Offered::Nothing }
    }

    fn claim<B>(&self, request: &Request<B>, via: &str) -> Claim {
        match &self.redirected {
            None => head::claim(request, self.peer, Arc::clone(&self.door), via),
            Some(redirected) => redirected.request(request, self, via),
        }
    }

    fn unreadable(&self) -> Claim {
        let front = if self.redirected.is_none() { Front::Forward } else { Front::Transparent };
        Claim::new(front, self.peer, self.evidence(), Err(Malformed::Head), Sight::NotYet)
    }
}

/// What a request leaves behind for its connection.
#[derive(Debug, Default)]
struct State {
    handoff: Mutex<Option<Handoff>>,
    refused_tunnel: AtomicBool,
    heard: Heard,
}

pub(super) fn ended_badly(error: &hyper::Error, ways: &Ways) {
    if error.is_timeout() {
        ways.limit_hit("limits.head_timeout");
    }
    tracing::debug!(%error, "a connection ended");
}

/// The server side of HTTP/1 with our limits; the same for requests found in a tunnel.
pub fn builder(settings: &FrontSettings) -> http1::Builder {
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

async fn answer(request: Request<Incoming>, arrival: &Arrival, (line, lane): (&Line<'_>, &Lane), state: &State) -> Reply {
    lane.was_asked();
    line.was_asked(&request);
    let claim = arrival.claim(&request, &line.ways.via);
    let (tunnel, upgrade) = (request.method() == Method::CONNECT, wants_upgrade(&request));
    let replied = if tunnel && arrival.redirected.is_none() {
        connect::open(request, claim, line, &state.handoff).await
    } else {
        forward::exchange(request, claim, (line, lane)).await
    };
    state.heard.take();
    state.refused_tunnel.store(tunnel && replied.is_err(), Ordering::Relaxed);
    let opened = tunnel && replied.is_ok();
    let reply = replied.unwrap_or_else(|refusal| refused(&refusal, upgrade));
    if opened { reply } else { last(reply, line.ways) }
}

/// An answer of one who ends is the last of its connection, and says so; else the agent would write its next request to a socket that closes.
pub(super) fn last(mut reply: Reply, ways: &Ways) -> Reply {
    if ways.stop.is_draining() && reply.status() != StatusCode::SWITCHING_PROTOCOLS {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// Says no. What an agent sends behind a handshake that its origin has answered falsely was meant for a socket.
pub(super) fn refused(refusal: &Refusal, upgrade: bool) -> Reply {
    let mut reply = refusal::response(refusal).map(Either::Right);
    if upgrade && refusal.cause == Cause::Network(NetworkFault::BadAnswer) {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

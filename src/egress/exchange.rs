//! One request over an open way out, and its answer.

use std::sync::Arc;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::{RecordedBody, Upload};
use super::carried::Carried;
use super::hygiene::{self, Target};
use super::live::Live;
use super::open::Open;
use super::pool::Parked;
use super::refusal::{Cause, NetworkFault, Refusal};
use super::upstream::{Connected, Line, OriginSide, Upstream, UpstreamSettings, broken, key};
use super::watch::{Limits, Underway, Watch, Watched, lost};
use super::websocket::{Handshake, WebSocket};
use crate::policy::attempt::Attempt;
use crate::policy::decide::Grant;
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

/// An origin's answer. Its body ends the attempt.
pub type Answer = Response<RecordedBody>;

/// What a request led to.
#[derive(Debug)]
pub enum Exchanged {
    /// An answer.
    Answered(Answer),
    /// The head of a 101, and what the agent's connection becomes once it is sent.
    Switched(Response<()>, Box<WebSocket>),
}

impl Connected {
    /// Sends the request and waits for the answer's head. The target is the destination that was judged, whatever `Host` said.
    ///
    /// The answer's body is watched by `watch`. A parked connection that died is replaced once, and only when the request was handed back unsent.
    pub async fn exchange(self, request: Request<Incoming>, watch: &Watch) -> Result<Exchanged, Refusal> {
        let Self { mut open, grant, mut live, line, upstream } = self;
        let carried = Arc::clone(&open.carried);
        let (request, handshake) = outbound(request, &grant, live.attempt(), (&upstream, &carried));
        let limits = Limits { idle: upstream.settings.idle, stop: upstream.settings.stop_now.clone() };
        let destination = live.attempt().destination.clone();

        let answered = tokio::select! {
            // First, so that nothing is sent once the answer is allow no longer.
            biased;
            reason = lost(&mut live, &carried, &limits) => Err(cut(reason)),
            answered = answered(&upstream, &mut open, Way { grant: &grant, destination: &destination }, line, request) => answered,
        };
        let (response, parked) = match answered {
            Ok(answered) => answered,
            Err((reason, cause)) => {
                carried.close();
                return Err(open.refuse(reason, cause));
            }
        };
        open.status = Some(response.status().as_u16());
        live.connected_to(parked.peer.ip());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return switched(Switching { open, live, handshake, parked, settings: upstream.settings.clone() }, response).await;
        }
        let (mut parts, body) = response.into_parts();
        if hygiene::inbound(&mut parts.headers).is_none() {
            drop((parked, body));
            let (reason, cause) = broken(NetworkFault::BadAnswer);
            return Err(open.refuse(reason, cause));
        }
        let key = key(&live, &open);
        let underway = Underway::new(open, parked, Arc::clone(&upstream.pool), key);
        let body = RecordedBody::new(body, Arc::clone(&underway));
        watch.over(Watched { live, underway, limits }).await;
        Ok(Exchanged::Answered(Response::from_parts(parts, body)))
    }
}

/// The request as its origin is to see it, and the handshake it passes on if the grant lets it. Where a rule looks at paths, the path that is sent is
/// the normal form that was judged.
fn outbound(
    request: Request<Incoming>,
    grant: &Grant,
    attempt: &Attempt,
    (upstream, carried): (&Upstream, &Arc<Carried>),
) -> (Request<Upload>, Option<Handshake>) {
    let (mut parts, body) = request.into_parts();
    let seen = attempt.sight.seen();
    // Content beside a handshake is what a server and a front end may part over.
    let asked = grant.websocket() && seen.is_some_and(|seen| seen.websocket && !seen.content);
    let handshake = asked.then(|| Handshake::of(&parts)).flatten();
    let path = seen.filter(|_| grant.normal_path()).and_then(|seen| seen.path.normal().ok());
    hygiene::outbound(&mut parts, Target { destination: &attempt.destination, path }, &upstream.settings.via);
    if handshake.is_some() {
        Handshake::ask(&mut parts.headers);
    }
    if body.size_hint().exact().is_none() {
        // Without it hyper would send a GET without the body it came with.
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        if ![Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
            // Some origins ignore the coding of such a method, and would read its body as the next request.
            parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    (Request::from_parts(parts, Upload::new(body, Arc::clone(carried))), handshake)
}

/// An exchange whose origin says that it speaks something else from here on.
struct Switching {
    open: Open,
    live: Live,
    handshake: Option<Handshake>,
    parked: Parked,
    settings: UpstreamSettings,
}

/// A 101 that nobody asked for, or that answers another key, is no answer: the origin's connection is closed.
async fn switched(switching: Switching, mut response: Response<Incoming>) -> Result<Exchanged, Refusal> {
    let Switching { open, mut live, handshake, parked, settings } = switching;
    let upgrade = hyper::upgrade::on(&mut response);
    let (mut parts, _no_body) = response.into_parts();
    let taken = handshake.is_some_and(|handshake| handshake.is_answered_by(&parts.headers));
    live.is_websocket();
    let upgraded = if taken && hygiene::inbound(&mut parts.headers).is_some() {
        tokio::select! {
            biased;
            reason = live.lost() => return Err(open.refuse(reason, Cause::Plain)),
            upgraded = upgrade => upgraded.ok().and_then(|upgraded| upgraded.downcast::<TokioIo<TcpStream>>().ok()),
        }
    } else {
        None
    };
    drop(parked);
    let Some(upgraded) = upgraded else {
        let (reason, cause) = broken(NetworkFault::BadAnswer);
        return Err(open.refuse(reason, cause));
    };
    Handshake::answer(&mut parts.headers);
    let origin = OriginSide { early: upgraded.read_buf, stream: upgraded.io.into_inner() };
    Ok(Exchanged::Switched(Response::from_parts(parts, ()), Box::new(WebSocket { open, live, origin, settings })))
}

/// What is lost while the answer is waited for.
fn cut(reason: Reason) -> (Reason, Cause) {
    // Silence before the answer is the origin's fault, not ours.
    if reason == Reason::Overloaded { broken(NetworkFault::ConnectTimeout) } else { (reason, Cause::Plain) }
}

#[derive(Clone, Copy)]
struct Way<'a> {
    grant: &'a Grant,
    destination: &'a Destination,
}

async fn answered(
    upstream: &Upstream,
    open: &mut Open,
    way: Way<'_>,
    line: Line,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Parked), (Reason, Cause)> {
    let was_parked = matches!(line, Line::Parked(_));
    let mut parked = ready(line).await.map_err(broken)?;
    let sent = match send(&mut parked, request).await {
        Err(Unsent { fault: _, request: Some(unsent) }) if was_parked => {
            let (stream, peer) = upstream.fresh(open, way.grant, way.destination).await?;
            parked = ready(Line::Fresh(stream, peer)).await.map_err(broken)?;
            send(&mut parked, *unsent).await
        }
        sent => sent,
    };
    Ok((sent.map_err(|unsent| broken(unsent.fault))?, parked))
}

struct Unsent {
    fault: NetworkFault,
    request: Option<Box<Request<Upload>>>,
}

async fn send(parked: &mut Parked, request: Request<Upload>) -> Result<Response<Incoming>, Unsent> {
    parked.sender.try_send_request(request).await.map_err(|mut failed| {
        tracing::debug!(error = %failed.error(), "no answer");
        let fault = if failed.error().is_parse() { NetworkFault::BadAnswer } else { NetworkFault::Broken };
        Unsent { fault, request: failed.take_message().map(Box::new) }
    })
}

/// Speaks HTTP over the line; a task of the connection's own drives it until whoever holds it lets it go.
async fn ready(line: Line) -> Result<Parked, NetworkFault> {
    let (stream, peer) = match line {
        Line::Parked(parked) => return Ok(parked),
        Line::Fresh(stream, peer) => (stream, peer),
    };
    let mut builder = http1::Builder::new();
    builder.preserve_header_case(true);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_broken| NetworkFault::Broken)?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upstream connection broke");
        }
    });
    Ok(Parked::new(sender, peer, driver.abort_handle()))
}

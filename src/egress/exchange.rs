//! One request over an open way out, and its answer.

use std::io;
use std::sync::Arc;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;

use super::body::{RecordedBody, Trailers, Upload};
use super::carried::Carried;
use super::content::Content;
use super::hygiene::{self, Target};
use super::inject::Injected;
use super::interception::Speaks;
use super::interim::{Interim, TOO_MANY};
use super::live::Live;
use super::masked::{Masked, mask};
use super::open::Open;
use super::pool::{Key, Parked, Sender};
use super::refusal::{Cause, NetworkFault, Refusal};
use super::secure::OriginStream;
use super::spoken::ready;
use super::upstream::{Connected, Line, Upstream, UpstreamSettings, Way, broken, key, offer};
use super::watch::{Limits, Underway, Watch, Watched, lost};
use super::websocket::{Handshake, WebSocket, passes};
use crate::policy::attempt::{Attempt, Scheme};
use crate::policy::decide::Grant;
use crate::policy::reason::Reason;

/// An origin's answer. Its body ends the attempt.
pub type Answer = Response<RecordedBody>;

/// What a request led to.
#[derive(Debug)]
pub enum Exchanged {
    /// An answer.
    Answered(Answer),
    /// The head that opens a socket, and what the agent's connection becomes once it is sent.
    Switched(Response<()>, Box<WebSocket>),
}

impl Connected {
    /// Sends the request and waits for the answer's head. The target is the destination that was judged, whatever `Host` said.
    ///
    /// The answer's body is watched by `watch`. A connection that died or refuses is replaced once, and only
    /// when the request was handed back unsent, or its origin says that it did nothing with it.
    pub async fn exchange(self, request: Request<Content>, watch: &Watch) -> Result<Exchanged, Refusal> {
        let Self { mut open, grant, injected, mut live, line, upstream } = self;
        let (carried, attempt) = (Arc::clone(&open.carried), live.attempt().clone());
        let scheme = attempt.scheme.unwrap_or(Scheme::Http);
        let extended = request.method() == Method::CONNECT;
        let (request, handshake) = outbound(request, (&grant, &injected), &attempt, (&upstream, &carried));
        if extended && handshake.is_none() {
            return Err(open.refuse(Reason::Unlisted, Cause::NoWebSocket(grant.rule().cloned())));
        }
        if let Some((reason, cause)) = injected.no_socket().filter(|_| handshake.is_some()) {
            return Err(open.refuse(reason, cause));
        }
        let limits = Limits { idle: upstream.settings.idle, stop: upstream.settings.stop_now.clone() };
        let offer = offer(&live, &grant);
        let key = key(&live, &open, (offer, &injected));
        let way = injected.way(&grant, &attempt, offer);

        let answered = tokio::select! {
            // First, so that nothing is sent once the answer is allow no longer.
            biased;
            reason = lost(&mut live, &carried, &limits) => Err(cut(reason, &carried)),
            answered = answered(&upstream, &mut open, (way, key.as_ref()), line, request) => answered,
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
        let seen = injected.masker.as_ref().is_none_or(|masker| mask(masker, &mut parts.headers));
        if !seen || hygiene::inbound(&mut parts.headers, scheme).is_none() {
            carried.close();
            drop((parked, body));
            let (reason, cause) = broken(NetworkFault::BadAnswer);
            return Err(open.refuse(reason, cause));
        }
        if injected.masker.is_some() {
            // A phrase beside the status (RFC 9112 section 4) could repeat a value as well.
            parts.extensions.remove::<ReasonPhrase>();
        }
        parts.version = http::Version::HTTP_11;
        let underway = Underway::new(open, parked, Arc::clone(&upstream.pool), key);
        let body = RecordedBody::new(Masked::new(body, injected.masker), Arc::clone(&underway), trailers(scheme));
        watch.over(Watched { live, underway, limits }).await;
        Ok(Exchanged::Answered(Response::from_parts(parts, body)))
    }
}

/// gRPC says in them how a call ended; of plain HTTP nobody needs them.
fn trailers(scheme: Scheme) -> Trailers {
    match scheme {
        Scheme::Http => Trailers::Dropped,
        Scheme::Https => Trailers::Passed,
    }
}

/// The request as its origin is to see it, and the handshake it passes on if the grant lets it. Where a rule looks at paths, the path that is sent is
/// the normal form that was judged.
fn outbound(
    request: Request<Content>,
    (grant, injected): (&Grant, &Injected),
    attempt: &Attempt,
    (upstream, carried): (&Upstream, &Arc<Carried>),
) -> (Request<Upload>, Option<Handshake>) {
    let (mut parts, body) = request.into_parts();
    let seen = attempt.sight.seen();
    let handshake = passes(grant, attempt).then(|| Handshake::of(&mut parts)).flatten();
    let path = seen.filter(|_| grant.normal_path()).and_then(|seen| seen.path.normal().ok());
    hygiene::outbound(&mut parts, target(attempt, path), &upstream.settings.via);
    injected.put_in(&mut parts.headers);
    if handshake.is_some() {
        Handshake::ask(&mut parts.headers);
    }
    // A credential of the agent's own may be in a trailer as well.
    let passed = if injected.strips() { Trailers::Dropped } else { trailers(attempt.scheme.unwrap_or(Scheme::Http)) };
    let upload = Upload::new(body, Arc::clone(carried), passed);
    (Request::from_parts(parts, upload), handshake)
}

fn target<'a>(attempt: &'a Attempt, path: Option<&'a str>) -> Target<'a> {
    Target { destination: &attempt.destination, scheme: attempt.scheme.unwrap_or(Scheme::Http), path }
}

/// Makes the request one of what is spoken on the connection it is sent over.
fn fitted(request: Request<Upload>, attempt: &Attempt, speaks: Speaks) -> Request<Upload> {
    let (mut parts, body) = request.into_parts();
    hygiene::fit(&mut parts, target(attempt, None), speaks);
    if speaks == Speaks::Http1 && body.size_hint().exact().is_none() {
        // Without it hyper would send a GET without the body it came with.
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        if ![Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
            // Some origins ignore the coding of such a method, and would read its body as the next request.
            parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Request::from_parts(parts, body)
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
    let taken = handshake.filter(|handshake| handshake.is_answered_by(&parts.headers));
    live.is_websocket();
    let opened = match taken {
        Some(handshake) if hygiene::inbound(&mut parts.headers, Scheme::Http).is_some() => tokio::select! {
            biased;
            reason = live.lost() => return Err(open.refuse(reason, Cause::Plain)),
            upgraded = upgrade => {
                let origin = upgraded.ok().and_then(|upgraded| upgraded.downcast::<TokioIo<OriginStream>>().ok());
                origin.map(|origin| (handshake, origin))
            }
        },
        Some(_) | None => None,
    };
    drop(parked);
    let Some((handshake, origin)) = opened else {
        let (reason, cause) = broken(NetworkFault::BadAnswer);
        return Err(open.refuse(reason, cause));
    };
    handshake.answer(&mut parts);
    let origin = (origin.read_buf, origin.io.into_inner());
    Ok(Exchanged::Switched(Response::from_parts(parts, ()), Box::new(WebSocket { open, live, origin, settings })))
}

/// What is lost while the answer is waited for.
fn cut(reason: Reason, carried: &Carried) -> (Reason, Cause) {
    if let Some(leak) = carried.leak_found().filter(|_| reason == Reason::Blocked) {
        return (reason, Cause::Leak(leak.clone()));
    }
    // Silence before the answer is the origin's fault, not ours.
    if reason == Reason::Overloaded { broken(NetworkFault::ConnectTimeout) } else { (reason, Cause::Plain) }
}

async fn answered(
    upstream: &Upstream,
    open: &mut Open,
    (way, key): (Way<'_>, Option<&Key>),
    line: Line,
    request: Request<Upload>,
) -> Result<(Response<Incoming>, Parked), (Reason, Cause)> {
    let was_parked = matches!(line, Line::Parked(_));
    let mut parked = at_hand(line, &upstream.settings).await?;
    let speaks = parked.speaks();
    let again = match send(&mut parked, fitted(request, way.attempt, speaks)).await {
        Ok(response) => return Ok((response, parked)),
        Err(Unsent { fault: _, request: Some(again) }) if was_parked || speaks == Speaks::Http2 => *again,
        Err(unsent) => return Err(broken(unsent.fault)),
    };
    parked.retire();
    drop(parked);
    let line = match key {
        // Of many that were refused together one dials.
        Some(key) if speaks == Speaks::Http2 => upstream.line(open, way, Some(key)).await?,
        Some(key) => upstream.spoken(key, upstream.fresh(open, way).await?).await?,
        None => Line::Fresh(upstream.fresh(open, way).await?),
    };
    open.address = Some(line.peer());
    let mut parked = at_hand(line, &upstream.settings).await?;
    let speaks = parked.speaks();
    match send(&mut parked, fitted(again, way.attempt, speaks)).await {
        Ok(response) => Ok((response, parked)),
        Err(unsent) => {
            if unsent.request.is_some() {
                parked.retire();
            }
            Err(broken(unsent.fault))
        }
    }
}

/// A connection that HTTP is spoken on.
async fn at_hand(line: Line, settings: &UpstreamSettings) -> Result<Parked, (Reason, Cause)> {
    match line {
        Line::Parked(parked) | Line::Shared(parked) => Ok(parked),
        Line::Fresh(dialled) => ready(dialled, settings).await.map_err(broken),
    }
}

struct Unsent {
    fault: NetworkFault,
    /// The request, where its origin has done nothing with it for certain.
    request: Option<Box<Request<Upload>>>,
}

async fn send(parked: &mut Parked, mut request: Request<Upload>) -> Result<Response<Incoming>, Unsent> {
    let (sent, again) = match &mut parked.sender {
        Sender::Http1(sender) => {
            let interim = Interim::of(&mut request);
            tokio::select! {
                biased;
                () = interim.too_many() => return Err(Unsent { fault: NetworkFault::BadAnswer, request: None }),
                sent = sender.try_send_request(request) => (sent, None),
            }
        }
        Sender::Http2(sender) => {
            let again = again(&request);
            (sender.try_send_request(request).await, again)
        }
    };
    sent.map_err(|mut failed| {
        tracing::debug!(error = %failed.error(), "no answer");
        let fault =
            if failed.error().is_parse() || has_too_many_interim(failed.error()) { NetworkFault::BadAnswer } else { NetworkFault::Broken };
        let refused = again.filter(|_| unprocessed(failed.error()));
        Unsent { fault, request: failed.take_message().or(refused).map(Box::new) }
    })
}

/// The same request once more, where nothing follows its head.
fn again(request: &Request<Upload>) -> Option<Request<Upload>> {
    let body = request.body().again()?;
    let mut again = Request::new(body);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    *again.version_mut() = request.version();
    again.headers_mut().clone_from(request.headers());
    again.extensions_mut().clone_from(request.extensions());
    Some(again)
}

/// Whether the origin sent too many interim answers. h2 keeps kind and words of an error, and not its type.
fn has_too_many_interim(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData && error.to_string() == TOO_MANY)
}

/// Whether the origin says that it did nothing with the request (RFC 9113 section 8.7).
fn unprocessed(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    let refused = |error: &h2::Error| error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    source.is_some_and(|error| error.is_remote() && (error.is_go_away() || refused(error)))
}

//! One request over an open way out, and its answer.

use std::sync::Arc;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::body::{RecordedBody, Upload};
use super::hygiene;
use super::open::Open;
use super::pool::Parked;
use super::refusal::{Cause, NetworkFault, Refusal};
use super::upstream::{Connected, Line, Upstream, broken, key};
use super::watch::{Limits, Underway, Watch, Watched, lost};
use crate::policy::decide::Grant;
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

/// An origin's answer. Its body ends the attempt.
pub type Answer = Response<RecordedBody>;

impl Connected {
    /// Sends the request and waits for the answer's head. The target is the destination that was judged, whatever `Host` said.
    ///
    /// The answer's body is watched by `watch`. A parked connection that died is replaced once, and only when the request was handed back unsent.
    pub async fn exchange(self, request: Request<Incoming>, watch: &Watch) -> Result<Answer, Refusal> {
        let Self { mut open, grant, mut live, line, upstream } = self;
        let (mut parts, body) = request.into_parts();
        hygiene::outbound(&mut parts, &live.attempt().destination, &upstream.settings.via);
        if body.size_hint().exact().is_none() {
            // Without it hyper would send a GET without the body it came with.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            if ![Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
                // Some origins ignore the coding of such a method, and would read its body as the next request.
                parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        let carried = Arc::clone(&open.carried);
        let request = Request::from_parts(parts, Upload::new(body, Arc::clone(&carried)));
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
        let (mut parts, body) = response.into_parts();
        // No upgrade was passed on, so none was asked for.
        if parts.status == StatusCode::SWITCHING_PROTOCOLS || hygiene::inbound(&mut parts.headers).is_none() {
            drop((parked, body));
            let (reason, cause) = broken(NetworkFault::BadAnswer);
            return Err(open.refuse(reason, cause));
        }
        let key = key(&live, &open);
        let underway = Underway::new(open, parked, Arc::clone(&upstream.pool), key);
        let body = RecordedBody::new(body, Arc::clone(&underway));
        watch.over(Watched { live, underway, limits }).await;
        Ok(Response::from_parts(parts, body))
    }
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
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection broke");
        }
    });
    Ok(Parked::new(sender, peer, driver.abort_handle()))
}

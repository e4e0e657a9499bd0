//! One request over an open way out, and its answer.

use std::sync::Arc;

use http::header::TRANSFER_ENCODING;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::{RecordedBody, Return, Upload};
use super::hygiene;
use super::live::Live;
use super::open::Open;
use super::pool::Parked;
use super::refusal::{Cause, NetworkFault, Refusal};
use super::upstream::{Connected, Line, Upstream, broken, key};
use crate::policy::decide::Grant;
use crate::policy::reason::Reason;

/// An origin's answer. Its body ends the attempt.
pub type Answer = Response<RecordedBody>;

impl Connected {
    /// Sends the request and waits for the answer's head. The target is the destination that was judged, whatever `Host` said.
    ///
    /// A parked connection that died is replaced once, and only when the request was handed back unsent.
    pub async fn exchange(self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let Self { mut open, grant, live, line, upstream } = self;
        let (mut parts, body) = request.into_parts();
        hygiene::outbound(&mut parts, &live.attempt().destination, &upstream.settings.via);
        if body.size_hint().exact().is_none() {
            // Without it hyper would send a GET without the body it came with.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let request = Request::from_parts(parts, Upload::new(body, Arc::clone(&open.carried)));
        let idle = upstream.settings.idle;

        let was_parked = matches!(line, Line::Parked(_));
        let mut parked = match ready(line).await {
            Ok(parked) => parked,
            Err(fault) => return Err(refuse(open, fault)),
        };
        let sent = match send(&mut parked, request, idle).await {
            Err(Unsent { fault: _, request: Some(unsent) }) if was_parked => {
                parked = match redial(&upstream, &mut open, &grant, &live).await {
                    Ok(parked) => parked,
                    Err((reason, cause)) => return Err(open.refuse(reason, cause)),
                };
                send(&mut parked, *unsent, idle).await
            }
            sent => sent,
        };
        let response = match sent {
            Ok(response) => response,
            Err(unsent) => return Err(refuse(open, unsent.fault)),
        };
        open.status = Some(response.status().as_u16());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // No upgrade was passed on, so none was asked for.
            return Err(refuse(open, NetworkFault::BadAnswer));
        }
        let (mut parts, body) = response.into_parts();
        hygiene::inbound(&mut parts.headers);
        let key = key(&live, &open);
        let back = Return { pool: Arc::clone(&upstream.pool), key, parked };
        Ok(Response::from_parts(parts, RecordedBody::new(body, open, live, back, idle)))
    }
}

async fn redial(upstream: &Upstream, open: &mut Open, grant: &Grant, live: &Live) -> Result<Parked, (Reason, Cause)> {
    let (stream, peer) = upstream.fresh(open, grant, live).await?;
    ready(Line::Fresh(stream, peer)).await.map_err(broken)
}

fn refuse(open: Open, fault: NetworkFault) -> Refusal {
    let (reason, cause) = broken(fault);
    open.refuse(reason, cause)
}

struct Unsent {
    fault: NetworkFault,
    request: Option<Box<Request<Upload>>>,
}

async fn send(parked: &mut Parked, request: Request<Upload>, idle: std::time::Duration) -> Result<Response<Incoming>, Unsent> {
    match tokio::time::timeout(idle, parked.sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut failed)) => {
            let request = failed.take_message().map(Box::new);
            let fault = if failed.error().is_parse() { NetworkFault::BadAnswer } else { NetworkFault::Broken };
            tracing::debug!(error = %failed.error(), "no answer");
            Err(Unsent { fault, request })
        }
        Err(_elapsed) => Err(Unsent { fault: NetworkFault::ConnectTimeout, request: None }),
    }
}

/// Speaks HTTP over the line; the connection is driven by a task of its own until both sides let it go.
async fn ready(line: Line) -> Result<Parked, NetworkFault> {
    match line {
        Line::Parked(parked) => Ok(parked),
        Line::Fresh(stream, peer) => Ok(Parked::new(handshake(stream).await?, peer)),
    }
}

async fn handshake(stream: TcpStream) -> Result<http1::SendRequest<Upload>, NetworkFault> {
    let mut builder = http1::Builder::new();
    builder.preserve_header_case(true);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_broken| NetworkFault::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection broke");
        }
    });
    Ok(sender)
}

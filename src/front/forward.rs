//! HTTP requests in absolute form: each its own attempt, streamed both ways.

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;

use super::http1::{Lane, Line, Reply};
use super::websocket::{Socket, switching};
use crate::egress::{Claim, Exchanged, Refusal};

/// Passes one request on, if its claim is admitted.
pub(super) async fn exchange(mut request: Request<Incoming>, claim: Claim, (line, lane): (&Line<'_>, &Lane)) -> Result<Reply, Refusal> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (claim, request) = line.ways.upstream.look(&line.ways.gate, claim, request).await;
    let permit = line.admit(claim).await?.passed()?.fits(&request)?;
    let connected = line.ways.upstream.connect(permit).await?;
    match connected.exchange(request, &lane.watch).await? {
        Exchanged::Answered(answer) => Ok(answer.map(Either::Left)),
        Exchanged::Switched(answer, socket) => {
            *lane.socket.lock() = Some(Socket::new(socket, upgrade));
            Ok(switching(answer))
        }
    }
}

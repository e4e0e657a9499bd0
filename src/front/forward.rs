//! HTTP requests in absolute form: each its own attempt, streamed both ways.

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;

use super::http1::{Lane, Line, Reply};
use super::websocket::{Socket, switching};
use crate::egress::{Claim, Exchanged, Refusal};

/// Passes one request on, if its claim is admitted.
pub(super) async fn exchange(mut request: Request<Incoming>, claim: Claim, (line, lane): (&Line<'_>, &Lane)) -> Result<Reply, Refusal> {
    let permit = line.admit(claim).await?.passed()?;
    let connected = line.ways.upstream.connect(permit).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    match connected.exchange(request, &lane.watch).await? {
        Exchanged::Answered(answer) => Ok(answer.map(Either::Left)),
        Exchanged::Switched(answer, socket) => {
            *lane.socket.lock() = Some(Socket::new(socket, upgrade));
            Ok(switching(answer))
        }
    }
}

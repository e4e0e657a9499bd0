//! HTTP requests in absolute form: each its own attempt, streamed both ways.

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;

use super::http1::{Line, Reply};
use crate::egress::{Claim, Refusal};

/// Passes one request on, if its claim is admitted.
pub(super) async fn exchange(request: Request<Incoming>, claim: Claim, line: &Line<'_>) -> Result<Reply, Refusal> {
    let permit = line.admit(claim).await?;
    let connected = line.ways.upstream.connect(permit).await?;
    let answer = connected.exchange(request, &line.watch).await?;
    Ok(answer.map(Either::Left))
}

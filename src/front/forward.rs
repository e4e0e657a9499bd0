//! HTTP requests in absolute form: each its own attempt, streamed both ways.

use std::sync::Arc;

use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;

use super::http1::Reply;
use super::listener::Ways;
use crate::egress::{Claim, Refusal};

/// Passes one request on, if its claim is admitted.
pub(super) async fn exchange(request: Request<Incoming>, claim: Claim, ways: &Arc<Ways>) -> Result<Reply, Refusal> {
    let permit = ways.gate.admit(claim).await?;
    let connected = ways.upstream.connect(permit).await?;
    let answer = connected.exchange(request).await?;
    Ok(answer.map(Either::Left))
}

//! What is sent in: a body of JSON, bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use super::problem::Refused;

/// The largest body that is read.
pub(super) const BODY: usize = 16 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A body of JSON, none at all standing for the empty object.
#[derive(Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        read(request).await.map(Sent)
    }
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refused> {
    let slow = |_| Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long");
    let large = || Refused::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is broken or larger than {BODY} bytes"));
    let said = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| length > BODY as u64) {
        return Err(large());
    }
    let body: Body = request.into_body();
    let read = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect()).await.map_err(slow)?;
    let bytes = read.map_err(|_| large())?.to_bytes();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| Refused::bad(format!("the body is not what is wanted: {error}")))
}

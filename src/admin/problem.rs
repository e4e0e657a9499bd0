//! Errors as the API says them (RFC 9457), and which status each refusal of the desk is.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::approval::store::StoreError;
use crate::approval::{AnswerError, RevokeError};
use crate::egress::record::Unwritable;
use crate::text::ascii_json;

/// The media type of errors.
pub(super) const PROBLEM: &str = "application/problem+json";

/// An error as the API says it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong.
    pub detail: String,
}

/// A refusal by the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    /// Seconds after which it may be tried again.
    pub(super) retry_after: Option<u64>,
}

pub(super) type Answer<T> = Result<T, Refused>;

impl Refused {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn nowhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such thing in this API")
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, detail, retry_after } = self;
        let problem = Problem { title: status.canonical_reason().unwrap_or("error").to_owned(), status: status.as_u16(), detail };
        let mut response = (status, ascii_json(&serde_json::to_string(&problem).unwrap_or_default())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"exeat\""));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED && !headers.contains_key(ALLOW) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, DELETE"));
        }
        response
    }
}

impl From<AnswerError> for Refused {
    fn from(error: AnswerError) -> Self {
        let status = match error {
            AnswerError::Unknown | AnswerError::Died | AnswerError::Withdrawn => StatusCode::NOT_FOUND,
            AnswerError::Approved
            | AnswerError::Denied
            | AnswerError::Used
            | AnswerError::Elsewhere
            | AnswerError::SaidAlready { of: _ } => StatusCode::CONFLICT,
            AnswerError::Duration
            | AnswerError::Note
            | AnswerError::Networks
            | AnswerError::Network { network: _, why: _ }
            | AnswerError::NothingInCommon => StatusCode::BAD_REQUEST,
            AnswerError::Floor(_) => StatusCode::FORBIDDEN,
            AnswerError::Unwritable | AnswerError::Unrecorded | AnswerError::Unkept(_) | AnswerError::Unlasting(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<RevokeError> for Refused {
    fn from(error: RevokeError) -> Self {
        let status = match error {
            RevokeError::Unknown => StatusCode::NOT_FOUND,
            RevokeError::Ambiguous => StatusCode::CONFLICT,
            RevokeError::Unrecorded | RevokeError::Unlasting(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Unwritable> for Refused {
    fn from(_: Unwritable) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the journal cannot be written, so nothing was done")
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store of approvals does not do what it is asked");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store of approvals cannot be used, so nothing was done; see the log")
    }
}

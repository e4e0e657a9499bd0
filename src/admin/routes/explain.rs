//! What an agent would get, as `exeat explain` says it.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::body::Sent;
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};
use crate::explain::{Explanation, Unexplained};

/// Body of `POST explain`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Explain {
    /// Who would ask.
    agent: String,
    /// A URL, with a method before it or without, or `HOST:PORT`.
    r#try: String,
}

/// Decides by the files, asks nobody and sends nothing.
#[utoipa::path(post, path = "/explain", tag = "policy", request_body = Explain,
    responses((status = 200, description = "what it would get", body = Explanation)))]
pub(super) async fn explain(State(api): State<Arc<Api>>, caller: Caller, Sent(body): Sent<Explain>) -> Answer<Response> {
    let Explain { agent, r#try } = body;
    let agent = caller.agent(&agent)?;
    let policy = api.policy.load();
    match crate::explain::explain(&policy, &agent, &r#try, SystemTime::now(), api.hooks.inspects()) {
        Ok(explanation) => json(explanation),
        // Who the others are is not for everybody.
        Err(Unexplained::NoSuchAgent { agent: _, known: _ }) => Err(Refused::new(StatusCode::NOT_FOUND, "no agent has that name")),
        Err(Unexplained::NotTried(error)) => Err(Refused::bad(error.to_string())),
    }
}

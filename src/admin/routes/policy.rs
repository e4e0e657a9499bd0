//! What is in force, and reading it again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};

/// What is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(super) struct PolicyView {
    /// Its hash, as in records.
    hash: String,
    /// The files it was read from. Those of all agents are for who sees all.
    files: Vec<String>,
    /// Second looks, for who sees all.
    warnings: Vec<String>,
    /// What is not in force as it is written, for who sees all.
    faults: Vec<String>,
}

/// What reading again came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadedView {
    /// `ok`, `partial`, `refused` or `unchanged`.
    result: String,
    /// The hash of what is in force.
    policy: String,
    /// What is wrong.
    faults: Vec<Value>,
}

/// That the tokens were read again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokensView {
    reloaded: bool,
}

/// What is in force.
#[utoipa::path(get, path = "/policy", tag = "policy", responses((status = 200, description = "what is in force", body = PolicyView)))]
pub(super) async fn shown(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    let hash = api.policy.load().hash().to_string();
    let nothing = PolicyView { hash, files: Vec::new(), warnings: Vec::new(), faults: Vec::new() };
    if caller.agents.is_some() {
        return json(nothing);
    }
    let told = api.hooks.policy();
    let list = |name: &str| serde_json::from_value(told[name].clone()).unwrap_or_default();
    json(PolicyView { files: list("files"), warnings: list("warnings"), faults: list("faults"), ..nothing })
}

/// Reads policy again.
#[utoipa::path(post, path = "/reload", tag = "policy", responses((status = 200, description = "what came of it", body = ReloadedView)))]
pub(super) async fn reload(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    caller.rules()?;
    match api.hooks.reload().await {
        Some(told) => json(told),
        None => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "exeat is stopping, or the reading broke; see its log")),
    }
}

/// Reads the agents' tokens again.
#[utoipa::path(post, path = "/tokens/reload", tag = "policy", responses((status = 200, description = "they are in force", body = TokensView)))]
pub(super) async fn reload_tokens(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    caller.rules()?;
    match api.hooks.reload_tokens() {
        Ok(()) => json(TokensView { reloaded: true }),
        Err(detail) => Err(Refused::new(StatusCode::CONFLICT, detail)),
    }
}

//! The last attempts.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::json;
use crate::admin::Api;
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};
use crate::telemetry::recent::{AttemptView, KEPT};

/// How many are listed unless it is said.
const LISTED: usize = 100;

/// Which attempts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Of this agent.
    agent: Option<String>,
    /// `allow`, `look` or `block`.
    decision: Option<String>,
    /// To this host.
    host: Option<String>,
    /// So many at most, 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The last attempts, the newest first. They are kept in memory: 1000, since exeat started.
#[utoipa::path(get, path = "/attempts", tag = "attempts", params(Wanted),
    responses((status = 200, description = "the attempts", body = Vec<AttemptView>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, query: Result<Query<Wanted>, QueryRejection>) -> Answer<Response> {
    let Query(Wanted { agent, decision, host, limit }) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let limit = limit.unwrap_or(LISTED);
    if !(1..=KEPT).contains(&limit) {
        return Err(Refused::bad(format!("limit is 1 to {KEPT}")));
    }
    if decision.as_deref().is_some_and(|word| !["allow", "look", "block"].contains(&word)) {
        return Err(Refused::bad("decision is allow, look or block"));
    }
    let host = host.map(|host| host.to_ascii_lowercase());
    let wanted = |attempt: &AttemptView| {
        caller.sees_attempt_of(attempt.agent.as_ref())
            && agent.as_ref().is_none_or(|agent| attempt.agent.as_ref().is_some_and(|own| own.as_str() == agent))
            && decision.as_ref().is_none_or(|decision| attempt.decision == *decision)
            && host.as_ref().is_none_or(|host| attempt.host.as_ref() == Some(host))
    };
    json(api.recent.list(limit, wanted))
}

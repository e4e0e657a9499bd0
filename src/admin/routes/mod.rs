//! Routes of `/api/v1`, a file a resource. GET changes nothing but who counts as present.

pub(super) mod agents;
pub(super) mod approvals;
pub(super) mod approvers;
mod attempts;
mod explain;
pub(super) mod holds;
mod policy;
pub(super) mod session;
pub(super) mod tunnels;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Answer, Problem, Refused};
use super::{Api, events, guard, openapi, page};
use crate::text::ascii_json;

/// Everything that is served, behind the guard.
pub(super) fn router(api: Arc<Api>) -> Router {
    let (described, _) = described();
    let document = serde_json::to_vec(&openapi::document()).unwrap_or_default();
    let said = move || async move { ([(CONTENT_TYPE, "application/json")], document).into_response() };
    described
        .route("/api/v1/openapi.json", get(said))
        .with_state(Arc::clone(&api))
        .merge(page::routes())
        .fallback(async || Refused::nowhere())
        .method_not_allowed_fallback(async || Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method"))
        .layer(middleware::from_fn_with_state(api, guard::guard))
}

/// The routes and their description.
pub(super) fn described() -> (Router<Arc<Api>>, OpenApi) {
    let api = OpenApiRouter::<Arc<Api>>::default()
        .routes(routes!(holds::list))
        .routes(routes!(holds::one))
        .routes(routes!(holds::approve))
        .routes(routes!(holds::deny))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::revoke))
        .routes(routes!(attempts::list))
        .routes(routes!(events::events))
        .routes(routes!(agents::list))
        .routes(routes!(agents::freeze))
        .routes(routes!(agents::thaw))
        .routes(routes!(agents::freeze_all))
        .routes(routes!(agents::thaw_all))
        .routes(routes!(tunnels::list))
        .routes(routes!(tunnels::cut))
        .routes(routes!(policy::shown))
        .routes(routes!(policy::reload))
        .routes(routes!(policy::reload_tokens))
        .routes(routes!(explain::explain))
        .routes(routes!(approvers::list, approvers::add))
        .routes(routes!(approvers::remove))
        .routes(routes!(session::me))
        .routes(routes!(session::log_in))
        .routes(routes!(session::log_out));
    let (router, mut described) = OpenApiRouter::new().nest("/api/v1", api).split_for_parts();
    let mut components = described.components.take().unwrap_or_default();
    let problem = <Problem as utoipa::PartialSchema>::schema();
    components.schemas.insert("Problem".to_owned(), problem);
    described.components = Some(components);
    (router, described)
}

/// In ASCII: names that people look at hold letters that steer a terminal or are drawn as nothing.
fn json<T: Serialize>(value: T) -> Answer<Response> {
    let text =
        serde_json::to_string(&value).map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"))?;
    Ok(([(CONTENT_TYPE, "application/json")], ascii_json(&text)).into_response())
}

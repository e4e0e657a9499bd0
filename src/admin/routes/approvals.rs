//! Approvals: listed, and taken back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::json;
use crate::admin::Api;
use crate::admin::caller::Caller;
use crate::admin::problem::Answer;
use crate::approval::store::Role;
use crate::approval::{ApprovalView, RevokeError};

/// The approvals in force, the oldest first.
#[utoipa::path(get, path = "/approvals", tag = "approvals", responses((status = 200, description = "the approvals", body = Vec<ApprovalView>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    json(shown(&api, &caller))
}

pub(in crate::admin) fn shown(api: &Api, caller: &Caller) -> Vec<ApprovalView> {
    api.desk.approvals().into_iter().filter(|given| caller.sees(&given.agent)).collect()
}

/// Takes an approval back; what rests on it is cut.
#[utoipa::path(delete, path = "/approvals/{id}", tag = "approvals",
    params(("id" = String, Path, description = "its id, 8 characters of its beginning at least, or the short id of its question")),
    responses((status = 200, description = "what it was", body = ApprovalView)))]
pub(super) async fn revoke(State(api): State<Arc<Api>>, caller: Caller, Path(id): Path<String>) -> Answer<Response> {
    caller.at_least(Role::Approver)?;
    let id = if caller.agents.is_some() { own(&api, &caller, &id)? } else { id };
    let revoked = api.desk.revoke(&id, &caller.name)?;
    api.desk.durable().wait().await.map_err(|_| RevokeError::Unrecorded)?;
    json(revoked)
}

/// The whole id of the one of his approvals that goes by this: those of others must not make it ambiguous.
fn own(api: &Api, caller: &Caller, id: &str) -> Result<String, RevokeError> {
    let start = id.trim().to_ascii_lowercase();
    let goes = |given: &ApprovalView| given.hold.as_deref() == Some(&start) || start.len() >= 8 && given.id.to_string().starts_with(&start);
    let mut found = shown(api, caller).into_iter().filter(goes);
    match (found.next(), found.next()) {
        (None, _) => Err(RevokeError::Unknown),
        (Some(only), None) => Ok(only.id.to_string()),
        (Some(_), Some(_)) => Err(RevokeError::Ambiguous),
    }
}

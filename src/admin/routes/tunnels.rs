//! What is open: listed with what it has carried, and cut.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json;
use crate::admin::Api;
use crate::admin::body::Segment;
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};
use crate::approval::store::Role;
use crate::egress::OpenAttempt;
use crate::egress::record::{Cut, Record};
use crate::policy::attempt::{AgentId, AttemptId};

/// An open attempt: a tunnel, or a request under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::admin) struct TunnelView {
    /// The attempt's id.
    id: Uuid,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<AgentId>,
    /// Which running one of them.
    instance: String,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// The port.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// The way in: `forward`, `connect` or `transparent`.
    front: String,
    /// `allow`, or `look` where it leads nowhere by itself.
    decision: String,
    /// When it was let through.
    since: Timestamp,
    /// Bytes from the agent so far.
    bytes_up: u64,
    /// Bytes to the agent so far.
    bytes_down: u64,
}

impl From<OpenAttempt> for TunnelView {
    fn from(open: OpenAttempt) -> Self {
        let OpenAttempt { id, agent, instance, place, front, decision, since, bytes_up, bytes_down } = open;
        let (host, port) = place.map(|place| (place.host, place.port)).unzip();
        Self {
            id: id.0,
            agent,
            instance,
            host,
            port,
            front: front.as_str().to_owned(),
            decision: decision.as_str().to_owned(),
            since: Timestamp::try_from(since).unwrap_or(Timestamp::MAX),
            bytes_up,
            bytes_down,
        }
    }
}

/// What is open, the oldest first.
#[utoipa::path(get, path = "/tunnels", tag = "tunnels", responses((status = 200, description = "what is open", body = Vec<TunnelView>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    let own = |open: &OpenAttempt| caller.sees_attempt_of(open.agent.as_ref());
    json(api.tunnels.list().into_iter().filter(own).map(TunnelView::from).collect::<Vec<_>>())
}

/// Cuts one, at once.
#[utoipa::path(delete, path = "/tunnels/{id}", tag = "tunnels", params(("id" = String, Path, description = "the attempt's id")),
    responses((status = 200, description = "what is cut", body = TunnelView)))]
pub(super) async fn cut(State(api): State<Arc<Api>>, caller: Caller, Segment(id): Segment) -> Answer<Response> {
    caller.at_least(Role::Admin)?;
    let unknown = || Refused::new(StatusCode::NOT_FOUND, "nothing of that id is open");
    let id = AttemptId(id.parse::<Uuid>().map_err(|_| unknown())?);
    let open = api.tunnels.get(id).filter(|open| caller.sees_attempt_of(open.agent.as_ref())).ok_or_else(unknown)?;
    api.recorder.record(&Record::Cut(Cut { attempt: id, agent: open.agent.clone(), who: caller.name.to_string() }))?;
    if !api.tunnels.cut(id) {
        return Err(unknown());
    }
    api.desk.decide_again();
    api.recorder.durable().wait().await?;
    json(TunnelView::from(open))
}

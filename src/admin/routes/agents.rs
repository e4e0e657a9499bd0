//! Agents: who has rules, who was seen, who is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::caller::Caller;
use crate::admin::problem::Answer;
use crate::policy::attempt::AgentId;

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::admin) struct AgentView {
    /// Its name.
    pub(in crate::admin) agent: AgentId,
    /// Everything it tries is refused.
    pub(in crate::admin) frozen: bool,
    /// Questions of it that are pending.
    pending: usize,
    /// Attempts of it that are open.
    open: usize,
    /// Of the last attempts: those let through.
    allowed: usize,
    /// Of the last attempts: those refused.
    blocked: usize,
    /// When it last tried something, of the last attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Timestamp>,
}

/// The agents that have rules.
#[utoipa::path(get, path = "/agents", tag = "agents", responses((status = 200, description = "the agents", body = Vec<AgentView>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    json(shown(&api, &caller))
}

pub(in crate::admin) fn shown(api: &Api, caller: &Caller) -> Vec<AgentView> {
    let (policy, pending) = (api.policy.load(), api.desk.pending_by_agent());
    let fresh = |agent: &AgentId| AgentView {
        agent: agent.clone(),
        frozen: policy.is_frozen(agent),
        pending: pending.get(agent).copied().unwrap_or_default(),
        open: 0,
        allowed: 0,
        blocked: 0,
        last_seen: None,
    };
    let mut agents: BTreeMap<AgentId, AgentView> =
        policy.agents().filter(|agent| caller.sees(agent)).map(|agent| (agent.clone(), fresh(agent))).collect();
    for attempt in api.recent.list(usize::MAX, |attempt| attempt.agent.is_some()) {
        let Some(agent) = attempt.agent.as_ref().and_then(|agent| agents.get_mut(agent)) else { continue };
        agent.last_seen = agent.last_seen.max(Some(attempt.at));
        *(if attempt.decision == "block" { &mut agent.blocked } else { &mut agent.allowed }) += 1;
    }
    for open in api.tunnels.list() {
        if let Some(agent) = open.agent.as_ref().and_then(|agent| agents.get_mut(agent)) {
            agent.open += 1;
        }
    }
    agents.into_values().collect()
}

//! Agents: who has rules, who was seen, who is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::body::Sent;
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};
use crate::approval::store::{Freeze, Role, Whom};
use crate::policy::attempt::AgentId;

/// The longest note, in characters.
const NOTE: usize = 500;

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::admin) struct AgentView {
    /// Its name.
    pub(in crate::admin) agent: AgentId,
    /// Everything it tries is refused.
    pub(in crate::admin) stopped: bool,
    /// By whom it is stopped; absent where it is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<FrozenView>,
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

/// Who stopped an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(in crate::admin) struct FrozenView {
    /// Who, or the file `freeze`.
    by: String,
    /// Since when; absent of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Every agent is stopped with it.
    #[serde(default)]
    everyone: bool,
}

/// What the rest of exeat tells of an agent.
#[derive(Debug, Deserialize)]
struct Known {
    agent: AgentId,
    #[serde(default)]
    frozen: Vec<FrozenView>,
}

/// Body of a freeze.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FreezeBody {
    /// Why, for the record and those who look.
    note: Option<String>,
}

/// Body of a thaw: nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ThawBody {}

/// Whether it changed anything.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    changed: bool,
}

/// Stops an agent: everything it tries is refused, and what it has open is cut.
#[utoipa::path(post, path = "/agents/{name}/freeze", tag = "agents", params(("name" = String, Path, description = "the agent")),
    request_body = FreezeBody, responses((status = 200, description = "it is stopped", body = Changed)))]
pub(super) async fn freeze(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(body): Sent<FreezeBody>,
) -> Answer<Response> {
    caller.at_least(Role::Admin)?;
    stop(&api, &caller, Whom::Agent(caller.agent(&name)?), body)
}

/// Lets an agent go on. What the file `freeze` stops stays stopped.
#[utoipa::path(post, path = "/agents/{name}/thaw", tag = "agents", params(("name" = String, Path, description = "the agent")),
    request_body = ThawBody, responses((status = 200, description = "it may go on", body = Changed)))]
pub(super) async fn thaw(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ThawBody {}): Sent<ThawBody>,
) -> Answer<Response> {
    caller.at_least(Role::Admin)?;
    go_on(&api, &caller, &Whom::Agent(caller.agent(&name)?))
}

/// Stops every agent.
#[utoipa::path(post, path = "/freeze", tag = "agents", request_body = FreezeBody,
    responses((status = 200, description = "they are stopped", body = Changed)))]
pub(super) async fn freeze_all(State(api): State<Arc<Api>>, caller: Caller, Sent(body): Sent<FreezeBody>) -> Answer<Response> {
    caller.rules()?;
    stop(&api, &caller, Whom::Everyone, body)
}

/// Ends the stop of every agent; those that are stopped by name stay so.
#[utoipa::path(post, path = "/thaw", tag = "agents", request_body = ThawBody,
    responses((status = 200, description = "they may go on", body = Changed)))]
pub(super) async fn thaw_all(State(api): State<Arc<Api>>, caller: Caller, Sent(ThawBody {}): Sent<ThawBody>) -> Answer<Response> {
    caller.rules()?;
    go_on(&api, &caller, &Whom::Everyone)
}

fn stop(api: &Api, caller: &Caller, whom: Whom, body: FreezeBody) -> Answer<Response> {
    let FreezeBody { note } = body;
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE || note.chars().any(char::is_control)) {
        return Err(Refused::bad(format!("a note is one line of at most {NOTE} characters")));
    }
    let freeze = Freeze { whom, by: Arc::clone(&caller.name), at: SystemTime::now(), note: note.map(Arc::from) };
    let changed = api.hooks.freeze(freeze).map_err(|detail| Refused::new(StatusCode::CONFLICT, detail))?;
    json(Changed { changed })
}

fn go_on(api: &Api, caller: &Caller, whom: &Whom) -> Answer<Response> {
    let changed = api.hooks.thaw(whom, &caller.name).map_err(|detail| Refused::new(StatusCode::CONFLICT, detail))?;
    json(Changed { changed })
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
        stopped: policy.is_frozen(agent),
        frozen: Vec::new(),
        pending: pending.get(agent).copied().unwrap_or_default(),
        open: 0,
        allowed: 0,
        blocked: 0,
        last_seen: None,
    };
    let mut agents: BTreeMap<AgentId, AgentView> =
        policy.agents().filter(|agent| caller.sees(agent)).map(|agent| (agent.clone(), fresh(agent))).collect();
    let known: Vec<Known> = serde_json::from_value(api.hooks.agents()).unwrap_or_default();
    for Known { agent, frozen } in known {
        if let Some(agent) = agents.get_mut(&agent) {
            agent.frozen = frozen;
        }
    }
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

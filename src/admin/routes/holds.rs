//! Questions: listed, shown, answered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::admin::body::{Segment, Sent};
use crate::admin::caller::Caller;
use crate::admin::problem::{Answer, Refused};
use crate::admin::{Api, watch};
use crate::approval::store::Role;
use crate::approval::{AnswerError, Answered, HoldView, Lasting, Reply, is_not_public};
use crate::egress::record;
use crate::policy::attempt::AgentId;

/// Body of `POST holds/{id}/approve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approve {
    /// `once` (default), `for` or `always`.
    pub scope: ScopeWord,
    /// How long, for `for` and for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What it may resolve to, in place of what the question was asked under.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub addresses: Option<Vec<IpNet>>,
    /// A second word for `addresses` that are not all public.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub addresses_confirmed: bool,
    /// The approver's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `facts` of the question as it was shown. Needed over TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<String>,
}

/// A scope as the API spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScopeWord {
    /// The attempts that wait, or the next one.
    #[default]
    Once,
    /// For some seconds.
    For,
    /// Without end.
    Always,
}

/// Body of `POST holds/{id}/deny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deny {
    /// The approver's words, told to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// `facts` of the question as it was shown. Needed over TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<String>,
}

/// A pending question, and what the floor lets a yes to it be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::admin) struct Asked {
    #[serde(flatten)]
    pub(in crate::admin) hold: HoldView,
    /// Seconds that a yes may last at most; absent where the floor has no such bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_for: Option<u64>,
    /// A yes may be without end.
    always: bool,
}

/// The pending questions, the oldest first; with `watch` a stream of JSON lines.
#[utoipa::path(get, path = "/holds", tag = "holds", params(
    ("watch" = Option<String>, Query, description = "stream what happens to questions, a JSON object a line"),
    ("agent" = Option<String>, Query, description = "with `watch`: of this agent alone"),
), responses((status = 200, description = "the questions", body = Vec<Asked>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, method: Method, RawQuery(query): RawQuery) -> Answer<Response> {
    let query = query.unwrap_or_default();
    if query.is_empty() {
        return json(shown(&api, &caller));
    }
    watching(&query, api, caller, &method)
}

pub(in crate::admin) fn shown(api: &Api, caller: &Caller) -> Vec<Asked> {
    api.desk.holds().into_iter().filter(|hold| caller.sees(&hold.agent)).map(|hold| asked(api, hold)).collect()
}

pub(in crate::admin) fn asked(api: &Api, hold: HoldView) -> Asked {
    let (max_for, always) = bounds(api);
    Asked { hold, max_for, always }
}

/// What the floor in force lets a yes be: seconds at most, and whether it may be without end.
pub(in crate::admin) fn bounds(api: &Api) -> (Option<u64>, bool) {
    let policy = api.policy.load();
    let floor = policy.floor();
    (floor.max_for.map(|longest| longest.as_secs()), floor.max_for.is_none() && !floor.forbid.always)
}

/// One pending question.
#[utoipa::path(get, path = "/holds/{id}", tag = "holds", params(("id" = String, Path, description = "its short id")),
    responses((status = 200, description = "the question", body = Asked)))]
pub(super) async fn one(State(api): State<Arc<Api>>, caller: Caller, Segment(id): Segment) -> Answer<Response> {
    json(asked(&api, find(&api, &caller, &id)?))
}

/// Answers yes.
#[utoipa::path(post, path = "/holds/{id}/approve", tag = "holds", params(("id" = String, Path, description = "its short id")),
    request_body = Approve, responses((status = 200, description = "what it did", body = Answered)))]
pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment,
    Sent(body): Sent<Approve>,
) -> Answer<Response> {
    let Approve { scope, seconds, addresses, addresses_confirmed, note, facts } = body;
    let lasting = match (scope, seconds) {
        (ScopeWord::Once, None) => Lasting::Once,
        (ScopeWord::Always, None) => Lasting::Always,
        (ScopeWord::For, Some(seconds)) => Lasting::For(Duration::from_secs(seconds)),
        (ScopeWord::For, None) => return Err(Refused::bad("scope `for` needs `seconds`")),
        (ScopeWord::Once | ScopeWord::Always, Some(_)) => return Err(Refused::bad("`seconds` goes with scope `for` only")),
    };
    if let Some(network) = addresses.iter().flatten().find(|network| !addresses_confirmed && is_not_public(network)) {
        let wanted = "send `addresses_confirmed`: true as well to let the name resolve to it";
        return Err(Refused::bad(format!("{network} is not public: {wanted}")));
    }
    answer(&api, &caller, (&id, facts), (Reply::Yes { lasting, addresses }, note)).await
}

/// Answers no. A no that comes after a yes takes back what of it is unused.
#[utoipa::path(post, path = "/holds/{id}/deny", tag = "holds", params(("id" = String, Path, description = "its short id")),
    request_body = Deny, responses((status = 200, description = "what it did", body = Answered)))]
pub(super) async fn deny(State(api): State<Arc<Api>>, caller: Caller, Segment(id): Segment, Sent(body): Sent<Deny>) -> Answer<Response> {
    let Deny { note, facts } = body;
    answer(&api, &caller, (&id, facts), (Reply::No, note)).await
}

async fn answer(api: &Api, caller: &Caller, which: (&str, Option<String>), said: (Reply, Option<String>)) -> Answer<Response> {
    caller.at_least(Role::Approver)?;
    let ((id, facts), (reply, note)) = (which, said);
    may_answer(api, caller, id, facts.as_deref())?;
    let answered = api.desk.answer(id, reply, &caller.name, note.as_deref())?;
    api.desk.durable().wait().await.map_err(|_| AnswerError::Unwritable)?;
    json::<Answered>(Answered { warnings: without_effect(api, &answered), ..answered })
}

/// A yes to who is frozen is kept, and lets nothing pass.
fn without_effect(api: &Api, answered: &Answered) -> Vec<String> {
    let is_frozen = answered.answer == record::Answer::Yes && api.policy.load().is_frozen(&answered.agent);
    let warning = || "the agent is frozen: the yes takes effect when it is thawed, and its time runs meanwhile".to_owned();
    is_frozen.then(warning).into_iter().collect()
}

/// Whether the question is his to answer, and still the one he was shown. What is over the desk knows best, once it was his.
fn may_answer(api: &Api, caller: &Caller, id: &str, facts: Option<&str>) -> Result<(), Refused> {
    if caller.by_token && facts.is_none() {
        return Err(Refused::bad("`facts` of the question as it was shown is missing"));
    }
    match find(api, caller, id) {
        Ok(hold) => {
            let moved = facts.is_some_and(|facts| facts != hold.facts);
            if moved { Err(Refused::new(StatusCode::CONFLICT, "the question changed: look again")) } else { Ok(()) }
        }
        // Of a question that is over it is remembered whose it was.
        Err(unknown) if caller.agents.is_some() => {
            let own = api.desk.whose(id).is_some_and(|agent| caller.sees(&agent));
            if own { Ok(()) } else { Err(unknown) }
        }
        Err(_) => Ok(()),
    }
}

fn find(api: &Api, caller: &Caller, id: &str) -> Answer<HoldView> {
    api.desk.hold(id).filter(|hold| caller.sees(&hold.agent)).ok_or_else(|| AnswerError::Unknown.into())
}

/// The stream of JSON lines that `exeat holds --watch` reads.
fn watching(query: &str, api: Arc<Api>, caller: Caller, method: &Method) -> Answer<Response> {
    let mut watched = false;
    let mut agent = None;
    for pair in query.split('&') {
        match pair.split_once('=') {
            None if pair == "watch" => watched = true,
            Some(("agent", name)) => agent = Some(AgentId::parse(name).map_err(|error| Refused::bad(error.to_string()))?),
            None | Some(_) => return Err(Refused::bad("the query is `watch`, with `agent=NAME` if wanted")),
        }
    }
    if !watched {
        return Err(Refused::bad("`agent` goes with `watch` only"));
    }
    if caller.by_token {
        return Err(Refused::bad("`watch` is for the unix socket; read `events`"));
    }
    if *method == Method::HEAD {
        return Ok(([(CONTENT_TYPE, "application/jsonl")], Body::empty()).into_response());
    }
    let lines = watch::watch(Arc::clone(&api.desk), agent, api.stop.clone());
    Ok(([(CONTENT_TYPE, "application/jsonl")], Body::new(lines)).into_response())
}

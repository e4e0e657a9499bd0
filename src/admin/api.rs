//! Routes of `/api/v1`: what is asked, what the desk does, what is answered. GET changes nothing but who counts as present.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{AdminHooks, watch};
use crate::approval::store::{Freeze, Whom};
use crate::approval::{AnswerError, HoldDesk, Lasting, Reply, RevokeError, is_not_public};
use crate::policy::attempt::AgentId;

/// The largest body that is read.
const BODY: usize = 16 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Body of `POST holds/{id}/approve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Approve {
    /// `once` (default), `for` or `always`.
    pub scope: ScopeWord,
    /// How long, for `for` and for nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What it may resolve to, in place of what the question was asked under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<IpNet>>,
    /// Said once more, where one of them is not public.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub addresses_confirmed: bool,
    /// The approver's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A scope as the API spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deny {
    /// The approver's words, told to the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// An error as the API says it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong.
    pub detail: String,
}

/// Who asks, and who can help him.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) desk: Arc<HoldDesk>,
    pub(super) hooks: Arc<dyn AdminHooks>,
    pub(super) approver: Arc<str>,
    pub(super) stop: CancellationToken,
}

type Answer = Response<Either<Full<Bytes>, watch::Lines>>;

/// A refusal by the API.
#[derive(Debug)]
struct Refused(StatusCode, String);

/// Answers one request.
pub(super) async fn route(request: Request<Incoming>, caller: Caller) -> Answer {
    let answered = dispatch(request, caller).await;
    answered.unwrap_or_else(|Refused(status, detail)| {
        let problem = Problem { title: status.canonical_reason().unwrap_or("error").to_owned(), status: status.as_u16(), detail };
        say(status, "application/problem+json", &problem).unwrap_or_else(|_| Response::new(Either::Left(Full::default())))
    })
}

async fn dispatch(request: Request<Incoming>, caller: Caller) -> Result<Answer, Refused> {
    let (head, body) = request.into_parts();
    let Some(path) = head.uri.path().strip_prefix("/api/v1/") else { return Err(nowhere()) };
    let segments: Vec<&str> = path.split('/').collect();
    let query = head.uri.query().unwrap_or_default();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, ["holds"]) if query.is_empty() => json(&caller.desk.holds()),
        (&Method::GET, ["holds"]) => watching(query, caller),
        (&Method::POST, ["holds", id, "approve"]) => approve(id, read(body).await?, &caller).await,
        (&Method::POST, ["holds", id, "deny"]) => {
            let Deny { note } = read(body).await?;
            let answered = caller.desk.answer(id, Reply::No, &caller.approver, note.as_deref())?;
            caller.desk.durable().wait().await.map_err(|_| AnswerError::Unwritable)?;
            json(&answered)
        }
        (&Method::GET, ["approvals"]) => json(&caller.desk.approvals()),
        (&Method::DELETE, ["approvals", id]) => {
            let revoked = caller.desk.revoke(id, &caller.approver)?;
            caller.desk.durable().wait().await.map_err(|_| RevokeError::Unrecorded)?;
            json(&revoked)
        }
        (&Method::POST, ["tokens", "reload"]) => match caller.hooks.reload_tokens() {
            Ok(()) => json(&serde_json::json!({"reloaded": true})),
            Err(detail) => Err(Refused(StatusCode::CONFLICT, detail)),
        },
        (&Method::POST, ["reload"]) => match caller.hooks.reload().await {
            Some(told) => json(&told),
            None => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "exeat is stopping, or the reading broke; see its log".to_owned())),
        },
        (&Method::GET, ["agents"]) => json(&caller.hooks.agents()),
        (&Method::POST, ["agents", name, "freeze"]) => freeze(agent(name)?, read(body).await?, &caller),
        (&Method::POST, ["freeze"]) => freeze(Whom::Everyone, read(body).await?, &caller),
        (&Method::POST, ["agents", name, "thaw"]) => thaw(&agent(name)?, &caller),
        (&Method::POST, ["thaw"]) => thaw(&Whom::Everyone, &caller),
        (_, ["holds" | "approvals" | "agents" | "reload"] | ["holds", _, "approve" | "deny"] | ["approvals", _] | ["tokens", "reload"]) => {
            Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "not with this method".to_owned()))
        }
        _ => Err(nowhere()),
    }
}

fn agent(name: &str) -> Result<Whom, Refused> {
    AgentId::parse(name).map(Whom::Agent).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

fn freeze(whom: Whom, body: Deny, caller: &Caller) -> Result<Answer, Refused> {
    let freeze = Freeze { whom, by: Arc::clone(&caller.approver), at: SystemTime::now(), note: body.note.map(Arc::from) };
    let changed = caller.hooks.freeze(freeze).map_err(|detail| Refused(StatusCode::CONFLICT, detail))?;
    json(&serde_json::json!({ "changed": changed }))
}

fn thaw(whom: &Whom, caller: &Caller) -> Result<Answer, Refused> {
    let changed = caller.hooks.thaw(whom, &caller.approver).map_err(|detail| Refused(StatusCode::CONFLICT, detail))?;
    json(&serde_json::json!({ "changed": changed }))
}

async fn approve(id: &str, body: Approve, caller: &Caller) -> Result<Answer, Refused> {
    let Approve { scope, seconds, addresses, addresses_confirmed, note } = body;
    let lasting = match (scope, seconds) {
        (ScopeWord::Once, None) => Lasting::Once,
        (ScopeWord::Always, None) => Lasting::Always,
        (ScopeWord::For, Some(seconds)) => Lasting::For(Duration::from_secs(seconds)),
        (ScopeWord::For, None) => return Err(Refused(StatusCode::BAD_REQUEST, "scope `for` needs `seconds`".to_owned())),
        (ScopeWord::Once | ScopeWord::Always, Some(_)) => {
            return Err(Refused(StatusCode::BAD_REQUEST, "`seconds` goes with scope `for` only".to_owned()));
        }
    };
    if let Some(network) = addresses.iter().flatten().find(|network| !addresses_confirmed && is_not_public(network)) {
        let detail = format!("{network} is not public: send `addresses_confirmed`: true as well to let the name resolve to it");
        return Err(Refused(StatusCode::BAD_REQUEST, detail));
    }
    let answered = caller.desk.answer(id, Reply::Yes { lasting, addresses }, &caller.approver, note.as_deref())?;
    caller.desk.durable().wait().await.map_err(|_| AnswerError::Unwritable)?;
    json(&answered)
}

fn watching(query: &str, caller: Caller) -> Result<Answer, Refused> {
    let mut watched = false;
    let mut agent = None;
    for pair in query.split('&') {
        match pair.split_once('=') {
            None if pair == "watch" => watched = true,
            Some(("agent", name)) => {
                agent = Some(AgentId::parse(name).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?);
            }
            None | Some(_) => return Err(Refused(StatusCode::BAD_REQUEST, "the query is `watch`, with `agent=NAME` if wanted".to_owned())),
        }
    }
    if !watched {
        return Err(Refused(StatusCode::BAD_REQUEST, "`agent` goes with `watch` only".to_owned()));
    }
    let mut response = Response::new(Either::Right(watch::watch(caller.desk, agent, caller.stop)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}

/// A body of JSON, none at all standing for the empty object.
async fn read<T: DeserializeOwned + Default>(body: Incoming) -> Result<T, Refused> {
    let slow = |_| Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long".to_owned());
    let large = |_| Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is broken or larger than {BODY} bytes"));
    let bytes = tokio::time::timeout(BODY_TIME, Limited::new(body, BODY).collect()).await.map_err(slow)?.map_err(large)?.to_bytes();
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body is not what is wanted: {error}")))
}

fn json(value: &impl Serialize) -> Result<Answer, Refused> {
    say(StatusCode::OK, "application/json", value)
}

fn say(status: StatusCode, kind: &'static str, value: &impl Serialize) -> Result<Answer, Refused> {
    let bytes = serde_json::to_vec(value).map_err(|_| Refused(StatusCode::INTERNAL_SERVER_ERROR, "no answer".to_owned()))?;
    let mut response = Response::new(Either::Left(Full::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn nowhere() -> Refused {
    Refused(StatusCode::NOT_FOUND, "there is no such thing in this API".to_owned())
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
            AnswerError::Duration | AnswerError::Note | AnswerError::Networks | AnswerError::NothingInCommon => StatusCode::BAD_REQUEST,
            AnswerError::Floor(_) => StatusCode::FORBIDDEN,
            AnswerError::Unwritable | AnswerError::Unrecorded | AnswerError::Unkept(_) | AnswerError::Unlasting(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self(status, error.to_string())
    }
}

impl From<RevokeError> for Refused {
    fn from(error: RevokeError) -> Self {
        let status = match error {
            RevokeError::Unknown => StatusCode::NOT_FOUND,
            RevokeError::Ambiguous => StatusCode::CONFLICT,
            RevokeError::Unrecorded | RevokeError::Unlasting(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

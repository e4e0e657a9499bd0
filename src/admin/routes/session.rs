//! Who asks, and the exchange of a log-in link's code for a session.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::body::Sent;
use crate::admin::caller::{Arrival, Caller};
use crate::admin::guard::wrong;
use crate::admin::problem::{Answer, Refused};
use crate::approval::store::Role;
use crate::policy::attempt::AgentId;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Me {
    /// The name that records give.
    name: String,
    /// What he may do.
    role: Role,
    /// For which agents; absent where for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Vec<AgentId>>,
}

impl Me {
    pub(in crate::admin) fn of(caller: &Caller) -> Self {
        let agents = caller.agents.as_ref().map(|agents| agents.iter().cloned().collect());
        Self { name: caller.name.to_string(), role: caller.role, agents }
    }
}

/// Body of `POST login`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    /// What follows `#login=` in the link.
    code: String,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionView {
    /// Its token, shown here and nowhere else.
    token: String,
    /// Whose it is.
    name: String,
    /// After so many seconds it is worth nothing.
    seconds: u64,
}

/// Body of `POST logout`: nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogOut {}

/// Whether a session ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoggedOut {
    ended: bool,
}

/// Who asks, and what he may do.
#[utoipa::path(get, path = "/me", tag = "session", responses((status = 200, description = "who asks", body = Me)))]
pub(super) async fn me(caller: Caller) -> Answer<Response> {
    json(Me::of(&caller))
}

/// Spends the code of a log-in link: it begins one session.
#[utoipa::path(post, path = "/login", tag = "session", request_body = LogIn,
    responses((status = 200, description = "a session", body = SessionView)))]
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(arrival): Extension<Arrival>,
    Sent(body): Sent<LogIn>,
) -> Answer<Response> {
    let now = Instant::now();
    let name = crate::admin::name_of(rustix::process::geteuid().as_raw());
    let begun = api.people.log_in(&body.code, &name, now);
    let begun = begun.map_err(|error| Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    match (begun, arrival) {
        (Some(begun), _) => {
            tracing::info!(name, "somebody logged in by the link");
            json(SessionView { token: begun.token.expose().to_owned(), name: begun.name.to_string(), seconds: begun.lasts.as_secs() })
        }
        (None, Arrival::Tcp { peer, local: _ }) => Err(wrong(&api, peer.ip(), now, spent())),
        (None, Arrival::Socket { name: _ }) => Err(spent()),
    }
}

/// Ends the session whose token asks, and its streams. An approver's own token stays what it is.
#[utoipa::path(post, path = "/logout", tag = "session", request_body = LogOut,
    responses((status = 200, description = "whether a session ended", body = LoggedOut)))]
pub(super) async fn log_out(State(api): State<Arc<Api>>, caller: Caller, Sent(LogOut {}): Sent<LogOut>) -> Answer<Response> {
    json(LoggedOut { ended: api.people.log_out(&caller) })
}

fn spent() -> Refused {
    Refused::new(
        StatusCode::UNAUTHORIZED,
        "that link was used, is too old or was never given; start `exeat serve` again for another, or log in with a token: `exeat approver add NAME` makes one",
    )
}

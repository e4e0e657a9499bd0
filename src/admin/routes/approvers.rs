//! The people who may use page and API: listed, added, removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json;
use crate::admin::Api;
use crate::admin::body::{Segment, Sent};
use crate::admin::caller::Caller;
use crate::admin::people;
use crate::admin::problem::{Answer, Refused};
use crate::approval::store::{Approver, Role, Store, StoreError};
use crate::config::tokens::TokenError;
use crate::egress::record::{ApproverChange, ApproverChanged, Record, Recorder};
use crate::policy::attempt::AgentId;

/// The longest name.
const NAME: usize = 64;

/// The most agents one is named for.
const AGENTS: usize = 256;

/// Who takes back what could not be kept.
const NOBODY: &str = "exeat";

/// One approver as listings show him.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApproverView {
    /// His name.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// For which agents; absent where for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
    /// When he was added.
    pub at: Timestamp,
    /// Who added him.
    pub by: String,
}

/// Body of `POST approvers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApprover {
    /// His name: 1 to 64 of letters, digits and `._@-`.
    #[schema(pattern = "^[A-Za-z0-9._@-]{1,64}$")]
    pub name: String,
    /// What he may do; `approver` unless it is said.
    #[serde(default = "approver")]
    pub role: Role,
    /// For which agents; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
}

/// An approver who was added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    /// His token, shown here and nowhere else.
    pub token: String,
    /// Who he is.
    pub approver: ApproverView,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("approver", &self.approver).finish_non_exhaustive()
    }
}

fn approver() -> Role {
    Role::Approver
}

/// Why nobody was added or removed.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The name is none.
    #[error("an approver's name is 1 to {NAME} letters, digits and ._@-")]
    Name,
    /// None, or too many.
    #[error("an approver is for 1 to {AGENTS} named agents, or for all")]
    Agents,
    /// The name is taken.
    #[error("there is an approver of that name; remove that one first, or choose another name")]
    Taken,
    /// Nobody goes by it.
    #[error("no approver has that name; `exeat approver list` lists them")]
    Unknown,
    /// There are very many.
    #[error("there are as many approvers as there may be; remove some first")]
    Full,
    /// The journal does not take it.
    #[error("the journal cannot be written, so nothing was done")]
    Unwritable,
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no chance to be had.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<NotChanged> for Refused {
    fn from(error: NotChanged) -> Self {
        let status = match error {
            NotChanged::Name | NotChanged::Agents => StatusCode::BAD_REQUEST,
            NotChanged::Taken | NotChanged::Full => StatusCode::CONFLICT,
            NotChanged::Unknown => StatusCode::NOT_FOUND,
            NotChanged::Unwritable | NotChanged::Token(_) => StatusCode::SERVICE_UNAVAILABLE,
            NotChanged::Store(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}

/// Those who may use page and API beside who holds a session.
#[utoipa::path(get, path = "/approvers", tag = "approvers", responses((status = 200, description = "the approvers", body = Vec<ApproverView>)))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Answer<Response> {
    caller.rules()?;
    json(api.people.list()?.iter().map(ApproverView::of).collect::<Vec<_>>())
}

/// Adds one. The answer holds his token, which is kept nowhere.
#[utoipa::path(post, path = "/approvers", tag = "approvers", request_body = NewApprover,
    responses((status = 200, description = "who was added, and his token", body = Issued)))]
pub(super) async fn add(State(api): State<Arc<Api>>, caller: Caller, Sent(body): Sent<NewApprover>) -> Answer<Response> {
    caller.rules()?;
    let (approver, issued) = made(body, &caller.name)?;
    if api.people.is_full() {
        return Err(NotChanged::Full.into());
    }
    if api.people.list()?.iter().any(|known| known.name == approver.name) {
        return Err(NotChanged::Taken.into());
    }
    api.recorder.record(&added(&approver))?;
    api.recorder.durable().wait().await?;
    let kept = api.people.add(approver.clone());
    take_back(kept.is_err(), api.recorder.as_ref(), || removed(&approver.name, NOBODY));
    if !kept? {
        return Err(NotChanged::Taken.into());
    }
    json(issued)
}

/// Removes one: his token is worth nothing, and his streams end.
#[utoipa::path(delete, path = "/approvers/{name}", tag = "approvers", params(("name" = String, Path, description = "his name")),
    responses((status = 200, description = "who he was", body = ApproverView)))]
pub(super) async fn remove(State(api): State<Arc<Api>>, caller: Caller, Segment(name): Segment) -> Answer<Response> {
    caller.rules()?;
    let found = api.people.list()?.into_iter().find(|known| *known.name == *name).ok_or(NotChanged::Unknown)?;
    api.recorder.record(&removed(&name, &caller.name))?;
    let kept = api.people.remove(&name);
    take_back(kept.is_err(), api.recorder.as_ref(), || added(&Approver { by: NOBODY.into(), ..found.clone() }));
    if !kept? {
        return Err(NotChanged::Unknown.into());
    }
    api.desk.is_no_approver(&name);
    api.recorder.durable().wait().await?;
    json(ApproverView::of(&found))
}

/// Adds one where no exeat runs with the store.
pub fn add_without_server(store: &dyn Store, recorder: &dyn Recorder, new: NewApprover, by: &str) -> Result<Issued, NotChanged> {
    let (approver, issued) = made(new, by)?;
    if store.approvers()?.iter().any(|known| known.name == approver.name) {
        return Err(NotChanged::Taken);
    }
    recorder.record(&added(&approver)).map_err(|_| NotChanged::Unwritable)?;
    let kept = store.add_approver(&approver);
    take_back(kept.is_err(), recorder, || removed(&approver.name, NOBODY));
    if kept? { Ok(issued) } else { Err(NotChanged::Taken) }
}

/// Removes one where no exeat runs with the store.
pub fn remove_without_server(store: &dyn Store, recorder: &dyn Recorder, name: &str, by: &str) -> Result<ApproverView, NotChanged> {
    let found = store.approvers()?.into_iter().find(|known| *known.name == *name).ok_or(NotChanged::Unknown)?;
    recorder.record(&removed(name, by)).map_err(|_| NotChanged::Unwritable)?;
    let kept = store.remove_approver(name);
    take_back(kept.is_err(), recorder, || added(&Approver { by: NOBODY.into(), ..found.clone() }));
    if kept? { Ok(ApproverView::of(&found)) } else { Err(NotChanged::Unknown) }
}

/// What was recorded and the store did not take is not so, and the journal says that as well.
fn take_back(failed: bool, recorder: &dyn Recorder, what: impl FnOnce() -> Record) {
    if failed {
        // A journal that fails as well leaves in it what nothing rests on; whoever asked is told.
        let _ = recorder.record(&what());
    }
}

fn made(new: NewApprover, by: &str) -> Result<(Approver, Issued), NotChanged> {
    let NewApprover { name, role, agents } = new;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if !(1..=NAME).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(NotChanged::Name);
    }
    let agents: Option<BTreeSet<AgentId>> = agents.map(|agents| agents.into_iter().collect());
    if agents.as_ref().is_some_and(|agents| !(1..=AGENTS).contains(&agents.len())) {
        return Err(NotChanged::Agents);
    }
    let (approver, token) = people::approver((&name, role), agents, by)?;
    let issued = Issued { token: token.expose().to_owned(), approver: ApproverView::of(&approver) };
    Ok((approver, issued))
}

impl ApproverView {
    /// As listings show him.
    pub fn of(approver: &Approver) -> Self {
        let Approver { name, role, agents, digest: _, at, by } = approver;
        Self {
            name: name.to_string(),
            role: *role,
            agents: agents.as_ref().map(|agents| agents.iter().cloned().collect()),
            at: moment(*at),
            by: by.to_string(),
        }
    }
}

fn moment(at: SystemTime) -> Timestamp {
    let exact = Timestamp::try_from(at).unwrap_or(Timestamp::MAX);
    Timestamp::from_microsecond(exact.as_microsecond()).unwrap_or(exact)
}

fn added(approver: &Approver) -> Record {
    let word = match approver.role {
        Role::Viewer => "viewer",
        Role::Approver => "approver",
        Role::Admin => "admin",
    };
    Record::Approver(ApproverChanged {
        name: approver.name.to_string(),
        change: ApproverChange::Added,
        role: Some(word.to_owned()),
        agents: approver.agents.as_ref().map(|agents| agents.iter().cloned().collect()),
        who: approver.by.to_string(),
    })
}

fn removed(name: &str, who: &str) -> Record {
    let (name, who) = (name.to_owned(), who.to_owned());
    Record::Approver(ApproverChanged { name, change: ApproverChange::Removed, role: None, agents: None, who })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::approval::store::Sqlite;
    use crate::approval::testing::Journal;

    #[test]
    fn what_the_store_does_not_take_is_taken_back_in_the_journal() {
        let (store, journal) = (Sqlite::in_memory().unwrap(), Journal::default());
        let new = |name: &str| NewApprover { name: name.to_owned(), role: Role::Viewer, agents: None };
        add_without_server(&store, &journal, new("alice"), "root").unwrap();
        store.break_it(true);
        assert!(matches!(add_without_server(&store, &journal, new("bob"), "root"), Err(NotChanged::Store(_))));
        assert!(matches!(remove_without_server(&store, &journal, "alice", "root"), Err(NotChanged::Store(_))));
        let written = journal.written.lock();
        let told = written.iter().map(|record| {
            let Record::Approver(ApproverChanged { name, change, role: _, agents: _, who }) = record else { panic!("{record:?}") };
            format!("{name} {change:?} {who}")
        });
        let all = ["alice Added root", "bob Added root", "bob Removed exeat", "alice Removed root", "alice Added exeat"];
        assert_eq!(told.collect::<Vec<_>>(), all);
        assert_eq!(store.approvers().unwrap().len(), 1);
    }
}

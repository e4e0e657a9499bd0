//! The API for people, on a unix socket in the state folder and, where configured, on an address that takes tokens.
//!
//! Who may use the socket is the same uid or root. No agent reaches either through a front; one on this machine that has the uid reaches both.

mod body;
mod caller;
mod events;
mod guard;
mod listen;
mod openapi;
pub mod page;
mod peer;
mod people;
mod problem;
mod routes;
mod socket;
mod streams;
mod throttle;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use listen::{serve, serve_page};
pub use openapi::document;
pub(crate) use peer::name_of;
pub use people::{LINK, People};
pub use problem::Problem;
pub use routes::approvers::{ApproverView, Issued, NewApprover, NotChanged, add_without_server, remove_without_server};
pub use routes::holds::{Approve, Deny, ScopeWord};
pub use socket::{BindError, SOCKET, Socket, bind};

use crate::approval::HoldDesk;
use crate::approval::store::{Freeze, Whom};
use crate::egress::Tunnels;
use crate::egress::record::Recorder;
use crate::policy::Policy;
use crate::telemetry::Recent;
pub use streams::Streams;

/// What the rest of exeat does for people who ask here.
pub trait AdminHooks: Send + Sync + std::fmt::Debug {
    /// Reads the tokens again. The text says what is wrong with them.
    fn reload_tokens(&self) -> Result<(), String>;

    /// Reads policy again, and says what came of it once it is in force; `None` where exeat is stopping.
    fn reload(&self) -> BoxFuture<'_, Option<Value>>;

    /// What of the files is in force: an object of `files`, `warnings` and `faults`.
    fn policy(&self) -> Value;

    /// Whether there is a certificate authority to look inside TLS with.
    fn inspects(&self) -> bool;

    /// The agents, a JSON array of objects: `agent`, and `frozen`, a list of `by since? note? everyone`.
    fn agents(&self) -> Value;

    /// Stops somebody. `false`: that was so before, and stays as it was said. The API answers `{"changed": bool}`.
    ///
    /// The text says what is wrong: the name is nobody's, and nothing happened; or he is stopped, and it could not be recorded or kept.
    fn freeze(&self, freeze: Freeze) -> Result<bool, String>;

    /// Lets somebody go on. `false`: he was not stopped by a freeze of these. What the file `freeze` stops stays stopped, and `agents` shows it.
    ///
    /// The text says why nothing happened.
    fn thaw(&self, whom: &Whom, by: &str) -> Result<bool, String>;

    /// Who is stopped by command or API; not who is by the file `freeze`.
    fn freezes(&self) -> Vec<Freeze>;
}

/// What the API works on.
#[derive(Debug)]
pub struct Api {
    /// Where questions are asked and answered.
    pub desk: Arc<HoldDesk>,
    /// The rest of exeat.
    pub hooks: Arc<dyn AdminHooks>,
    /// The policy in force.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Where what people do is written down.
    pub recorder: Arc<dyn Recorder>,
    /// The last attempts.
    pub recent: Arc<Recent>,
    /// What is open.
    pub tunnels: Arc<Tunnels>,
    /// Who may use it.
    pub people: People,
    /// `[admin] hosts`: names of the listener, in lower case, a port where there is one.
    pub hosts: Vec<Arc<str>>,
    /// Open streams.
    pub streams: Streams,
    /// Ends the streams.
    pub stop: CancellationToken,
}

#[cfg(test)]
mod tests;

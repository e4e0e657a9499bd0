//! Who asks, what he may do, and which agents exist for him.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::problem::Refused;
use crate::approval::store::Role;
use crate::policy::attempt::AgentId;

/// How a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Over the unix socket, by the same user or root.
    Socket {
        /// The user's name.
        name: Arc<str>,
    },
    /// Over TCP.
    Tcp {
        /// From where.
        peer: SocketAddr,
        /// To where: what the listener is at for this connection.
        local: SocketAddr,
    },
}

/// A person who is known.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The name that records give.
    pub(super) name: Arc<str>,
    /// What he may do.
    pub(super) role: Role,
    /// For which agents; `None` for all.
    pub(super) agents: Option<BTreeSet<AgentId>>,
    /// Cancelled when he is known no more.
    pub(super) gone: CancellationToken,
    /// He came over TCP, by a token.
    pub(super) by_token: bool,
}

impl Caller {
    /// Whether the agent exists for him.
    pub(super) fn sees(&self, agent: &AgentId) -> bool {
        self.agents.as_ref().is_none_or(|agents| agents.contains(agent))
    }

    /// The same of an attempt whose agent may not be known: that is for those who see all.
    pub(super) fn sees_attempt_of(&self, agent: Option<&AgentId>) -> bool {
        agent.map_or(self.agents.is_none(), |agent| self.sees(agent))
    }

    /// Refuses him where he has less than the role.
    pub(super) fn at_least(&self, role: Role) -> Result<(), Refused> {
        if self.role >= role {
            return Ok(());
        }
        let word = match role {
            Role::Viewer => "viewer",
            Role::Approver => "approver",
            Role::Admin => "admin",
        };
        Err(Refused::forbidden(format!("that takes the role {word}: a token of `exeat approver add NAME --role {word}` has it")))
    }

    /// Refuses him where it is about every agent and he has some.
    pub(super) fn over_all(&self) -> Result<(), Refused> {
        if self.agents.is_none() {
            Ok(())
        } else {
            Err(Refused::forbidden("that takes a role over all agents: a token of `exeat approver add NAME` without --agents has it"))
        }
    }

    /// Refuses him what takes an admin over all agents.
    pub(super) fn rules(&self) -> Result<(), Refused> {
        self.at_least(Role::Admin)?;
        self.over_all()
    }

    /// The agent of that name, if it exists for him.
    pub(super) fn agent(&self, name: &str) -> Result<AgentId, Refused> {
        AgentId::parse(name)
            .ok()
            .filter(|agent| self.sees(agent))
            .ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "no agent has that name"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;

    /// The guard put him there; where it did not, nobody asks.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(unknown)
    }
}

pub(super) fn unknown() -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "a valid token is needed: Authorization: Bearer TOKEN; `exeat approver add NAME` makes one")
}

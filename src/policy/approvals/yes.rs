//! One yes: what was asked, how far it reaches, and which attempts it covers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::policy::address::Addresses;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Instance, RequestLine, Scheme};
use crate::policy::destination::Destination;

/// How long a `once` may go unclaimed, by the attempts that waited or, if none did, by the next one.
pub const ONCE_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Names an approval: a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(pub Uuid);

/// What a question is about; attempts with the same subject share one question.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Who asks.
    pub agent: AgentId,
    /// Which running one of them.
    pub instance: Instance,
    /// Where to.
    pub destination: Destination,
    /// `None` for a tunnel. A yes to a tunnel covers the plain requests found in it, and none inside TLS; not the other way round.
    pub scheme: Option<Scheme>,
    /// The one request that is asked about, where a rule looks at requests; `None` asks about every one.
    pub request: Option<RequestLine>,
}

impl Subject {
    /// What a question for the attempt is about, where it asks about every request.
    pub fn of(attempt: &Attempt) -> Self {
        Self {
            agent: attempt.agent.clone(),
            instance: attempt.instance.clone(),
            destination: attempt.destination.clone(),
            scheme: attempt.scheme,
            request: None,
        }
    }

    /// What a question for the attempt is about.
    pub fn asked(attempt: &Attempt, asking: Asking) -> Self {
        match asking {
            Asking::EveryRequest => Self::of(attempt),
            Asking::ThisRequest => Self { request: attempt.sight.meant(), ..Self::of(attempt) },
        }
    }
}

/// How much a question asks about, and so what a yes must have been given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asking {
    /// Every request to the destination, seen or not. A yes to this very request is one as well.
    EveryRequest,
    /// This method and path, as a rule looks at them. A yes to every request is none.
    ThisRequest,
}

/// How far a yes reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The attempts that waited when the answer came, or the next one until `next_until` if none waited.
    Once {
        /// Attempts that may still claim it, for `ONCE_WITHIN`.
        waiting: BTreeSet<AttemptId>,
        /// Set where none waited: the next attempt may claim it until then.
        next_until: Option<SystemTime>,
    },
    /// Until then; tunnels are cut at its end.
    For {
        /// The end.
        until: SystemTime,
    },
    /// Without end, for the agent whatever its instance.
    Always,
}

/// A yes with scope and expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// What was shown.
    pub subject: Subject,
    /// How far it reaches.
    pub scope: Scope,
    /// What the destination may resolve to.
    pub addresses: Arc<Addresses>,
    /// Who said it.
    pub approver: Arc<str>,
    /// When it was said.
    pub at: SystemTime,
    /// The approver's words.
    pub note: Option<Arc<str>>,
    /// Attempts that claimed it and are open; a request found in one of them is covered.
    pub claimed: BTreeSet<AttemptId>,
}

impl Approval {
    /// Whether it was given for what the attempt is; a `once` is given to single attempts besides.
    pub(super) fn fits(&self, attempt: &Attempt) -> bool {
        let anywhere = matches!(self.scope, Scope::Always);
        let carried = self.subject.scheme.is_none() && attempt.within.is_some() && attempt.scheme == Some(Scheme::Http);
        self.subject.agent == attempt.agent
            && (anywhere || self.subject.instance == attempt.instance)
            && self.subject.destination == attempt.destination
            && (carried || self.subject.scheme == attempt.scheme)
            && self.subject.request.as_ref().is_none_or(|asked| attempt.sight.meant().as_ref() == Some(asked))
    }

    /// Whether it answers what is asked.
    pub(super) fn answers(&self, asking: Asking) -> bool {
        match asking {
            Asking::EveryRequest => true,
            Asking::ThisRequest => self.subject.request.is_some(),
        }
    }

    /// Whether an attempt that holds a claim on it is still covered.
    pub(super) fn lasts(&self, now: SystemTime) -> bool {
        !matches!(self.scope, Scope::For { until } if until <= now)
    }

    /// Whether the attempt may claim it without having been given a seat.
    pub(super) fn is_free_to(&self, attempt: &Attempt, now: SystemTime) -> bool {
        let open = match &self.scope {
            // Given to a next tunnel; a request found in an older tunnel is none.
            Scope::Once { waiting: _, next_until } => self.subject.scheme == attempt.scheme && next_until.is_some_and(|until| now < until),
            Scope::For { until } => now < *until,
            Scope::Always => true,
        };
        open && self.fits(attempt)
    }

    /// When it ends by itself, or when what of it is unclaimed does.
    pub(super) fn end(&self) -> Option<SystemTime> {
        match &self.scope {
            Scope::Once { waiting: _, next_until } => Some(next_until.unwrap_or(self.at + ONCE_WITHIN)),
            Scope::For { until } => Some(*until),
            Scope::Always => None,
        }
    }

    /// Whether attempts that have not claimed it may still do so.
    pub(super) fn has_uses_left(&self) -> bool {
        match &self.scope {
            Scope::Once { waiting, next_until } => !waiting.is_empty() || next_until.is_some(),
            Scope::For { .. } | Scope::Always => true,
        }
    }
}

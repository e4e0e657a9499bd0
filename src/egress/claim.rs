//! What a front may say of an attempt. Absent means not known, never invented; garbage goes through the same door.

use std::net::SocketAddr;
use std::sync::Arc;

use super::record::Front;
use crate::policy::attempt::{AgentId, AttemptId, Evidence, Instance, Scheme, Sight};
use crate::policy::destination::Destination;
use crate::policy::malformed::Malformed;

/// One try as a front found it, before anything is judged.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The way in.
    pub front: Front,
    /// The peer's socket address.
    pub peer: SocketAddr,
    /// Which running agent asks, where something better than the peer's address tells.
    pub instance: Option<Instance>,
    /// Where to, or why that cannot be read.
    pub wanted: Result<Destination, Malformed>,
    /// What can be known of the request.
    pub sight: Sight,
    /// What the front objects to in a target that can be read.
    pub objection: Option<Objection>,
    pub(super) who: Who,
}

/// A target that can be read and still goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The request passed through this very process already.
    Loop,
    /// The request in a tunnel names another host than the tunnel.
    OtherHost,
}

/// Who asks: to be identified, or known from the tunnel the request was found in.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Unknown(Evidence),
    Within { tunnel: AttemptId, agent: AgentId, instance: Instance },
}

impl Claim {
    /// A claim of a peer that is still to be identified.
    pub fn new(front: Front, peer: SocketAddr, evidence: Evidence, wanted: Result<Destination, Malformed>, sight: Sight) -> Self {
        Self { front, peer, instance: None, wanted, sight, objection: None, who: Who::Unknown(evidence) }
    }

    /// The scheme follows from the sight: only plain HTTP is in plain sight.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        match self.sight {
            Sight::Seen(_) => Some(Scheme::Http),
            Sight::NotYet => None,
        }
    }

    pub(super) fn instance(&self) -> Instance {
        match (&self.who, &self.instance) {
            (Who::Within { instance, .. }, _) | (Who::Unknown(_), Some(instance)) => instance.clone(),
            (Who::Unknown(_), None) => Instance(Arc::from(self.peer.ip().to_canonical().to_string())),
        }
    }

    pub(super) fn within(&self) -> Option<AttemptId> {
        match &self.who {
            Who::Unknown(_) => None,
            Who::Within { tunnel, .. } => Some(*tunnel),
        }
    }
}

//! A tunnel whose requests are in plain sight: each is claimed as an attempt of its own, with the tunnel's agent and host.

use std::net::SocketAddr;

use super::claim::{Claim, Objection, Who};
use super::live::Live;
use super::open::Open;
use super::record::{Front, Outcome};
use super::tunnel::Receipt;
use crate::policy::attempt::{Attempt, Sight};
use crate::policy::destination::Destination;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;

/// The tunnel while its requests are carried one by one. It cannot connect; agent and destination of a claim come from it.
#[must_use = "an interception ends with `finish` or `cut`"]
#[derive(Debug)]
pub struct Interception {
    open: Open,
    attempt: Attempt,
    live: tokio::sync::Mutex<Live>,
}

impl Interception {
    pub(super) fn new(open: Open, live: Live) -> Self {
        Self { open, attempt: live.attempt().clone(), live: tokio::sync::Mutex::new(live) }
    }

    /// Where the tunnel goes, and so every request in it.
    pub fn destination(&self) -> &Destination {
        &self.attempt.destination
    }

    /// Claims a request found in the tunnel. `named` is the destination its head names, or why that cannot be read.
    pub fn claim(&self, peer: SocketAddr, sight: Sight, named: Result<Destination, Malformed>) -> Claim {
        let tunnel = &self.attempt;
        let who = Who::Within { tunnel: tunnel.id, agent: tunnel.agent.clone(), instance: tunnel.instance.clone() };
        let objection = named.as_ref().is_ok_and(|named| *named != tunnel.destination).then_some(Objection::OtherHost);
        let wanted = named.map(|_same| tunnel.destination.clone());
        Claim { front: Front::Connect, peer, instance: None, wanted, sight, objection, who }
    }

    /// Resolves when the tunnel's own answer is no longer allow.
    pub async fn lost(&self) {
        self.live.lock().await.lost().await;
    }

    /// Ends the tunnel; its requests have ended their own attempts.
    pub fn finish(self) -> Receipt {
        let reason = self.open.reason();
        Receipt::of(self.open, Outcome::Completed, reason)
    }

    /// Ends the tunnel because its answer is no longer allow.
    pub fn cut(self) -> Receipt {
        Receipt::of(self.open, Outcome::Cut, Reason::PolicyChanged)
    }
}

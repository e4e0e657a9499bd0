//! A tunnel whose requests are in plain sight: each is claimed as an attempt of its own, with the tunnel's agent and host.

use std::net::SocketAddr;

use super::claim::{Claim, Objection, Tunnel, Who};
use super::gate::Asker;
use super::live::Live;
use super::open::Open;
use super::record::{Front, Outcome};
use super::tunnel::Receipt;
use crate::policy::attempt::{Scheme, Sight};
use crate::policy::destination::Destination;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;

/// The tunnel while its requests are carried one by one. It cannot connect; agent and destination of a claim come from it.
#[must_use = "an interception ends with `finish`"]
#[derive(Debug)]
pub struct Interception {
    open: Open,
    asker: Asker,
    live: tokio::sync::Mutex<Live>,
}

impl Interception {
    pub(super) fn new(open: Open, mut live: Live) -> Self {
        live.looks();
        Self { open, asker: live.asker().clone(), live: tokio::sync::Mutex::new(live) }
    }

    /// Where the tunnel goes, and so every request in it.
    pub fn destination(&self) -> &Destination {
        &self.asker.attempt.destination
    }

    /// Claims a request found in the tunnel. `named` is the destination its head names, or why that cannot be read.
    pub fn claim(&self, peer: SocketAddr, sight: Sight, named: Result<Destination, Malformed>) -> Claim {
        let Asker { attempt, who } = &self.asker;
        let tunnel = Tunnel { id: attempt.id, agent: attempt.agent.clone(), instance: attempt.instance.clone(), scheme: Scheme::Http };
        let who = Who { evidence: who.evidence.clone(), ends: who.ends, tunnel: Some(tunnel) };
        let objection = named.as_ref().is_ok_and(|named| *named != attempt.destination).then_some(Objection::OtherHost);
        let wanted = named.map(|_same| attempt.destination.clone());
        let on_this_machine = peer.ip().to_canonical().is_loopback();
        Claim { front: Front::Connect, peer, instance: None, wanted, sight, objection, on_this_machine, trace: None, who }
    }

    /// Resolves, with why, when the tunnel itself may go on no longer.
    pub async fn lost(&self) -> Reason {
        self.live.lock().await.lost().await
    }

    /// Ends the tunnel; its requests have ended their own attempts.
    pub async fn finish(self, end: InnerEnd) -> Receipt {
        let reason = self.open.reason();
        let holds = self.live.lock().await.holds();
        if let Err(reason) = holds {
            return Receipt::of(self.open, Outcome::Cut, reason);
        }
        match end {
            InnerEnd::Closed => Receipt::of(self.open, Outcome::Completed, reason),
            InnerEnd::Broken => Receipt::of(self.open, Outcome::Abandoned, reason),
            InnerEnd::Cut(reason) => Receipt::of(self.open, Outcome::Cut, reason),
        }
    }
}

/// How the connection inside an interception ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerEnd {
    /// In order.
    Closed,
    /// It broke, or could not be read on.
    Broken,
    /// exeat cut it.
    Cut(Reason),
}

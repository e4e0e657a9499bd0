//! An open way out stays open only while the answer is still allow.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::gate::{Asker, Gate};
use crate::policy::attempt::Attempt;
use crate::policy::decide::Grant;
use crate::policy::reason::Reason;

/// What an open attempt was admitted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It was dialled, or may be.
    Pass {
        /// When its grant ends by itself.
        until: Option<SystemTime>,
    },
    /// It leads nowhere; the requests found in it are attempts of their own.
    Look {
        /// When what the tunnel rests on ends by itself.
        until: Option<SystemTime>,
    },
}

/// What an open attempt does that not every grant for its destination lets it do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doing {
    /// It is connected to this address.
    peer: Option<IpAddr>,
    /// Its first bytes were not judged.
    opaque: bool,
    /// It became a WebSocket.
    websocket: bool,
    /// exeat terminates its TLS.
    terminates: bool,
}

impl Doing {
    /// Whether the grant would have let it come to this.
    pub(super) fn is_within(self, grant: &Grant) -> bool {
        let Self { peer, opaque, websocket, terminates } = self;
        let may_be = (!opaque || grant.opaque()) && (!websocket || grant.websocket()) && !(terminates && grant.excluded());
        may_be && peer.is_none_or(|peer| grant.covers(peer))
    }
}

/// Decides an open attempt again whenever policy or approvals change, and when its approval ends.
#[derive(Debug)]
pub(super) struct Live {
    gate: Arc<Gate>,
    asker: Asker,
    admitted: Admitted,
    doing: Doing,
    changed: watch::Receiver<u64>,
}

impl Live {
    /// `changed` has seen what the attempt was decided by, and nothing later.
    pub(super) fn new(gate: Arc<Gate>, asker: Asker, admitted: Admitted, changed: watch::Receiver<u64>) -> Self {
        Self { gate, asker, admitted, doing: Doing::default(), changed }
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn attempt(&self) -> &Attempt {
        &self.asker.attempt
    }

    /// From here on its requests are judged one by one, and the tunnel leads nowhere.
    pub(super) fn looks(&mut self) {
        self.admitted = Admitted::Look { until: self.until() };
        self.doing = Doing::default();
    }

    /// What is in it is within TLS that exeat terminates.
    pub(super) fn terminates(&mut self) {
        self.doing.terminates = true;
    }

    /// It is connected there. Where that is not the address it was judged by before, it is judged again.
    pub(super) fn connected_to(&mut self, peer: IpAddr) {
        if self.doing.peer.replace(peer).is_some_and(|before| before != peer) {
            self.changed.mark_changed();
        }
    }

    /// Its bytes are carried without a look at the first of them.
    pub(super) fn is_opaque(&mut self) {
        self.doing.opaque = true;
    }

    /// Its request became a WebSocket.
    pub(super) fn is_websocket(&mut self) {
        self.doing.websocket = true;
    }

    /// Resolves, with why, when the answer is no longer what it was admitted to, or the tunnel it was found in is cut.
    pub(super) async fn lost(&mut self) -> Reason {
        let Some(over) = self.asker.who.tunnel.as_ref().map(|tunnel| tunnel.over.clone()) else { return self.taken_back().await };
        tokio::select! {
            biased;
            reason = self.taken_back() => reason,
            reason = over.reached() => reason,
        }
    }

    async fn taken_back(&mut self) -> Reason {
        loop {
            let left = self.until().map(|until| until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO));
            if left == Some(Duration::ZERO)
                && let Err(reason) = self.decide_again()
            {
                return reason;
            }
            tokio::select! {
                moved = self.changed.changed() => if moved.is_err() {
                    // Nobody is left who could take an answer back.
                    std::future::pending::<()>().await;
                },
                () = sleep(left) => {}
            }
            if let Err(reason) = self.decide_again() {
                return reason;
            }
        }
    }

    /// Whether the answer is still what it was admitted to, or why not; asks again only if something changed or ended.
    pub(super) fn holds(&mut self) -> Result<(), Reason> {
        let moved = self.changed.has_changed().unwrap_or(false);
        let ended = self.until().is_some_and(|until| until <= SystemTime::now());
        if !moved && !ended {
            return Ok(());
        }
        self.changed.mark_unchanged();
        self.decide_again()
    }

    fn until(&self) -> Option<SystemTime> {
        match self.admitted {
            Admitted::Pass { until } | Admitted::Look { until } => until,
        }
    }

    fn decide_again(&mut self) -> Result<(), Reason> {
        if self.gate.tunnels.is_cut(self.asker.attempt.id) {
            return Err(Reason::Refused);
        }
        self.admitted = self.gate.still_admits(&self.asker, self.admitted, self.doing)?;
        Ok(())
    }
}

async fn sleep(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

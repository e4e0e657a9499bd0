//! CONNECT (RFC 9110 section 9.3.6): the question is asked and the way out opened before the 200, the first bytes judged after it.
//!
//! Where rules look at requests no way out is opened: the 200 says only that exeat listens.

use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Parts};
use parking_lot::Mutex;

use super::http1::{Line, Reply};
use super::inside::{self, Around};
use super::wire::Wire;
use crate::egress::{Admission, AgentSide, Carried, Claim, Connected, Refusal, Unseen};

/// A tunnel on its way from the request that opened it to the connection that becomes it.
#[derive(Debug)]
pub(super) struct Handoff {
    tunnel: Tunnel,
    upgrade: OnUpgrade,
}

/// A tunnel that is admitted and of which no byte has passed.
#[derive(Debug)]
pub(super) enum Tunnel {
    Open(Box<Connected>),
    Unseen(Box<Unseen>),
}

impl Tunnel {
    /// Asks the gate, and opens the way out where it may be dialled.
    pub(super) async fn open(claim: Claim, line: &Line<'_>) -> Result<Self, Refusal> {
        Ok(match line.admit(claim).await? {
            Admission::Pass(permit) => Tunnel::Open(Box::new(line.ways.upstream.connect(permit).await?)),
            Admission::Look(unseen) => Tunnel::Unseen(Box::new(unseen)),
        })
    }

    /// Carries it until it is over.
    pub(super) async fn carry(self, agent: AgentSide, around: Around<'_>) {
        let carried = match self {
            Tunnel::Open(connected) => connected.tunnel(agent).await,
            Tunnel::Unseen(unseen) => unseen.tunnel(agent, &around.seat.ways().upstream.peek()).await,
        };
        match carried {
            Carried::Over(receipt) => tracing::debug!(attempt = %receipt.id, "a tunnel is over"),
            Carried::Http(interception, agent) => inside::plain(*interception, agent, around).await,
            Carried::Tls(interception, agent, config) => inside::tls(*interception, (agent, config), around).await,
        }
    }

    /// Gives it up before a byte of it is seen.
    fn close(self) {
        match self {
            Tunnel::Open(connected) => connected.close(),
            Tunnel::Unseen(unseen) => unseen.close(),
        }
    }
}

/// Opens the way out and says 200; the connection becomes the tunnel once that is written.
pub(super) async fn open(
    mut request: Request<Incoming>,
    claim: Claim,
    line: &Line<'_>,
    handoff: &Mutex<Option<Handoff>>,
) -> Result<Reply, Refusal> {
    let tunnel = Tunnel::open(claim, line).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    *handoff.lock() = Some(Handoff { tunnel, upgrade });
    Ok(Response::new(Either::Right(Full::default())))
}

/// Carries the tunnel in the task of its connection.
pub(super) async fn carry(handoff: Handoff, around: Around<'_>) {
    let Handoff { tunnel, upgrade } = handoff;
    match agent_side(upgrade).await {
        Some(agent) => tunnel.carry(agent, around).await,
        None => tunnel.close(),
    }
}

async fn agent_side(upgrade: OnUpgrade) -> Option<AgentSide> {
    upgrade.await.ok()?.downcast::<Wire>().ok().map(side)
}

/// The socket below, and what hyper has read of it beyond the request.
pub(super) fn side(whole: Parts<Wire>) -> AgentSide {
    let (_read_by_hyper, stream) = whole.io.into_parts();
    AgentSide { early: whole.read_buf, stream }
}

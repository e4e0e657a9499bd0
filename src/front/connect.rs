//! CONNECT (RFC 9110 section 9.3.6): the question is asked and the way out opened before the 200, the first bytes judged after it.
//!
//! Where rules look at requests no way out is opened: the 200 says only that exeat listens.

use std::net::SocketAddr;

use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Parts};
use parking_lot::Mutex;

use super::http1::{Line, Reply};
use super::inside::{self, Around};
use super::listener::Seat;
use super::wire::Wire;
use crate::egress::{Admission, AgentSide, Carried, Claim, Connected, Refusal, Unseen};

/// A tunnel on its way from the request that opened it to the connection that becomes it.
#[derive(Debug)]
pub(super) struct Handoff {
    tunnel: Tunnel,
    upgrade: OnUpgrade,
}

#[derive(Debug)]
enum Tunnel {
    Open(Box<Connected>),
    Unseen(Box<Unseen>),
}

/// Opens the way out and says 200; the connection becomes the tunnel once that is written.
pub(super) async fn open(
    mut request: Request<Incoming>,
    claim: Claim,
    line: &Line<'_>,
    handoff: &Mutex<Option<Handoff>>,
) -> Result<Reply, Refusal> {
    let tunnel = match line.admit(claim).await? {
        Admission::Pass(permit) => Tunnel::Open(Box::new(line.ways.upstream.connect(permit).await?)),
        Admission::Look(unseen) => Tunnel::Unseen(Box::new(unseen)),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    *handoff.lock() = Some(Handoff { tunnel, upgrade });
    Ok(Response::new(Either::Right(Full::default())))
}

/// Carries the tunnel in the task of its connection.
pub(super) async fn carry(handoff: Handoff, peer: SocketAddr, seat: &Seat) {
    let Handoff { tunnel, upgrade } = handoff;
    let agent = agent_side(upgrade).await;
    let carried = match (tunnel, agent) {
        (Tunnel::Open(connected), Some(agent)) => connected.tunnel(agent).await,
        (Tunnel::Unseen(unseen), Some(agent)) => unseen.tunnel(agent, &seat.ways().upstream.peek()).await,
        (Tunnel::Open(connected), None) => return connected.close(),
        (Tunnel::Unseen(unseen), None) => return unseen.close(),
    };
    match carried {
        Carried::Over(receipt) => tracing::debug!(attempt = %receipt.id, "a tunnel is over"),
        Carried::Http(interception, agent) => inside::plain(*interception, agent, Around { peer, seat }).await,
        Carried::Tls(interception, agent, config) => inside::tls(*interception, (agent, config), Around { peer, seat }).await,
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

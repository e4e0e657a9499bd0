//! CONNECT (RFC 9110 section 9.3.6): the question is asked and the way out opened before the 200, the first bytes judged after it.

use std::net::SocketAddr;

use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::http1::{Line, Reply};
use super::inside;
use super::listener::Seat;
use super::wire::Wire;
use crate::egress::{AgentSide, Carried, Claim, Connected, Refusal};

/// A tunnel on its way from the request that opened it to the connection that becomes it.
#[derive(Debug)]
pub(super) struct Handoff {
    connected: Connected,
    upgrade: OnUpgrade,
}

/// Opens the way out and says 200; the connection becomes the tunnel once that is written.
pub(super) async fn open(
    mut request: Request<Incoming>,
    claim: Claim,
    line: &Line<'_>,
    handoff: &Mutex<Option<Handoff>>,
) -> Result<Reply, Refusal> {
    let permit = line.admit(claim).await?;
    let connected = line.ways.upstream.connect(permit).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    *handoff.lock() = Some(Handoff { connected, upgrade });
    Ok(Response::new(Either::Right(Full::default())))
}

/// Carries the tunnel in the task of its connection.
pub(super) async fn carry(tunnel: Handoff, peer: SocketAddr, seat: &Seat, stop: CancellationToken) {
    let Handoff { connected, upgrade } = tunnel;
    let Some(agent) = agent(upgrade).await else { return connected.close() };
    match connected.tunnel(agent).await {
        Carried::Over(receipt) => tracing::debug!(attempt = %receipt.id, "a tunnel is over"),
        Carried::Http(interception, agent) => inside::serve(*interception, agent, peer, seat, stop).await,
    }
}

async fn agent(upgrade: OnUpgrade) -> Option<AgentSide> {
    let upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<Wire>().ok()?;
    let (_read_by_hyper, stream) = parts.io.into_parts();
    Some(AgentSide { early: parts.read_buf, stream })
}

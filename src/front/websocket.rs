//! A WebSocket on its way from the request that opened it to the connection that becomes it.

use http::header::UPGRADE;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::connect::side;
use super::http1::Reply;
use super::wire::Wire;
use crate::egress::{AgentEnd, WebSocket};
use crate::policy::reason::Reason;

/// A socket whose origin has said 101, and the connection that is to hear of it.
#[derive(Debug)]
pub(super) struct Socket {
    socket: Box<WebSocket>,
    upgrade: OnUpgrade,
}

impl Socket {
    pub(super) fn new(socket: Box<WebSocket>, upgrade: OnUpgrade) -> Self {
        Self { socket, upgrade }
    }

    /// Carries it in the task of its connection, until `outer` says why what it was found in is over.
    pub(super) async fn carry(self, outer: impl Future<Output = Reason>) {
        let Self { socket, upgrade } = self;
        let Some(agent) = agent_end(upgrade).await else { return };
        let receipt = socket.carry(agent, outer).await;
        tracing::debug!(attempt = %receipt.id, "a socket is over");
    }
}

/// A whole connection where that is what it is, for its bytes are then relayed by the kernel.
async fn agent_end(upgrade: OnUpgrade) -> Option<AgentEnd> {
    Some(match upgrade.await.ok()?.downcast::<Wire>() {
        Ok(whole) => AgentEnd::Socket(side(whole)),
        Err(within) => AgentEnd::Stream(Box::new(TokioIo::new(within))),
    })
}

/// Whether the agent speaks something else from here on if it is answered 101.
pub(super) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(UPGRADE)
}

/// The answer that opens a socket.
pub(super) fn switching(answer: Response<()>) -> Reply {
    answer.map(|()| Either::Right(Full::default()))
}

//! A WebSocket on its way from the request that opened it to the connection that becomes it.

use http::header::UPGRADE;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::upgrade::OnUpgrade;

use super::connect::agent_side;
use super::http1::Reply;
use crate::egress::WebSocket;
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
        let Some(agent) = agent_side(upgrade).await else { return };
        let receipt = socket.carry(agent, outer).await;
        tracing::debug!(attempt = %receipt.id, "a socket is over");
    }
}

/// Whether the agent speaks something else from here on if it is answered 101.
pub(super) fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(UPGRADE)
}

/// The 101 of an origin.
pub(super) fn switching(answer: Response<()>) -> Reply {
    answer.map(|()| Either::Right(Full::default()))
}

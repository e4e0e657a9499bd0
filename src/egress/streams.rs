//! Bytes both ways between two streams that are no bare sockets: within TLS, or one of several on a connection.
//!
//! Counted, half-close kept, silence bounded, as `relay` does it for sockets.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::carried::Carried;
use super::relay::Relayed;
use super::secure::OriginStream;
use super::watch::silence;
use super::websocket::Bytewise;
use crate::policy::reason::Reason;

const BUFFER: usize = 16 * 1024;

#[derive(Clone, Copy)]
enum Side {
    Agent,
    Origin,
}

/// Carries bytes until both directions have ended, one breaks, or nothing moves for `idle`.
pub(super) async fn relay(agent: Box<dyn Bytewise>, (early, origin): (Bytes, OriginStream), carried: &Carried, idle: Duration) -> Relayed {
    let ((from_agent, to_agent), (from_origin, to_origin)) = (tokio::io::split(agent), tokio::io::split(origin));
    let both = async {
        let up = pump((from_agent, Side::Agent), (to_origin, Side::Origin), carried, Carried::count_up);
        let down = pump((early.chain(from_origin), Side::Origin), (to_agent, Side::Agent), carried, Carried::count_down);
        tokio::try_join!(up, down)
    };
    tokio::select! {
        ended = both => match ended {
            Ok(((), ())) => Relayed::Completed,
            Err(Side::Agent) => Relayed::AgentGone,
            Err(Side::Origin) => Relayed::OriginGone,
        },
        () = silence(carried, idle) => Relayed::Cut(Reason::Overloaded),
        () = carried.exhausted() => Relayed::Cut(Reason::Budget),
    }
}

/// One direction, to its end; the error names the side that broke.
async fn pump(
    (mut from, from_side): (impl AsyncRead + Unpin, Side),
    (mut to, to_side): (impl AsyncWrite + Unpin, Side),
    carried: &Carried,
    count: fn(&Carried, u64),
) -> Result<(), Side> {
    let mut buffer = vec![0; BUFFER].into_boxed_slice();
    loop {
        let read = match from.read(&mut buffer).await {
            // Many close TLS without saying so; what is within says by itself where it ends.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            read => read.map_err(|_broken| from_side)?,
        };
        if read == 0 {
            // A side that is gone already shows in the other direction.
            let _ = to.shutdown().await;
            return Ok(());
        }
        let may = carried.take(read);
        let sent = async {
            to.write_all(&buffer[..may]).await?;
            to.flush().await
        };
        sent.await.map_err(|_broken: std::io::Error| to_side)?;
        count(carried, may as u64);
        if may < read {
            carried.exhaust();
            std::future::pending::<()>().await;
        }
    }
}

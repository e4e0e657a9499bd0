//! The API for people, on a unix socket in the state folder. Who may connect is the same uid or root; no agent reaches it.

mod api;
pub mod page;
mod peer;
mod socket;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use api::{Approve, Deny, Problem, ScopeWord};
pub(crate) use peer::name_of;
pub use socket::{BindError, SOCKET, Socket, bind};

use crate::approval::HoldDesk;

/// Connections at a time. Those above it wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);

/// What the rest of exeat does for people who ask here.
pub trait AdminHooks: Send + Sync + std::fmt::Debug {
    /// Reads the tokens again. The text says what is wrong with them.
    fn reload_tokens(&self) -> Result<(), String>;

    /// Reads policy again, and says what came of it once it is in force; `None` where exeat is stopping.
    fn reload(&self) -> BoxFuture<'_, Option<Value>>;

    /// The agents, a JSON array of objects.
    fn agents(&self) -> Value;
}

/// Serves until stopped, then removes the socket.
pub async fn serve(socket: Socket, desk: Arc<HoldDesk>, hooks: Arc<dyn AdminHooks>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&socket.listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let Some(approver) = peer::approver(&stream) else {
            tracing::warn!("a connection to the admin socket from another user was closed");
            continue;
        };
        let caller = api::Caller { desk: Arc::clone(&desk), hooks: Arc::clone(&hooks), approver: approver.into(), stop: stop.clone() };
        let stop = stop.clone();
        open.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = answer(stream, caller) => {}
            }
            drop(place);
        });
    }
    socket.remove();
    open.close();
    open.wait().await;
}

async fn accept(listener: &UnixListener, places: &Arc<Semaphore>) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "the admin socket accepts nothing at the moment");
            // Nearly always for want of descriptors; trying again at once would only burn the processor.
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn answer(stream: UnixStream, caller: api::Caller) {
    let service = service_fn(move |request| {
        let caller = caller.clone();
        async move { Ok::<_, std::convert::Infallible>(api::route(request, caller).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(32).max_buf_size(16 * 1024);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an admin connection broke");
    }
}

#[cfg(test)]
mod tests;

//! The two listeners: who connects, how many at a time, and how long a head may take.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::caller::Arrival;
use super::socket::Socket;
use super::{Api, peer, routes};

/// Connections to the socket at a time. Those above it wait in the kernel's queue.
const TO_SOCKET: usize = 64;

/// Connections over TCP at a time.
const OVER_TCP: usize = 256;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);

/// How long what was sent may stay unacknowledged: an approver whose machine is gone is not present.
const GONE: Duration = Duration::from_secs(30);

/// The largest head.
const HEAD_SIZE: usize = 16 * 1024;

/// Serves the socket until stopped, then removes it.
pub async fn serve(socket: Socket, api: Arc<Api>, stop: CancellationToken) {
    let (router, places, open) = (routes::router(api), Arc::new(Semaphore::new(TO_SOCKET)), TaskTracker::new());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&socket.listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let Some(name) = peer::approver(&stream) else {
            tracing::warn!("a connection to the admin socket from another user was closed");
            continue;
        };
        open.spawn(connection(stream, router.clone(), Arrival::Socket { name: name.into() }, (stop.clone(), place)));
    }
    socket.remove();
    open.close();
    open.wait().await;
}

/// Serves page and API over TCP until stopped.
pub async fn serve_page(listener: TcpListener, api: Arc<Api>, stop: CancellationToken) {
    let (router, places, open) = (routes::router(api), Arc::new(Semaphore::new(OVER_TCP)), TaskTracker::new());
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, peer)| Ok((stream.local_addr()?, stream, peer))) {
            Ok((local, stream, peer)) => {
                notices_the_dead(&stream);
                open.spawn(connection(stream, router.clone(), Arrival::Tcp { peer, local }, (stop.clone(), place)));
            }
            Err(error) => {
                tracing::debug!(%error, "the admin listener accepts nothing at the moment");
                pause().await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

async fn accept(listener: &UnixListener, places: &Arc<Semaphore>) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::debug!(%error, "the admin socket accepts nothing at the moment");
            pause().await;
            None
        }
    }
}

/// Without that the kernel tries for a quarter of an hour.
#[cfg(target_os = "linux")]
fn notices_the_dead(stream: &TcpStream) {
    let limit = u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, limit) {
        tracing::debug!(%error, "a dead admin connection will be noticed late");
    }
}

#[cfg(not(target_os = "linux"))]
fn notices_the_dead(_: &TcpStream) {}

/// Nearly always it is for want of descriptors; trying again at once would only burn the processor.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn connection<S>(stream: S, router: Router, arrival: Arrival, until: (CancellationToken, OwnedSemaphorePermit))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stop, place) = until;
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(arrival.clone());
        router.clone().oneshot(request)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(64).max_buf_size(HEAD_SIZE);
    let served = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        served = served => if let Err(error) = served {
            tracing::debug!(%error, "an admin connection broke");
        }
    }
    drop(place);
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "tests")]
#[expect(clippy::disallowed_methods, reason = "the test is the peer")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_acknowledges_nothing_is_given_up_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(rustix::net::sockopt::tcp_user_timeout(&peer), Ok(0));
        notices_the_dead(&peer);
        assert_eq!(rustix::net::sockopt::tcp_user_timeout(&peer), Ok(30_000));
    }
}

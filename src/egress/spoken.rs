//! HTTP on a way out: what the origin chose is spoken on it, within bounds.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::interception::Speaks;
use super::interim::Counted;
use super::pool::{Parked, Sender};
use super::refusal::NetworkFault;
use super::upstream::{Dialled, UpstreamSettings};

/// What may wait for an agent in one stream, and in all streams of one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What may wait for the origin in one stream.
const SEND_BUFFER: usize = 64 * 1024;

/// The longest head of an answer; RFC 9113 section 6.5.2 lets the origin know.
const HEAD: u32 = 128 * 1024;

const PING: Duration = Duration::from_secs(60);
const PONG: Duration = Duration::from_secs(20);

/// Streams reset by the origin before they were asked for, and by us for what it did wrong, before it is given up (CVE-2023-44487).
const RESETS: usize = 64;

/// Speaks HTTP over the connection; a task of its own drives it until whoever holds it lets it go.
pub(super) async fn ready(dialled: Dialled, settings: &UpstreamSettings) -> Result<Parked, NetworkFault> {
    let Dialled { stream, peer, speaks } = dialled;
    match speaks {
        Speaks::Http1 => {
            let mut builder = http1::Builder::new();
            builder.preserve_header_case(true);
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_broken| NetworkFault::Broken)?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    tracing::debug!(%error, "an upstream connection broke");
                }
            });
            Ok(Parked::new(Sender::Http1(sender), peer, driver.abort_handle(), Arc::default()))
        }
        Speaks::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(HEAD)
                .max_pending_accept_reset_streams(RESETS)
                .max_local_error_reset_streams(RESETS)
                .keep_alive_interval(PING.min(settings.idle))
                .keep_alive_timeout(PONG);
            let stream = TokioIo::new(Counted::new(stream));
            let (sender, mut connection) = builder.handshake(stream).await.map_err(|_broken| NetworkFault::Broken)?;
            let room = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
            let told = Arc::clone(&room);
            let driver = tokio::spawn(async move {
                let driven = poll_fn(|cx| {
                    let polled = Pin::new(&mut connection).poll(cx);
                    told.store(connection.current_max_send_streams(), Ordering::Relaxed);
                    polled
                });
                if let Err(error) = driven.await {
                    tracing::debug!(%error, "an upstream connection broke");
                }
            });
            Ok(Parked::new(Sender::Http2(sender), peer, driver.abort_handle(), room))
        }
    }
}

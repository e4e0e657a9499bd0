//! HTTP/2 within a tunnel (RFC 9113): each stream is one request, and all of them run in the task of their connection.
//!
//! So whatever ends the tunnel ends its streams first, each with its own last word; and none of them costs a task.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::header::CONNECTION;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::http1::{Lane, Reply, ended_badly};
use super::inside::Inside;
use super::listener::FrontSettings;
use crate::egress::{self, InnerEnd};
use crate::policy::reason::Reason;

/// Requests at a time of one connection.
const STREAMS: u32 = 128;

/// What may wait in one stream, and in all of one connection, until its origin takes it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What may wait in one stream until the agent takes it.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that were reset before they were served, and such as were reset for what is wrong with them, before the connection is ended
/// (CVE-2023-44487 and its kin). CONTINUATION frames are bounded by the length of a head.
const RESETS_BEFORE_SERVED: usize = 20;
const RESETS_FOR_FAULTS: usize = 128;

/// So many bytes of a head beyond the limit are read yet: the library keeps to itself what it refuses, and what is read is refused and recorded.
const READ_ABOVE: usize = 96 * 1024;

/// A connection without a stream is asked for life this often,
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);

/// and ended in order after so long, twice that at most.
const QUIET: Duration = Duration::from_secs(60);

tokio::task_local! {
    /// The stream's own, wherever hyper polls what serves it.
    static LANE: Arc<Lane>;
}

/// One stream while it is served.
type Stream<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where hyper puts the streams of one connection.
#[derive(Clone)]
struct Streams<'a> {
    new: mpsc::UnboundedSender<Stream<'a>>,
    over: CancellationToken,
    /// Streams begun so far, and those that are open.
    begun: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl<'a, F: Future<Output = ()> + Send + 'a> Executor<F> for Streams<'a> {
    fn execute(&self, served: F) {
        let over = self.over.clone();
        let counted = Counted::new(self);
        let stream = async move {
            let _counted = counted;
            let (watch, watching) = egress::watch();
            let lane = Arc::new(Lane::new(watch));
            tokio::select! {
                // The request before its watch, and that before the tunnel: what is cut is recorded as cut.
                biased;
                () = LANE.scope(Arc::clone(&lane), served) => {}
                _reason = watching.cut() => return,
                () = over.cancelled() => return,
            }
            let socket = lane.socket.lock().take();
            if let Some(socket) = socket {
                // It hears itself of the end of its tunnel.
                socket.carry(std::future::pending()).await;
            }
        };
        // Once nobody takes it the connection is over, and this stream with it.
        let _ = self.new.send(Box::pin(stream));
    }
}

/// One stream that is open.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(streams: &Streams<'_>) -> Self {
        streams.begun.fetch_add(1, Ordering::Relaxed);
        streams.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&streams.open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the streams of one connection until either side ends it or its own answer is no longer allow.
pub(super) async fn serve(inside: &Inside<'_>, io: impl Read + Write + Unpin + Send + 'static) -> InnerEnd {
    let ways = inside.line.ways;
    let (new, mut arriving) = mpsc::unbounded_channel();
    let mut running = FuturesUnordered::new();
    let streams = Streams { new, over: CancellationToken::new(), begun: Arc::default(), open: Arc::default() };
    let service = service_fn(move |request| async move {
        let lane = LANE.with(Arc::clone);
        let mut reply = inside.answer(request, &lane).await;
        reply.headers_mut().remove(CONNECTION);
        Ok::<Reply, Infallible>(reply)
    });
    let mut connection = pin!(builder(&ways.settings, streams.clone()).serve_connection(io, service));
    let mut over = pin!(over(inside));
    let mut last = pin!(last(&streams, &ways.stop.drain, QUIET.max(ways.settings.head_timeout)));
    let mut ending = false;
    let end = loop {
        tokio::select! {
            biased;
            Some(stream) = arriving.recv() => running.push(stream),
            Some(()) = running.next(), if !running.is_empty() => {}
            served = connection.as_mut() => match served {
                Ok(()) if ways.stop.now.is_cancelled() => break InnerEnd::Cut(Reason::Internal),
                Ok(()) => break InnerEnd::Closed,
                Err(error) => break broke(&error, inside).await,
            },
            end = over.as_mut() => break end,
            () = last.as_mut(), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let InnerEnd::Cut(reason) = end {
        inside.interception.cut(reason);
        streams.over.cancel();
        // Each hears of it before its connection is gone, which would look as if the agent had left.
        while running.next().await.is_some() {}
    }
    // What has ended in order with its connection is recorded so.
    while let Some(Some(())) = running.next().now_or_never() {}
    end
}

/// Resolves when the tunnel may go on no longer, or has nobody at its other end.
async fn over(inside: &Inside<'_>) -> InnerEnd {
    tokio::select! {
        biased;
        reason = inside.interception.lost() => InnerEnd::Cut(reason),
        () = inside.line.ways.stopped() => InnerEnd::Cut(Reason::Internal),
        () = inside.line.gone() => InnerEnd::Broken,
    }
}

/// Resolves when no further stream is taken: the process is to stop, or there was none for a while.
async fn last(streams: &Streams<'_>, stop: &CancellationToken, quiet: Duration) {
    let unused = async {
        let mut begun = 0;
        loop {
            tokio::time::sleep(quiet).await;
            let before = std::mem::replace(&mut begun, streams.begun.load(Ordering::Relaxed));
            if before == begun && streams.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = unused => {}
    }
}

/// How a connection ends that cannot go on: cut for a flood, or what came on it is no HTTP/2.
async fn broke(error: &hyper::Error, inside: &Inside<'_>) -> InnerEnd {
    let ways = inside.line.ways;
    ended_badly(error, ways);
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    let Some(ours) = source.filter(|error| error.is_library() && error.is_go_away()) else { return InnerEnd::Broken };
    if ours.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
        ways.limit_hit("streams");
        return InnerEnd::Cut(Reason::Overloaded);
    }
    inside.unreadable().await;
    InnerEnd::Broken
}

/// The server side of HTTP/2 with our limits.
fn builder<'a>(settings: &FrontSettings, streams: Streams<'a>) -> Builder<Streams<'a>> {
    let mut builder = Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(settings.head.saturating_add(READ_ABOVE)).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_BEFORE_SERVED)
        .max_local_error_reset_streams(RESETS_FOR_FAULTS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .auto_date_header(false)
        .enable_connect_protocol();
    builder
}

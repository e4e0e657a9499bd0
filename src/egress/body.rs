//! Bodies on their way through: counted, bounded in silence, and the download is what ends a forwarded attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::live::Live;
use super::open::{Carried, Open};
use super::pool::{Key, Parked, Pool};
use super::record::Outcome;
use crate::policy::reason::Reason;

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection it came from broke.
    #[error("the connection broke: {0}")]
    Connection(#[from] hyper::Error),
    /// Nothing came for longer than `limits.idle`.
    #[error("nothing came for too long")]
    Idle,
    /// The answer is allow no longer.
    #[error("the policy changed")]
    PolicyChanged,
}

/// A request's body on its way to the origin. Trailers are dropped: `TE` is not passed on, so none are promised.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Incoming,
    carried: Arc<Carried>,
}

impl Upload {
    pub(super) fn new(inner: Incoming, carried: Arc<Carried>) -> Self {
        Self { inner, carried }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
            if let Some(data) = frame.data_ref() {
                self.carried.up.fetch_add(data.len() as u64, Ordering::Relaxed);
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body. When it ends so does its attempt, and the connection is parked; dropped early, the agent went away.
#[derive(Debug)]
pub struct RecordedBody {
    inner: Incoming,
    silence: Pin<Box<Sleep>>,
    idle: Duration,
    live: Live,
    attempt: Option<(Open, Return)>,
}

/// Where the connection goes when the body has ended.
#[derive(Debug)]
pub(super) struct Return {
    pub(super) pool: Arc<Pool>,
    pub(super) key: Key,
    pub(super) parked: Parked,
}

impl RecordedBody {
    pub(super) fn new(inner: Incoming, open: Open, live: Live, back: Return, idle: Duration) -> Self {
        let silence = Box::pin(tokio::time::sleep(idle));
        let mut body = Self { inner, silence, idle, live, attempt: Some((open, back)) };
        if body.inner.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some((mut open, Return { pool, key, parked })) = self.attempt.take() {
            let reason = open.reason();
            open.will_end(Outcome::Completed, reason);
            drop(open);
            pool.park(key, parked);
        }
    }

    fn break_off(&mut self, outcome: Outcome, reason: Reason, error: Broken) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some((mut open, _closed)) = self.attempt.take() {
            open.will_end(outcome, reason);
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if !self.live.holds() {
                return self.break_off(Outcome::Cut, Reason::PolicyChanged, Broken::PolicyChanged);
            }
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let idle = self.idle;
                    self.silence.as_mut().reset(Instant::now() + idle);
                    let Some(data) = frame.data_ref() else { continue };
                    if let Some((open, _)) = &self.attempt {
                        open.carried.down.fetch_add(data.len() as u64, Ordering::Relaxed);
                    }
                    if self.inner.is_end_stream() {
                        self.finish();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => return self.break_off(Outcome::Failed, Reason::Unreachable, error.into()),
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(self.silence.as_mut().poll(cx));
                    return self.break_off(Outcome::Cut, Reason::Overloaded, Broken::Idle);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.attempt.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

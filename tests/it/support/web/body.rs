//! A body made piece by piece, by somebody else than who sends it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The end that is sent.
#[derive(Debug)]
pub(crate) struct Flow {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Cut>>,
    empty: bool,
}

/// The end that is written to. The body ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Tap(mpsc::Sender<Result<Frame<Bytes>, Cut>>);

/// The body broke off.
#[derive(Debug)]
pub(crate) struct Cut;

impl Flow {
    /// Both ends; one piece may wait to be sent.
    pub(crate) fn new() -> (Tap, Self) {
        let (sender, frames) = mpsc::channel(1);
        (Tap(sender), Self { frames, empty: false })
    }

    /// All of it at once.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let (sender, frames) = mpsc::channel(1);
        let empty = bytes.is_empty();
        if !empty {
            sender.try_send(Ok(Frame::data(bytes))).unwrap();
        }
        Self { frames, empty }
    }
}

impl Tap {
    /// Sends a piece; `false` once nobody takes it.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Ends with trailers.
    pub(crate) async fn trailers(self, trailers: HeaderMap) {
        let _ = self.0.send(Ok(Frame::trailers(trailers))).await;
    }

    /// Breaks off.
    pub(crate) async fn cut(self) {
        let _ = self.0.send(Err(Cut)).await;
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.frames.poll_recv(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.empty
    }

    fn size_hint(&self) -> SizeHint {
        if self.empty { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body breaks off here")
    }
}

impl std::error::Error for Cut {}

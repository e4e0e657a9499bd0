//! Bodies on their way through, counted. The end of the download is the end of a forwarded attempt.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::carried::Carried;
use super::content::Content;
use super::hygiene;
use super::leaking::Leak;
use super::masked::Masked;
use super::record::Outcome;
use super::watch::Underway;
use crate::policy::reason::Reason;

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection it came from broke.
    #[error("the connection broke: {0}")]
    Connection(#[from] hyper::Error),
    /// exeat ended it.
    #[error("the exchange was cut")]
    Cut,
    /// Something that may not leave was found in it.
    #[error("a leak rule spoke")]
    Leak(Box<Leak>),
}

/// Which trailers may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trailers {
    /// None: `TE` is not passed on, so none are promised.
    Dropped,
    /// Those that neither frame, route nor authorise (RFC 9110 section 6.5.1).
    Passed,
}

impl Trailers {
    /// What of a frame that is no data may pass.
    fn of(self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let mut fields = frame.into_trailers().ok().filter(|_| self == Trailers::Passed)?;
        hygiene::trailers(&mut fields);
        Some(Frame::trailers(fields)).filter(|frame| frame.trailers_ref().is_some_and(|fields| !fields.is_empty()))
    }
}

/// A request's body on its way to the origin.
#[derive(Debug)]
pub(super) struct Upload {
    /// None: there is none.
    inner: Option<Content>,
    carried: Arc<Carried>,
    trailers: Trailers,
    /// Not the whole of the last piece could pass.
    spent: bool,
}

impl Upload {
    pub(super) fn new(inner: Content, carried: Arc<Carried>, trailers: Trailers) -> Self {
        if inner.is_end_stream() {
            carried.upload_over();
        }
        Self { inner: Some(inner), carried, trailers, spent: false }
    }

    /// The same again, where it is nothing.
    pub(super) fn again(&self) -> Option<Self> {
        let Self { inner, carried, trailers, spent } = self;
        let nothing = !spent && inner.as_ref().is_none_or(Body::is_end_stream);
        nothing.then(|| Self { inner: None, carried: Arc::clone(carried), trailers: *trailers, spent: false })
    }

    fn is_at_its_end(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if self.spent {
                self.carried.exhaust();
            }
            if self.spent || self.carried.poll_closed(cx) {
                return Poll::Ready(Some(Err(Broken::Cut)));
            }
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            let mut frame = ready!(Pin::new(inner).poll_frame(cx));
            if let Some(Err(Broken::Leak(leak))) = frame {
                self.carried.leak(*leak);
                return Poll::Ready(Some(Err(Broken::Cut)));
            }
            if let Some(Ok(data)) = &mut frame {
                self.spent = !within_budget(data, &self.carried);
            }
            if let Some(Ok(frame)) = &frame {
                self.carried.count_up(frame.data_ref().map_or(0, Bytes::len) as u64);
            }
            // After it is counted: the attempt may end with this.
            if !self.spent && (frame.is_none() || self.is_at_its_end()) {
                self.carried.upload_over();
            }
            let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
            if frame.is_data() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if let Some(trailers) = self.trailers.of(frame) {
                self.carried.upload_over();
                return Poll::Ready(Some(Ok(trailers)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.spent && self.is_at_its_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Cuts a piece of a body to what of it may pass. `false`: that is not the whole.
fn within_budget(frame: &mut Frame<Bytes>, carried: &Carried) -> bool {
    let Some(data) = frame.data_mut() else { return true };
    let may = carried.take(data.len());
    let whole = may >= data.len();
    data.truncate(may);
    whole
}

/// An answer's body. When it ends so does its attempt; dropped early, the agent went away.
#[derive(Debug)]
pub struct RecordedBody {
    inner: Masked,
    underway: Arc<Underway>,
    trailers: Trailers,
    /// Not the whole of the last piece could pass.
    spent: bool,
}

impl RecordedBody {
    pub(super) fn new(inner: Masked, underway: Arc<Underway>, trailers: Trailers) -> Self {
        if inner.is_end_stream() {
            underway.complete();
        }
        Self { inner, underway, trailers, spent: false }
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if self.spent {
                self.underway.end(Outcome::Cut, Reason::Budget);
            }
            if self.spent || self.underway.is_over() && !self.inner.is_end_stream() {
                return Poll::Ready(Some(Err(Broken::Cut)));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(mut frame)) => {
                    self.spent = !within_budget(&mut frame, self.underway.carried());
                    let Some(data) = frame.data_ref() else {
                        let Some(trailers) = self.trailers.of(frame) else { continue };
                        // Nothing follows them, and nobody asks whether it does.
                        self.underway.complete();
                        return Poll::Ready(Some(Ok(trailers)));
                    };
                    self.underway.carried().count_down(data.len() as u64);
                    if !self.spent && self.inner.is_end_stream() {
                        self.underway.complete();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => {
                    self.underway.end(Outcome::Failed, Reason::Unreachable);
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    self.underway.complete();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.spent && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        self.underway.abandon();
    }
}

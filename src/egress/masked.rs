//! An answer in which values that exeat put into its request are stars: fields, body and trailers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::secrets::mask::{Masker, Masking};

/// An answer's body on its way to the agent.
#[derive(Debug)]
pub(super) struct Masked {
    inner: Incoming,
    masking: Option<Box<Masking>>,
    /// They follow what is held back.
    trailers: Option<Box<HeaderMap>>,
    ended: bool,
}

impl Masked {
    /// Masked where there is something to mask.
    pub(super) fn new(inner: Incoming, masker: Option<Arc<Masker>>) -> Self {
        Self { inner, masking: masker.map(|masker| Box::new(Masking::new(masker))), trailers: None, ended: false }
    }
}

/// Masks what fields say. `false`: the body is in a coding, in which a value cannot be seen.
pub(super) fn mask(masker: &Masker, headers: &mut HeaderMap) -> bool {
    for value in headers.values_mut() {
        if let Some(masked) = masker.whole(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&masked).unwrap_or_else(|_not_a_value| HeaderValue::from_static(""));
        }
    }
    headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

impl Body for Masked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(masking) = &mut this.masking else { return Pin::new(&mut this.inner).poll_frame(cx) };
        loop {
            if this.ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))));
            }
            let passed = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => masking.pass(&data),
                    Err(frame) => {
                        this.ended = true;
                        this.trailers = frame.into_trailers().ok().map(Box::new);
                        if let Some(trailers) = &mut this.trailers {
                            mask(masking.masker(), trailers);
                        }
                        masking.end()
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.ended = true;
                    masking.end()
                }
            };
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(passed))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let held = self.masking.as_ref().is_some_and(|masking| masking.held() > 0);
        self.trailers.is_none() && !held && (self.ended || self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.masking.as_ref().map_or(0, |masking| masking.held()) as u64;
        let mut hint = self.inner.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + held);
        }
        hint.set_lower(hint.lower() + held);
        hint
    }
}

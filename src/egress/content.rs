//! A request's body: what was read of it before the decision, and the rest, looked at for leaks as it passes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::Broken;
use super::leaking::{Leak, fields};
use crate::policy::leaks::{LeakFound, LeakPlace};
use crate::policy::rule::RuleRef;
use crate::secrets::scan::{Finds, Scan};

/// The beginning of a body is waited for as long as it comes, and so long in all: some bodies wait for an answer themselves.
const SILENCE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

/// A request's body on its way into an exchange.
#[derive(Debug)]
pub struct Content {
    early: VecDeque<Bytes>,
    inner: Incoming,
    guard: Option<Guard>,
    /// Nothing more is asked of `inner`; this follows what is still here.
    end: Option<End>,
}

/// What looks at a body, and where that is written.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) scan: Scan,
    pub(super) place: RuleRef,
}

#[derive(Debug)]
enum End {
    Trailers(HeaderMap),
    Broken(hyper::Error),
    Cut,
    Nothing,
}

impl From<Incoming> for Content {
    fn from(inner: Incoming) -> Self {
        Self { early: VecDeque::new(), inner, guard: None, end: None }
    }
}

impl Content {
    /// Reads the first `most` bytes, or as many as come, and says what is found in them. What is found is excused from here on: it is told,
    /// and whether it passes is decided. The rest is looked at as it is read.
    pub(super) async fn begun(inner: Incoming, guard: Guard, most: usize) -> (Self, Finds) {
        let mut content = Self { guard: Some(guard), ..Self::from(inner) };
        let (longest, mut read, mut finds) = (Instant::now() + LONGEST, 0, Finds::new());
        while read < most && content.end.is_none() {
            let frame = timeout_at(longest.min(Instant::now() + SILENCE), content.inner.frame());
            let Ok(frame) = frame.await else { break };
            read += frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            let mut taken = content.take(frame);
            while let Err(found) = taken {
                content.excuse(&found);
                finds.extend(found);
                taken = if content.end.is_some() { content.finish() } else { content.pass(Bytes::new()) };
            }
        }
        (content, finds)
    }

    /// The body of which nothing was read.
    pub(super) fn into_inner(self) -> Incoming {
        self.inner
    }

    /// Nothing is told of these any more.
    pub(super) fn excuse(&mut self, rules: &[std::sync::Arc<str>]) {
        if let Some(Guard { scan, place: _ }) = &mut self.guard {
            scan.excuse(rules);
        }
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Result<(), Finds> {
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => self.pass(data),
            Some(Ok(Err(frame))) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let found = self.guard.as_ref().map(|guard| guard.scan.look_beside(&fields(&trailers))).unwrap_or_default();
                self.end = Some(End::Trailers(trailers));
                if found.is_empty() { self.finish() } else { Err(found) }
            }
            Some(Err(error)) => {
                self.end = Some(End::Broken(error));
                Ok(())
            }
            None => {
                self.end = Some(End::Nothing);
                self.finish()
            }
        }
    }

    fn pass(&mut self, data: Bytes) -> Result<(), Finds> {
        let passed = match &mut self.guard {
            Some(guard) => guard.scan.pass(data)?,
            None => data,
        };
        self.early.extend(Some(passed).filter(|passed| !passed.is_empty()));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Finds> {
        if let Some(guard) = &mut self.guard {
            let rest = guard.scan.end()?;
            self.early.extend(Some(rest).filter(|rest| !rest.is_empty()));
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.guard.as_ref().map_or(0, |guard| guard.scan.held())
    }

    fn leak(&self, rules: Finds) -> Broken {
        let place = self.guard.as_ref().map_or_else(|| RuleRef { file: "".into(), line: 0 }, |guard| guard.place.clone());
        Broken::Leak(Box::new(Leak { place, found: LeakFound { rules: rules.into(), place: LeakPlace::Body } }))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(data) = self.early.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if let Some(end) = &mut self.end {
                return Poll::Ready(match std::mem::replace(end, End::Nothing) {
                    End::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
                    End::Broken(error) => Some(Err(error.into())),
                    End::Cut => {
                        *end = End::Cut;
                        Some(Err(Broken::Cut))
                    }
                    End::Nothing => None,
                });
            }
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            if let Err(found) = self.take(frame) {
                self.end = Some(End::Cut);
                return Poll::Ready(Some(Err(self.leak(found))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.early.is_empty()
            && match &self.end {
                Some(End::Nothing) => true,
                Some(End::Trailers(_) | End::Broken(_) | End::Cut) => false,
                None => self.held() == 0 && self.inner.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let kept = (self.early.iter().map(Bytes::len).sum::<usize>() + self.held()) as u64;
        let mut hint = match &self.end {
            Some(End::Nothing | End::Trailers(_)) => return SizeHint::with_exact(kept),
            // As many as were to come: it is not to look whole.
            Some(End::Broken(_) | End::Cut) => SizeHint::default(),
            None => self.inner.size_hint(),
        };
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(hint.lower() + kept);
        hint
    }
}

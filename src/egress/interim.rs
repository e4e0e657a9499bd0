//! Interim answers (RFC 9110 section 15.2), counted: an origin that sends no end of them gives no answer.
//!
//! Those of HTTP/2 wait in memory until whoever waits for the answer has a turn, so they are counted as they are read, and none of those above the
//! limit is kept. How long they are is bounded as heads are.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::ext::on_informational;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// So many for one request; a WebDAV server that says 102 every 20 seconds (RFC 2518 section 10.1) sends so many in half an hour.
pub(super) const MOST: usize = 100;

/// What a connection of HTTP/2 ends with that has too many.
pub(super) const TOO_MANY: &str = "too many interim answers";

/// Streams that are remembered; there are fewer at a time.
const STREAMS: usize = 1024;

const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Those to one request of HTTP/1.1, which keeps none.
#[derive(Debug)]
pub(super) struct Interim(CancellationToken);

impl Interim {
    /// Counts those to the request.
    pub(super) fn of<B>(request: &mut http::Request<B>) -> Self {
        let (enough, had) = (CancellationToken::new(), AtomicUsize::new(0));
        let told = enough.clone();
        on_informational(request, move |_interim| {
            if had.fetch_add(1, Ordering::Relaxed) >= MOST {
                told.cancel();
            }
        });
        Self(enough)
    }

    /// Resolves once there were too many.
    pub(super) async fn too_many(&self) {
        self.0.cancelled().await;
    }
}

/// A connection of HTTP/2 to an origin, which ends with the first stream that has too many.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    frames: Frames,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, frames: Frames::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.frames.read(&buf.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        buf.set_filled(before);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, TOO_MANY)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is known of frames (RFC 9113 section 4.1) of which bytes come in any pieces.
#[derive(Debug, Default)]
struct Frames {
    /// The head of the next one, as far as it came.
    head: [u8; FRAME_HEAD],
    had: usize,
    /// What is left of the one that its head was of.
    rest: usize,
    /// Heads on streams that had nothing else.
    heads: BTreeMap<u32, usize>,
}

impl Frames {
    /// `false`: a stream has too many.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return true;
            }
            let (more, behind) = bytes.split_at(bytes.len().min(FRAME_HEAD - self.had));
            self.head[self.had..self.had + more.len()].copy_from_slice(more);
            self.had += more.len();
            bytes = behind;
            if self.had == FRAME_HEAD {
                self.had = 0;
                let [long, longer, longest, kind, flags, stream @ ..] = self.head;
                self.rest = u32::from_be_bytes([0, long, longer, longest]) as usize;
                if !self.frame((kind, flags), u32::from_be_bytes(stream) & (u32::MAX >> 1)) {
                    return false;
                }
            }
        }
    }

    /// A head that does not end its stream is an interim one, or the answer's, behind which only content or the end may come.
    fn frame(&mut self, (kind, flags): (u8, u8), stream: u32) -> bool {
        if kind == HEADERS && flags & END_STREAM == 0 {
            let heads = self.heads.entry(stream).or_default();
            *heads += 1;
            let few = *heads <= MOST + 1;
            if self.heads.len() > STREAMS {
                // The oldest: a stream that was given up here may never end there.
                self.heads.pop_first();
            }
            return few;
        }
        if [HEADERS, DATA, RST_STREAM].contains(&kind) {
            self.heads.remove(&stream);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags];
        bytes.extend(stream.to_be_bytes());
        // Content that looks like the head of a frame.
        bytes.extend([0, 0, 0, HEADERS, 0, 0, 0, 0, 1].iter().cycle().take(length.into()));
        bytes
    }

    fn head(stream: u32) -> Vec<u8> {
        frame(HEADERS, 4, stream, 20)
    }

    /// How many of these frames are read before there are too many, in pieces of so many bytes.
    fn taken(frames: &[Vec<u8>], pieces: usize) -> usize {
        let mut read = Frames::default();
        frames.iter().take_while(|frame| frame.chunks(pieces).all(|piece| read.read(piece))).count()
    }

    #[test]
    fn the_heads_of_a_stream_are_counted_until_something_else_comes_on_it() {
        let many = |count: usize| (0..count).map(|_| head(1)).collect::<Vec<_>>();
        let last = |kind, flags| vec![frame(kind, flags, 1, 9)];
        let others = (0..500).flat_map(|at| [head(1), frame(DATA, 0, 2 * at + 3, 1), head(2 * at + 3)]).collect::<Vec<_>>();
        let each = (0..500).flat_map(|at| [head(2 * at + 1), head(2 * at + 1), frame(DATA, 0, 2 * at + 1, 30)]).collect::<Vec<_>>();
        for (what, frames, wanted) in [
            ("as many as may be, the answer and its content", [many(MOST + 1), last(DATA, 1)].concat(), MOST + 2),
            ("one more", many(MOST + 3), MOST + 1),
            ("as many after content", [many(MOST + 1), last(DATA, 0), many(MOST + 1)].concat(), 2 * MOST + 3),
            ("as many after trailers", [many(MOST + 1), last(HEADERS, END_STREAM), many(MOST + 1)].concat(), 2 * MOST + 3),
            ("as many after a reset", [many(MOST + 1), last(RST_STREAM, 0), many(MOST + 1)].concat(), 2 * MOST + 3),
            ("other frames between them", (0..500).flat_map(|_| [head(1), frame(6, 0, 0, 8)]).collect(), 2 * (MOST + 1)),
            ("other streams between them", others, 3 * (MOST + 1)),
            ("a few on each of many streams", each, 1500),
        ] {
            for pieces in [1, 7, 9, 64, 4096] {
                assert_eq!(taken(&frames, pieces), wanted, "{what}, {pieces} bytes at a time");
            }
        }
    }

    #[test]
    fn streams_that_never_end_are_not_remembered_for_ever() {
        let mut frames = Frames::default();
        assert!((0..5000).all(|at| frames.read(&head(2 * at + 1))));
        assert_eq!(frames.heads.len(), STREAMS);
    }
}

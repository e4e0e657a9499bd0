//! An agent's socket as hyper reads and writes it, shared so that a hang-up is noticed while hyper is not reading.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use hyper::rt::{Read, ReadBufCursor, Write};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How often a waiting agent is looked for.
const GLANCE: Duration = Duration::from_secs(1);
const BUFFER: usize = 16 * 1024;

/// How long what an agent still sends after its last answer is read: in all, and each piece. As long as nginx' `lingering_time` and
/// `lingering_timeout`.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_FOR_MORE: Duration = Duration::from_secs(5);

/// The socket, and bytes read from it before hyper came.
#[derive(Debug)]
pub(super) struct Wire {
    early: Bytes,
    stream: Arc<TcpStream>,
    heard: Heard,
    /// How long a write may wait for an agent that does not read.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Whether anything was read since this was last asked: an agent that began to speak is owed an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wire {
    pub(super) fn new(early: Bytes, stream: Arc<TcpStream>, heard: Heard, idle: Duration) -> Self {
        // Twice, as the watch over an exchange is to cut it first, and record that.
        Self { early, stream, heard, patience: idle * 2, stalled: None }
    }

    pub(super) fn into_parts(self) -> (Bytes, Arc<TcpStream>) {
        (self.early, self.stream)
    }
}

/// Resolves once the agent has closed its side.
pub(super) async fn hung_up(stream: &TcpStream) {
    loop {
        tokio::time::sleep(GLANCE).await;
        let state = stream.ready(Interest::READABLE).now_or_never();
        if state.is_some_and(|ready| ready.map_or(true, |ready| ready.is_read_closed())) {
            return;
        }
    }
}

/// Reads what nobody wants until the agent closes its side: a socket that closes over unread bytes is reset, and takes the answer along
/// (RFC 9112 section 9.6). Its write side is closed by then.
pub(super) async fn linger(stream: &TcpStream) {
    hear_out(|| async {
        if stream.readable().await.is_err() {
            return false;
        }
        match stream.try_read(&mut [0; BUFFER]) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    })
    .await;
}

/// Takes one piece after the other until there is no more, for as long as both bounds allow.
async fn hear_out<F: Future<Output = bool>>(mut piece: impl FnMut() -> F) {
    let all = async {
        while let Ok(true) = tokio::time::timeout(LINGER_FOR_MORE, piece()).await {
            // Readiness costs no budget: without this, an agent that never stops sending would keep its time from being looked at.
            tokio::task::consume_budget().await;
        }
    };
    let _elapsed = tokio::time::timeout(LINGER, all).await;
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let taken = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..taken]);
            self.early.advance(taken);
            self.heard.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        let mut room = [const { MaybeUninit::uninit() }; BUFFER];
        let room = &mut room[..buf.remaining().min(BUFFER)];
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            if let Some(read) = try_read(&self.stream, room)? {
                self.heard.0.store(!read.is_empty(), Ordering::Relaxed);
                buf.put_slice(read);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Reads what is there; `None` where that is nothing yet. A socket that filled less than the room is empty, and not asked again before it
/// is told to be readable (epoll(7), question 9).
fn try_read<'a>(stream: &TcpStream, room: &'a mut [MaybeUninit<u8>]) -> io::Result<Option<&'a [u8]>> {
    let (whole, mut read) = (room.len(), None);
    let tried = stream.try_io(Interest::READABLE, || {
        let ((filled, _), _) = rustix::net::recv(stream, room, RecvFlags::empty())?;
        let is_emptied = (1..whole).contains(&filled.len());
        read = Some(&*filled);
        if is_emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match tried {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Ok(read),
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, |stream| stream.try_write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write).map_err(io::Error::from))
    }
}

impl Wire {
    fn poll_try(&mut self, cx: &mut Context<'_>, write: impl Fn(&TcpStream) -> io::Result<usize>) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    let patience = self.patience;
                    let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                    ready!(stalled.as_mut().poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_agent_is_heard_out_until_it_ends_or_is_silent_for_long_or_sends_for_too_long() {
        let seconds = Duration::from_secs;
        let never = usize::MAX;
        for (pause, pieces, took) in [
            (seconds(0), 0, seconds(0)),
            (seconds(1), 3, seconds(3)),
            (seconds(4), 7, seconds(28)),
            (seconds(4), never, seconds(30)),
            (seconds(6), never, seconds(5)),
            (Duration::from_millis(1), never, seconds(30)),
        ] {
            let (began, heard) = (Instant::now(), AtomicUsize::new(0));
            hear_out(|| async {
                let more = heard.fetch_add(1, Ordering::Relaxed) < pieces;
                if more {
                    sleep(pause).await;
                }
                more
            })
            .await;
            assert_eq!(began.elapsed(), took, "{pieces} pieces, one each {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_never_stops_sending_lets_others_run() {
        let (turns, heard) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        hear_out(|| async {
            let heard = heard.fetch_add(1, Ordering::Relaxed);
            assert!(heard < 100_000, "{} turns of another task beside {heard} pieces", turns.load(Ordering::Relaxed));
            turns.load(Ordering::Relaxed) < 3
        })
        .await;
        other.abort();
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test is the agent")]
    async fn what_is_unread_is_read_up_to_the_end_of_its_side() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut agent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _peer) = listener.accept().await.unwrap();
        rustix::net::shutdown(&stream, rustix::net::Shutdown::Write).unwrap();
        let sends = async {
            agent.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
            agent.shutdown().await.unwrap();
            // A reset would be an error.
            assert_eq!(agent.read(&mut [0]).await.unwrap(), 0);
        };
        let hears = async {
            linger(&stream).await;
            drop(stream);
        };
        tokio::join!(hears, sends);
    }
}

//! Accepting at one socket, which no error ends and none keeps busy.
//!
//! Out of descriptors, one is kept in reserve: who comes then is answered with it, one after the other, rather than left waiting.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::FutureExt;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::listener::FULL;

/// How long accepting pauses when the machine is out of descriptors or memory, and how long the head of one is waited for that is turned away.
const BREATH: Duration = Duration::from_millis(50);

/// What went wrong is told so often at most.
const WORD: Duration = Duration::from_secs(60);

/// What is discarded of who is turned away: a socket that is closed with more than that unread takes its answer back.
const DISCARDED: usize = 16 * 1024;

/// A socket that is accepted at.
#[derive(Debug)]
pub(super) struct Accepting {
    listener: TcpListener,
    /// A descriptor that is given up for one that must be answered.
    reserve: Option<OwnedFd>,
    /// Who connects here expects no answer of a proxy.
    transparent: bool,
    told: Option<Instant>,
    untold: u64,
}

impl Accepting {
    pub(super) fn new(listener: TcpListener, transparent: bool) -> Self {
        let mut accepting = Self { listener, reserve: None, transparent, told: None, untold: 0 };
        accepting.keep_one();
        accepting
    }

    /// The next connection; `None` where there was none this time. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> Option<(TcpStream, SocketAddr)> {
        match self.listener.accept().await {
            Ok(accepted) => Some(accepted),
            Err(error) if is_of_one(&error) => None,
            Err(error) => {
                self.tell(&error);
                self.turn_away().await;
                None
            }
        }
    }

    /// A connection that waits already.
    pub(super) fn waiting(&mut self) -> Option<(TcpStream, SocketAddr)> {
        self.listener.accept().now_or_never()?.ok()
    }

    /// Answers one by the descriptor in reserve; without one it waits until there may be room.
    async fn turn_away(&mut self) {
        let waiting = if self.reserve.take().is_some() { self.waiting() } else { None };
        match waiting {
            Some((_unanswered, _peer)) if self.transparent => {}
            Some((stream, _peer)) => say_full(&stream).await,
            None => tokio::time::sleep(BREATH).await,
        }
        self.keep_one();
    }

    fn keep_one(&mut self) {
        if self.reserve.is_none() {
            self.reserve = rustix::io::fcntl_dupfd_cloexec(&self.listener, 0).ok();
        }
    }

    fn tell(&mut self, error: &io::Error) {
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= WORD) {
            tracing::warn!(%error, times = self.untold, "connections could not be accepted; who comes is answered 503 or waits until there is room");
            (self.told, self.untold) = (Some(Instant::now()), 0);
        }
    }
}

/// The error is that of a connection which is gone (accept(2)); the next one may be well.
fn is_of_one(error: &io::Error) -> bool {
    let of_one = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NETDOWN,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
        Errno::TIMEDOUT,
    ];
    error.raw_os_error().is_some_and(|code| of_one.iter().any(|errno| errno.raw_os_error() == code))
}

async fn say_full(stream: &TcpStream) {
    let _ = tokio::time::timeout(BREATH, stream.readable()).await;
    let _ = stream.try_read(&mut [0; DISCARDED]);
    let _ = stream.try_write(FULL);
    let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_connections_own_is_passed_over_without_a_pause() {
        for (errno, wanted) in [
            (Errno::CONNABORTED, true),
            (Errno::PROTO, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOMEM, false),
            (Errno::NOBUFS, false),
            (Errno::INVAL, false),
        ] {
            assert_eq!(is_of_one(&io::Error::from(errno)), wanted, "{errno}");
        }
    }
}

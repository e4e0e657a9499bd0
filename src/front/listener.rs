//! Accepting: bounded in all and by source before anything is read, and never ended by an error of one connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::accept::Accepting;
use super::http1::{self, Arrival};
use super::stop::Stop;
use super::transparent;
use crate::egress::record::Recorder;
use crate::egress::{AgentSide, Gate, Upstream, neighbourhood};

pub(super) const FULL: &[u8] =
    b"HTTP/1.1 503 exeat has no room for another connection; retry later\r\nProxy-Status: exeat; error=connection_limit_reached\r\n\
    Retry-After: 5\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The limits of all ways in.
#[derive(Clone, Copy, Debug)]
pub struct FrontSettings {
    /// Bytes of a request's head.
    pub head: usize,
    /// How long a head may take from its connection's first breath.
    pub head_timeout: Duration,
    /// The longest wait for an agent that does not read.
    pub idle: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one source address.
    pub per_source: usize,
}

/// What every way in shares.
#[derive(Debug)]
pub struct Ways {
    pub(super) gate: Arc<Gate>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) settings: FrontSettings,
    /// This process's name in `Via`, which no request may carry already.
    pub(super) via: Arc<str>,
    recorder: Arc<dyn Recorder>,
    open: Mutex<OpenConnections>,
    pub(super) stop: Stop,
}

/// What every way in leads to.
#[derive(Debug)]
pub struct Neck {
    /// Who admits.
    pub gate: Arc<Gate>,
    /// The way out.
    pub upstream: Arc<Upstream>,
    /// This process's name in `Via`.
    pub via: Arc<str>,
}

/// One listener: where it is, and its name in the configuration.
#[derive(Debug)]
pub struct Door {
    /// The socket.
    pub listener: TcpListener,
    /// `listen.NAME`.
    pub name: Arc<str>,
    /// It takes connections that were redirected to it, and no others.
    pub transparent: bool,
    /// Somebody else keeps the socket open: who waits there when this process closes it is the next one's.
    pub lent: bool,
}

impl Ways {
    /// The ways in to `gate`, and out by `upstream`.
    pub fn new(neck: Neck, recorder: Arc<dyn Recorder>, settings: FrontSettings, stop: Stop) -> Arc<Self> {
        let Neck { gate, upstream, via } = neck;
        Arc::new(Self { gate, upstream, settings, via, recorder, open: Mutex::default(), stop })
    }

    /// Accepts at one door until told to stop. Connections run in `tasks`, and outlive the door until they are done.
    pub async fn serve(self: Arc<Self>, door: Door, tasks: TaskTracker) {
        let Door { listener, name, transparent, lent } = door;
        let mut accepting = Accepting::new(listener, transparent);
        loop {
            let accepted = tokio::select! {
                accepted = accepting.next() => accepted,
                () = self.stop.closed.cancelled() => break,
            };
            if let Some((stream, peer)) = accepted {
                self.clone().admit(stream, peer, (&name, transparent), &tasks);
            }
        }
        // Who has come by now is told nothing by a socket that closes.
        while let Some((stream, peer)) = if lent { None } else { accepting.waiting() } {
            self.clone().admit(stream, peer, (&name, transparent), &tasks);
        }
    }

    fn admit(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, (door, transparent): (&Arc<str>, bool), tasks: &TaskTracker) {
        let seat = match self.seat(peer.ip()) {
            Ok(seat) => seat,
            Err(limit) => {
                self.recorder.limit_hit(limit);
                if !transparent {
                    let _ = stream.try_write(FULL);
                }
                return;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let arrival = Arrival::new(peer, door);
        tasks.spawn(async move {
            let now = self.stop.now.clone();
            tokio::select! {
                // First, so that what is cut is recorded as cut.
                biased;
                () = entered(stream, (arrival, transparent), &seat) => {}
                () = now.cancelled() => {}
            }
        });
    }

    pub(super) fn limit_hit(&self, limit: &'static str) {
        self.recorder.limit_hit(limit);
    }

    /// Resolves when what is still open is to end.
    pub(super) async fn stopped(&self) {
        self.stop.now.cancelled().await;
    }

    fn seat(self: &Arc<Self>, source: IpAddr) -> Result<Seat, &'static str> {
        let source = neighbourhood(source);
        let mut open = self.open.lock();
        if open.all >= self.settings.connections {
            return Err("limits.connections");
        }
        let of_source = open.unidentified.entry(source).or_default();
        if *of_source >= self.settings.per_source {
            return Err("limits.per_source");
        }
        *of_source += 1;
        open.all += 1;
        Ok(Seat { ways: Arc::clone(self), unidentified: AtomicBool::new(true), source })
    }
}

/// Serves a connection in the way of its door.
async fn entered(stream: TcpStream, (arrival, transparent): (Arrival, bool), seat: &Seat) {
    if transparent {
        transparent::connection(stream, arrival, seat).await;
    } else {
        http1::connection(AgentSide::new(stream), arrival, seat).await;
    }
}

/// Connections that are open.
#[derive(Debug, Default)]
struct OpenConnections {
    all: usize,
    /// Those of which no request has proved an agent yet, by source.
    unidentified: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it gives it back. It counts against its source until it is identified: from there the agent's own limit binds.
#[derive(Debug)]
pub(super) struct Seat {
    ways: Arc<Ways>,
    unidentified: AtomicBool,
    source: IpAddr,
}

impl Seat {
    pub(super) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// A request on it proved an agent.
    pub(super) fn identified(&self) {
        if self.unidentified.swap(false, Ordering::Relaxed) {
            self.ways.open.lock().leave(self.source);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.identified();
        self.ways.open.lock().all -= 1;
    }
}

impl OpenConnections {
    fn leave(&mut self, source: IpAddr) {
        if let Some(count) = self.unidentified.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.unidentified.remove(&source);
            }
        }
    }
}

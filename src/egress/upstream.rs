//! The way out: a permit becomes a connection, resolved, judged and dialled here and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::dial::{Forbidden, Judged, is_of_this_machine};
use super::gate::Permit;
use super::live::Live;
use super::look::Peek;
use super::open::Open;
use super::pool::{Key, Parked, Pool};
use super::refusal::{Cause, NetworkFault, Refusal};
use super::resolve::Resolver;
use crate::policy::address::Guard;
use crate::policy::attempt::Scheme;
use crate::policy::decide::Grant;
use crate::policy::destination::{Destination, Port};
use crate::policy::host::Host;
use crate::policy::reason::Reason;

/// The limits of the way out.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The longest a dial may take, all addresses together.
    pub connect_timeout: Duration,
    /// The longest silence of a connection.
    pub idle: Duration,
    /// How long the first bytes of a tunnel may take.
    pub peek: Duration,
    /// Ports on which exeat listens at every address of this machine.
    pub own_everywhere: Vec<u16>,
    /// Where names of exeat's back ends lead, as far as is known by now: nothing of an agent is dialled there.
    pub back_ends: Arc<ArcSwap<Guard>>,
    /// This process's name in `Via`.
    pub via: HeaderValue,
    /// Told when the process is to stop: tunnels are cut then.
    pub stop: CancellationToken,
    /// Told when it stops: requests under way are cut then.
    pub stop_now: CancellationToken,
}

impl UpstreamSettings {
    /// Whether exeat itself listens here at every address, or a back end of its own does.
    pub(super) fn own(&self, address: IpAddr, port: Port) -> bool {
        self.is_back_end(address, port) || self.own_everywhere.contains(&port.number()) && is_of_this_machine(address)
    }

    fn is_back_end(&self, address: IpAddr, port: Port) -> bool {
        self.back_ends.load().own(address, port)
    }
}

/// Turns permits into connections.
#[derive(Debug)]
pub struct Upstream {
    resolver: Resolver,
    pub(super) pool: Arc<Pool>,
    pub(super) settings: UpstreamSettings,
}

/// A way out that is open: it becomes a tunnel or an exchange.
#[must_use = "a connection that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct Connected {
    pub(super) open: Open,
    pub(super) grant: Grant,
    pub(super) live: Live,
    pub(super) line: Line,
    pub(super) upstream: Arc<Upstream>,
}

/// The origin's side of a tunnel: what it sent already, and the rest.
#[derive(Debug)]
pub(super) struct OriginSide {
    pub(super) early: Bytes,
    pub(super) stream: TcpStream,
}

/// A fresh connection, or one that has carried requests before.
#[derive(Debug)]
pub(super) enum Line {
    Fresh(TcpStream, SocketAddr),
    Parked(Parked),
}

impl Upstream {
    /// The way out over `resolver`. Call it inside a runtime: the pool keeps a task.
    pub fn new(resolver: Resolver, settings: UpstreamSettings) -> Arc<Self> {
        Arc::new(Self { resolver, pool: Pool::new(), settings })
    }

    /// How a tunnel that is not dialled waits for its first bytes.
    pub fn peek(&self) -> Peek {
        Peek { within: self.settings.peek, stop: self.settings.stop.clone() }
    }

    /// Spends a permit: takes a parked connection whose peer the grant covers, or resolves, judges and dials.
    pub async fn connect(self: &Arc<Self>, permit: Permit) -> Result<Connected, Refusal> {
        let Permit { mut open, grant, mut live } = permit;
        let port = live.attempt().destination.port;
        if live.attempt().scheme == Some(Scheme::Http)
            && let Some(parked) =
                self.pool.take(&key(&live, &open), |peer| grant.covers(peer.ip()) && !self.settings.is_back_end(peer.ip(), port))
        {
            open.address = Some(parked.peer);
            live.connected_to(parked.peer.ip());
            return Ok(Connected { open, grant, live, line: Line::Parked(parked), upstream: Arc::clone(self) });
        }
        let destination = live.attempt().destination.clone();
        let connected = tokio::select! {
            // First, so that nothing is dialled once the answer is allow no longer.
            biased;
            reason = live.lost() => Err((reason, Cause::Plain)),
            connected = self.fresh(&mut open, &grant, &destination) => connected,
        };
        let (stream, peer) = match connected {
            Ok(connected) => connected,
            Err((reason, cause)) => return Err(open.refuse(reason, cause)),
        };
        live.connected_to(peer.ip());
        Ok(Connected { open, grant, live, line: Line::Fresh(stream, peer), upstream: Arc::clone(self) })
    }

    /// Resolves, judges every answer, and dials one of them.
    pub(super) async fn fresh(
        &self,
        open: &mut Open,
        grant: &Grant,
        destination: &Destination,
    ) -> Result<(TcpStream, SocketAddr), (Reason, Cause)> {
        let addresses: Vec<IpAddr> = match &destination.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let began = Instant::now();
                let resolved = self.resolver.resolve(name).await;
                open.dns = Some(began.elapsed());
                resolved.map_err(broken)?
            }
        };
        let judged = Judged::new(&addresses, destination.port, grant, &self.settings).map_err(|forbidden| {
            open.address = Some(SocketAddr::new(forbidden.address, destination.port.number()));
            refused_address(forbidden, grant)
        })?;
        let began = Instant::now();
        let dialled = judged.dial(self.settings.connect_timeout).await;
        open.dial = Some(began.elapsed());
        let (stream, peer) = dialled.map_err(broken)?;
        open.address = Some(peer);
        Ok((stream, peer))
    }
}

impl Connected {
    /// Gives the way out back unused; the attempt ends as one that the agent abandoned.
    pub fn close(self) {}
}

pub(super) fn key(live: &Live, open: &Open) -> Key {
    let attempt = live.attempt();
    Key { agent: attempt.agent.clone(), destination: attempt.destination.clone(), policy: Arc::from(open.policy()) }
}

fn refused_address(forbidden: Forbidden, grant: &Grant) -> (Reason, Cause) {
    use crate::policy::address::AddressRefusal;
    let reason = match forbidden.refusal {
        AddressRefusal::Own => Reason::OwnAddress,
        AddressRefusal::Metadata(_)
        | AddressRefusal::Never
        | AddressRefusal::Blocked(_)
        | AddressRefusal::Outside(_)
        | AddressRefusal::Floor { class: _, file: _ } => Reason::ForbiddenAddress,
    };
    let rule = grant.rule().cloned();
    (reason, Cause::Address { address: forbidden.address, refusal: forbidden.refusal, rule })
}

/// What a failure on the way out is told as.
pub(super) fn broken(fault: NetworkFault) -> (Reason, Cause) {
    match fault {
        NetworkFault::NoDescriptor => (Reason::Overloaded, Cause::Limit("open files")),
        NetworkFault::NoAddress | NetworkFault::DnsFailed | NetworkFault::DnsTimeout => (Reason::DnsFailed, Cause::Network(fault)),
        NetworkFault::Refused | NetworkFault::ConnectTimeout | NetworkFault::Broken | NetworkFault::BadAnswer => {
            (Reason::Unreachable, Cause::Network(fault))
        }
    }
}

//! The way out: a permit becomes a connection, resolved, judged and dialled here and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::HeaderValue;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::dial::{Forbidden, Judged, is_of_this_machine};
use super::dialled::Dials;
use super::gate::{Asker, Permit};
use super::inject::Injected;
use super::interception::Speaks;
use super::live::Live;
use super::look::Peek;
use super::mirrored::KnownHttp1;
use super::open::Open;
use super::pool::{Key, OfferKey, Parked, Pool};
use super::refusal::{Cause, NetworkFault, Refusal};
use super::resolve::Resolver;
use super::secure::{OriginStream, secured};
use super::spoken::ready;
use crate::policy::address::Guard;
use crate::policy::attempt::{Attempt, Scheme};
use crate::policy::decide::Grant;
use crate::policy::destination::Port;
use crate::policy::host::Host;
use crate::policy::reason::Reason;
use crate::secrets::Secrets;
use crate::tls::authority::{Authority, Offer};
use crate::tls::identity::Identity;
use crate::tls::origin::OriginTls;

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
    /// Who signs where TLS of agents is terminated; without it nothing is.
    pub authority: Arc<ArcSwapOption<Authority>>,
    /// How origins are verified.
    pub origin_tls: Arc<OriginTls>,
    /// Where credentials are had from.
    pub secrets: Arc<Secrets>,
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
    dials: Dials,
    pub(super) settings: UpstreamSettings,
    pub(super) known: KnownHttp1,
}

/// A way out that is open: it becomes a tunnel or an exchange.
#[must_use = "a connection that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct Connected {
    pub(super) open: Open,
    pub(super) grant: Grant,
    pub(super) injected: Injected,
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
    /// Nothing was said on it.
    Fresh(Dialled),
    /// No request of this attempt's or another's was sent on it before.
    Shared(Parked),
    /// It may have ended without our knowing.
    Parked(Parked),
}

impl Line {
    pub(super) fn peer(&self) -> SocketAddr {
        match self {
            Line::Fresh(dialled) => dialled.peer,
            Line::Shared(parked) | Line::Parked(parked) => parked.peer,
        }
    }
}

/// A connection on which nothing was said yet.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) stream: OriginStream,
    pub(super) peer: SocketAddr,
    /// What the origin chose.
    pub(super) speaks: Speaks,
}

/// What a way out is dialled for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) grant: &'a Grant,
    pub(super) attempt: &'a Attempt,
    /// What the origin is offered, within TLS.
    pub(super) offer: Option<Offer>,
    /// What proves exeat to the origin, within TLS.
    pub(super) identity: Option<&'a Identity>,
}

impl Upstream {
    /// The way out over `resolver`. Call it inside a runtime: the pool keeps a task.
    pub fn new(resolver: Resolver, settings: UpstreamSettings) -> Arc<Self> {
        Arc::new(Self { resolver, pool: Pool::new(), dials: Dials::default(), settings, known: KnownHttp1::new() })
    }

    /// How a tunnel that is not dialled waits for its first bytes.
    pub fn peek(&self) -> Peek {
        let Self { resolver: _, pool: _, dials: _, settings, known } = self;
        Peek { within: settings.peek, stop: settings.stop.clone(), authority: Arc::clone(&settings.authority), known: known.clone() }
    }

    /// Whether a connection that was redirected to us is one of our own to an origin.
    pub fn is_own(&self, peer: SocketAddr, original: SocketAddr) -> bool {
        self.dials.holds(peer, original)
    }

    /// Spends a permit: takes a parked connection whose peer the grant covers, or resolves, judges and dials.
    pub async fn connect(self: &Arc<Self>, permit: Permit) -> Result<Connected, Refusal> {
        let Permit { mut open, grant, mut live } = permit;
        let offer = offer(&live, &grant);
        let injected = tokio::select! {
            biased;
            reason = live.lost() => Err((reason, Cause::Plain)),
            injected = Injected::had(&self.settings.secrets, grant.inject()) => {
                injected.map_err(|unready| (Reason::Internal, Cause::Secret(unready)))
            }
        };
        let injected = match injected {
            Ok(injected) => injected,
            Err((reason, cause)) => return Err(open.refuse(reason, cause)),
        };
        let key = key(&live, &open, (offer, &injected));
        let attempt = live.attempt().clone();
        let connected = tokio::select! {
            // First, so that nothing is dialled once the answer is allow no longer.
            biased;
            reason = live.lost() => Err((reason, Cause::Plain)),
            connected = self.line(&mut open, injected.way(&grant, &attempt, offer), key.as_ref()) => connected,
        };
        let line = match connected {
            Ok(line) => line,
            Err((reason, cause)) => return Err(open.refuse(reason, cause)),
        };
        let peer = line.peer();
        open.address = Some(peer);
        live.connected_to(peer.ip());
        Ok(Connected { open, grant, injected, live, line, upstream: Arc::clone(self) })
    }

    /// A connection that was parked, or a fresh one. Who may come to share one waits while another dials it.
    pub(super) async fn line(&self, open: &mut Open, way: Way<'_>, key: Option<&Key>) -> Result<Line, (Reason, Cause)> {
        let Some(key) = key else { return self.fresh(open, way).await.map(Line::Fresh) };
        if let Some(parked) = self.parked(key, way.grant) {
            return Ok(Line::Parked(parked));
        }
        let alone = || key.offer == OfferKey::Http1 || self.known.knows(&key.agent, &key.destination);
        let mut turn = None;
        if !alone() {
            let turns = self.pool.turn(key);
            turn = tokio::time::timeout(self.settings.connect_timeout, turns.lock_owned()).await.ok();
            if let Some(parked) = self.parked(key, way.grant) {
                return Ok(Line::Parked(parked));
            }
        }
        if alone() {
            turn = None;
        }
        let line = self.spoken(key, self.fresh(open, way).await?).await;
        drop(turn);
        line
    }

    /// What carries several requests at a time is ready, and others', before the first is sent over it.
    pub(super) async fn spoken(&self, key: &Key, dialled: Dialled) -> Result<Line, (Reason, Cause)> {
        if dialled.speaks == Speaks::Http1 {
            return Ok(Line::Fresh(dialled));
        }
        let ready = ready(dialled, &self.settings).await.map_err(broken)?;
        self.pool.share(key, &ready);
        Ok(Line::Shared(ready))
    }

    /// A parked connection whose peer the grant covers.
    fn parked(&self, key: &Key, grant: &Grant) -> Option<Parked> {
        let port = key.destination.port;
        self.pool.take(key, |peer| grant.covers(peer.ip()) && !self.settings.is_back_end(peer.ip(), port))
    }

    /// Resolves, judges every answer, and dials one of them; TLS is spoken with it where the attempt is for that.
    pub(super) async fn fresh(&self, open: &mut Open, way: Way<'_>) -> Result<Dialled, (Reason, Cause)> {
        let Way { grant, attempt, offer, identity } = way;
        let destination = &attempt.destination;
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
        // Before the first byte: should it have been redirected back to us, that is how it is known.
        open.dialling = stream.local_addr().ok().map(|from| self.dials.begun(from, peer));
        let Some(offer) = offer else { return Ok(Dialled { stream: Either::Left(stream), peer, speaks: Speaks::Http1 }) };
        let began = Instant::now();
        let shaken = secured(stream, &destination.host, self.config(offer, identity)?, self.settings.connect_timeout).await;
        open.tls_took = Some(began.elapsed());
        let (stream, speaks) = shaken?;
        if offer == Offer::Both {
            self.known.learn(&attempt.agent, destination, speaks == Speaks::Http1);
        }
        Ok(Dialled { stream, peer, speaks })
    }
}

impl Upstream {
    fn config(&self, offer: Offer, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, (Reason, Cause)> {
        let Some(identity) = identity else { return Ok(self.settings.origin_tls.config(offer)) };
        let presenting = self.settings.origin_tls.presenting(offer, Arc::clone(&identity.key));
        presenting.map_err(|_unfit| broken(NetworkFault::Broken))
    }
}

impl Connected {
    /// Gives the way out back unused; the attempt ends as one that the agent abandoned.
    pub fn close(self) {}
}

/// What the origin is offered: as much as the agent speaks. A WebSocket begins as HTTP/1.1.
pub(super) fn offer(live: &Live, grant: &Grant) -> Option<Offer> {
    let Asker { attempt, who } = live.asker();
    if attempt.scheme != Some(Scheme::Https) {
        return None;
    }
    let socket = grant.websocket() && attempt.sight.seen().is_some_and(|seen| seen.websocket);
    let both = who.tunnel.as_ref().is_some_and(|tunnel| tunnel.speaks == Speaks::Http2) && !socket;
    Some(if both { Offer::Both } else { Offer::Http1 })
}

/// Whom a connection for this attempt may serve again; nobody where it is a tunnel's.
pub(super) fn key(live: &Live, open: &Open, (offer, injected): (Option<Offer>, &Injected)) -> Option<Key> {
    let attempt = live.attempt();
    let (agent, destination, policy) = (attempt.agent.clone(), attempt.destination.clone(), Arc::from(open.policy()));
    let offer = offer.map_or(OfferKey::Http1, OfferKey::from);
    attempt.scheme.map(|scheme| Key {
        agent,
        destination,
        policy,
        scheme,
        offer,
        identity: injected.identity.as_ref().map(|identity| Arc::clone(&identity.name)),
    })
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

//! Connections that the system redirected here (netfilter's REDIRECT): the agent knows of no proxy, so what it shows says where to, and
//! there is no place for a token.
//!
//! The address that it looked up is the destination only where it names no host.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request};
use tokio::net::TcpStream;

use super::connect::Tunnel;
use super::head;
use super::http1::{self, Arrival, Line};
use super::inside::Around;
use super::listener::Seat;
use crate::egress::record::Front;
use crate::egress::{AgentSide, Claim, Hello, Objection, Shown, Words};
use crate::policy::address::canonical;
use crate::policy::attempt::Sight;
use crate::policy::destination::{Destination, Port};
use crate::policy::host::Host;

/// What is known of a connection to a listener that takes redirected ones.
#[derive(Clone, Debug)]
pub(super) struct Redirected {
    /// Where the agent connected to.
    original: SocketAddr,
    /// The same as a destination.
    to: Destination,
    /// What there is against it whatever it shows.
    objection: Option<Objection>,
}

/// Serves a connection to its end.
pub(super) async fn connection(stream: TcpStream, arrival: Arrival, seat: &Seat) {
    let upstream = &seat.ways().upstream;
    let Some(mut redirected) = Redirected::of(&stream) else { return };
    let mut agent = AgentSide::new(stream);
    let shown = Shown::by(&mut agent, &redirected.to, &upstream.peek()).await;
    // After its first bytes: before them, whoever dials may not have said so yet.
    if redirected.objection.is_none() && upstream.is_own(arrival.peer, redirected.original) {
        redirected.objection = Some(Objection::Loop);
    }
    match shown {
        Shown::Nothing => {}
        Shown::Http => http1::connection(agent, Arrival { redirected: Some(redirected), ..arrival }, seat).await,
        Shown::Bytes(hello) => tunnel(agent, redirected.bytes(&arrival, hello), Around { peer: arrival.peer, seat }).await,
    }
}

async fn tunnel(agent: AgentSide, (claim, words): (Claim, Words), around: Around<'_>) {
    let stream = Arc::clone(&agent.stream);
    let line = Line::new(around.seat.ways(), &stream, around.seat);
    let opened = tokio::select! {
        opened = Tunnel::open(claim, &line) => opened,
        () = line.gone() => return,
    };
    match opened {
        Ok(tunnel) => tunnel.carry(agent, around).await,
        Err(_recorded) => words.say(&stream).await,
    }
}

impl Redirected {
    /// `None`: the connection ended before it began.
    fn of(stream: &TcpStream) -> Option<Self> {
        let here = stream.local_addr().ok().map(canonical)?;
        let original = original(stream, here).map_or(here, canonical);
        let objection = (original == here).then_some(Objection::NotRedirected);
        let to = Destination { host: Host::Address(original.ip()), port: Port(original.port().try_into().ok()?) };
        Some(Self { original, to, objection })
    }

    /// What the head of a request says of its attempt. What it offers for a proxy is not for this one.
    pub(super) fn request<B>(&self, request: &Request<B>, arrival: &Arrival, via: &str) -> Claim {
        let astray = self.objection == Some(Objection::NotRedirected);
        let wanted = if astray { Ok(self.to.clone()) } else { head::redirected_target(request, &self.to) };
        let sight = if request.method() == Method::CONNECT { Sight::NotYet } else { head::sight(request, false) };
        let mut claim = Claim::new(Front::Transparent, arrival.peer, arrival.evidence(), wanted, sight);
        claim.was_redirected_from(self.original);
        claim.objection = self.objection.or_else(|| head::came_back(request.headers(), via).then_some(Objection::Loop));
        claim.trace = head::trace(request.headers());
        claim
    }

    /// What first bytes that are no request say of it, and how it is refused.
    fn bytes(&self, arrival: &Arrival, hello: Hello) -> (Claim, Words) {
        let words = hello.words();
        let Hello { wanted, tls, .. } = hello;
        let astray = self.objection == Some(Objection::NotRedirected);
        let wanted = if astray { Ok(self.to.clone()) } else { wanted };
        let mut claim = Claim::new(Front::Transparent, arrival.peer, arrival.evidence(), wanted, Sight::NotYet);
        claim.was_redirected_from(self.original);
        if tls.is_none() {
            claim.showed_neither();
        }
        (claim.objection, claim.tls) = (self.objection, tls);
        (claim, words)
    }
}

/// Where a connection was made to before it was redirected here; `None` where it was not, as far as the system knows.
#[cfg(target_os = "linux")]
fn original(stream: &TcpStream, here: SocketAddr) -> Option<SocketAddr> {
    use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
    // IPv4 on a socket of IPv6 as well: the system keeps it as IPv4.
    if here.is_ipv4() { ip_original_dst(stream).ok().map(SocketAddr::V4) } else { ipv6_original_dst(stream).ok().map(SocketAddr::V6) }
}

#[cfg(not(target_os = "linux"))]
fn original(_stream: &TcpStream, _here: SocketAddr) -> Option<SocketAddr> {
    None
}

//! What a front may say of an attempt. Absent means not known, never invented; garbage goes through the same door.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::flood::neighbourhood;
use super::interception::Speaks;
use super::over::Over;
use super::process::Ends;
use super::record::{Front, TlsSeen};
use super::refusal::Cause;
use super::seats::Seat;
use super::trace::TraceParent;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Evidence, Instance, Offered, Scheme, Sight};
use crate::policy::decide::{Block, Decision};
use crate::policy::destination::Destination;
use crate::policy::leaks::Leaks;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;
use crate::secrets::Unavailable;

/// One try as a front found it, before anything is judged.
#[derive(Debug)]
pub struct Claim {
    /// The way in.
    pub front: Front,
    /// The peer's socket address.
    pub peer: SocketAddr,
    /// Which running agent asks, where something better than the peer's address tells.
    pub instance: Option<Instance>,
    /// Where to, or why that cannot be read.
    pub wanted: Result<Destination, Malformed>,
    /// What can be known of the request.
    pub sight: Sight,
    /// What the front objects to in a target that can be read.
    pub objection: Option<Objection>,
    /// The peer is a process of this machine, whatever address it took to get here.
    pub on_this_machine: bool,
    /// The agent's trace context, where it sent one that is valid.
    pub trace: Option<TraceParent>,
    /// What was seen of TLS before it was claimed.
    pub tls: Option<TlsSeen>,
    /// What exeat needs for the request and cannot have.
    pub(super) unready: Option<Unready>,
    /// Its agent's, taken before it was read further than its head.
    pub(super) seat: Option<Seat>,
    pub(super) who: Who,
}

/// A secret that cannot be had: nothing that needs it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Where it is named.
    pub place: RuleRef,
    /// Why; it says nothing of the value.
    pub why: Unavailable,
}

/// A target that can be read and still goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The request passed through this very process already.
    Loop,
    /// The request in a tunnel names another host than the tunnel.
    OtherHost,
    /// It came straight to a listener that takes what is redirected to it.
    NotRedirected,
}

/// Who asks: evidence, judged again whenever the attempt is, and the tunnel the request was found in.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) evidence: Evidence,
    /// Both ends of the connection, where it is from this machine.
    pub(super) ends: Option<Ends>,
    /// Where the agent's socket is connected to, where it was redirected.
    pub(super) towards: Option<SocketAddr>,
    /// Its first bytes were seen, and are neither TLS nor HTTP.
    pub(super) neither: bool,
    pub(super) tunnel: Option<Tunnel>,
    /// What the request was searched for.
    pub(super) searched: Option<Arc<Leaks>>,
}

impl Who {
    /// The same agent, with a request that was found in its tunnel.
    pub(super) fn within(&self, tunnel: Tunnel) -> Self {
        let Self { evidence, ends, towards, neither: _, tunnel: _, searched: _ } = self;
        Self { evidence: evidence.clone(), ends: *ends, towards: *towards, neither: false, tunnel: Some(tunnel), searched: None }
    }
}

/// The tunnel around a request: what it was admitted as binds what it carries.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    pub(super) id: AttemptId,
    pub(super) agent: AgentId,
    pub(super) instance: Instance,
    /// What its bytes turned out to be.
    pub(super) scheme: Scheme,
    /// What is spoken in it.
    pub(super) speaks: Speaks,
    /// What was seen of TLS, where exeat terminates it.
    pub(super) tls: Option<TlsSeen>,
    pub(super) over: Over,
}

impl Who {
    /// Why nobody is known by what was offered.
    pub(super) fn unidentified(&self) -> Cause {
        Cause::Unidentified { offered: self.evidence.offered != Offered::Nothing }
    }

    /// The decision for what was already seen: what is neither TLS nor HTTP passes by an opaque rule alone, and nobody is asked in vain.
    pub(super) fn heard(&self, decision: Decision) -> Decision {
        let reason = match &decision {
            Decision::Hold(terms) if self.neither && terms.rule.is_none() => Reason::Unlisted,
            Decision::Allow(grant) if self.neither && !grant.opaque() => Reason::NotTls,
            Decision::Look(_) if self.neither => Reason::NotTls,
            Decision::Hold(_) | Decision::Allow(_) | Decision::Look(_) | Decision::Block(_) => return decision,
        };
        Decision::Block(Block { reason, rule: None, because: None, echo: None })
    }

    /// Whether a request in sight was searched for all that it is to be searched for by the guard in force.
    pub(super) fn was_searched(&self, sight: &Sight, in_force: Option<&Arc<Leaks>>) -> bool {
        match (sight, in_force) {
            (Sight::NotYet, _) | (Sight::Seen(_), None) => true,
            (Sight::Seen(_), Some(wanted)) => self.searched.as_ref().is_some_and(|done| done.looks_for_the_same_as(wanted)),
        }
    }
}

impl Claim {
    /// A claim of a peer that is still to be identified.
    pub fn new(front: Front, peer: SocketAddr, evidence: Evidence, wanted: Result<Destination, Malformed>, sight: Sight) -> Self {
        Self {
            front,
            peer,
            instance: None,
            wanted,
            sight,
            objection: None,
            on_this_machine: peer.ip().to_canonical().is_loopback(),
            trace: None,
            tls: None,
            unready: None,
            seat: None,
            who: Who { evidence, ends: None, towards: None, neither: false, tunnel: None, searched: None },
        }
    }

    /// Says at which address of ours the connection came in: one from that very address is from this machine, and so is one to loopback,
    /// which may have another source where it was redirected.
    pub fn came_in_at(&mut self, local: SocketAddr) {
        let ip = local.ip().to_canonical();
        self.on_this_machine |= ip.is_loopback() || ip == self.peer.ip().to_canonical();
        let local = self.who.towards.unwrap_or(local);
        self.who.ends = self.on_this_machine.then_some(Ends { peer: self.peer, local });
    }

    /// Says that its first bytes were seen, and are neither TLS nor HTTP.
    pub fn showed_neither(&mut self) {
        self.who.neither = true;
    }

    /// Says where the agent's own socket is connected to, where that is not us.
    pub fn was_redirected_from(&mut self, original: SocketAddr) {
        self.who.towards = Some(original);
    }

    /// The scheme of a request that is in sight: the tunnel's where it was found in one.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        match self.sight {
            Sight::Seen(_) => Some(self.who.tunnel.as_ref().map_or(Scheme::Http, |tunnel| tunnel.scheme)),
            Sight::NotYet => None,
        }
    }

    /// The attempt it is, once it is known whose and where to, and whether more than where it comes from proves that.
    pub(super) fn attempt(&self, id: AttemptId, agent: AgentId, destination: Destination, proven: bool) -> Attempt {
        let (instance, scheme, within) = (self.instance(), self.scheme(), self.within());
        Attempt { id, agent, instance, destination, scheme, sight: self.sight.clone(), within, proven }
    }

    /// The peer's address where nothing better tells. This machine is one peer: a process on it picks its address.
    pub(super) fn instance(&self) -> Instance {
        let told = self.who.tunnel.as_ref().map(|tunnel| &tunnel.instance).or(self.instance.as_ref());
        told.cloned().unwrap_or_else(|| {
            let address = if self.on_this_machine { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.peer.ip().to_canonical() };
            Instance(Arc::from(address.to_string()))
        })
    }

    /// Where it comes from, as far as its peer cannot choose. All of this machine is one.
    pub(super) fn neighbourhood(&self) -> IpAddr {
        if self.on_this_machine { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { neighbourhood(self.peer.ip()) }
    }

    pub(super) fn within(&self) -> Option<AttemptId> {
        self.who.tunnel.as_ref().map(|tunnel| tunnel.id)
    }
}

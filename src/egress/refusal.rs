//! A refusal as data. Fronts say it in their protocol; the words are in one place, `front::words`.

use std::net::IpAddr;
use std::sync::Arc;

use super::budget::Exhausted;
use super::claim::Unready;
use super::hold::HoldInfo;
use super::leaking::Leak;
use super::record::Front;
use crate::policy::address::AddressRefusal;
use crate::policy::approvals::Echo;
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::destination::Destination;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;
use crate::tls::origin::CertificateFault;

/// Why an attempt does not pass; complete enough to be told and acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The attempt, the same as in the records.
    pub id: AttemptId,
    /// The code.
    pub reason: Reason,
    /// The way in it took.
    pub front: Front,
    /// Who asked, where identified.
    pub agent: Option<AgentId>,
    /// Where to, where it could be read.
    pub destination: Option<Destination>,
    /// The method, where seen.
    pub method: Option<Arc<str>>,
    /// What there is to say beyond the code.
    pub cause: Cause,
}

/// The particulars of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The code says it all.
    Plain,
    /// Nobody is known by what was offered.
    Unidentified {
        /// Something was offered; it was wrong.
        offered: bool,
    },
    /// The target or the head.
    Malformed(Malformed),
    /// A rule decided.
    Rule {
        /// Which.
        rule: RuleRef,
        /// Its words for the agent.
        because: Option<Arc<str>>,
    },
    /// A question is pending.
    Hold(HoldInfo),
    /// A person said no.
    Denied {
        /// The approver's words.
        note: Option<Arc<str>>,
    },
    /// A person said no a short while ago.
    Echo {
        /// What is left of it.
        echo: Echo,
        /// The rule that would ask.
        rule: Option<RuleRef>,
    },
    /// An address may not be dialled.
    Address {
        /// Which.
        address: IpAddr,
        /// Why.
        refusal: AddressRefusal,
        /// The rule that would permit it if it listed the address; `None` for an approval.
        rule: Option<RuleRef>,
    },
    /// The network or the destination failed.
    Network(NetworkFault),
    /// The destination's TLS is not to be trusted.
    Certificate(CertificateFault),
    /// A WebSocket is asked for in a way that cannot be passed on as an ordinary request, and this rule lets none pass.
    NoWebSocket(Option<RuleRef>),
    /// A request inside TLS is for another host than the tunnel.
    Misdirected,
    /// The policy lets no more of it pass.
    Budget(Exhausted),
    /// A limit is reached; the text is its name in `exeat.toml`.
    Limit(&'static str),
    /// The request came back to the process that sent it.
    Loop,
    /// It came straight to a listener that takes what is redirected to it.
    NotRedirected,
    /// A secret that exeat needs cannot be had.
    Secret(Unready),
    /// The agent's leak guard changed since the request was searched.
    Unsearched,
    /// Something that may not leave was found as it was about to.
    Leak(Leak),
    /// The journal cannot be written.
    Journal,
}

/// How the way out failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// The name has no address.
    NoAddress,
    /// The name servers failed.
    DnsFailed,
    /// The name servers did not answer in time.
    DnsTimeout,
    /// No address accepted the connection.
    Refused,
    /// No address answered in time.
    ConnectTimeout,
    /// This process may open no more sockets.
    NoDescriptor,
    /// The connection broke before the answer.
    Broken,
    /// The answer is none that can be passed on.
    BadAnswer,
}

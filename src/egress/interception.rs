//! A tunnel whose requests are in plain sight: each is claimed as an attempt of its own, with the tunnel's agent and host.

use std::net::SocketAddr;

use super::claim::{Claim, Objection, Tunnel};
use super::gate::Asker;
use super::live::Live;
use super::open::Open;
use super::over::Over;
use super::record::{Outcome, TlsSeen};
use super::tunnel::Receipt;
use crate::policy::attempt::{Scheme, Sight};
use crate::policy::destination::Destination;
use crate::policy::malformed::Malformed;
use crate::policy::reason::Reason;

/// The tunnel while its requests are carried one by one. It cannot connect; agent and destination of a claim come from it.
#[must_use = "an interception ends with `finish`"]
#[derive(Debug)]
pub struct Interception {
    open: Open,
    asker: Asker,
    live: tokio::sync::Mutex<Live>,
    within: Within,
    over: Over,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the tunnel's bytes are.
#[derive(Debug)]
enum Within {
    Plain,
    Tls { seen: TlsSeen, speaks: Speaks },
}

impl Interception {
    /// Plain HTTP was found in it.
    pub(super) fn plain(open: Open, live: Live) -> Self {
        Self::new(open, live, Within::Plain)
    }

    /// TLS was found in it, and exeat is to terminate it.
    pub(super) fn tls(open: Open, live: Live, seen: TlsSeen) -> Self {
        Self::new(open, live, Within::Tls { seen, speaks: Speaks::Http1 })
    }

    fn new(open: Open, mut live: Live, within: Within) -> Self {
        live.looks();
        if let Within::Tls { seen: _, speaks: _ } = &within {
            live.terminates();
        }
        Self { open, asker: live.asker().clone(), live: tokio::sync::Mutex::new(live), within, over: Over::default() }
    }

    /// The handshake with the agent is done, and this is spoken from here on. Without TLS it says nothing.
    pub fn terminated(&mut self, spoken: Speaks) {
        if let Within::Tls { seen, speaks } = &mut self.within {
            (seen.inspected, *speaks) = (true, spoken);
            self.open.saw_tls(seen.clone());
        }
    }

    /// Where the tunnel goes, and so every request in it.
    pub fn destination(&self) -> &Destination {
        &self.asker.attempt.destination
    }

    /// What the requests in it are carried by.
    pub fn scheme(&self) -> Scheme {
        match &self.within {
            Within::Plain => Scheme::Http,
            Within::Tls { seen: _, speaks: _ } => Scheme::Https,
        }
    }

    /// Claims a request found in the tunnel. `named` is the destination its head names, or why that cannot be read.
    pub fn claim(&self, peer: SocketAddr, sight: Sight, named: Result<Destination, Malformed>) -> Claim {
        let Asker { attempt, who } = &self.asker;
        let (speaks, tls) = match &self.within {
            Within::Plain => (Speaks::Http1, None),
            Within::Tls { seen, speaks } => (*speaks, Some(seen.clone())),
        };
        let (agent, instance) = (attempt.agent.clone(), attempt.instance.clone());
        let tunnel = Tunnel { id: attempt.id, agent, instance, scheme: self.scheme(), speaks, tls, over: self.over.clone() };
        let who = who.within(tunnel);
        let objection = named.as_ref().is_ok_and(|named| *named != attempt.destination).then_some(Objection::OtherHost);
        let wanted = named.map(|_same| attempt.destination.clone());
        let on_this_machine = peer.ip().to_canonical().is_loopback();
        Claim {
            front: self.open.front(),
            peer,
            instance: None,
            wanted,
            sight,
            objection,
            on_this_machine,
            trace: None,
            tls: None,
            unready: None,
            seat: None,
            who,
        }
    }

    /// Resolves, with why, when the tunnel itself may go on no longer.
    pub async fn lost(&self) -> Reason {
        self.live.lock().await.lost().await
    }

    /// Tells the requests in it that it is cut: each ends as cut, for this reason, when it is polled next.
    pub fn cut(&self, reason: Reason) {
        self.over.reach(reason);
    }

    /// Ends the tunnel; its requests have ended their own attempts.
    pub async fn finish(self, end: InnerEnd) -> Receipt {
        let reason = self.open.reason();
        let holds = self.live.lock().await.holds();
        if let Err(reason) = holds {
            return Receipt::of(self.open, Outcome::Cut, reason);
        }
        match end {
            InnerEnd::Closed => Receipt::of(self.open, Outcome::Completed, reason),
            InnerEnd::Broken => Receipt::of(self.open, Outcome::Abandoned, reason),
            InnerEnd::Distrusted => Receipt::of(self.open, Outcome::Failed, Reason::BadCertificate),
            InnerEnd::Cut(reason) => Receipt::of(self.open, Outcome::Cut, reason),
        }
    }
}

/// How the connection inside an interception ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerEnd {
    /// In order.
    Closed,
    /// It broke, or could not be read on.
    Broken,
    /// The agent does not trust exeat's certificate.
    Distrusted,
    /// exeat cut it.
    Cut(Reason),
}

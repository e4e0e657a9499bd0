//! A tunnel to where rules look at requests: it is answered 200, resolved and dialled by nobody, and judged by its first bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio_util::sync::CancellationToken;

use super::interception::Interception;
use super::live::Live;
use super::mirrored::KnownHttp1;
use super::open::Open;
use super::record::{Outcome, TlsSeen};
use super::refusal::{Cause, Refusal};
use super::tunnel::{AgentSide, Carried, Judgement, Receipt, deny, first_bytes, judge};
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;
use crate::tls::authority::{Authority, Offer};

/// A tunnel whose requests are to be judged and of which no byte is seen yet. It cannot connect; all it can become is an [`Interception`].
#[must_use = "a tunnel that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct Unseen {
    open: Open,
    pub(super) live: Live,
    rule: RuleRef,
}

/// How long first bytes are waited for, what ends the wait, and who signs where TLS is terminated.
#[derive(Clone, Debug)]
pub struct Peek {
    pub(super) within: Duration,
    pub(super) stop: CancellationToken,
    pub(super) authority: Arc<ArcSwapOption<Authority>>,
    pub(super) known: KnownHttp1,
}

impl Unseen {
    pub(super) fn new(open: Open, live: Live, rule: RuleRef) -> Self {
        Self { open, live, rule }
    }

    /// Gives the tunnel up before a byte of it is seen; the attempt ends as one that the agent abandoned.
    pub fn close(self) {}

    /// The refusal of an attempt that shows no request and never will.
    pub(super) fn refused(self) -> Refusal {
        self.open.refuse(Reason::Inspect, Cause::Rule { rule: self.rule, because: None })
    }

    /// Waits for the first bytes. HTTP is carried request by request, and TLS is terminated for that; where exeat has no authority
    /// to do so with, no request can be seen in it, and it is refused in its own words.
    pub async fn tunnel(self, mut agent: AgentSide, peek: &Peek) -> Carried {
        let Self { mut open, mut live, rule: _ } = self;
        let began = Instant::now();
        let first = tokio::select! {
            first = first_bytes(&mut agent, peek.within) => first,
            reason = live.lost() => return Carried::Over(Receipt::of(open, Outcome::Cut, reason)),
            () = peek.stop.cancelled() => return Carried::Over(Receipt::of(open, Outcome::Cut, Reason::Internal)),
        };
        open.tls_took = Some(began.elapsed());
        Carried::Over(match judge(first, &live.attempt().destination.host) {
            Judgement::Http => {
                open.tls_took = None;
                return Carried::Http(Box::new(Interception::plain(open, live)), agent);
            }
            Judgement::Gone => Receipt::of(open, Outcome::Abandoned, Reason::NotTls),
            Judgement::Carry(seen) => return terminated(open, live, (agent, seen), peek).await,
            Judgement::Cut { reason, tls, seen } => {
                if let Some(seen) = seen {
                    open.saw_tls(seen);
                }
                if tls {
                    deny(&agent.stream).await;
                }
                Receipt::of(open, Outcome::Cut, reason)
            }
        })
    }
}

/// Makes ready what the handshake with the agent is answered with.
async fn terminated(mut open: Open, live: Live, (agent, seen): (AgentSide, TlsSeen), peek: &Peek) -> Carried {
    open.saw_tls(seen.clone());
    let Some(authority) = peek.authority.load_full() else {
        deny(&agent.stream).await;
        return Carried::Over(Receipt::of(open, Outcome::Refused, Reason::Inspect));
    };
    let attempt = live.attempt();
    let offer = offer(&seen, peek.known.knows(&attempt.agent, &attempt.destination));
    match authority.server_config(&attempt.destination.host, offer) {
        Ok(config) => Carried::Tls(Box::new(Interception::tls(open, live, seen)), agent, config),
        Err(unmintable) => {
            // At an agent's will, as often as it likes; its record says that it failed.
            tracing::debug!(%unmintable, "a tunnel that rules look into could not be answered");
            deny(&agent.stream).await;
            Carried::Over(Receipt::of(open, Outcome::Failed, Reason::Internal))
        }
    }
}

/// What the agent asked for, as far as its origin is not known to speak HTTP/1.1 alone. Who knows nothing but HTTP/2 is translated for.
fn offer(seen: &TlsSeen, known_http1: bool) -> Offer {
    let asks = |protocol: &str| seen.alpn.iter().any(|asked| asked == protocol);
    if asks("h2") && !(known_http1 && asks("http/1.1")) { Offer::Both } else { Offer::Http1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_offered_than_was_asked_for_and_is_known_to_be_spoken() {
        let rows: [(&[&str], bool, Offer); 7] = [
            (&[], false, Offer::Http1),
            (&["http/1.1"], false, Offer::Http1),
            (&["h3", "acme-tls/1"], false, Offer::Http1),
            (&["h2", "http/1.1"], false, Offer::Both),
            (&["h2", "http/1.1"], true, Offer::Http1),
            (&["h2"], false, Offer::Both),
            (&["h2"], true, Offer::Both),
        ];
        for (alpn, known_http1, wanted) in rows {
            let seen = TlsSeen { alpn: alpn.iter().map(|protocol| (*protocol).to_owned()).collect(), ..TlsSeen::default() };
            assert_eq!(offer(&seen, known_http1), wanted, "{alpn:?} {known_http1}");
        }
    }
}

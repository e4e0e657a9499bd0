//! A tunnel to where rules look at requests: it is answered 200, resolved and dialled by nobody, and judged by its first bytes.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::interception::Interception;
use super::live::Live;
use super::open::Open;
use super::record::Outcome;
use super::refusal::{Cause, Refusal};
use super::tunnel::{AgentSide, Carried, Judgement, Receipt, deny, first_bytes, judge};
use crate::policy::reason::Reason;
use crate::policy::rule::RuleRef;

/// A tunnel whose requests are to be judged and of which no byte is seen yet. It cannot connect; all it can become is an [`Interception`].
#[must_use = "a tunnel that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct Unseen {
    open: Open,
    pub(super) live: Live,
    rule: RuleRef,
}

/// How long first bytes are waited for, and what ends the wait.
#[derive(Clone, Debug)]
pub struct Peek {
    pub(super) within: Duration,
    pub(super) stop: CancellationToken,
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

    /// Waits for the first bytes. HTTP is carried request by request; TLS, in which no request can be seen, is refused in its own words.
    pub async fn tunnel(self, mut agent: AgentSide, peek: &Peek) -> Carried {
        let Self { mut open, mut live, rule: _ } = self;
        let began = Instant::now();
        let first = tokio::select! {
            first = first_bytes(&mut agent, peek.within) => first,
            reason = live.lost() => return Carried::Over(Receipt::of(open, Outcome::Cut, reason)),
            () = peek.stop.cancelled() => return Carried::Over(Receipt::of(open, Outcome::Cut, Reason::Internal)),
        };
        Carried::Over(match judge(first, &live.attempt().destination.host) {
            Judgement::Http => return Carried::Http(Box::new(Interception::new(open, live)), agent),
            Judgement::Gone => Receipt::of(open, Outcome::Abandoned, Reason::NotTls),
            Judgement::Carry(seen) | Judgement::Cut { reason: _, tls: true, seen: Some(seen) } => {
                open.saw_tls(seen, began.elapsed());
                deny(&agent.stream).await;
                Receipt::of(open, Outcome::Refused, Reason::Inspect)
            }
            Judgement::Cut { reason, tls, seen: _ } => {
                if tls {
                    deny(&agent.stream).await;
                }
                Receipt::of(open, Outcome::Cut, reason)
            }
        })
    }
}

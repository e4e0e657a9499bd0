//! An open attempt: from its claim to its last word.
//!
//! Whatever happens to the token that carries it, dropping it writes `ended`; outcomes are set where a token changes kind.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::{BYTES_PER_DAY, Exhausted, Share};
use super::carried::Carried;
use super::claim::{Tunnel, Unready};
use super::dialled::Dialling;
use super::flood::{Refusals, Refused, Source};
use super::hold::HoldInfo;
use super::over::Over;
use super::record::{Decided, Durable, Ended, Front, Millis, Outcome, Record, Recorder, Ruling, SecretMissing, TlsSeen, Unwritable, Would};
use super::refusal::{Cause, Refusal};
use super::seats::Seat;
use super::tunnels::Tunnels;
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::decide::Block;
use crate::policy::destination::Destination;
use crate::policy::limits::LimitedBy;
use crate::policy::reason::Reason;

/// Told when an attempt has ended, so that it no longer covers requests found in it.
pub(super) trait OnEnd: Send + Sync + std::fmt::Debug {
    fn ended(&self, attempt: AttemptId);
}

/// The attempt itself: its draft of `decided`, and all that `ended` will say.
#[derive(Debug)]
pub(super) struct Open {
    draft: Decided,
    stage: Stage,
    asked: Option<Instant>,
    /// A question is about to be put for it.
    pub(super) asks: bool,
    destination: Option<Destination>,
    /// Where it comes from, as long as nobody is identified.
    source: IpAddr,
    backing: Backing,
    seat: Option<Seat>,
    /// Of the tunnel it was found in.
    over: Option<Over>,
    /// A secret that it needed and that could not be had.
    secret: Option<SecretMissing>,
    /// What it has taken of the policy's limits.
    pub(super) share: Option<Share>,
    began: Instant,
    held: Option<Duration>,
    pub(super) dns: Option<Duration>,
    pub(super) dial: Option<Duration>,
    pub(super) address: Option<SocketAddr>,
    /// Its connection to the origin, for as long as it may come back to us.
    pub(super) dialling: Option<Dialling>,
    pub(super) status: Option<u16>,
    tls: Option<TlsSeen>,
    /// Until the first bytes of a tunnel were judged, or the handshake with the origin was done.
    pub(super) tls_took: Option<Duration>,
    pub(super) carried: Arc<Carried>,
}

/// Where what becomes of an attempt is written and told.
#[derive(Clone, Debug)]
pub(super) struct Backing {
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) tunnels: Arc<Tunnels>,
    pub(super) on_end: Arc<dyn OnEnd>,
}

/// What `decided: allow` says.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) reason: Reason,
    pub(super) rule: Option<String>,
    pub(super) approval: Option<uuid::Uuid>,
    pub(super) would: Option<Would>,
}

impl Granted {
    pub(super) fn by(reason: Reason) -> Self {
        Self { reason, rule: None, approval: None, would: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is written yet.
    Undecided,
    /// `decided` is written; this is what `ended` will say if nothing else is set.
    Decided(Outcome, Reason),
    /// `ended` is written, or `decided` could not be, or it is counted as one of many.
    Closed,
}

impl Open {
    pub(super) fn new(draft: Decided, destination: Option<Destination>, source: IpAddr, backing: Backing) -> Self {
        Self {
            draft,
            stage: Stage::Undecided,
            asked: None,
            asks: false,
            destination,
            source,
            backing,
            seat: None,
            over: None,
            secret: None,
            share: None,
            began: Instant::now(),
            held: None,
            dns: None,
            dial: None,
            address: None,
            dialling: None,
            status: None,
            tls: None,
            tls_took: None,
            carried: Arc::default(),
        }
    }

    pub(super) fn id(&self) -> AttemptId {
        self.draft.id
    }

    pub(super) fn identified(&mut self, agent: AgentId) {
        self.draft.agent = Some(agent);
    }

    /// It was found in this tunnel.
    pub(super) fn within(&mut self, tunnel: &Tunnel) {
        self.over = Some(tunnel.over.clone());
        self.tls.clone_from(&tunnel.tls);
    }

    pub(super) fn seated(&mut self, seat: Seat) {
        self.seat = Some(seat);
    }

    /// A question is asked for it: if it goes away now, it was pending.
    pub(super) fn asked(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
    }

    pub(super) fn waited(&mut self, wait: Duration) {
        self.held = Some(self.held.unwrap_or_default() + wait);
    }

    /// Writes `decided: allow`. From here on the attempt is abandoned unless something else is said. No effect before it is durable.
    pub(super) fn allow(&mut self, granted: Granted) -> Result<Durable, Unwritable> {
        let Granted { reason, rule, approval, would } = granted;
        (self.draft.rule, self.draft.approval, self.draft.would) = (rule, approval, would);
        self.decide(Ruling::Allow, reason, Outcome::Abandoned)?;
        self.backing.tunnels.opened(&self.draft, &self.carried);
        self.carried.give_account(self.draft.id, self.draft.agent.clone(), Arc::clone(&self.backing.recorder));
        Ok(self.backing.recorder.durable())
    }

    /// Writes `decided: look`, which is no leave to go anywhere.
    pub(super) fn look(&mut self, rule: String) -> Result<Durable, Unwritable> {
        self.draft.rule = Some(rule);
        self.decide(Ruling::Look, Reason::Inspect, Outcome::Abandoned)?;
        self.backing.tunnels.opened(&self.draft, &self.carried);
        Ok(self.backing.recorder.durable())
    }

    fn decide(&mut self, ruling: Ruling, reason: Reason, outcome: Outcome) -> Result<(), Unwritable> {
        self.draft.decision = ruling;
        self.draft.reason = reason;
        let written = self.backing.recorder.record(&Record::Decided(self.draft.clone()));
        if ruling == Ruling::Block {
            self.goes_on();
        }
        self.stage = match written {
            Ok(()) => Stage::Decided(outcome, reason),
            Err(Unwritable) => {
                // Whatever it was to be, it is refused.
                self.backing.refusals.unwritten(self.source(), self.refused(Reason::Internal));
                Stage::Closed
            }
        };
        written
    }

    fn source(&self) -> Source {
        self.draft.agent.clone().map_or(Source::Peer(self.source), Source::Agent)
    }

    fn refused(&self, reason: Reason) -> Refused<'_> {
        Refused { reason, front: self.draft.front, to: self.destination.as_ref() }
    }

    /// Nothing of ours stands between the agent and its answer any more.
    pub(super) fn goes_on(&self) {
        self.backing.recorder.added(self.draft.id, self.draft.decision, self.began.elapsed().saturating_sub(self.held.unwrap_or_default()));
    }

    /// Says how it will end unless something else is said later.
    pub(super) fn will_end(&mut self, outcome: Outcome, reason: Reason) {
        if let Stage::Decided(..) = self.stage {
            self.stage = Stage::Decided(outcome, reason);
        }
    }

    pub(super) fn judged_by(&mut self, policy: &str) {
        if self.draft.policy != policy {
            policy.clone_into(&mut self.draft.policy);
        }
    }

    /// The way in it took.
    pub(super) fn front(&self) -> Front {
        self.draft.front
    }

    /// Hash of the policy it was last judged by.
    pub(super) fn policy(&self) -> &str {
        &self.draft.policy
    }

    /// The reason `decided` gave.
    pub(super) fn reason(&self) -> Reason {
        self.draft.reason
    }

    /// Refuses it as the policy says.
    pub(super) fn blocked(self, block: Block) -> Refusal {
        let Block { reason, rule, because, echo } = block;
        let cause = match (echo, rule) {
            (Some(echo), rule) => Cause::Echo { echo, rule },
            (None, Some(rule)) => Cause::Rule { rule, because },
            (None, None) => Cause::Plain,
        };
        self.refuse(reason, cause)
    }

    /// Refuses it, before or after `decided`. A refusal that cannot be recorded is said to be one of ours.
    pub(super) fn refuse(mut self, reason: Reason, cause: Cause) -> Refusal {
        if let Cause::Rule { rule, .. }
        | Cause::Echo { echo: _, rule: Some(rule) }
        | Cause::Budget(Exhausted { by: LimitedBy::Rule { place: rule, mark: _ }, limit: _ }) = &cause
        {
            self.draft.rule = Some(rule.to_string());
        }
        if let Cause::Secret(Unready { place, why }) = &cause {
            self.draft.rule = Some(place.to_string());
            self.secret = Some(SecretMissing { rule: place.to_string(), why: why.to_string() });
        }
        let (mut reason, mut cause) = (reason, cause);
        match self.stage {
            Stage::Undecided if self.is_one_of_many(reason, &cause) => self.stage = Stage::Closed,
            Stage::Undecided => {
                if self.decide(Ruling::Block, reason, Outcome::Refused).is_err() {
                    (reason, cause) = (Reason::Internal, Cause::Journal);
                }
            }
            Stage::Decided(..) => self.stage = Stage::Decided(outcome_of(reason, &cause), reason),
            Stage::Closed => (reason, cause) = (Reason::Internal, Cause::Journal),
        }
        Refusal {
            id: self.draft.id,
            reason,
            front: self.draft.front,
            agent: self.draft.agent.clone(),
            destination: self.destination.clone(),
            method: self.draft.request.as_ref().map(|request| request.method.clone()),
            cause,
        }
    }

    /// Whether a refusal is counted and has no records of its own. One that a `held` names always has; one for which exeat is at fault is
    /// always tried, as what is wrong with the journal is told by what it does not take.
    fn is_one_of_many(&self, reason: Reason, cause: &Cause) -> bool {
        let named = matches!(cause, Cause::Hold(HoldInfo { id: _, expires_at: _, opened: true }));
        let ours = reason == Reason::Internal;
        self.asked.is_none() && !named && !ours && !self.backing.refusals.is_one_by_one(self.source(), self.refused(reason))
    }

    /// TLS was seen in it, or around it.
    pub(super) fn saw_tls(&mut self, seen: TlsSeen) {
        self.tls = Some(seen);
    }

    fn settle(&mut self, outcome: Outcome, reason: Reason) {
        self.stage = Stage::Closed;
        self.carried.no_more_account();
        if (outcome, reason) == (Outcome::Cut, Reason::Budget) {
            self.backing.recorder.limit_hit(BYTES_PER_DAY);
        }
        if self.draft.decision != Ruling::Block {
            self.backing.tunnels.ended(self.draft.id);
        }
        self.backing.recorder.settle(Ended {
            id: self.draft.id,
            agent: self.draft.agent.clone(),
            outcome,
            reason,
            address: self.address.map(|address| address.to_string()),
            bytes_up: self.carried.up(),
            bytes_down: self.carried.down(),
            status: self.status,
            tls: self.tls.take(),
            leak: self.carried.leak_found().map(|leak| leak.found.clone()),
            secret: self.secret.take(),
            ms: Millis {
                hold: self.held.map(millis),
                dns: self.dns.map(millis),
                dial: self.dial.map(millis),
                tls: self.tls_took.map(millis),
                total: millis(self.began.elapsed()),
            },
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.stage == Stage::Undecided {
            // Its tunnel was cut, or the agent hung up, while it waited for an answer or its question was about to be put. Nothing else is
            // waited for before the decision, so anything else is a fault.
            let (outcome, reason) = match self.over.as_ref().and_then(Over::why) {
                Some(why) => (Outcome::Cut, why),
                None if self.asked.is_some() || self.asks => (Outcome::Abandoned, Reason::Pending),
                None => (Outcome::Abandoned, Reason::Internal),
            };
            self.held = self.held.or_else(|| self.asked.map(|asked| asked.elapsed()));
            let _ = self.decide(Ruling::Block, reason, outcome);
        }
        if let Stage::Decided(outcome, reason) = self.stage {
            self.settle(outcome, reason);
        }
        if self.asked.is_some() || self.draft.approval.is_some() {
            self.backing.on_end.ended(self.draft.id);
        }
    }
}

/// How an attempt ends that was allowed and is refused after all.
fn outcome_of(reason: Reason, cause: &Cause) -> Outcome {
    match (reason, cause) {
        (Reason::PolicyChanged | Reason::Frozen | Reason::Budget, _) | (_, Cause::Leak(_)) => Outcome::Cut,
        (_, Cause::Network(_) | Cause::Certificate(_)) => Outcome::Failed,
        (_, _) => Outcome::Refused,
    }
}

/// Milliseconds to a thousandth: finer would be noise.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

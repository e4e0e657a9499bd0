//! The gate: the only maker of permits. Every way in asks here, and what it says is recorded before anything happens.

mod search;
mod word;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::budget::{Budgets, Share, Spending};
use super::claim::{Claim, Objection, Who};
use super::flood::Refusals;
use super::hold::{Asked, Claimed, Desk, Waiting};
use super::live::{Admitted, Doing, Live};
use super::look::Unseen;
use super::open::{Backing, Granted, OnEnd, Open};
use super::process::{Ends, Observer};
use super::record::{self, Decided, Durable, Place, Recorder, Ruling, Unwritable, masked};
use super::refusal::{Cause, Refusal};
use super::seats::Seats;
use super::tunnels::Tunnels;
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Scheme, Sight};
use crate::policy::decide::{Basis, Block, Decision, Grant, HoldTerms, Look, Would};
use crate::policy::reason::Reason;
use word::{Waited, wait};

/// How often another may be quicker, to claim the yes or to answer the question, before an attempt is refused.
const MOST_LOST_RACES: u32 = 64;

/// What the gate needs to know beside the policy.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// How long an attempt waits for an answer.
    pub hold_wait: Duration,
    /// How many attempts an agent may have open.
    pub per_agent: usize,
    /// How many refusals of one agent, or of one source of which nobody is known, are written one by one in a second.
    pub refusal_records: u32,
}

/// The gate. Policy and approvals are read at each decision; nothing is cached between them.
#[derive(Debug)]
pub struct Gate {
    policy: Arc<ArcSwap<Policy>>,
    approvals: Arc<RwLock<Approvals>>,
    desk: Arc<dyn Desk>,
    recorder: Arc<dyn Recorder>,
    changed: watch::Receiver<u64>,
    seats: Arc<Seats>,
    budgets: Arc<Budgets>,
    refusals: Arc<Refusals>,
    pub(super) tunnels: Arc<Tunnels>,
    observer: Observer,
    hold_wait: Duration,
    clock: fn() -> SystemTime,
}

/// What an attempt is admitted to. `decided` is in the journal when it exists.
#[must_use = "an admission that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub enum Admission {
    /// It may be dialled.
    Pass(Permit),
    /// Rules look at requests, and none is seen yet: the tunnel leads nowhere by itself, and each request found in it is claimed again.
    Look(Unseen),
}

impl Admission {
    /// The permit of an attempt whose request is in sight: there is nothing left to look at.
    pub fn passed(self) -> Result<Permit, Refusal> {
        match self {
            Admission::Pass(permit) => Ok(permit),
            Admission::Look(unseen) => Err(unseen.refused()),
        }
    }
}

/// Leave for one attempt to be dialled. Only [`Gate::admit`] makes one; `decided` is in the journal when it exists.
#[must_use = "a permit that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct Permit {
    pub(super) open: Open,
    pub(super) grant: Grant,
    pub(super) live: Live,
}

/// Who answers questions, and where what is decided goes.
#[derive(Clone, Debug)]
pub struct Company {
    /// The approvals in force, shared with the desk.
    pub approvals: Arc<RwLock<Approvals>>,
    /// Where questions are put.
    pub desk: Arc<dyn Desk>,
    /// Where records go.
    pub recorder: Arc<dyn Recorder>,
    /// What agents have spent today.
    pub spending: Spending,
    /// Moves whenever an answer that was allow may be none any more.
    pub changed: watch::Receiver<u64>,
}

impl Gate {
    /// A gate over `policy`, which may be replaced while it runs.
    pub fn new(policy: Arc<ArcSwap<Policy>>, company: Company, settings: GateSettings) -> Arc<Self> {
        let Company { approvals, desk, recorder, spending, changed } = company;
        let GateSettings { hold_wait, per_agent, refusal_records } = settings;
        let (seats, budgets, tunnels, observer) = (Seats::new(per_agent), Budgets::new(spending), Arc::default(), Observer::default());
        let (refusals, clock) = (Refusals::new(refusal_records, Arc::clone(&recorder)), SystemTime::now);
        Arc::new(Self { policy, approvals, desk, recorder, changed, seats, budgets, refusals, tunnels, observer, hold_wait, clock })
    }

    /// Writes what is counted of refusals that were not written one by one.
    pub fn sum_up_refusals(&self) {
        self.refusals.sum_up();
    }

    /// Does so each second in which there were any, until told to stop.
    pub async fn keep_summing_up(self: Arc<Self>, stop: CancellationToken) {
        self.refusals.keep_summing_up(stop).await;
    }

    /// Judges one claim, waiting for a person where the policy says so. Records the decision either way.
    ///
    /// Dropping the future while it waits leaves the question pending and records the attempt as abandoned.
    pub async fn admit(self: &Arc<Self>, mut claim: Claim) -> Result<Admission, Refusal> {
        let mut open = self.open(&claim);
        if let Some(tunnel) = &claim.who.tunnel {
            open.identified(tunnel.agent.clone());
        }
        let destination = match &claim.wanted {
            Ok(destination) => destination.clone(),
            Err(malformed) => return Err(open.refuse(Reason::Malformed, Cause::Malformed(*malformed))),
        };
        match claim.objection {
            Some(Objection::Loop) => return Err(open.refuse(Reason::OwnAddress, Cause::Loop)),
            Some(Objection::OtherHost) => {
                let misdirected = claim.scheme() == Some(Scheme::Https);
                return Err(open.refuse(Reason::NameMismatch, if misdirected { Cause::Misdirected } else { Cause::Plain }));
            }
            Some(Objection::NotRedirected) => return Err(open.refuse(Reason::OwnAddress, Cause::NotRedirected)),
            None => {}
        }
        let policy = self.policy.load_full();
        let (agent, proven) = match identify(&policy, &claim.who) {
            Ok(agent) => (agent, policy.proves(&claim.who.evidence)),
            Err(reason) => return Err(open.refuse(reason, claim.who.unidentified())),
        };
        open.identified(agent.clone());
        if let Some(unready) = claim.unready.take() {
            return Err(open.refuse(Reason::Internal, Cause::Secret(unready)));
        }
        match claim.seat.take().filter(|seat| seat.is_of(&agent)).or_else(|| self.seats.take(&agent)) {
            Some(seat) => open.seated(seat),
            None => return Err(self.full(open, "limits.per_agent")),
        }
        let attempt = claim.attempt(open.id(), agent, destination, proven);
        self.decide(open, attempt, claim.who).await
    }

    /// Why a claim could be read but not even counted as an attempt of an agent: recorded like any other.
    fn full(&self, open: Open, limit: &'static str) -> Refusal {
        self.recorder.limit_hit(limit);
        open.refuse(Reason::Overloaded, Cause::Limit(limit))
    }

    fn open(self: &Arc<Self>, claim: &Claim) -> Open {
        let draft = Decided {
            id: AttemptId(uuid::Uuid::now_v7()),
            agent: None,
            instance: claim.instance().to_string(),
            front: claim.front,
            peer: claim.peer.to_string(),
            destination: claim.wanted.as_ref().ok().map(|destination| Place::new(destination, claim.scheme())),
            request: match &claim.sight {
                Sight::Seen(seen) => Some(masked(&seen.line())),
                Sight::NotYet => None,
            },
            decision: Ruling::Block,
            reason: Reason::Internal,
            rule: None,
            approval: None,
            policy: self.policy.load().hash().as_ref().to_owned(),
            would: None,
            // On one machine nothing here tells the agent's processes from its approver's.
            separated: claim.on_this_machine.then_some(false),
            within: claim.within(),
            trace: claim.trace.as_ref().map(ToString::to_string),
            leak: claim.sight.seen().and_then(|seen| seen.leak.clone()),
        };
        let backing = Backing {
            recorder: Arc::clone(&self.recorder),
            refusals: Arc::clone(&self.refusals),
            tunnels: Arc::clone(&self.tunnels),
            on_end: Arc::clone(self) as Arc<dyn OnEnd>,
        };
        let mut open = Open::new(draft, claim.wanted.as_ref().ok().cloned(), claim.neighbourhood(), backing);
        match &claim.who.tunnel {
            Some(tunnel) => open.within(tunnel),
            None => claim.tls.clone().into_iter().for_each(|seen| open.saw_tls(seen)),
        }
        open
    }

    async fn decide(self: &Arc<Self>, mut open: Open, attempt: Attempt, who: Who) -> Result<Admission, Refusal> {
        let (deadline, mut lost_races) = (tokio::time::Instant::now() + self.hold_wait, 0);
        while lost_races < MOST_LOST_RACES {
            let now = (self.clock)();
            // Before the decision: what is taken back from here on is noticed by the attempt once it is open.
            let mut changed = self.changed.clone();
            changed.mark_unchanged();
            let policy = self.policy.load_full();
            if let Some((reason, cause)) = search::outdated(&policy, &attempt, &who) {
                return Err(open.refuse(reason, cause));
            }
            let began = Instant::now();
            let decision = who.heard(policy.decide(&attempt, &self.approvals.read(), now));
            self.recorder.decision_took(began.elapsed());
            open.judged_by(policy.hash());
            match decision {
                Decision::Block(block) => return Err(open.blocked(block)),
                Decision::Look(look) => return self.look(open, look, Asker { attempt, who }, changed).await.map(Admission::Look),
                Decision::Hold(terms) => {
                    let waiting = match self.ask(&mut open, &attempt, (&terms, who.ends)).await {
                        Ok(waiting) => waiting,
                        Err((reason, cause)) => return Err(open.refuse(reason, cause)),
                    };
                    // Those who waited when the policy changed were told; who comes to wait after it was not.
                    if changed.has_changed().unwrap_or(false) {
                        continue;
                    }
                    match wait(&mut open, waiting, deadline).await {
                        Ok(Waited::ForAWord) => {}
                        Ok(Waited::NotAtAll) => lost_races += 1,
                        Err((reason, cause)) => return Err(open.refuse(reason, cause)),
                    }
                }
                Decision::Allow(grant) => {
                    let share = match self.budgets.take(&attempt.agent, grant.limits()) {
                        Ok(share) => share,
                        Err(exhausted) => {
                            self.recorder.limit_hit(exhausted.limit.as_str());
                            return Err(open.refuse(Reason::Budget, Cause::Budget(exhausted)));
                        }
                    };
                    let claimed = match grant.basis() {
                        Basis::Listed(_) | Basis::Observed(_) => Claimed::Taken,
                        Basis::Approved(id) => self.desk.claim(*id, &attempt, now),
                    };
                    if claimed == Claimed::Taken {
                        open.share = share;
                        open.carried.draws_on(self.budgets.drawing(&attempt.agent, grant.limits()));
                        return self.permit(open, grant, Asker { attempt, who }, changed).await.map(Admission::Pass);
                    }
                    share.into_iter().for_each(Share::unused);
                    if claimed == Claimed::Unkept {
                        return Err(open.refuse(Reason::Internal, Cause::Journal));
                    }
                    lost_races += 1;
                }
            }
        }
        Err(open.refuse(Reason::Expired, Cause::Plain))
    }

    async fn look(self: &Arc<Self>, mut open: Open, look: Look, asker: Asker, changed: watch::Receiver<u64>) -> Result<Unseen, Refusal> {
        let Look { rule } = look;
        let written = open.look(rule.to_string());
        let open = written_down(open, written).await?;
        let live = Live::new(Arc::clone(self), asker, Admitted::Look { until: None }, changed);
        Ok(Unseen::new(open, live, rule))
    }

    async fn permit(
        self: &Arc<Self>,
        mut open: Open,
        grant: Grant,
        asker: Asker,
        changed: watch::Receiver<u64>,
    ) -> Result<Permit, Refusal> {
        let rule = grant.rule().map(ToString::to_string);
        let granted = match grant.basis() {
            Basis::Listed(_) => Granted { rule, ..Granted::by(Reason::Listed) },
            Basis::Approved(id) => Granted { approval: Some(id.0), ..Granted::by(Reason::Approved) },
            Basis::Observed(would) => Granted { rule, would: Some(would_have(would)), ..Granted::by(Reason::Observed) },
        };
        let written = open.allow(granted);
        let open = written_down(open, written).await?;
        let live = Live::new(Arc::clone(self), asker, Admitted::Pass { until: grant.until() }, changed);
        Ok(Permit { open, grant, live })
    }

    /// Puts the question of an attempt.
    async fn ask(&self, open: &mut Open, attempt: &Attempt, (terms, ends): (&HoldTerms, Option<Ends>)) -> Result<Waiting, (Reason, Cause)> {
        open.asks = true;
        let process = self.observer.look(ends, || self.desk.would_open(attempt, terms)).await;
        open.asks = false;
        match Arc::clone(&self.desk).ask(attempt, terms, process) {
            Asked::Waiting(waiting) => Ok(waiting),
            Asked::Unattended(hold) => Err((Reason::Unattended, Cause::Hold(hold))),
            Asked::Ending(hold) => Err((Reason::Pending, Cause::Hold(hold))),
            Asked::Unrecorded => Err((Reason::Internal, Cause::Journal)),
            Asked::Full(limit) => {
                self.recorder.limit_hit(limit);
                Err((Reason::Overloaded, Cause::Limit(limit)))
            }
        }
    }

    /// The decision on an attempt that is open already: its new end while it may go on, or why it may not.
    pub(super) fn still_admits(&self, Asker { attempt, who }: &Asker, admitted: Admitted, doing: Doing) -> Result<Admitted, Reason> {
        let policy = self.policy.load();
        if identify(&policy, who).as_ref() != Ok(&attempt.agent) {
            return Err(Reason::PolicyChanged);
        }
        let approvals = self.approvals.read();
        let decision = policy.decide(attempt, &approvals, (self.clock)());
        if let Decision::Allow(grant) = &decision {
            self.budgets.bind(&attempt.agent, grant.limits());
        }
        match (decision, admitted) {
            (Decision::Allow(grant), _) if !approvals.carries(grant.basis(), attempt) => Err(Reason::PolicyChanged),
            (Decision::Allow(grant), Admitted::Pass { until: _ }) if doing.is_within(&grant) => Ok(Admitted::Pass { until: grant.until() }),
            // Its requests are judged one by one, whatever the tunnel itself would get; unless nobody is to look inside any more.
            (Decision::Allow(grant), Admitted::Look { until: _ }) if doing.is_within(&grant) => Ok(Admitted::Look { until: grant.until() }),
            (Decision::Look(_), Admitted::Look { until: _ }) => Ok(Admitted::Look { until: None }),
            (Decision::Block(Block { reason: Reason::Frozen, rule: _, because: _, echo: _ }), _) => Err(Reason::Frozen),
            (Decision::Allow(_) | Decision::Look(_) | Decision::Hold(_) | Decision::Block(_), _) => Err(Reason::PolicyChanged),
        }
    }
}

/// Waits until `decided` is durable; one that is not leads nowhere.
async fn written_down(open: Open, written: Result<Durable, Unwritable>) -> Result<Open, Refusal> {
    let durable = match written {
        Ok(durable) => durable.wait().await,
        Err(unwritable) => Err(unwritable),
    };
    match durable {
        Ok(()) => {
            open.goes_on();
            Ok(open)
        }
        Err(Unwritable) => Err(open.refuse(Reason::Internal, Cause::Journal)),
    }
}

impl OnEnd for Gate {
    fn ended(&self, attempt: AttemptId) {
        self.approvals.write().ended(attempt);
    }
}

/// An attempt and who made it, so that both can be judged again.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) attempt: Attempt,
    pub(super) who: Who,
}

fn would_have(would: &Would) -> record::Would {
    match would {
        Would::Hold(_) => record::Would::Hold,
        Would::Block => record::Would::Block,
    }
}

/// Who asks by the policy in force. A request in a tunnel is the tunnel's agent, as long as its evidence still proves that.
fn identify(policy: &Policy, who: &Who) -> Result<AgentId, Reason> {
    let agent = policy.identify(&who.evidence)?;
    match &who.tunnel {
        Some(tunnel) if tunnel.agent != agent => Err(Reason::UnknownAgent),
        Some(_) | None => Ok(agent),
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! The gate: the only maker of permits. Every way in asks here, and what it says is recorded before anything happens.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::claim::{Claim, Objection, Who};
use super::hold::{Asked, Desk, Word};
use super::live::Live;
use super::open::{OnEnd, Open};
use super::record::{Decided, Place, Recorder, Ruling, masked};
use super::refusal::{Cause, Refusal};
use super::seats::Seats;
use crate::policy::Policy;
use crate::policy::approvals::Approvals;
use crate::policy::attempt::{AgentId, Attempt, AttemptId, Offered, Sight};
use crate::policy::decide::{Basis, Block, Decision, Grant, HoldTerms};
use crate::policy::destination::Destination;
use crate::policy::reason::Reason;

/// How often an attempt is decided again, after an answer or because another claimed the yes first, before it is refused.
const MOST_ROUNDS: u32 = 64;

/// What the gate needs to know beside the policy.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// How long an attempt waits for an answer.
    pub hold_wait: Duration,
    /// How many attempts an agent may have open.
    pub per_agent: usize,
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
    hold_wait: Duration,
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
    /// Moves whenever an answer that was allow may be none any more.
    pub changed: watch::Receiver<u64>,
}

impl Gate {
    /// A gate over `policy`, which may be replaced while it runs.
    pub fn new(policy: Arc<ArcSwap<Policy>>, company: Company, settings: GateSettings) -> Arc<Self> {
        let Company { approvals, desk, recorder, changed } = company;
        let GateSettings { hold_wait, per_agent } = settings;
        Arc::new(Self { policy, approvals, desk, recorder, changed, seats: Seats::new(per_agent), hold_wait })
    }

    /// Judges one claim, waiting for a person where the policy says so. Records the decision either way.
    ///
    /// Dropping the future while it waits leaves the question pending and records the attempt as abandoned.
    pub async fn admit(self: &Arc<Self>, claim: Claim) -> Result<Permit, Refusal> {
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
            Some(Objection::OtherHost) => return Err(open.refuse(Reason::NameMismatch, Cause::Plain)),
            None => {}
        }
        let agent = match identify(&self.policy.load(), &claim.who) {
            Ok(agent) => agent,
            Err(reason) => return Err(open.refuse(reason, unidentified(&claim.who))),
        };
        open.identified(agent.clone());
        match self.seats.take(&agent) {
            Some(seat) => open.seated(seat),
            None => return Err(self.full(open, "limits.per_agent")),
        }
        let attempt = attempt(&claim, open.id(), agent, destination);
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
            // On one machine nothing here tells the agent's processes from its approver's.
            separated: claim.on_this_machine.then_some(false),
            within: claim.within(),
        };
        let on_end: Arc<dyn OnEnd> = Arc::clone(self) as Arc<dyn OnEnd>;
        Open::new(draft, claim.wanted.as_ref().ok().cloned(), Arc::clone(&self.recorder), on_end)
    }

    async fn decide(self: &Arc<Self>, mut open: Open, attempt: Attempt, who: Who) -> Result<Permit, Refusal> {
        let deadline = tokio::time::Instant::now() + self.hold_wait;
        for _round in 0..MOST_ROUNDS {
            let now = SystemTime::now();
            // Before the decision: what is taken back from here on is noticed by the attempt once it is open.
            let mut changed = self.changed.clone();
            changed.mark_unchanged();
            let policy = self.policy.load_full();
            if identify(&policy, &who).as_ref() != Ok(&attempt.agent) {
                return Err(open.refuse(Reason::UnknownAgent, unidentified(&who)));
            }
            let began = Instant::now();
            let decision = policy.decide(&attempt, &self.approvals.read(), now);
            self.recorder.decision_took(began.elapsed());
            open.judged_by(policy.hash());
            match decision {
                Decision::Block(block) => return Err(refuse(open, block)),
                Decision::Look(_look) => return Err(open.refuse(Reason::Inspect, Cause::Plain)),
                Decision::Hold(terms) => {
                    if let Err((reason, cause)) = self.wait(&mut open, &attempt, &terms, deadline).await {
                        return Err(open.refuse(reason, cause));
                    }
                }
                Decision::Allow(grant) => {
                    let claimed = match grant.basis() {
                        Basis::Listed(_) | Basis::Observed(_) => true,
                        Basis::Approved(id) => self.approvals.write().claim(*id, &attempt, now),
                    };
                    if claimed {
                        return self.permit(open, grant, Asker { attempt, who }, changed);
                    }
                }
            }
        }
        Err(open.refuse(Reason::Expired, Cause::Plain))
    }

    fn permit(self: &Arc<Self>, mut open: Open, grant: Grant, asker: Asker, changed: watch::Receiver<u64>) -> Result<Permit, Refusal> {
        let written = match grant.basis() {
            Basis::Listed(rule) => open.allow(Reason::Listed, Some(rule.to_string()), None),
            Basis::Approved(id) => open.allow(Reason::Approved, None, Some(id.0)),
            Basis::Observed(_would) => open.allow(Reason::Observed, grant.rule().map(ToString::to_string), None),
        };
        if written.is_err() {
            return Err(open.refuse(Reason::Internal, Cause::Journal));
        }
        let live = Live::new(Arc::clone(self), asker, grant.until(), changed);
        Ok(Permit { open, grant, live })
    }

    /// Waits for a word on a question. `Ok` means that the attempt is to be decided again.
    async fn wait(
        &self,
        open: &mut Open,
        attempt: &Attempt,
        terms: &HoldTerms,
        deadline: tokio::time::Instant,
    ) -> Result<(), (Reason, Cause)> {
        let mut waiting = match Arc::clone(&self.desk).ask(attempt, terms) {
            Asked::Waiting(waiting) => waiting,
            Asked::Unattended(hold) => return Err((Reason::Unattended, Cause::Hold(hold))),
            Asked::Unrecorded => return Err((Reason::Internal, Cause::Journal)),
            Asked::Full(limit) => {
                self.recorder.limit_hit(limit);
                return Err((Reason::Overloaded, Cause::Limit(limit)));
            }
        };
        open.asked();
        let began = Instant::now();
        let word = tokio::time::timeout_at(deadline, waiting.word()).await;
        open.waited(began.elapsed());
        match word {
            Ok(Word::DecideAgain) => Ok(()),
            Ok(Word::No { note }) => Err((Reason::Refused, Cause::Denied { note })),
            Ok(Word::Unattended) => Err((Reason::Unattended, Cause::Hold(waiting.hold.clone()))),
            Ok(Word::Expired) => Err((Reason::Expired, Cause::Plain)),
            Err(_elapsed) => Err((Reason::Pending, Cause::Hold(waiting.hold.clone()))),
        }
    }

    /// The decision on an attempt that is open already: `Some` with its new end while it may go on.
    pub(super) fn still_allows(&self, asker: &Asker) -> Option<Option<SystemTime>> {
        let policy = self.policy.load();
        let Asker { attempt, who } = asker;
        if identify(&policy, who).as_ref() != Ok(&attempt.agent) {
            return None;
        }
        match policy.decide(attempt, &self.approvals.read(), SystemTime::now()) {
            Decision::Allow(grant) => Some(grant.until()),
            Decision::Look(_) | Decision::Hold(_) | Decision::Block(_) => None,
        }
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

/// Who asks by the policy in force. A request in a tunnel is the tunnel's agent, as long as its evidence still proves that.
fn identify(policy: &Policy, who: &Who) -> Result<AgentId, Reason> {
    let agent = policy.identify(&who.evidence)?;
    match &who.tunnel {
        Some(tunnel) if tunnel.agent != agent => Err(Reason::UnknownAgent),
        Some(_) | None => Ok(agent),
    }
}

fn unidentified(who: &Who) -> Cause {
    Cause::Unidentified { offered: who.evidence.offered != Offered::Nothing }
}

fn attempt(claim: &Claim, id: AttemptId, agent: AgentId, destination: Destination) -> Attempt {
    Attempt {
        id,
        agent,
        instance: claim.instance(),
        destination,
        scheme: claim.scheme(),
        sight: claim.sight.clone(),
        within: claim.within(),
    }
}

fn refuse(open: Open, block: Block) -> Refusal {
    let cause = match block.rule {
        Some(rule) => Cause::Rule { rule, because: block.because },
        None => Cause::Plain,
    };
    open.refuse(block.reason, cause)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::egress::record::{Ended, Front, Record, Unwritable};
    use crate::policy::address::{Addresses, Guard};
    use crate::policy::allowlist::Allowlist;
    use crate::policy::approvals::{Approval, ApprovalId, Scope, Subject};
    use crate::policy::attempt::{Evidence, Instance};

    /// A journal that is slow enough for a yes to be taken back while it writes.
    #[derive(Debug)]
    struct Revoking {
        approvals: Arc<RwLock<Approvals>>,
        changes: watch::Sender<u64>,
        yes: ApprovalId,
    }

    impl Recorder for Revoking {
        fn record(&self, record: &Record) -> Result<(), Unwritable> {
            if let Record::Decided(_) = record {
                assert!(self.approvals.write().revoke(self.yes).is_some());
                self.changes.send_modify(|count| *count += 1);
            }
            Ok(())
        }
        fn settle(&self, _: Ended) {}
        fn limit_hit(&self, _: &'static str) {}
        fn decision_took(&self, _: Duration) {}
    }

    /// Nothing is asked here.
    #[derive(Debug)]
    struct NoDesk;

    impl Desk for NoDesk {
        fn ask(self: Arc<Self>, _: &Attempt, _: &HoldTerms) -> Asked {
            Asked::Unrecorded
        }
        fn leave(&self, _: &str, _: AttemptId) {}
    }

    #[tokio::test]
    async fn a_yes_taken_back_while_decided_is_written_is_noticed_by_its_permit() {
        let text = "agent = \"a\"\nunlisted = \"hold\"\n[[identify]]\nsource = \"192.0.2.0/24\"\n";
        let (allowlist, _) = Allowlist::parse("a.toml", text).unwrap();
        let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
        let policy = Arc::new(ArcSwap::from_pointee(Policy::new(vec![allowlist], guard).unwrap()));
        let destination = Destination::parse("held.test.example:443").unwrap();
        let yes = yes(destination.clone());
        let (changes, changed) = watch::channel(0);
        let approvals = Arc::new(RwLock::new(Approvals::default()));
        approvals.write().insert(yes.clone());
        let recorder = Arc::new(Revoking { approvals: Arc::clone(&approvals), changes, yes: yes.id });
        let company = Company { approvals, desk: Arc::new(NoDesk), recorder, changed };
        let gate = Gate::new(policy, company, GateSettings { hold_wait: Duration::ZERO, per_agent: 1 });

        let peer = "192.0.2.1:1000".parse().unwrap();
        let evidence = Evidence { listener: "main".into(), source: std::net::IpAddr::from([192, 0, 2, 1]), offered: Offered::Nothing };
        let claim = Claim::new(Front::Connect, peer, evidence, Ok(destination), Sight::NotYet);
        let Permit { open: _open, grant: _, mut live } = gate.admit(claim).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), live.lost()).await.is_ok(), "the permit outlives its yes");
    }

    fn yes(destination: Destination) -> Approval {
        let agent = AgentId::parse("a").unwrap();
        let now = SystemTime::now();
        Approval {
            id: ApprovalId(uuid::Uuid::now_v7()),
            subject: Subject { agent, instance: Instance("192.0.2.1".into()), destination, scheme: None, request: None },
            scope: Scope::For { until: now + Duration::from_secs(3600) },
            addresses: Arc::new(Addresses { public: true, networks: Vec::new() }),
            approver: "person".into(),
            at: now,
            note: None,
            claimed: BTreeSet::new(),
        }
    }
}

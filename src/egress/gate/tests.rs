mod doubles;
mod live;
mod searched;

use std::collections::BTreeSet;

use futures_util::FutureExt;

use super::*;
use crate::egress::hold::Process;
use crate::egress::record::{Ended, Front, Outcome, Record, Unwritable};
use crate::policy::address::{Addresses, Guard};
use crate::policy::allowlist::Allowlist;
use crate::policy::approvals::{Approval, ApprovalId, Scope, Subject};
use crate::policy::attempt::{Evidence, Instance, Offered};
use crate::policy::destination::Destination;
use doubles::{Asks, NoDesk, Restless, Revoking, Slow, Written};

const ON_PATHS: &str = "[[allow]]\nhost = \"api.test.example\"\nport = [8080]\nmethod = [\"GET\"]\n";
const WHOLE: &str = "[[allow]]\nhost = \"api.test.example\"\nport = [8080]\n";
const BLOCKED: &str = "[[block]]\nhost = \"api.test.example\"\n";

fn policy(rules: &str) -> Policy {
    let text = format!("agent = \"a\"\nunlisted = \"hold\"\n[[identify]]\nsource = \"192.0.2.0/24\"\n{rules}");
    let (allowlist, _) = Allowlist::parse("a.toml", &text).unwrap();
    let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
    Policy::new(vec![allowlist], guard).unwrap()
}

fn inspecting(rules: &str) -> Policy {
    let text = format!("agent = \"a\"\n[[identify]]\nsource = \"192.0.2.0/24\"\n{rules}");
    let floor = crate::policy::floor::Floor::none();
    let library = &crate::policy::allowlist::NoLibrary;
    let reading = crate::policy::allowlist::Reading { now: SystemTime::now(), floor: &floor, library, inspects: true };
    let (allowlist, _) = Allowlist::read("a.toml", &text, &reading).unwrap();
    Policy::new(vec![allowlist], Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() }).unwrap()
}

fn claim(destination: &str, sight: Sight) -> Claim {
    let peer = "192.0.2.1:1000".parse().unwrap();
    let evidence = Evidence { listener: "main".into(), source: std::net::IpAddr::from([192, 0, 2, 1]), offered: Offered::Nothing };
    Claim::new(Front::Connect, peer, evidence, Ok(Destination::parse(destination).unwrap()), sight)
}

struct World {
    gate: Arc<Gate>,
    policy: Arc<ArcSwap<Policy>>,
    changes: watch::Sender<u64>,
    written: Arc<Written>,
}

impl World {
    fn new(rules: &str) -> Self {
        let approvals = Arc::default();
        Self::sharing(Arc::clone(&approvals), Arc::new(ArcSwap::from_pointee(policy(rules))), Arc::new(NoDesk(approvals)))
    }

    fn over(policy: Arc<ArcSwap<Policy>>, desk: Arc<dyn Desk>) -> Self {
        Self::sharing(Arc::default(), policy, desk)
    }

    fn sharing(approvals: Arc<RwLock<Approvals>>, policy: Arc<ArcSwap<Policy>>, desk: Arc<dyn Desk>) -> Self {
        let (changes, changed) = watch::channel(0);
        let written = Arc::new(Written::default());
        let recorder = Arc::clone(&written) as Arc<dyn Recorder>;
        let company = Company { approvals, desk, recorder, spending: Default::default(), changed };
        let settings = GateSettings { hold_wait: Duration::from_secs(45), per_agent: 100, refusal_records: 200 };
        Self { gate: Gate::new(Arc::clone(&policy), company, settings), policy, changes, written }
    }

    fn now_in_force(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.changes.send_modify(|count| *count += 1);
    }

    fn decided(&self) -> Vec<(Ruling, Reason, Option<String>)> {
        let written = self.written.0.lock();
        let decided = written.iter().filter_map(|record| if let Record::Decided(decided) = record { Some(decided) } else { None });
        decided.map(|decided| (decided.decision, decided.reason, decided.rule.clone())).collect()
    }
}

#[tokio::test]
async fn a_tunnel_to_where_rules_look_at_requests_is_recorded_and_gets_no_permit() {
    let world = World::new(ON_PATHS);
    let Admission::Look(unseen) = world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap() else {
        panic!("a permit")
    };
    assert_eq!(world.decided(), [(Ruling::Look, Reason::Inspect, Some("a.toml:5".to_owned()))]);
    let refusal = Admission::Look(unseen).passed().unwrap_err();
    assert_eq!((refusal.reason, world.written.0.lock().len()), (Reason::Inspect, 2));
    let seen = crate::policy::attempt::Seen::bare("GET", "/", None);
    assert!(world.gate.admit(claim("api.test.example:8080", Sight::Seen(Arc::new(seen)))).await.unwrap().passed().is_ok());
    assert_eq!(world.decided()[1], (Ruling::Allow, Reason::Listed, Some("a.toml:5".to_owned())));
}

#[tokio::test]
async fn there_is_no_permit_and_no_look_before_decided_is_durable_and_none_where_it_never_is() {
    for (rules, disk_holds) in [(WHOLE, true), (WHOLE, false), (ON_PATHS, true), (ON_PATHS, false)] {
        let slow = Arc::new(Slow::default());
        let (_changes, changed) = watch::channel(0);
        let company = Company {
            approvals: Arc::default(),
            desk: Arc::new(NoDesk::default()),
            recorder: Arc::clone(&slow) as _,
            spending: Default::default(),
            changed,
        };
        let settings = GateSettings { hold_wait: Duration::from_secs(45), per_agent: 100, refusal_records: 200 };
        let gate = Gate::new(Arc::new(ArcSwap::from_pointee(policy(rules))), company, settings);
        let mut admitting = Box::pin(gate.admit(claim("api.test.example:8080", Sight::NotYet)));
        assert!(admitting.as_mut().now_or_never().is_none());
        assert!(matches!(&slow.written.0.lock()[..], [Record::Decided(_)]));
        let waits = std::mem::take(&mut *slow.waits.lock());
        if disk_holds {
            waits.into_iter().for_each(|tell| tell.send(()).unwrap());
            assert!(admitting.await.is_ok());
        } else {
            drop(waits);
            let refusal = admitting.await.unwrap_err();
            assert_eq!((refusal.reason, refusal.cause), (Reason::Internal, Cause::Journal));
            assert!(matches!(&slow.written.0.lock()[..], [Record::Decided(_), Record::Ended(ended)] if ended.outcome == Outcome::Refused));
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_agent_that_hangs_up_before_its_question_is_put_is_no_fault_of_ours() {
    let world = World::new("");
    // A look at who asks is seldom over before it is waited for.
    let waited = (0..1000).any(|_| {
        let mut claim = claim("api.test.example:8080", Sight::NotYet);
        claim.came_in_at("192.0.2.1:3128".parse().unwrap());
        Box::pin(world.gate.admit(claim)).now_or_never().is_none()
    });
    assert!(waited);
    assert_eq!(world.decided().pop(), Some((Ruling::Block, Reason::Pending, None)));
    assert!(matches!(world.written.0.lock().last(), Some(Record::Ended(ended)) if ended.outcome == Outcome::Abandoned));
}

#[tokio::test]
async fn an_agent_known_by_its_address_alone_is_refused_where_exeat_puts_a_credential_in() {
    let inject = "[[inject]]\nhost = \"api.test.example\"\nheader = \"cookie\"\nvalue = { env = \"X\" }\n";
    let world = World::over(Arc::new(ArcSwap::from_pointee(inspecting(inject))), Arc::new(NoDesk::default()));
    world.gate.admit(claim("api.test.example:443", Sight::NotYet)).await.unwrap_err();
    assert_eq!(world.decided(), [(Ruling::Block, Reason::Blocked, Some("a.toml:4".to_owned()))]);
}

#[tokio::test]
async fn what_is_observed_is_recorded_with_what_it_would_have_got() {
    let end = jiff::Timestamp::now() + Duration::from_secs(3600);
    let rules = "[[hold]]\nhost = \"held.test.example\"\n";
    for (unlisted, host, wanted) in [
        ("hold", "held.test.example:443", (record::Would::Hold, Some("a.toml:6".to_owned()))),
        ("hold", "evil.test.example:443", (record::Would::Hold, None)),
        ("block", "evil.test.example:443", (record::Would::Block, None)),
    ] {
        let text =
            format!("agent = \"a\"\nunlisted = \"{unlisted}\"\nobserve_until = {end:.0}\n[[identify]]\nsource = \"192.0.2.0/24\"\n{rules}");
        let reading = crate::policy::allowlist::Reading {
            now: SystemTime::now(),
            floor: &crate::policy::floor::Floor::none(),
            library: &crate::policy::allowlist::NoLibrary,
            inspects: false,
        };
        let (allowlist, _) = Allowlist::read("a.toml", &text, &reading).unwrap();
        let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
        let observed = Policy::new(vec![allowlist], guard).unwrap();
        let world = World::over(Arc::new(ArcSwap::from_pointee(observed)), Arc::new(NoDesk::default()));
        let _permit = world.gate.admit(claim(host, Sight::NotYet)).await.unwrap().passed().unwrap();
        let written = world.written.0.lock();
        let Record::Decided(decided) = &written[0] else { panic!("{written:?}") };
        assert_eq!((decided.decision, decided.reason), (Ruling::Allow, Reason::Observed));
        assert_eq!((decided.would, decided.rule.clone()), (Some(wanted.0), wanted.1), "{host}");
    }
}

#[tokio::test]
async fn a_yes_to_every_request_never_satisfies_a_hold_that_looks_at_one() {
    let line = |path: &str| Some(crate::policy::attempt::RequestLine { method: "POST".into(), path: path.into() });
    for (given_for, passes) in [(None, false), (line("/b"), false), (line("/a"), true)] {
        let world = World::new("[[hold]]\nhost = \"api.test.example\"\nport = [8080]\nmethod = [\"POST\"]\n");
        let mut yes = yes(Destination::parse("api.test.example:8080").unwrap());
        (yes.subject.scheme, yes.subject.request) = (Some(crate::policy::attempt::Scheme::Http), given_for.clone());
        world.gate.approvals.write().insert(yes);
        let seen = crate::policy::attempt::Seen::bare("POST", "/a", None);
        let admitted = world.gate.admit(claim("api.test.example:8080", Sight::Seen(Arc::new(seen)))).await;
        assert_eq!(admitted.is_ok(), passes, "{given_for:?}");
        let reason = if passes { Reason::Approved } else { Reason::Internal };
        assert_eq!(world.decided()[0].1, reason, "{given_for:?}: the desk here takes no questions");
    }
}

#[tokio::test]
async fn a_policy_that_changes_all_the_time_does_not_end_a_wait() {
    let shared = Arc::new(ArcSwap::from_pointee(policy("")));
    let desk = Restless { rounds: 450.into(), policy: Arc::clone(&shared), last: policy(WHOLE) };
    let world = World::over(shared, Arc::new(desk));
    assert!(world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap().passed().is_ok());
    assert_eq!(world.decided(), [(Ruling::Allow, Reason::Listed, Some("a.toml:5".to_owned()))]);
}

#[tokio::test]
async fn a_spent_budget_names_whose_it_is_and_a_permit_decided_again_takes_no_more() {
    let world = World::new(&format!("{WHOLE}limits = {{ open = 1 }}\n"));
    let mut first = world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap().passed().unwrap();
    for _ in 0..3 {
        world.changes.send_modify(|count| *count += 1);
        assert_eq!(first.live.holds(), Ok(()));
    }
    let refusal = world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.unwrap_err();
    let rule = crate::policy::rule::RuleRef { file: "a.toml".into(), line: 5 };
    let Cause::Budget(crate::egress::Exhausted { by, limit }) = &refusal.cause else { panic!("{refusal:?}") };
    assert!(matches!(by, crate::policy::limits::LimitedBy::Rule { place, mark: _ } if *place == rule), "{by:?}");
    assert_eq!((refusal.reason, limit), (Reason::Budget, &crate::egress::Budget::Open { most: 1 }));
    assert_eq!(world.decided()[1], (Ruling::Block, Reason::Budget, Some("a.toml:5".to_owned())));
    drop(first);
    assert!(world.gate.admit(claim("api.test.example:8080", Sight::NotYet)).await.is_ok());
}

#[tokio::test]
async fn a_yes_taken_back_while_decided_is_written_is_noticed_by_its_permit() {
    let yes = yes(Destination::parse("held.test.example:443").unwrap());
    let (changes, changed) = watch::channel(0);
    let approvals = Arc::new(RwLock::new(Approvals::default()));
    approvals.write().insert(yes.clone());
    let recorder = Arc::new(Revoking { approvals: Arc::clone(&approvals), changes, yes: yes.id });
    let desk = Arc::new(NoDesk(Arc::clone(&approvals)));
    let company = Company { desk, approvals, recorder, spending: Default::default(), changed };
    let settings = GateSettings { hold_wait: Duration::ZERO, per_agent: 1, refusal_records: 200 };
    let gate = Gate::new(Arc::new(ArcSwap::from_pointee(policy(""))), company, settings);

    let admitted = gate.admit(claim("held.test.example:443", Sight::NotYet)).await.unwrap();
    let Permit { open: _open, grant: _, mut live } = admitted.passed().unwrap();
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

#[tokio::test]
async fn a_flood_is_summed_up_but_for_what_a_question_names() {
    let policy = Arc::new(ArcSwap::from_pointee(policy(BLOCKED)));
    let (_changes, changed) = watch::channel(0);
    let written = Arc::new(Written::default());
    let company = Company {
        approvals: Arc::default(),
        desk: Arc::new(Asks::default()),
        recorder: Arc::clone(&written) as _,
        spending: Default::default(),
        changed,
    };
    let settings = GateSettings { hold_wait: Duration::from_secs(45), per_agent: 100, refusal_records: 1 };
    let gate = Gate::new(policy, company, settings);
    let knock = async |place: &str| match gate.admit(claim(place, Sight::NotYet)).await {
        Err(refusal) => (refusal.id, refusal.reason),
        Ok(admission) => panic!("{admission:?}"),
    };
    let mut got = Vec::new();
    for place in ["api.test.example:8080", "api.test.example:8080", "new.test.example:443", "new.test.example:443"] {
        got.push(knock(place).await);
    }
    gate.sum_up_refusals();
    gate.sum_up_refusals();
    let reasons = [Reason::Blocked, Reason::Blocked, Reason::Unattended, Reason::Unattended];
    assert_eq!(got.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), reasons);
    let written = written.0.lock();
    let told: Vec<_> = written
        .iter()
        .map(|record| {
            if let Record::Decided(decided) = record {
                ("decided", Some(decided.id), 1)
            } else if let Record::Ended(ended) = record {
                ("ended", Some(ended.id), 1)
            } else if let Record::RefusedSummary(summary) = record {
                ("summary", None, summary.count)
            } else {
                panic!("{record:?}")
            }
        })
        .collect();
    // The third opened its question: a `held` would name it, so it is told by itself whatever the rate.
    let (first, third) = (Some(got[0].0), Some(got[2].0));
    let wanted = [("decided", first, 1), ("ended", first, 1), ("decided", third, 1), ("ended", third, 1), ("summary", None, 2)];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn an_attempt_whose_use_of_a_yes_cannot_be_kept_does_not_pass_and_is_recorded_as_internal() {
    let approvals = Arc::new(RwLock::new(Approvals::default()));
    approvals.write().insert(yes(Destination::parse("held.test.example:443").unwrap()));
    let world = World::sharing(approvals, Arc::new(ArcSwap::from_pointee(policy(""))), Arc::new(Asks::default()));
    let refusal = world.gate.admit(claim("held.test.example:443", Sight::NotYet)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Internal);
    let written = world.written.0.lock();
    let [Record::Decided(decided), Record::Ended(_)] = &written[..] else { panic!("{written:?}") };
    assert_eq!((decided.decision, decided.reason), (Ruling::Block, Reason::Internal));
}

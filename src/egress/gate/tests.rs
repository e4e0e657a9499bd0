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

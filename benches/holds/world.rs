//! The real gate over the real desk, and agents enough that none is at its limit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use exeat::approval::store::Sqlite;
use exeat::approval::{Books, HoldDesk, HoldSettings};
use exeat::egress::hold::Desk;
use exeat::egress::record::{Front, Recorder};
use exeat::egress::{Claim, Company, Gate, GateSettings};
use exeat::journal::{Journal, Settings};
use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::policy::attempt::{Evidence, Offered, Sight};
use exeat::policy::destination::Destination;
use exeat::telemetry::Recording;
use tempfile::TempDir;

/// Questions of one agent.
pub(crate) const EACH: usize = 100;
const LONG: Duration = Duration::from_secs(24 * 3600);

/// A proxy without its connections.
pub(crate) struct World {
    pub(crate) gate: Arc<Gate>,
    pub(crate) desk: Arc<HoldDesk>,
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    _state: TempDir,
}

impl World {
    /// As `serve` puts it together.
    pub(crate) fn new(pending: usize) -> Self {
        Self::asking(pending, |desk| desk)
    }

    /// With another desk for the gate to ask at.
    pub(crate) fn asking(pending: usize, at: impl FnOnce(Arc<dyn Desk>) -> Arc<dyn Desk>) -> Self {
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let journal = Journal::open(state.path(), Settings::default()).unwrap().journal;
        let recorder: Arc<dyn Recorder> = Arc::new(Recording::new(journal));
        let policy = Arc::new(ArcSwap::from_pointee(policy(pending.div_ceil(EACH) + 1)));
        let (desk, company) = company(&state, &policy, recorder, (2 * EACH, 2 * pending));
        let company = Company { desk: at(company.desk), ..company };
        let gate = Gate::new(Arc::clone(&policy), company, GateSettings { hold_wait: LONG, per_agent: 1_000, refusal_records: 200 });
        Self { gate, desk, policy, _state: state }
    }
}

/// The desk and who sits with the gate.
pub(crate) fn company(
    state: &TempDir,
    policy: &Arc<ArcSwap<Policy>>,
    recorder: Arc<dyn Recorder>,
    (per_agent, total): (usize, usize),
) -> (Arc<HoldDesk>, Company) {
    let settings = HoldSettings { pending: LONG, per_agent, total, quiet_after_deny: LONG };
    let (approvals, store) = (Arc::default(), Arc::new(Sqlite::open(state.path(), false).unwrap()));
    let books = Books { recorder: Arc::clone(&recorder), store };
    let desk = HoldDesk::new(settings, Arc::clone(policy), Arc::clone(&approvals), books).unwrap();
    let changed = desk.changes();
    let company = Company { approvals, desk: Arc::clone(&desk) as _, recorder, changed };
    (desk, company)
}

/// Agents known by their addresses, who may ask for everything.
pub(crate) fn policy(agents: usize) -> Policy {
    let allowlists = (0..agents).map(|number| {
        let text = format!("agent = \"agent-{number}\"\nunlisted = \"hold\"\n[[identify]]\nsource = \"{}/32\"\n", address(number));
        Allowlist::parse(&format!("agent-{number}.toml"), &text).unwrap().0
    });
    Policy::new(allowlists.collect(), Guard::default()).unwrap()
}

fn address(agent: usize) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + u32::try_from(agent).unwrap()).into()
}

/// A tunnel of an agent to a host of its own.
pub(crate) fn claim(agent: usize, place: usize) -> Claim {
    let source = address(agent);
    let evidence = Evidence { listener: "main".into(), source, offered: Offered::Nothing };
    let wanted = Destination::parse(&format!("host-{place}.agent-{agent}.test.example:443"));
    Claim::new(Front::Connect, SocketAddr::new(source, 1000), evidence, wanted, Sight::NotYet)
}

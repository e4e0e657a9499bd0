//! What tests of other rooms need to know of an attempt that was admitted.

use std::net::{IpAddr, SocketAddr};

use super::super::claim::Tunnel;
use super::super::live::Doing;
use super::*;
use crate::egress::record::Front;

impl Gate {
    /// A gate that goes by another clock.
    pub(crate) fn with_clock(
        policy: Arc<ArcSwap<Policy>>,
        company: Company,
        settings: GateSettings,
        clock: fn() -> SystemTime,
    ) -> Arc<Self> {
        Arc::new(Self { clock, ..Arc::try_unwrap(Self::new(policy, company, settings)).expect("nobody else has it yet") })
    }

    /// Decides again on what was admitted.
    pub(crate) fn goes_on(&self, admission: &Admission) -> Result<(), Reason> {
        let (live, admitted) = match admission {
            Admission::Pass(permit) => (&permit.live, Admitted::Pass { until: None }),
            Admission::Look(unseen) => (&unseen.live, Admitted::Look { until: None }),
        };
        self.still_admits(live.asker(), admitted, Doing::default()).map(drop)
    }
}

impl Admission {
    /// Whether an address may be dialled under it.
    pub(crate) fn opens(&self, address: IpAddr) -> bool {
        match self {
            Admission::Pass(permit) => permit.grant.covers(address),
            Admission::Look(_) => false,
        }
    }

    /// So many bytes came to be carried, and how many of them may pass.
    pub(crate) fn carry(&self, bytes: usize) -> usize {
        match self {
            Admission::Pass(permit) => permit.open.carried.take(bytes),
            Admission::Look(_) => 0,
        }
    }

    /// A request found in the tunnel that was admitted.
    pub(crate) fn carries(&self, peer: SocketAddr, sight: Sight) -> Claim {
        let live = match self {
            Admission::Pass(permit) => &permit.live,
            Admission::Look(unseen) => &unseen.live,
        };
        let Asker { attempt, who } = live.asker();
        let tunnel = Tunnel {
            id: attempt.id,
            agent: attempt.agent.clone(),
            instance: attempt.instance.clone(),
            scheme: crate::policy::attempt::Scheme::Http,
            speaks: crate::egress::Speaks::Http1,
            tls: None,
            over: crate::egress::over::Over::default(),
        };
        let who = who.within(tunnel);
        let (wanted, on_this_machine) = (Ok(attempt.destination.clone()), false);
        Claim {
            front: Front::Connect,
            peer,
            instance: None,
            wanted,
            sight,
            objection: None,
            on_this_machine,
            trace: None,
            tls: None,
            unready: None,
            seat: None,
            who,
        }
    }
}

//! What a find of the leak guard does to a decision: it makes none more lenient, and nobody but a person who was told of it lets it pass.

use std::sync::Arc;

use super::{Basis, Block, Decision, HoldTerms};
use crate::policy::address::Addresses;
use crate::policy::approvals::Asking;
use crate::policy::attempt::Attempt;
use crate::policy::leaks::{LeakFound, Leaks, OnLeak};
use crate::policy::policy::Agent;
use crate::policy::reason::Reason;

/// A find, and the guard it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaking<'a> {
    found: &'a LeakFound,
    leaks: &'a Leaks,
}

impl<'a> Leaking<'a> {
    pub(super) fn of(agent: &'a Agent, attempt: &'a Attempt) -> Option<Self> {
        let found = attempt.sight.seen()?.leak.as_ref()?;
        agent.leaks().map(|leaks| Self { found, leaks })
    }

    /// The refusal, where finds are refused.
    pub(super) fn blocked(self) -> Option<Block> {
        let because = format!("{}: take it out of the request", self.found).into();
        (self.leaks.found == OnLeak::Block).then(|| Block {
            reason: Reason::Blocked,
            rule: Some(self.leaks.place.clone()),
            because: Some(because),
            echo: None,
        })
    }

    /// A question where there would be none, and words about the find where there would be another. A yes in force was given to the find itself.
    pub(super) fn asked(self, decision: Decision, addresses: &Arc<Addresses>) -> Decision {
        match decision {
            Decision::Allow(grant) if matches!(grant.basis(), Basis::Approved(_)) => Decision::Allow(grant),
            Decision::Allow(_) | Decision::Hold(_) => Decision::Hold(HoldTerms {
                rule: Some(self.leaks.place.clone()),
                note: Some(format!("{}; a yes lets it out with this request", self.found).into()),
                addresses: Arc::clone(addresses),
                asking: Asking::ThisRequest,
            }),
            Decision::Look(_) | Decision::Block(_) => decision,
        }
    }
}

//! What a request is to be searched for before it is judged.

use std::sync::Arc;

use super::{Gate, identify};
use crate::egress::claim::{Claim, Who};
use crate::egress::refusal::Cause;
use crate::policy::Policy;
use crate::policy::attempt::Attempt;
use crate::policy::leaks::Leaks;
use crate::policy::reason::Reason;

impl Gate {
    /// What the requests of whoever makes the claim are searched for. What is read for that is bounded as what is open is: the claim takes
    /// its seat. Where there is none nothing is read, and what is unsearched is not admitted.
    pub(in crate::egress) fn leaks(&self, claim: &mut Claim) -> Option<Arc<Leaks>> {
        let policy = self.policy.load();
        let agent = identify(&policy, &claim.who).ok().filter(|_| claim.wanted.is_ok())?;
        let leaks = policy.leaks(&agent)?;
        claim.seat = Some(self.seats.take(&agent)?);
        claim.who.searched = Some(Arc::clone(leaks));
        Some(Arc::clone(leaks))
    }
}

/// Why an attempt is none by the policy in force: its agent is another's, or it was searched for something else.
pub(super) fn outdated(policy: &Policy, attempt: &Attempt, who: &Who) -> Option<(Reason, Cause)> {
    if identify(policy, who).as_ref() != Ok(&attempt.agent) {
        return Some((Reason::UnknownAgent, who.unidentified()));
    }
    let searched = who.was_searched(&attempt.sight, policy.leaks(&attempt.agent));
    (!searched).then_some((Reason::PolicyChanged, Cause::Unsearched))
}

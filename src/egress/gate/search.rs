//! What a request is to be searched for before it is judged.

use std::sync::Arc;

use super::{Gate, identify};
use crate::egress::claim::Claim;
use crate::policy::leaks::Leaks;

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

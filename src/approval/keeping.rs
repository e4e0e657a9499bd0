//! The desk and its store: what a start takes up again, and the use of a yes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::desk::HoldDesk;
use super::granted::Granted;
use super::news::Closing;
use super::store::{Kept, StoreError};
use crate::egress::hold::Claimed;
use crate::policy::approvals::{ApprovalId, Scope};
use crate::policy::attempt::{AgentId, Attempt};

impl HoldDesk {
    /// Takes up what the store kept. What the policy in force does not ask, or asks otherwise, is over.
    pub(super) fn take_up(&self) -> Result<(), StoreError> {
        let Kept { questions, approvals: given, silences } = self.store.kept((self.clock)())?;
        let mut state = self.state.lock();
        for mut question in questions {
            question.facts = Arc::new(self.familiar.facts(&self.policy.load(), &question.subject, None));
            let id = Arc::clone(&question.id);
            if !state.holds.restore(question) {
                // Its end was not kept, and it was asked anew since.
                self.store.close(&id, Closing::Withdrawn, (self.clock)())?;
            }
        }
        given.iter().for_each(|(_, approval)| self.familiar.approved(&approval.subject));
        state.given.extend(given.iter().map(|(hold, approval)| (Arc::clone(hold), approval.id)));
        let mut approvals = self.approvals.write();
        given.into_iter().for_each(|(_, approval)| approvals.insert(approval));
        silences.into_iter().for_each(|(subject, echo)| approvals.silence(subject, echo));
        drop(approvals);
        drop(state);
        self.policy_changed(&self.policy.load());
        let named = self.granted.iter().flat_map(Granted::agents);
        let agents: BTreeSet<AgentId> = named.chain(self.approvals().into_iter().map(|approval| approval.agent)).collect();
        agents.iter().for_each(|agent| self.spell_out(agent));
        Ok(())
    }

    /// Writes an agent's approvals without end as text.
    pub(super) fn spell_out(&self, agent: &AgentId) {
        let Some(granted) = &self.granted else { return };
        if let Err(error) = granted
            .write(agent, || self.approvals_that(|approval| approval.subject.agent == *agent && matches!(approval.scope, Scope::Always)))
        {
            tracing::warn!(%error, "the approvals without end could not be written as text");
        }
    }

    /// Forgets what ended before then.
    pub fn forget(&self, before: SystemTime) -> Result<usize, StoreError> {
        self.store.forget(before)
    }

    /// Uses a yes for one attempt. A use that is counted is counted by the store before anything rests on it.
    pub(super) fn use_up(&self, id: ApprovalId, attempt: &Attempt, now: SystemTime) -> Claimed {
        let counted = {
            let mut approvals = self.approvals.write();
            let held = approvals.get(id).is_some_and(|approval| approval.claimed.contains(&attempt.id));
            if !approvals.claim(id, attempt, now) {
                return Claimed::Gone;
            }
            // A request found in a tunnel that holds the use is no other use.
            let is_once = |scope: &Scope| matches!(scope, Scope::Once { waiting: _, next_until: _ });
            !held && approvals.get(id).is_some_and(|approval| is_once(&approval.scope) && approval.claimed.contains(&attempt.id))
        };
        if !counted {
            return Claimed::Taken;
        }
        match self.store.claim(id) {
            Ok(true) => Claimed::Taken,
            Ok(false) => {
                self.approvals.write().revoke(id);
                Claimed::Gone
            }
            Err(error) => {
                tracing::warn!(%error, "the use of a yes cannot be kept, so the attempt does not pass");
                Claimed::Unkept
            }
        }
    }
}

//! What looks at every question: a listing, a change of policy. In slices, so that nobody who asks, answers or leaves waits for all of it.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::desk::HoldDesk;
use super::holds::{Told, alike};
use super::news::Closing;
use super::shown::HoldView;
use super::state::State;
use crate::egress::hold::Word;
use crate::policy::decide::Decision;
use crate::policy::{Frozen, Policy};

/// Questions that are looked at before others have their turn.
pub(super) const SLICE: usize = 64;

impl HoldDesk {
    /// The pending questions, the oldest first. One that is opened or over meanwhile may be among them or not.
    pub fn holds(&self) -> Vec<HoldView> {
        let mut state = self.state.lock();
        self.bury(&mut state, (self.clock)());
        let ids = state.holds.ids();
        drop(state);
        let mut holds = Vec::with_capacity(ids.len());
        for slice in ids.chunks(SLICE) {
            let state = self.state.lock();
            let questions: Vec<_> = slice.iter().filter_map(|id| state.holds.beside(id)).collect();
            MutexGuard::unlock_fair(state);
            holds.extend(questions.into_iter().map(|(question, similar)| HoldView::of(&question, similar)));
        }
        holds.sort_by(|one, other| (one.opened_at, &one.id).cmp(&(other.opened_at, &other.id)));
        holds
    }

    /// The policy changed: what is open is decided again, and so is what waits. Questions that this policy does not ask, or asks otherwise, are over.
    ///
    /// What is asked meanwhile needs no look: it was decided by this policy, or finds that the count of changes moved.
    pub fn policy_changed(&self, policy: &Policy) {
        self.changes.send_modify(|count| *count += 1);
        // A freeze takes nothing back that was asked: who is thawed finds his questions as they were.
        let policy = policy.with_frozen(Frozen::Nobody);
        let ids = self.state.lock().holds.ids();
        for slice in ids.chunks(SLICE) {
            let mut state = self.state.lock();
            self.decide_slice(&mut state, slice, &policy);
            MutexGuard::unlock_fair(state);
        }
    }

    fn decide_slice(&self, state: &mut State, ids: &[Arc<str>], policy: &Policy) {
        let now = (self.clock)();
        let (mut over, mut told) = (Vec::new(), Told::new());
        {
            let approvals = self.approvals.read();
            for question in ids.iter().filter_map(|id| state.holds.get(id)) {
                let decision = policy.decide(&question.next(), &approvals, now);
                if !matches!(decision, Decision::Hold(terms) if alike(&terms, &question.terms)) {
                    over.push(Arc::clone(&question.id));
                }
                // All of them: who they are may be judged otherwise as well.
                told.extend(question.waiting.iter().map(|attempt| (*attempt, Word::DecideAgain)));
            }
        }
        state.tell(told);
        for question in over.iter().filter_map(|id| state.holds.close(id)).collect::<Vec<_>>() {
            self.over_unanswered(state, &question, Closing::Withdrawn);
        }
    }
}

//! What a person took back and the store did not take: it is in force, and told to the store again until that has it, or the process ends.

use std::time::SystemTime;

use super::desk::HoldDesk;
use super::store::StoreError;
use crate::policy::approvals::{ApprovalId, Echo, Subject};

/// So much is owed at most; people alone bring it about.
const MOST: usize = 4096;

/// One thing that the store does not know yet.
#[derive(Clone, Debug)]
pub(super) enum Owed {
    /// A no.
    Denied {
        /// The question.
        hold: String,
        /// What it is about.
        subject: Subject,
        /// When it was said.
        at: SystemTime,
        /// How it echoes.
        echo: Echo,
    },
    /// The end of an approval.
    Ended {
        /// Which.
        approval: ApprovalId,
        /// When.
        at: SystemTime,
    },
}

impl HoldDesk {
    /// Tells the store, and remembers to tell it again where it does not take it.
    pub(super) fn tell_store(&self, owed: Owed) -> Result<(), StoreError> {
        let told = self.pay(&owed);
        if told.is_err() {
            let mut all = self.owed.lock();
            if all.len() < MOST {
                all.push(owed);
            }
        }
        told
    }

    /// Tells the store what it did not take before.
    pub(super) fn pay_what_is_owed(&self) {
        let mut all = self.owed.lock();
        // In order, and no further than the store goes along.
        let paid = all.iter().take_while(|owed| self.pay(owed).is_ok()).count();
        all.drain(..paid);
    }

    /// What the store has by now, or lost sight of, is not owed.
    fn pay(&self, owed: &Owed) -> Result<(), StoreError> {
        match owed {
            Owed::Denied { hold, subject, at, echo } => self.store.deny(hold, subject, *at, echo).map(drop),
            Owed::Ended { approval, at } => self.store.end(*approval, *at).map(drop),
        }
    }
}

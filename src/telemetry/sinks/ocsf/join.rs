//! What of an attempt's `decided` its later events repeat: where to, who, and the request.
//!
//! Bounded, and empty at a start: an event whose `decided` is not known says less, and has the same correlation.

use std::collections::BTreeMap;

use crate::egress::record::{Decided, Record};
use crate::journal::Entry;
use crate::policy::attempt::AttemptId;

/// Open attempts that are remembered; the oldest are forgotten first, as their ids are in the order of time.
const MOST: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct Join {
    open: BTreeMap<AttemptId, Decided>,
}

impl Join {
    /// Remembers what a `decided` says. To be told of the same record again changes nothing.
    pub(super) fn follow(&mut self, entry: &Entry) {
        let Record::Decided(decided) = &entry.line.record else { return };
        self.open.insert(decided.id, decided.clone());
        while self.open.len() > MOST {
            self.open.pop_first();
        }
    }

    /// Forgets an attempt that has ended and whose event is written.
    pub(super) fn forget(&mut self, entry: &Entry) {
        if let Record::Ended(ended) = &entry.line.record {
            self.open.remove(&ended.id);
        }
    }

    /// What was decided of an attempt.
    pub(super) fn of(&self, id: AttemptId) -> Option<&Decided> {
        self.open.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sample::{decided, ended};
    use crate::telemetry::sinks::sample::written;

    #[test]
    fn what_is_open_is_known_and_what_ended_is_forgotten_within_bounds() {
        let (_state, entries) = written(&[Record::Decided(decided(1)), Record::Ended(ended(1)), Record::Decided(decided(2))]);
        let mut join = Join::default();
        for entry in &entries {
            join.follow(entry);
            join.follow(entry);
        }
        assert_eq!((join.of(AttemptId(uuid::Uuid::from_u128(1))), join.open.len()), (Some(&decided(1)), 2));
        join.forget(&entries[2]);
        assert_eq!(join.of(AttemptId(uuid::Uuid::from_u128(1))), None);
        let mut one = entries[1].clone();
        for id in 0..2 * MOST as u128 {
            one.line.record = Record::Decided(decided(id));
            join.follow(&one);
        }
        assert_eq!((join.open.len(), join.open.first_key_value().map(|(id, _)| id.0.as_u128())), (MOST, Some(MOST as u128)));
    }
}

//! Secrets that could not be had when they were last needed: told in the log as that begins and ends, and to whoever asks for as long as it lasts.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{Secrets, Unavailable};
use crate::policy::rule::RuleRef;

#[derive(Debug, Default)]
pub(super) struct Missing(Mutex<BTreeMap<RuleRef, Unavailable>>);

impl Secrets {
    /// Notes whether what stands at a place could be had.
    pub fn note(&self, place: &RuleRef, had: Result<(), Unavailable>) {
        let mut missing = self.missing.0.lock();
        match had {
            Ok(()) => {
                if missing.remove(place).is_some() {
                    tracing::info!("{place}: the secret that it names can be had again");
                }
            }
            Err(why) => {
                if missing.insert(place.clone(), why) != Some(why) {
                    tracing::warn!("{}", lacking(place, why));
                }
            }
        }
    }

    /// What could not be had, in words that name the place and nothing of the value.
    pub fn missing(&self) -> Vec<String> {
        self.missing.0.lock().iter().map(|(place, why)| lacking(place, *why)).collect()
    }

    /// How many could not be had.
    pub fn missing_count(&self) -> usize {
        self.missing.0.lock().len()
    }

    /// Forgets what nobody names any more.
    pub fn forget_but(&self, is_named: impl Fn(&RuleRef) -> bool) {
        self.missing.0.lock().retain(|place, _| is_named(place));
    }
}

fn lacking(place: &RuleRef, why: Unavailable) -> String {
    format!("{place}: a secret that it names cannot be had: {why}; requests that need it are refused with 503")
}

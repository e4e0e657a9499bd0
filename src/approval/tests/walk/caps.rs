//! Restarts, and how many questions there may be: no question is opened past a cap, and a start brings back none that had a kept end.

use super::process::{PER_AGENT, PER_SOURCE, Process, TOTAL};
use super::rules::WHO;
use super::world::World;
use super::*;
use crate::egress::{Cause, Refusal};

/// Questions of an agent and an instance; of all where the names are empty.
type Counts = BTreeMap<(String, String), usize>;

/// What was pending when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ids: BTreeSet<String>,
    counts: Counts,
    /// Questions that were over while the store failed: a start may bring them back.
    lost: BTreeSet<String>,
}

fn counts(holds: &[HoldView]) -> Counts {
    let mut counts = Counts::new();
    for hold in holds {
        for instance in [hold.instance.as_str(), ""] {
            *counts.entry((hold.agent.to_string(), instance.to_owned())).or_default() += 1;
        }
        *counts.entry(Default::default()).or_default() += 1;
    }
    counts
}

fn cap((agent, instance): &(String, String)) -> usize {
    match (agent.is_empty(), instance.is_empty()) {
        (true, _) => TOTAL,
        (false, true) => PER_AGENT,
        (false, false) => PER_SOURCE,
    }
}

impl World {
    /// What is true at every moment.
    pub(super) fn check(&mut self) -> Result<(), TestCaseError> {
        let holds = self.process.desk.holds();
        prop_assert!(holds.iter().map(|hold| hold.waiting).sum::<usize>() <= TOTAL);
        let counted = counts(&holds);
        for (whose, count) in &counted {
            let before = self.pending.counts.get(whose).copied().unwrap_or_default();
            prop_assert!(*count <= before.max(cap(whose)), "{whose:?} has {count} questions, and had {before}");
        }
        let by_agent = self.process.desk.pending_by_agent();
        prop_assert!(by_agent.iter().all(|(agent, count)| counted.get(&(agent.to_string(), String::new())) == Some(count)));
        prop_assert_eq!(by_agent.values().sum::<usize>(), holds.len());
        self.is_pending(&holds);
        for (number, admission) in &self.open {
            let goes_on = self.process.gate.goes_on(admission);
            prop_assert!(
                goes_on.is_err() || self.model.may_go_on(*number, now()),
                "{number} goes on: {:?} under {:?}",
                self.model.attempts[*number],
                self.model.rules
            );
        }
        Ok(())
    }

    fn is_pending(&mut self, holds: &[HoldView]) {
        let ids: BTreeSet<String> = holds.iter().map(|hold| hold.id.clone()).collect();
        if self.store.broken.load(Ordering::SeqCst) {
            self.pending.lost.extend(self.pending.ids.difference(&ids).cloned());
        }
        (self.pending.ids, self.pending.counts) = (ids, counts(holds));
    }

    /// Who is refused for a limit meets it: another agent's questions, or another instance's, are none of its own.
    pub(super) fn limit_is_met(&mut self, number: usize, refusal: &Refusal) -> Result<(), TestCaseError> {
        let of = self.model.attempts[number];
        let (agent, instance) = WHO[of.who];
        let holds = self.process.desk.holds();
        let counted = counts(&holds);
        let reached = |agent: &str, instance: &str| {
            let whose = (agent.to_owned(), instance.to_owned());
            counted.get(&whose).is_some_and(|count| *count >= cap(&whose))
        };
        if let Cause::Limit(limit) = refusal.cause {
            let waiting = holds.iter().map(|hold| hold.waiting).sum::<usize>();
            let met = match limit {
                "hold.per_source" => reached(agent, instance),
                "hold.per_agent" => reached(agent, ""),
                "hold.total" => reached("", "") || waiting == TOTAL,
                _ => false,
            };
            prop_assert!(met, "{limit} of {of:?} is not met: {counted:?}");
            self.met.insert(if waiting == TOTAL && !reached("", "") { "hold.total of those who wait" } else { limit });
        }
        if let Cause::Budget(_) = refusal.cause {
            prop_assert!(self.model.is_spent(&of) || self.is_another_day(), "{of:?} has bytes left");
            self.met.insert("budget");
        }
        Ok(())
    }

    /// As `kill` does it, but that what waits and what is open says its last word.
    pub(super) fn restart(&mut self) -> Result<(), TestCaseError> {
        while !self.waiting.is_empty() {
            self.hang_up(0)?;
        }
        (self.open, self.people) = Default::default();
        let before = self.process.desk.holds();
        self.is_pending(&before);
        self.process.running.abort();
        self.runtime.block_on(tokio::task::yield_now());
        let fails = self.store.broken.load(Ordering::SeqCst);
        let started = Process::start(&self.runtime, &self.policy, &self.journal, &self.store);
        prop_assert_eq!(started.is_err(), fails, "a start with a store that fails");
        self.store.broken.store(false, Ordering::SeqCst);
        self.process = match started {
            Ok(process) => process,
            Err(_) => Process::start(&self.runtime, &self.policy, &self.journal, &self.store).unwrap(),
        };
        self.model.restart();
        let after = self.process.desk.holds();
        let known = |hold: &HoldView| self.pending.ids.contains(&hold.id) || self.pending.lost.contains(&hold.id);
        prop_assert!(after.iter().all(known), "a start brings back what was over: {after:?}");
        self.is_pending(&after);
        self.look();
        Ok(())
    }
}

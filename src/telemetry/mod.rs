//! What operators see: metrics derived from the records, their listener, and the log.

pub mod dial;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod post;
pub mod recent;
pub mod serve;
pub mod sinks;
mod tally;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;

use metrics::AgentNames;
pub use metrics::Metrics;
pub use recent::Recent;
pub use tally::Tally;

use crate::egress::record::{Durable, Ended, Record, Recorder, Ruling, Unwritable};
use crate::journal::{Followers, Journal};
use crate::policy::attempt::AttemptId;

/// Policies and freezes that came into force while the journal could not be written and are remembered for it; of more, the first are forgotten.
const MOST_OWED: usize = 256;

/// Where this process's records go: the journal first, the metrics once a record is written.
#[derive(Debug)]
pub struct Recording {
    /// The journal.
    pub journal: Journal,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What became of the attempts.
    pub tally: Mutex<Tally>,
    /// The last of them.
    pub recent: Arc<Recent>,
    written: watch::Sender<()>,
    /// Policies and freezes that are in force, or were, and are in no record yet.
    owed: Mutex<VecDeque<Record>>,
}

impl Recording {
    /// Records into a journal, counting from nothing.
    pub fn new(journal: Journal) -> Self {
        let (metrics, tally, recent) = (Arc::default(), Mutex::default(), Arc::default());
        let (written, owed) = (watch::Sender::new(()), Mutex::default());
        Self { journal, metrics, tally, recent, written, owed }.naming(AgentNames::default())
    }

    /// The same, with metrics that name agents or do not. What was counted before is not.
    #[must_use]
    pub fn naming(self, names: AgentNames) -> Self {
        let metrics = Metrics::naming(names);
        metrics.journal_tried(self.journal.healthy().is_ok());
        Self { metrics: Arc::new(metrics), ..self }
    }

    fn recorded(&self, record: &Record) {
        self.metrics.recorded(record);
        self.tally.lock().recorded(record);
        self.recent.recorded(record);
        self.written.send_replace(());
    }

    /// Changes with each record that this process writes.
    pub fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Ends the journal in order: `stopped` is its last line.
    pub fn stop(&self) -> Result<(), Unwritable> {
        self.pay();
        self.count(self.journal.stop(&mut |record| self.recorded(record)))
    }

    /// Does what the journal has to do by the time: checkpoints and syncs.
    pub fn turn(&self) {
        self.pay();
        self.journal.turn(Instant::now(), &mut |record| self.recorded(record));
    }

    /// Removes what of the journal need not be kept.
    pub fn retain(&self, followers: &dyn Followers) {
        if let Err(error) = self.journal.retain(SystemTime::now(), followers, &mut |record| self.recorded(record)) {
            tracing::warn!(%error, "what of the journal need not be kept could not be removed");
        }
    }

    /// What stands in the way of writing, after trying again where the last write failed.
    pub fn ready(&self) -> Result<(), String> {
        let ready = self.journal.probe(&mut |record| self.recorded(record));
        self.metrics.journal_tried(ready.is_ok());
        ready
    }

    /// A policy or a freeze comes into force whether or not that can be recorded: its record is owed until it can.
    fn owe(&self, policy: &Record) {
        let mut owed = self.owed.lock();
        if owed.len() >= MOST_OWED {
            owed.pop_front();
        }
        owed.push_back(policy.clone());
    }

    fn pay(&self) {
        let mut owed = self.owed.lock();
        while let Some(policy) = owed.front() {
            if self.journal.record(policy, &mut |record| self.recorded(record)).is_err() {
                return;
            }
            owed.pop_front();
        }
    }

    fn count(&self, result: Result<(), Unwritable>) -> Result<(), Unwritable> {
        self.metrics.journal_tried(result.is_ok());
        if result.is_err() {
            self.metrics.journal_error();
        }
        result
    }
}

impl Recorder for Recording {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        let written = self.count(self.journal.record(record, &mut |record| self.recorded(record)));
        match (written, record) {
            (Err(Unwritable), Record::Decided(_)) => self.metrics.undecidable(),
            (Err(Unwritable), Record::Policy(_) | Record::Frozen(_)) => self.owe(record),
            (Err(Unwritable) | Ok(()), _) => {}
        }
        written
    }

    fn durable(&self) -> Durable {
        self.journal.durable()
    }

    fn settle(&self, ended: Ended) {
        // An error is counted; the journal keeps what it owes.
        let _ = self.count(self.journal.settle(ended, &mut |record| self.recorded(record)));
    }

    fn limit_hit(&self, limit: &'static str) {
        self.metrics.limit_hit(limit);
    }

    fn decision_took(&self, took: Duration) {
        self.metrics.decision_took(took);
    }

    fn added(&self, attempt: AttemptId, decision: Ruling, took: Duration) {
        self.metrics.added(attempt, decision, took);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::journal::sample::{decided, ended};

    #[test]
    fn a_policy_that_came_into_force_unrecorded_is_recorded_once_it_can_be() {
        let state = tempfile::tempdir().unwrap();
        let recording = Recording::new(Journal::open(state.path(), 1 << 20).unwrap().journal);
        let (folder, aside) = (state.path().join("journal/proxy-1"), state.path().join("aside"));
        let policy = |new: usize| {
            let (old, who, unread) = (None, "reload".to_owned(), Vec::new());
            Record::Policy(crate::egress::record::PolicyInForce { old, new: new.to_string(), who, unread })
        };
        std::fs::rename(&folder, &aside).unwrap();
        for new in 0..MOST_OWED + 2 {
            assert_eq!(recording.record(&policy(new)), Err(Unwritable));
        }
        recording.turn();
        std::fs::rename(&aside, &folder).unwrap();
        recording.turn();
        recording.turn();
        let text = std::fs::read_to_string(folder.join("00000001.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = lines.iter().filter(|line| line["kind"] == "policy").map(|line| line["new"].as_str().unwrap().to_owned());
        assert_eq!(told.collect::<Vec<_>>(), (2..MOST_OWED + 2).map(|new| new.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn metrics_follow_what_is_written_and_what_was_owed() {
        let state = tempfile::tempdir().unwrap();
        let journal = Journal::open(state.path(), 1 << 20).unwrap().journal;
        let recording = Recording::new(journal);
        let folder = state.path().join("journal/proxy-1");
        let aside = state.path().join("aside");

        recording.record(&Record::Decided(decided(1))).unwrap();
        std::fs::rename(&folder, &aside).unwrap();
        assert_eq!(recording.record(&Record::Decided(decided(2))), Err(Unwritable));
        recording.settle(ended(1));
        assert!(recording.ready().is_err());
        let text = recording.metrics.page(metrics::Format::Text);
        assert!(text.contains("exeat_journal_errors_total 2\n"), "{text}");
        assert!(text.contains("exeat_journal_records_total{kind=\"decided\"} 1\n"), "{text}");
        assert!(!text.contains("kind=\"ended\""), "{text}");
        assert!(text.contains("exeat_attempts_open 1\n"), "{text}");
        assert!(text.contains("exeat_journal_healthy 0\n"), "{text}");
        assert!(text.contains("exeat_failed_closed_total{reason=\"internal\"} 1\n"), "{text}");

        std::fs::rename(&aside, &folder).unwrap();
        assert_eq!(recording.ready(), Ok(()));
        let text = recording.metrics.page(metrics::Format::Text);
        assert!(text.contains("exeat_journal_records_total{kind=\"ended\"} 1\n"), "{text}");
        assert!(text.contains("exeat_attempts_open 0\n"), "{text}");
        assert!(text.contains("exeat_journal_healthy 1\n"), "{text}");
    }
}

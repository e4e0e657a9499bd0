//! What operators see: metrics derived from the records, their listener, and the log.

pub mod dial;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod post;
pub mod serve;
pub mod sinks;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;

use metrics::AgentNames;
pub use metrics::Metrics;
pub use tally::Tally;

use crate::egress::record::{Durable, Ended, Record, Recorder, Ruling, Unwritable};
use crate::journal::{Followers, Journal};
use crate::policy::attempt::AttemptId;

/// Where this process's records go: the journal first, the metrics once a record is written.
#[derive(Debug)]
pub struct Recording {
    /// The journal.
    pub journal: Journal,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What became of the attempts.
    pub tally: Mutex<Tally>,
    written: watch::Sender<()>,
}

impl Recording {
    /// Records into a journal, counting from nothing.
    pub fn new(journal: Journal) -> Self {
        Self { journal, metrics: Arc::default(), tally: Mutex::default(), written: watch::Sender::new(()) }.naming(AgentNames::default())
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
        self.written.send_replace(());
    }

    /// Changes with each record that this process writes.
    pub fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Ends the journal in order: `stopped` is its last line.
    pub fn stop(&self) -> Result<(), Unwritable> {
        self.count(self.journal.stop(&mut |record| self.recorded(record)))
    }

    /// Does what the journal has to do by the time: checkpoints and syncs.
    pub fn turn(&self) {
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
        if let (Err(Unwritable), Record::Decided(_)) = (written, record) {
            self.metrics.undecidable();
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

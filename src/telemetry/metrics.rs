//! The metrics, derived from records as they are written.
//!
//! Labels are closed sets and names of configured agents; hosts and anything from the wire never.

mod agent;
mod disk;
mod exemplar;
mod follow;
mod format;
mod kept;
mod leaves;
mod open_metrics;
mod process;
mod questions;
mod sampled;
mod sink;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::egress::record::Ruling;
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::reason::Reason;
use agent::AgentLabel;
pub use agent::AgentNames;
use exemplar::Exemplars;
pub(super) use exemplar::{Exemplar, Place};
pub use format::Format;
use kept::{Maker, Times};
use sampled::{Figure, Sampled};

const DECISIONS: &str = "exeat_decisions_total";

/// Reasons to refuse that are no word of the policy: exeat could not do its part.
const FAILED_CLOSED: [Reason; 2] = [Reason::Internal, Reason::Overloaded];

const AUTHORITY: &[Figure] = &[("exeat_ca_not_after_seconds", "When the certificate authority of inspection ends.", MetricType::GAUGE)];

const SECRETS: &[Figure] = &[("exeat_secrets_missing", "Secrets that could not be had when they were last needed.", MetricType::GAUGE)];
const MEMORY: &[Figure] = &[("exeat_memory_limit_bytes", "Memory that the system gives this process.", MetricType::GAUGE)];

const DECISION_BUCKETS: [f64; 12] = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1];
const ADDED_BUCKETS: [f64; 13] = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 2.5];
const STAGE_BUCKETS: [f64; 14] = [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];
const HOLD_BUCKETS: [f64; 10] = [0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 300.0];

/// The metrics of one process, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: AgentNames,
    exemplars: Arc<Exemplars>,
    decisions: IntCounterVec,
    failed_closed: IntCounterVec,
    attempts_open: IntGauge,
    decision_seconds: Histogram,
    added_seconds: Times,
    stage_seconds: Times,
    holds_pending: IntGaugeVec,
    hold_seconds: Times,
    questions: questions::Questions,
    bytes: IntCounterVec,
    tunnels_open: IntGaugeVec,
    journal_records: IntCounterVec,
    journal_errors: IntCounter,
    journal_healthy: IntGauge,
    unsealed: IntGauge,
    checkpoint: IntGaugeVec,
    policy: IntGaugeVec,
    policy_reloads: IntCounterVec,
    policy_broken: IntGaugeVec,
    limit_hits: IntCounterVec,
    sinks: sink::Sinks,
    open: Mutex<HashMap<AttemptId, Open>>,
}

/// What an attempt's end is counted with.
#[derive(Debug)]
struct Open {
    ruling: Ruling,
    reason: Reason,
    tunnel: bool,
    /// Bytes that are counted already.
    up: u64,
    down: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero, agents by their names.
    pub fn new() -> Self {
        Self::naming(AgentNames::default())
    }

    /// All metrics at zero.
    pub fn naming(names: AgentNames) -> Self {
        let (registry, exemplars) = (Registry::new(), Arc::<Exemplars>::default());
        let make = Maker { registry: &registry, exemplars: &exemplars };
        let build = make.gauges("exeat_build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let took = HistogramOpts::new("exeat_decision_duration_seconds", "Time to decide by the policy.");
        let (records, errors) = ("Records written.", "Records that could not be written at once.");
        let added = "Time from the claim of an attempt to its recorded decision, the wait for an answer left out.";
        let failed = "Attempts refused as exeat could not do its part, and not by the policy.";
        let broken = "Agents whose file is not in force as written, - for files of none; 1 each.";
        let metrics = Self {
            names,
            decisions: make.counters(DECISIONS, "Decisions, those of summaries included.", &["agent", "decision", "reason", "front"]),
            failed_closed: make.counters("exeat_failed_closed_total", failed, &["reason"]),
            attempts_open: make.keep(IntGauge::new("exeat_attempts_open", "Attempts decided and not ended.")),
            decision_seconds: make.keep(Histogram::with_opts(took.buckets(DECISION_BUCKETS.to_vec()))),
            added_seconds: make.times("exeat_added_duration_seconds", added, "decision", &ADDED_BUCKETS),
            stage_seconds: make.times("exeat_stage_duration_seconds", "Time spent in a stage.", "stage", &STAGE_BUCKETS),
            holds_pending: make.gauges("exeat_holds_pending", "Questions not answered yet.", &["agent"]),
            hold_seconds: make.times("exeat_hold_duration_seconds", "Time waited for an answer.", "outcome", &HOLD_BUCKETS),
            questions: questions::Questions::new(&make),
            bytes: make.counters("exeat_bytes_total", "Bytes carried, as records tell of them.", &["agent", "direction"]),
            tunnels_open: make.gauges("exeat_tunnels_open", "CONNECT tunnels allowed or looked into and not ended.", &["agent"]),
            journal_records: make.counters("exeat_journal_records_total", records, &["kind"]),
            journal_errors: make.keep(IntCounter::new("exeat_journal_errors_total", errors)),
            journal_healthy: make.keep(IntGauge::new("exeat_journal_healthy", "Whether the journal could be written when last tried.")),
            unsealed: make.keep(IntGauge::new("exeat_journal_unsealed_records", "Records that no checkpoint covers yet.")),
            checkpoint: make.gauges("exeat_journal_checkpoint_timestamp_seconds", "When the last checkpoint was made.", &[]),
            policy: make.gauges("exeat_policy_info", "The policy in force; always 1.", &["hash"]),
            policy_reloads: make.counters("exeat_policy_reloads_total", "Times that policy was read again.", &["result"]),
            policy_broken: make.gauges("exeat_policy_broken", broken, &["agent"]),
            limit_hits: make.counters("exeat_limit_hits_total", "Times a limit was hit.", &["limit"]),
            sinks: sink::Sinks::new(&make),
            open: Mutex::new(HashMap::new()),
            exemplars: Arc::clone(&exemplars),
            registry: registry.clone(),
        };
        for reason in FAILED_CLOSED {
            metrics.failed_closed.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        metrics.journal_healthy.set(1);
        metrics.sample(process::process());
        metrics
    }

    /// Shows what the journal in this folder takes of its disk, beside what it may take.
    pub fn watch_disk(&self, journal: PathBuf, most: Option<u64>) {
        self.sample(disk::disk(journal, most));
    }

    /// Shows how much memory there is, where the system says so.
    pub fn show_memory(&self, limit: u64) {
        self.sample(Sampled::new(MEMORY, move || vec![Some(process::as_figure(limit))]));
    }

    /// Shows when the certificate authority ends, in seconds since 1970, while there is one.
    pub fn watch_authority(&self, not_after: impl Fn() -> Option<u64> + Send + Sync + 'static) {
        self.sample(Sampled::new(AUTHORITY, move || vec![not_after().map(process::as_figure)]));
    }

    /// Shows how many secrets could not be had.
    pub fn watch_secrets(&self, missing: impl Fn() -> usize + Send + Sync + 'static) {
        self.sample(Sampled::new(SECRETS, move || vec![u64::try_from(missing()).ok().map(process::as_figure)]));
    }

    /// Counts certificates for inspected hosts: those that were there already, and those that were made.
    pub fn watch_leaves(&self, read: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
        // As for every figure that is read when asked for: one that is there already stays.
        let _ = self.registry.register(Box::new(leaves::Leaves::new(read)));
    }

    fn sample(&self, sampled: Sampled) {
        // A second journal would be of another process.
        let _ = self.registry.register(Box::new(sampled));
    }

    /// All metrics as they stand, sorted by name.
    pub fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// The last attempt in each series that has such.
    pub(super) fn exemplars(&self) -> HashMap<Place, Exemplar> {
        self.exemplars.by_place()
    }

    /// All metrics, written out.
    pub fn page(&self, format: Format) -> String {
        match format {
            // Writing to memory fails only on a metric without a name, and all have one.
            Format::Text => TextEncoder::new().encode_to_string(&self.families()).unwrap_or_default(),
            Format::OpenMetrics => open_metrics::page(&self.families(), &self.exemplars.by_place()),
        }
    }

    /// Counts a record that could not be written at once.
    pub fn journal_error(&self) {
        self.journal_errors.inc();
    }

    /// Notes whether the journal could be written just now.
    pub fn journal_tried(&self, well: bool) {
        self.journal_healthy.set(i64::from(well));
    }

    /// Counts a limit that was hit.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limit_hits.with_label_values(&[limit]).inc();
    }

    /// Notes how long a decision took.
    pub fn decision_took(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// Notes what exeat added to an attempt before it went on or was refused.
    pub fn added(&self, attempt: AttemptId, decision: Ruling, took: Duration) {
        self.added_seconds.observe(decision.as_str(), took, attempt);
    }

    /// Sets whose files are broken; `None` is what is of no agent: the floor, the folder, a freeze.
    pub fn set_policy_broken(&self, broken: &BTreeSet<Option<AgentId>>) {
        self.policy_broken.reset();
        for agent in broken {
            self.policy_broken.with_label_values(&[self.names.label(agent.as_ref()).as_str()]).inc();
        }
    }

    /// Counts that policy was read again, by what came of it.
    pub fn policy_reloaded(&self, result: &'static str, broken: &BTreeSet<Option<AgentId>>) {
        self.policy_reloads.with_label_values(&[result]).inc();
        self.set_policy_broken(broken);
    }

    /// Sets how many questions are pending, by agent; an agent that is left out keeps its figure.
    pub fn set_holds_pending(&self, pending: &BTreeMap<AgentId, usize>) {
        let mut sums: BTreeMap<AgentLabel, usize> = BTreeMap::new();
        for (agent, pending) in pending {
            *sums.entry(self.names.label(Some(agent))).or_default() += pending;
        }
        for (agent, sum) in sums {
            self.holds_pending.with_label_values(&[agent.as_str()]).set(i64::try_from(sum).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests;

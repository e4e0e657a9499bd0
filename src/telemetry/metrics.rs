//! The metrics, derived from records as they are written.
//!
//! Labels are closed sets and names of configured agents; hosts and anything from the wire never.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::sinks::{NotDelivered, Sink};
use crate::egress::record::{Decided, Ended, Front, Millis, Outcome, PolicyInForce, Record, Ruling};
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::reason::Reason;

/// Stands for the agent where none is identified.
const NOBODY: &str = "-";

const DECISION_BUCKETS: [f64; 12] = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1];
const STAGE_BUCKETS: [f64; 14] = [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];
const HOLD_BUCKETS: [f64; 10] = [0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 300.0];

/// The metrics of one process, in a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    attempts_open: IntGauge,
    decision_seconds: Histogram,
    stage_seconds: HistogramVec,
    holds_pending: IntGaugeVec,
    hold_seconds: HistogramVec,
    bytes: IntCounterVec,
    tunnels_open: IntGaugeVec,
    journal_records: IntCounterVec,
    journal_errors: IntCounter,
    policy: IntGaugeVec,
    policy_reloads: IntCounterVec,
    policy_broken: IntGaugeVec,
    limit_hits: IntCounterVec,
    sink_lag: IntGaugeVec,
    sink_deliveries: IntCounterVec,
    sink_rejected: IntCounterVec,
    open: Mutex<HashMap<AttemptId, Open>>,
}

/// What an attempt's end is counted with.
#[derive(Debug)]
struct Open {
    ruling: Ruling,
    reason: Reason,
    tunnel: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = gauges(&registry, "exeat_build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let decision_seconds = HistogramOpts::new("exeat_decision_duration_seconds", "Time to decide, the wait of a hold left out.");
        Self {
            decisions: counters(&registry, "exeat_decisions_total", "Decisions recorded.", &["agent", "decision", "reason", "front"]),
            attempts_open: keep(&registry, IntGauge::new("exeat_attempts_open", "Attempts decided and not ended.")),
            decision_seconds: keep(&registry, Histogram::with_opts(decision_seconds.buckets(DECISION_BUCKETS.to_vec()))),
            stage_seconds: histograms(&registry, "exeat_stage_duration_seconds", "Time spent in a stage.", "stage", &STAGE_BUCKETS),
            holds_pending: gauges(&registry, "exeat_holds_pending", "Questions not answered yet.", &["agent"]),
            hold_seconds: histograms(&registry, "exeat_hold_duration_seconds", "Time waited for an answer.", "outcome", &HOLD_BUCKETS),
            bytes: counters(&registry, "exeat_bytes_total", "Bytes carried, counted when an attempt ends.", &["agent", "direction"]),
            tunnels_open: gauges(&registry, "exeat_tunnels_open", "CONNECT tunnels allowed or looked into and not ended.", &["agent"]),
            journal_records: counters(&registry, "exeat_journal_records_total", "Records written.", &["kind"]),
            journal_errors: keep(&registry, IntCounter::new("exeat_journal_errors_total", "Records that could not be written at once.")),
            policy: gauges(&registry, "exeat_policy_info", "The policy in force; always 1.", &["hash"]),
            policy_reloads: counters(&registry, "exeat_policy_reloads_total", "Times that policy was read again.", &["result"]),
            policy_broken: gauges(
                &registry,
                "exeat_policy_broken",
                "Agents whose file is not in force as written, - for files of none; always 1.",
                &["agent"],
            ),
            limit_hits: counters(&registry, "exeat_limit_hits_total", "Times a limit was hit.", &["limit"]),
            sink_lag: gauges(
                &registry,
                "exeat_sink_lag_records",
                "Records in the journal that a sink's receiver does not have.",
                &["sink"],
            ),
            sink_deliveries: counters(
                &registry,
                "exeat_sink_deliveries_total",
                "Batches handed to a sink's receiver.",
                &["sink", "result"],
            ),
            sink_rejected: counters(
                &registry,
                "exeat_sink_rejected_records_total",
                "Records a sink's receiver refuses for good.",
                &["sink"],
            ),
            open: Mutex::new(HashMap::new()),
            registry,
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory fails only on a metric without a name, and all have one.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Counts a record that was written.
    pub fn recorded(&self, record: &Record) {
        match record {
            Record::Policy(policy) => self.policy(policy),
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Started(_) | Record::Stopped(_) | Record::Held(_) | Record::Answered(_) | Record::Revoked(_) => {}
            Record::Progress(_) | Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {}
        }
        self.journal_records.with_label_values(&[record.kind()]).inc();
    }

    /// Counts a record that could not be written at once.
    pub fn journal_error(&self) {
        self.journal_errors.inc();
    }

    /// Counts a limit that was hit.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limit_hits.with_label_values(&[limit]).inc();
    }

    /// Notes how long a decision took.
    pub fn decision_took(&self, took: Duration) {
        self.decision_seconds.observe(took.as_secs_f64());
    }

    /// Sets whose files are broken; `None` is what is of no agent: the floor, the folder, a freeze.
    pub fn set_policy_broken(&self, broken: &BTreeSet<Option<AgentId>>) {
        self.policy_broken.reset();
        for agent in broken {
            self.policy_broken.with_label_values(&[agent.as_ref().map_or(NOBODY, AgentId::as_str)]).set(1);
        }
    }

    /// Counts that policy was read again, by what came of it.
    pub fn policy_reloaded(&self, result: &'static str, broken: &BTreeSet<Option<AgentId>>) {
        self.policy_reloads.with_label_values(&[result]).inc();
        self.set_policy_broken(broken);
    }

    /// Sets how many records a sink is behind.
    pub fn set_sink_lag(&self, sink: Sink, records: u64) {
        self.sink_lag.with_label_values(&[sink.as_str()]).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Counts a batch that was handed over, by what came of it.
    pub fn sink_delivery(&self, sink: Sink, failed: Option<&NotDelivered>) {
        let result = match failed {
            None => "ok",
            Some(NotDelivered::Later { .. }) => "later",
            Some(NotDelivered::Never { .. }) => "refused",
        };
        self.sink_deliveries.with_label_values(&[sink.as_str(), result]).inc();
    }

    /// Counts a record that a sink's receiver will never have.
    pub fn sink_rejected(&self, sink: Sink) {
        self.sink_rejected.with_label_values(&[sink.as_str()]).inc();
    }

    /// Sets how many questions of an agent are pending.
    pub fn set_holds_pending(&self, agent: &AgentId, pending: usize) {
        self.holds_pending.with_label_values(&[agent.as_str()]).set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    fn policy(&self, policy: &PolicyInForce) {
        self.policy.reset();
        self.policy.with_label_values(&[&policy.new]).set(1);
    }

    fn decided(&self, decided: &Decided) {
        let agent = label(decided.agent.as_ref());
        self.decisions.with_label_values(&[agent, decided.decision.as_str(), decided.reason.as_str(), decided.front.as_str()]).inc();
        let carried = match decided.decision {
            Ruling::Allow | Ruling::Look => true,
            Ruling::Block => false,
        };
        let tunnel = carried && (decided.front, decided.within) == (Front::Connect, None);
        let open = Open { ruling: decided.decision, reason: decided.reason, tunnel };
        if self.open.lock().insert(decided.id, open).is_none() {
            self.attempts_open.inc();
            if tunnel {
                self.tunnels_open.with_label_values(&[agent]).inc();
            }
        }
    }

    fn ended(&self, ended: &Ended) {
        let agent = label(ended.agent.as_ref());
        let open = self.open.lock().remove(&ended.id);
        if let Some(open) = &open {
            self.attempts_open.dec();
            if open.tunnel {
                self.tunnels_open.with_label_values(&[agent]).dec();
            }
        }
        self.bytes.with_label_values(&[agent, "up"]).inc_by(ended.bytes_up);
        self.bytes.with_label_values(&[agent, "down"]).inc_by(ended.bytes_down);
        let Millis { hold, dns, dial, tls, total } = ended.ms;
        for (stage, millis) in [("hold", hold), ("dns", dns), ("dial", dial), ("tls", tls), ("total", Some(total))] {
            if let Some(millis) = millis {
                self.stage_seconds.with_label_values(&[stage]).observe(millis / 1e3);
            }
        }
        if let Some(hold) = hold {
            self.hold_seconds.with_label_values(&[hold_outcome(open.as_ref(), ended)]).observe(hold / 1e3);
        }
    }
}

/// What waiting led to: the decision's reason, or that the agent went away first.
fn hold_outcome(open: Option<&Open>, ended: &Ended) -> &'static str {
    match open {
        Some(open) if open.ruling == Ruling::Block && ended.outcome == Outcome::Abandoned => Outcome::Abandoned.as_str(),
        Some(open) => open.reason.as_str(),
        None => ended.reason.as_str(),
    }
}

fn label(agent: Option<&AgentId>) -> &str {
    agent.map_or(NOBODY, AgentId::as_str)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    keep(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    keep(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, label: &str, buckets: &[f64]) -> HistogramVec {
    keep(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &[label]))
}

fn keep<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("names and labels are constants of this file, all of them valid");
    registry.register(Box::new(metric.clone())).expect("each name is registered once, in a registry of its own");
    metric
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::journal::sample::{decided, ended};

    fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
        metrics.text().lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    #[test]
    fn a_decision_and_its_end_are_counted_once_each() {
        let metrics = Metrics::new();
        metrics.recorded(&Record::Decided(decided(1)));
        assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 1"]);
        assert_eq!(lines(&metrics, "exeat_tunnels_open"), ["exeat_tunnels_open{agent=\"coder\"} 1"]);
        metrics.recorded(&Record::Ended(ended(1)));
        assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 0"]);
        assert_eq!(lines(&metrics, "exeat_tunnels_open"), ["exeat_tunnels_open{agent=\"coder\"} 0"]);
        let decisions = ["exeat_decisions_total{agent=\"coder\",decision=\"allow\",front=\"connect\",reason=\"listed\"} 1"];
        assert_eq!(lines(&metrics, "exeat_decisions_total"), decisions);
        let bytes = ["exeat_bytes_total{agent=\"coder\",direction=\"down\"} 20", "exeat_bytes_total{agent=\"coder\",direction=\"up\"} 10"];
        assert_eq!(lines(&metrics, "exeat_bytes_total"), bytes);
        assert_eq!(lines(&metrics, "exeat_stage_duration_seconds_count"), ["exeat_stage_duration_seconds_count{stage=\"total\"} 1"]);
    }

    #[test]
    fn an_end_without_a_decision_leaves_nothing_below_zero() {
        let metrics = Metrics::new();
        metrics.recorded(&Record::Ended(ended(1)));
        assert_eq!(lines(&metrics, "exeat_attempts_open"), ["exeat_attempts_open 0"]);
    }

    #[test]
    fn an_agent_not_identified_is_a_dash_and_hosts_are_nowhere() {
        let metrics = Metrics::new();
        let record = Decided { agent: None, decision: Ruling::Block, reason: Reason::UnknownAgent, ..decided(1) };
        metrics.recorded(&Record::Decided(record));
        let decisions = ["exeat_decisions_total{agent=\"-\",decision=\"block\",front=\"connect\",reason=\"unknown-agent\"} 1"];
        assert_eq!(lines(&metrics, "exeat_decisions_total"), decisions);
        assert!(!metrics.text().contains("example"), "{}", metrics.text());
    }

    #[test]
    fn a_wait_is_counted_by_what_it_led_to() {
        let cases = [
            (Ruling::Allow, Reason::Approved, Outcome::Failed, Reason::DnsFailed, "approved"),
            (Ruling::Block, Reason::Refused, Outcome::Refused, Reason::Refused, "refused"),
            (Ruling::Block, Reason::Pending, Outcome::Abandoned, Reason::Pending, "abandoned"),
        ];
        for (decision, reason, outcome, why, label) in cases {
            let metrics = Metrics::new();
            metrics.recorded(&Record::Decided(Decided { decision, reason, ..decided(1) }));
            let ms = Millis { hold: Some(1500.0), ..Millis::default() };
            metrics.recorded(&Record::Ended(Ended { outcome, reason: why, ms, ..ended(1) }));
            let sums = [format!("exeat_hold_duration_seconds_sum{{outcome=\"{label}\"}} 1.5")];
            assert_eq!(lines(&metrics, "exeat_hold_duration_seconds_sum"), sums);
        }
    }

    #[test]
    fn only_the_policy_in_force_is_named() {
        let metrics = Metrics::new();
        for (old, new) in [(None, "a"), (Some("a"), "b")] {
            let policy = PolicyInForce { old: old.map(str::to_owned), new: new.to_owned(), who: "start".into(), unread: Vec::new() };
            metrics.recorded(&Record::Policy(policy));
        }
        assert_eq!(lines(&metrics, "exeat_policy_info"), ["exeat_policy_info{hash=\"b\"} 1"]);
    }

    #[test]
    fn what_is_set_or_counted_from_outside_is_shown() {
        let metrics = Metrics::new();
        metrics.set_holds_pending(&AgentId::parse("coder").unwrap(), 3);
        metrics.limit_hit("connections");
        metrics.decision_took(Duration::from_millis(2));
        assert_eq!(lines(&metrics, "exeat_holds_pending"), ["exeat_holds_pending{agent=\"coder\"} 3"]);
        assert_eq!(lines(&metrics, "exeat_limit_hits_total"), ["exeat_limit_hits_total{limit=\"connections\"} 1"]);
        assert_eq!(lines(&metrics, "exeat_decision_duration_seconds_sum"), ["exeat_decision_duration_seconds_sum 0.002"]);
        let build = [format!("exeat_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))];
        assert_eq!(lines(&metrics, "exeat_build_info"), build);
    }
}

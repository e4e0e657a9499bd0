//! The metrics of sinks, by the sink's name.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::Metrics;
use super::kept::Maker;
use crate::telemetry::sinks::{NotDelivered, Sink};

/// What is known of each sink.
#[derive(Debug)]
pub(super) struct Sinks {
    lag: IntGaugeVec,
    deliveries: IntCounterVec,
    rejected: IntCounterVec,
}

impl Sinks {
    pub(super) fn new(make: &Maker<'_>) -> Self {
        let (lag, rejected) =
            ("Records in the journal that a sink's receiver does not have.", "Records a sink's receiver refuses for good.");
        Self {
            lag: make.gauges("exeat_sink_lag_records", lag, &["sink"]),
            deliveries: make.counters("exeat_sink_deliveries_total", "Batches handed to a sink's receiver.", &["sink", "result"]),
            rejected: make.counters("exeat_sink_rejected_records_total", rejected, &["sink"]),
        }
    }
}

impl Metrics {
    /// Sets how many records a sink is behind.
    pub fn set_sink_lag(&self, sink: Sink, records: u64) {
        self.sinks.lag.with_label_values(&[sink.as_str()]).set(i64::try_from(records).unwrap_or(i64::MAX));
        // It is there, at nothing, from the first word of the sink on.
        self.sinks.rejected.with_label_values(&[sink.as_str()]).inc_by(0);
    }

    /// Counts a batch that was handed over, by what came of it.
    pub fn sink_delivery(&self, sink: Sink, failed: Option<&NotDelivered>) {
        let result = match failed {
            None => "ok",
            Some(NotDelivered::Later { .. }) => "later",
            Some(NotDelivered::Never { .. }) => "refused",
        };
        self.sinks.deliveries.with_label_values(&[sink.as_str(), result]).inc();
    }

    /// Counts a record that a sink's receiver will never have.
    pub fn sink_rejected(&self, sink: Sink) {
        self.sinks.rejected.with_label_values(&[sink.as_str()]).inc();
    }
}

//! Metrics as they are made: each in the registry, under a name and with labels that never change.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::exemplar::{Exemplars, Series};
use crate::policy::attempt::AttemptId;

/// A histogram of times with one label, each bucket with the last attempt in it.
#[derive(Debug)]
pub(super) struct Times {
    name: &'static str,
    bounds: &'static [f64],
    seconds: HistogramVec,
    exemplars: Arc<Exemplars>,
}

impl Times {
    pub(super) fn observe(&self, label: &'static str, took: Duration, attempt: AttemptId) {
        let seconds = took.as_secs_f64();
        self.seconds.with_label_values(&[label]).observe(seconds);
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.exemplars.keep(Series::Bucket { family: self.name, label, bucket }, attempt, seconds);
    }
}

/// What metrics are made in.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) registry: &'a Registry,
    pub(super) exemplars: &'a Arc<Exemplars>,
}

impl Maker<'_> {
    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub(super) fn times(&self, name: &'static str, help: &str, label: &str, bounds: &'static [f64]) -> Times {
        let seconds = self.keep(HistogramVec::new(HistogramOpts::new(name, help).buckets(bounds.to_vec()), &[label]));
        Times { name, bounds, seconds, exemplars: Arc::clone(self.exemplars) }
    }

    pub(super) fn keep<M: Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("names and labels of metrics are constants, all of them valid");
        self.registry.register(Box::new(metric.clone())).expect("each name is registered once, in a registry of its own");
        metric
    }
}

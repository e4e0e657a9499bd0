//! The metrics as they stand, pushed at intervals. One push that fails is counted, and the next has everything: all sums are cumulative.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    exemplar,
};
use prometheus::proto::{self, MetricFamily, MetricType};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::attributes::Attributes;
use super::spans::{nanoseconds, span_id, trace_id};
use super::{Collector, Source, names, scope};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{self, Place};
use crate::telemetry::sinks::{NotDelivered, Sink};

/// Pushes the metrics of this process.
pub struct Push {
    /// Where to.
    pub collector: Collector,
    /// What exports.
    pub source: Source,
    /// What is pushed, and where pushes are counted.
    pub metrics: Arc<Metrics>,
    /// How often.
    pub every: Duration,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push").field("every", &self.every).finish_non_exhaustive()
    }
}

/// From when to when the sums count, in nanoseconds, and attempts that they count.
#[derive(Debug)]
struct Since {
    start: u64,
    now: u64,
    exemplars: HashMap<Place, metrics::Exemplar>,
}

impl Push {
    /// Pushes until told to stop, and once more then.
    pub async fn run(mut self, stop: CancellationToken) {
        let start = nanoseconds(Timestamp::now());
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubled = false;
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            let pushed = self.push(start).await;
            self.metrics.sink_delivery(Sink::OtlpMetrics, pushed.as_ref().err());
            match pushed {
                Ok(()) if std::mem::take(&mut troubled) => tracing::info!("metrics are taken again"),
                Ok(()) => {}
                Err(why) if !std::mem::replace(&mut troubled, true) => tracing::warn!("metrics are not taken: {why}"),
                Err(why) => tracing::debug!("metrics are still not taken: {why}"),
            }
            if last {
                return;
            }
        }
    }

    async fn push(&mut self, start: u64) -> Result<(), NotDelivered> {
        let since = Since { start, now: nanoseconds(Timestamp::now()), exemplars: self.metrics.exemplars() };
        let metrics = self.metrics.families().iter().filter_map(|family| metric(family, &since)).collect();
        let schema_url = names::SCHEMA_URL.to_owned();
        let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, schema_url: schema_url.clone() }];
        let resource_metrics = vec![ResourceMetrics { resource: self.source.resource(), scope_metrics, schema_url }];
        let pushed = self.collector.export(ExportMetricsServiceRequest { resource_metrics }).await;
        let taken = pushed.map_err(|refused| NotDelivered::later(refused.why))?;
        if taken.rejected > 0 {
            let why = format!("{} points were dropped: {}", taken.rejected, taken.words);
            return Err(NotDelivered::Never { which: Vec::new(), why });
        }
        Ok(())
    }
}

impl Since {
    /// What is kept beside a point: place 0 is the point itself, those after it its buckets.
    fn beside(&self, family: &MetricFamily, point: &proto::Metric, places: RangeInclusive<usize>) -> Vec<Exemplar> {
        let labels: Vec<String> = point.get_label().iter().map(|label| label.value().to_owned()).collect();
        let at = |place: usize| Place { family: family.name().to_owned(), labels: labels.clone(), bucket: place.checked_sub(1) };
        places.filter_map(|place| self.exemplars.get(&at(place))).map(exemplar).collect()
    }
}

/// An attempt, which is its trace, with the span of the whole of it.
fn exemplar(kept: &metrics::Exemplar) -> Exemplar {
    let metrics::Exemplar { attempt, value, at } = kept;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Exemplar {
        time_unix_nano: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
        trace_id: trace_id(*attempt),
        span_id: span_id(*attempt, ""),
        value: Some(exemplar::Value::AsDouble(*value)),
        ..Exemplar::default()
    }
}

/// A family under the name it has on the page of metrics.
fn metric(family: &MetricFamily, since: &Since) -> Option<Metric> {
    let points = family.get_metric();
    let temporality = AggregationTemporality::Cumulative.into();
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let data_points = points
                .iter()
                .map(|point| number(point, point.get_counter().get_value(), since, since.beside(family, point, 0..=0)))
                .collect();
            Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic: true })
        }
        MetricType::GAUGE => {
            let data_points = points.iter().map(|point| number(point, point.get_gauge().get_value(), since, Vec::new())).collect();
            Data::Gauge(Gauge { data_points })
        }
        MetricType::HISTOGRAM => {
            let data_points = points
                .iter()
                .map(|point| histogram(point, since, since.beside(family, point, 1..=point.get_histogram().get_bucket().len() + 1)))
                .collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: temporality })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let (name, description) = (family.name().to_owned(), family.help().to_owned());
    let unit = unit(&name).to_owned();
    Some(Metric { name, description, unit, data: Some(data), ..Metric::default() })
}

/// The unit, as UCUM spells it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        ""
    }
}

fn labels(point: &proto::Metric) -> Vec<KeyValue> {
    let mut attributes = Attributes::default();
    for label in point.get_label() {
        attributes.text(label.name(), label.value());
    }
    attributes.into_inner()
}

fn number(point: &proto::Metric, value: f64, since: &Since, exemplars: Vec<Exemplar>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: labels(point),
        start_time_unix_nano: since.start,
        time_unix_nano: since.now,
        value: Some(Value::AsDouble(value)),
        exemplars,
        ..NumberDataPoint::default()
    }
}

fn histogram(point: &proto::Metric, since: &Since, exemplars: Vec<Exemplar>) -> HistogramDataPoint {
    let written = point.get_histogram();
    let (mut bucket_counts, mut explicit_bounds, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in written.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        explicit_bounds.push(bucket.upper_bound());
        bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    bucket_counts.push(written.get_sample_count().saturating_sub(below));
    HistogramDataPoint {
        attributes: labels(point),
        start_time_unix_nano: since.start,
        time_unix_nano: since.now,
        count: written.get_sample_count(),
        sum: Some(written.get_sample_sum()),
        bucket_counts,
        explicit_bounds,
        exemplars,
        ..HistogramDataPoint::default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;
    use crate::policy::attempt::AttemptId;

    fn pushed(registry: &Registry) -> Vec<Metric> {
        let since = Since { start: 7, now: 9, exemplars: HashMap::new() };
        registry.gather().iter().filter_map(|family| metric(family, &since)).collect()
    }

    #[test]
    fn a_counter_is_a_sum_since_the_start_and_a_gauge_is_what_it_is() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("exeat_bytes_total", "Bytes."), &["agent"]).unwrap();
        let gauge = IntGauge::new("exeat_attempts_open", "Open.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        registry.register(Box::new(gauge.clone())).unwrap();
        counter.with_label_values(&["coder"]).inc_by(3);
        gauge.set(-2);
        let point = |start, value, attributes| NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: 9,
            value: Some(Value::AsDouble(value)),
            ..NumberDataPoint::default()
        };
        let mut attributes = Attributes::default();
        attributes.text("agent", "coder");
        let gauge = Metric {
            name: "exeat_attempts_open".into(),
            description: "Open.".into(),
            data: Some(Data::Gauge(Gauge { data_points: vec![point(7, -2.0, Vec::new())] })),
            ..Metric::default()
        };
        let data_points = vec![point(7, 3.0, attributes.into_inner())];
        let sum = Metric {
            name: "exeat_bytes_total".into(),
            description: "Bytes.".into(),
            unit: "By".into(),
            data: Some(Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true })),
            ..Metric::default()
        };
        assert_eq!(pushed(&registry), [gauge, sum]);
    }

    #[test]
    fn buckets_that_count_what_is_below_become_buckets_that_count_what_is_inside() {
        let registry = Registry::new();
        let options = HistogramOpts::new("exeat_x_seconds", "Times.").buckets(vec![1.0, 2.0, 4.0]);
        let times = prometheus::Histogram::with_opts(options).unwrap();
        registry.register(Box::new(times.clone())).unwrap();
        for value in [0.5, 1.5, 1.75, 9.0] {
            times.observe(value);
        }
        let point = HistogramDataPoint {
            start_time_unix_nano: 7,
            time_unix_nano: 9,
            count: 4,
            sum: Some(12.75),
            bucket_counts: vec![1, 2, 0, 1],
            explicit_bounds: vec![1.0, 2.0, 4.0],
            ..HistogramDataPoint::default()
        };
        let wanted = Metric {
            name: "exeat_x_seconds".into(),
            description: "Times.".into(),
            unit: "s".into(),
            data: Some(Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 })),
            ..Metric::default()
        };
        assert_eq!(pushed(&registry), [wanted]);
    }

    #[test]
    fn a_point_carries_the_attempts_kept_beside_it_and_beside_its_buckets_and_no_other() {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new("exeat_decisions_total", "Decisions."), &["reason"]).unwrap();
        let times = prometheus::Histogram::with_opts(HistogramOpts::new("exeat_x_seconds", "Times.").buckets(vec![1.0, 2.0])).unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        registry.register(Box::new(times.clone())).unwrap();
        counter.with_label_values(&["unlisted"]).inc();
        counter.with_label_values(&["listed"]).inc();
        times.observe(9.0);
        let attempt = AttemptId(uuid::Uuid::from_u128(5));
        let kept = |value| metrics::Exemplar { attempt, value, at: UNIX_EPOCH + Duration::from_nanos(8) };
        let place = |family: &str, labels: &[&str], bucket| Place {
            family: family.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            bucket,
        };
        let exemplars = HashMap::from([
            (place("exeat_decisions_total", &["unlisted"], None), kept(1.0)),
            (place("exeat_x_seconds", &[], Some(2)), kept(9.0)),
            (place("exeat_y_seconds", &[], Some(0)), kept(3.0)),
        ]);
        let since = Since { start: 7, now: 9, exemplars };
        let told: Vec<(String, Vec<Exemplar>)> = registry
            .gather()
            .iter()
            .filter_map(|family| metric(family, &since))
            .flat_map(|metric| {
                let points = match metric.data.unwrap() {
                    Data::Sum(sum) => sum.data_points.into_iter().map(|point| point.exemplars).collect(),
                    Data::Histogram(histogram) => histogram.data_points.into_iter().map(|point| point.exemplars).collect(),
                    other @ (Data::Gauge(_) | Data::ExponentialHistogram(_) | Data::Summary(_)) => panic!("{other:?}"),
                };
                let points: Vec<Vec<Exemplar>> = points;
                points.into_iter().map(move |exemplars| (metric.name.clone(), exemplars))
            })
            .collect();
        let wanted = |value| Exemplar {
            time_unix_nano: 8,
            trace_id: vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5],
            span_id: span_id(attempt, ""),
            value: Some(exemplar::Value::AsDouble(value)),
            ..Exemplar::default()
        };
        let decisions = "exeat_decisions_total".to_owned();
        let times = ("exeat_x_seconds".to_owned(), vec![wanted(9.0)]);
        assert_eq!(told, [(decisions.clone(), Vec::new()), (decisions, vec![wanted(1.0)]), times]);
    }
}

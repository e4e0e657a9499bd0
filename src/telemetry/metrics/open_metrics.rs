//! OpenMetrics 1.0.0: the text format with exemplars. Counters' families are named without their `_total`, and a page ends with `# EOF`.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplar::{Exemplar, Place};

/// All families on one page, each series with its exemplar if there is one.
pub(super) fn page(families: &[MetricFamily], exemplars: &HashMap<Place, Exemplar>) -> String {
    let mut page = Page { text: String::new(), exemplars };
    for family in families {
        // Writing to memory does not fail.
        let _ = page.family(family);
    }
    page.text.push_str("# EOF\n");
    page.text
}

struct Page<'a> {
    text: String,
    exemplars: &'a HashMap<Place, Exemplar>,
}

impl Page<'_> {
    fn family(&mut self, family: &MetricFamily) -> fmt::Result {
        let (name, kind) = match family.get_field_type() {
            MetricType::COUNTER => (family.name().strip_suffix("_total").unwrap_or(family.name()), "counter"),
            MetricType::HISTOGRAM => (family.name(), "histogram"),
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => (family.name(), "gauge"),
        };
        writeln!(self.text, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(family.help()))?;
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    write!(self.text, "{name}_total{} {}", labels(metric, None), metric.get_counter().get_value())?;
                    self.end(family.name(), metric, None)?;
                }
                MetricType::HISTOGRAM => self.histogram(name, metric)?,
                MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                    writeln!(self.text, "{name}{} {}", labels(metric, None), metric.get_gauge().get_value())?;
                }
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, metric: &Metric) -> fmt::Result {
        let histogram = metric.get_histogram();
        let (count, sum) = (histogram.get_sample_count(), histogram.get_sample_sum());
        let bounded = histogram.get_bucket().iter().map(|bucket| (canonical(bucket.upper_bound()), bucket.cumulative_count()));
        for (at, (bound, below)) in bounded.chain([("+Inf".to_owned(), count)]).enumerate() {
            write!(self.text, "{name}_bucket{} {below}", labels(metric, Some(&bound)))?;
            self.end(name, metric, Some(at))?;
        }
        writeln!(self.text, "{name}_sum{0} {sum}\n{name}_count{0} {count}", labels(metric, None))
    }

    /// The end of a line, with the exemplar of its series.
    fn end(&mut self, family: &str, metric: &Metric, bucket: Option<usize>) -> fmt::Result {
        let labels = metric.get_label().iter().map(|label| label.value().to_owned()).collect();
        if let Some(Exemplar { attempt, value, at }) = self.exemplars.get(&Place { family: family.to_owned(), labels, bucket }) {
            let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            write!(self.text, " # {{trace_id=\"{}\"}} {value} {at:.3}", attempt.0.simple())?;
        }
        self.text.write_char('\n')
    }
}

/// A number with a point in it, as bounds are written.
fn canonical(bound: f64) -> String {
    let plain = bound.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

fn labels(metric: &Metric, bound: Option<&str>) -> String {
    let pair = |label: &LabelPair| format!("{}=\"{}\"", label.name(), escaped(label.value()));
    let pairs = metric.get_label().iter().map(pair).chain(bound.map(|bound| format!("le=\"{bound}\"")));
    let pairs = pairs.collect::<Vec<_>>().join(",");
    if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

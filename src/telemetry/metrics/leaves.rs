//! How often a certificate for a host was there already, and how often it had to be made.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};

const NAME: &str = "exeat_leaf_cache_total";
const HELP: &str = "Certificates for inspected hosts, by whether one was there already.";

/// Read when somebody asks: hits and misses since the start.
pub(super) struct Leaves {
    desc: Desc,
    read: Box<dyn Fn() -> (u64, u64) + Send + Sync>,
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaves")
    }
}

impl Leaves {
    pub(super) fn new(read: impl Fn() -> (u64, u64) + Send + Sync + 'static) -> Self {
        let desc = Desc::new(NAME.to_owned(), HELP.to_owned(), vec!["result".to_owned()], HashMap::new());
        Self { desc: desc.expect("the name is a constant, and valid"), read: Box::new(read) }
    }
}

impl Collector for Leaves {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (hit, miss) = (self.read)();
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(vec![counted("hit", hit), counted("miss", miss)]);
        vec![family]
    }
}

fn counted(result: &str, count: u64) -> Metric {
    let mut label = LabelPair::default();
    label.set_name("result".to_owned());
    label.set_value(result.to_owned());
    let mut counter = Counter::default();
    counter.set_value(super::process::as_figure(count));
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_counter(counter);
    metric
}

//! Figures that are read when somebody asks for them. One that cannot be had is left out.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

/// A figure's name, its meaning and its type.
pub(super) type Figure = (&'static str, &'static str, MetricType);

/// Figures and how they are read, in the same order.
pub(super) struct Sampled {
    figures: &'static [Figure],
    descs: Vec<Desc>,
    read: Box<dyn Fn() -> Vec<Option<f64>> + Send + Sync>,
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sampled").field(&self.figures).finish()
    }
}

impl Sampled {
    pub(super) fn new(figures: &'static [Figure], read: impl Fn() -> Vec<Option<f64>> + Send + Sync + 'static) -> Self {
        let desc = |(name, help, _): &Figure| Desc::new((*name).to_owned(), (*help).to_owned(), Vec::new(), HashMap::new());
        let descs = figures.iter().map(desc).collect::<Result<_, _>>().expect("names of figures are constants, all of them valid");
        Self { figures, descs, read: Box::new(read) }
    }
}

impl Collector for Sampled {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let values = (self.read)();
        self.figures.iter().zip(values).filter_map(|(figure, value)| Some(family(*figure, value?))).collect()
    }
}

fn family((name, help, kind): Figure, value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

//! Where records are exported. The sinks of a state folder run in one process: the first that starts, or the next when it ends.

mod otlp;

use std::fmt;

use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::policy::address::Guard;
use crate::telemetry::sinks::{Beside, Lead};
use otlp::Otlp;

/// Something that a sink needs is not there.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {why}")]
pub struct NotExported {
    key: &'static str,
    why: String,
}

impl NotExported {
    fn new(key: &'static str, why: &dyn fmt::Display) -> Self {
        Self { key, why: why.to_string() }
    }
}

/// What exports, ready to run.
#[derive(Debug)]
pub struct Exports {
    otlp: Option<Otlp>,
}

impl Exports {
    /// Reads what the configuration names for its sinks.
    pub fn prepare(config: &Config) -> Result<Self, NotExported> {
        Ok(Self { otlp: config.telemetry.otlp.as_ref().map(Otlp::prepare).transpose()? })
    }

    /// Starts them all; they end with `beside.stop`.
    pub fn start(self, tasks: &TaskTracker, beside: &Beside) {
        let Self { otlp } = self;
        let Some(otlp) = otlp else { return };
        tasks.spawn(otlp.clone().metrics(beside.clone()));
        let beside = beside.clone();
        tasks.spawn(async move {
            let Some(lead) = Lead::wait(&beside.state, &beside.stop).await else { return };
            tokio::join!(otlp.clone().logs(beside.clone()), otlp.traces(beside));
            drop(lead);
        });
    }
}

/// Makes every back end that records go to a place no agent reaches.
pub fn close_to_agents(config: &Config, guard: &mut Guard) {
    if let Some(Ok(collector)) = config.telemetry.otlp.as_ref().map(otlp::back_end) {
        collector.close_to_agents(guard);
    }
}

//! The sinks of OTLP, from the configuration to their tasks.

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::NotExported;
use crate::config;
use crate::telemetry::dial::{BackEnd, Dialer, Found};
use crate::telemetry::otlp::{Collector, Logs, Protocol, Push, Source, Traces, read_headers};
use crate::telemetry::sinks::{Beside, Follower, Pace, Sink};

/// What exports by OTLP.
#[derive(Clone, Debug)]
pub(super) struct Otlp {
    collector: Collector,
    source: Source,
    sample: f64,
    every: Option<Duration>,
}

/// The collector's place.
pub(super) fn back_end(settings: &config::Otlp) -> Result<BackEnd, NotExported> {
    BackEnd::parse(&settings.url.to_string()).map_err(|error| NotExported::new("telemetry.otlp", &error))
}

impl Otlp {
    /// Reads what the settings name: certificate authorities, headers.
    pub(super) fn prepare(settings: &config::Otlp, found: &Found) -> Result<Self, NotExported> {
        let config::Otlp { url: _, protocol, headers_file, ca, sample, metrics } = settings;
        let to = back_end(settings)?;
        let dialer = Dialer::new(&to, ca.as_deref()).map_err(|error| NotExported::new("telemetry.ca", &error))?;
        let headers = headers_file.as_deref().map(read_headers).transpose();
        let headers = headers.map_err(|error| NotExported::new("telemetry.headers_file", &error))?.unwrap_or_default();
        let protocol = match protocol {
            config::OtlpProtocol::Grpc => Protocol::Grpc,
            config::OtlpProtocol::Http => Protocol::Http,
        };
        let collector = Collector::new(to, dialer.telling(found), protocol, headers);
        Ok(Self { collector, source: Source::default(), sample: *sample, every: *metrics })
    }

    /// Log records, in a process that leads.
    pub(super) async fn logs(self, beside: Beside) {
        let logs = Logs { collector: self.collector, source: self.source, metrics: beside.metrics.clone() };
        Follower::new(Sink::OtlpLogs, logs, Pace::default(), beside).run().await;
    }

    /// Spans, in a process that leads.
    pub(super) async fn traces(self, beside: Beside) {
        let (state, metrics) = (beside.state.clone(), beside.metrics.clone());
        let resume = move || Traces::resume(self.collector, self.source, metrics, self.sample, Path::new(&state));
        match spawn_blocking(resume).await {
            Ok(traces) => Follower::new(Sink::OtlpTraces, traces, Pace::default(), beside).run().await,
            Err(error) => tracing::error!("attempts are not traced: {error}"),
        }
    }

    /// Metrics, in every process.
    pub(super) async fn metrics(self, beside: Beside) {
        if let Some(every) = self.every {
            let push = Push { collector: self.collector, source: self.source, metrics: beside.metrics, every };
            push.run(beside.stop).await;
        }
    }
}

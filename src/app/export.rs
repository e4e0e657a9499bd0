//! Where records are exported. The sinks of a state folder run in one process: the first that starts, or the next when it ends.

mod otlp;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::config::{Config, Telemetry};
use crate::policy::address::Guard;
use crate::telemetry::dial::BackEnd;
use crate::telemetry::sinks::ocsf::OcsfFile;
use crate::telemetry::sinks::stdout::Lines;
use crate::telemetry::sinks::webhook::Webhook;
use crate::telemetry::sinks::{Beside, Deliver, Follower, Lead, Pace, Sink};
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
    webhook: Option<Webhook>,
    ocsf: Option<OcsfFile>,
    stdout: Option<Lines>,
}

impl Exports {
    /// Reads what the configuration names for its sinks.
    pub fn prepare(config: &Config) -> Result<Self, NotExported> {
        let telemetry = &config.telemetry;
        let webhook = telemetry.webhook.as_ref().map(|webhook| {
            let made = Webhook::new(&webhook.url.to_string(), &webhook.secret_file, webhook.ca.as_deref());
            made.map_err(|error| NotExported::new("telemetry.webhook", &error))
        });
        let stdout = telemetry.stdout.then(|| Lines::stdout().map_err(|error| NotExported::new("telemetry.stdout", &error)));
        Ok(Self {
            otlp: telemetry.otlp.as_ref().map(Otlp::prepare).transpose()?,
            webhook: webhook.transpose()?,
            ocsf: telemetry.ocsf.as_deref().map(OcsfFile::new),
            stdout: stdout.transpose()?,
        })
    }

    /// Starts them all; they end with `beside.stop`.
    pub fn start(self, tasks: &TaskTracker, beside: &Beside) {
        let Self { otlp, webhook, ocsf, stdout } = self;
        if otlp.is_none() && webhook.is_none() && ocsf.is_none() && stdout.is_none() {
            return;
        }
        if let Some(otlp) = &otlp {
            tasks.spawn(otlp.clone().metrics(beside.clone()));
        }
        let (beside, followers) = (beside.clone(), tasks.clone());
        tasks.spawn(async move {
            let Some(lead) = Lead::wait(&beside.state, &beside.stop).await else { return };
            let led = Led { lead: Arc::new(lead), tasks: followers, beside: beside.clone() };
            led.follow(Sink::Webhook, webhook);
            led.follow(Sink::Ocsf, ocsf);
            led.follow(Sink::Stdout, stdout);
            if let Some(otlp) = otlp {
                tokio::join!(otlp.clone().logs(beside.clone()), otlp.traces(beside));
            }
        });
    }
}

/// The right to export, held until the last follower has ended.
#[derive(Debug)]
struct Led {
    lead: Arc<Lead>,
    tasks: TaskTracker,
    beside: Beside,
}

impl Led {
    fn follow(&self, sink: Sink, deliver: Option<impl Deliver + Sync + 'static>) {
        let Some(deliver) = deliver else { return };
        let (lead, beside) = (Arc::clone(&self.lead), self.beside.clone());
        self.tasks.spawn(async move {
            Follower::new(sink, deliver, Pace::default(), beside).run().await;
            drop(lead);
        });
    }
}

/// What is never dialled: where exeat listens, its other names, its back ends, and what the configuration says.
pub fn guard(config: &Config, own: impl Iterator<Item = SocketAddr>) -> Guard {
    // The name servers are a back end of ours: agents ask exeat for names, never them.
    let own = own.chain(config.dns.servers.iter().copied()).collect();
    let known_as = config.listen.iter().flat_map(|listen| listen.known_as.iter().cloned()).collect();
    let mut guard = Guard { own, machine: Vec::new(), known_as, never: config.never.clone() };
    close_to_agents(config, &mut guard);
    guard
}

/// The sinks that the configuration names.
pub fn sinks(config: &Config) -> Vec<Sink> {
    let Telemetry { otlp, stdout, agent_label: _, webhook, ocsf } = &config.telemetry;
    let named = [
        (Sink::OtlpLogs, otlp.is_some()),
        (Sink::OtlpTraces, otlp.is_some()),
        (Sink::Stdout, *stdout),
        (Sink::Webhook, webhook.is_some()),
        (Sink::Ocsf, ocsf.is_some()),
    ];
    named.into_iter().filter_map(|(sink, named)| named.then_some(sink)).collect()
}

/// Makes every back end that records go to a place no agent reaches.
pub fn close_to_agents(config: &Config, guard: &mut Guard) {
    if let Some(Ok(collector)) = config.telemetry.otlp.as_ref().map(otlp::back_end) {
        collector.close_to_agents(guard);
    }
    let webhook = config.telemetry.webhook.as_ref();
    if let Some(Ok(receiver)) = webhook.map(|webhook| BackEnd::parse(&webhook.url.to_string())) {
        receiver.close_to_agents(guard);
    }
}

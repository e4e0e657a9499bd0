//! Where records are exported. The sinks of a state folder run in one process: the first that starts, or the next when it ends.

mod otlp;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Telemetry};
use crate::policy::address::Guard;
use crate::telemetry::dial::{BackEnd, Found, look_up};
use crate::telemetry::sinks::ocsf::OcsfFile;
use crate::telemetry::sinks::stdout::Lines;
use crate::telemetry::sinks::webhook::Webhook;
use crate::telemetry::sinks::{Beside, Deliver, Follower, Lead, Pace, Sink};
use otlp::Otlp;

/// How often it is looked where the names of back ends lead.
const LOOK: Duration = Duration::from_secs(30);

/// The start does not wait longer for name servers.
const FIRST_LOOK: Duration = Duration::from_secs(2);

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
    pub fn prepare(config: &Config, found: &Found) -> Result<Self, NotExported> {
        let telemetry = &config.telemetry;
        let webhook = telemetry.webhook.as_ref().map(|webhook| {
            let made = Webhook::new(&webhook.url.to_string(), &webhook.secret_file, webhook.ca.as_deref());
            made.map(|made| made.telling(found)).map_err(|error| NotExported::new("telemetry.webhook", &error))
        });
        let stdout = telemetry.stdout.then(|| Lines::stdout().map_err(|error| NotExported::new("telemetry.stdout", &error)));
        Ok(Self {
            otlp: telemetry.otlp.as_ref().map(|otlp| Otlp::prepare(otlp, found)).transpose()?,
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
    let known_as = config.listen.iter().flat_map(|listen| listen.known_as.iter().cloned());
    let known_as = known_as.chain(config.admin.hosts.iter().map(|name| name.host.clone())).collect();
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
    back_ends(config).iter().for_each(|to| to.close_to_agents(guard));
}

/// Looks where the names of back ends lead, before anybody is let in.
pub async fn find(config: &Config) -> Found {
    let found = Found::default();
    if !tokio::time::timeout(FIRST_LOOK, look(&back_ends(config), &found)).await.unwrap_or(false) {
        tracing::warn!("where back ends of [telemetry] are cannot be looked up: until it can, they are closed to agents by name alone");
    }
    found
}

/// Looks again and again.
pub async fn keep_finding(to: Vec<BackEnd>, found: Found, stop: CancellationToken) {
    let again = async {
        loop {
            tokio::time::sleep(LOOK).await;
            look(&to, &found).await;
        }
    };
    tokio::select! {
        () = again => {}
        () = stop.cancelled() => {}
    }
}

/// Whether all are found.
async fn look(to: &[BackEnd], found: &Found) -> bool {
    let mut all = true;
    for to in to {
        if let Err(error) = look_up(to, found).await {
            all = false;
            tracing::debug!(?to, "where a back end is cannot be told: {error}");
        }
    }
    all
}

/// The back ends that the configuration names.
pub fn back_ends(config: &Config) -> Vec<BackEnd> {
    let collector = config.telemetry.otlp.as_ref().and_then(|otlp| otlp::back_end(otlp).ok());
    let webhook = config.telemetry.webhook.as_ref();
    let receiver = webhook.and_then(|webhook| BackEnd::parse(&webhook.url.to_string()).ok());
    collector.into_iter().chain(receiver).collect()
}

//! `exeat doctor` alone: what is wrong with this set-up, from its file to the clients of this shell.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::agent::resolvers;
use super::clients::{self, Known};
use super::finding::{Finding, Level, Report};
use super::health::here;
use super::proxy::ProxyUrl;
use super::way::Outcome;
use super::wire::{self, Silence};
use super::{shell, tries};
use crate::cli::admin_client::{AdminClient, NotRunning};
use crate::cli::loaded;
use crate::config::{Config, NO_FILE, inspect, state};
use crate::journal::Reader;
use crate::policy::fault::Fault;
use crate::text::{plain, trouble};
use crate::tls::ca::certificates;

/// An authority whose end is nearer than this is warned of.
const CA_DAYS: u64 = 30;
const DAY: u64 = 24 * 3600;

/// A clock may be so much behind a journal that another process wrote.
const CLOCK: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// Looks at everything. What rests on a configuration that does not load is left out.
pub(super) async fn look(config: Result<Config, Vec<Fault>>, proxy: Option<&str>, listed: &[String], within: Duration) -> Report {
    let mut findings = Vec::new();
    let mut known = Known::default();
    let ours: Option<Vec<String>> = match &config {
        Ok(config) => {
            findings
                .push(Finding::ok("config", config.path.as_deref().map_or_else(|| NO_FILE.to_owned(), |path| path.display().to_string())));
            findings.extend(policy(config));
            findings.extend(kept(config));
            let ours: Vec<String> = config.listen.iter().flat_map(|listen| &listen.addresses).map(|at| here(*at).to_string()).collect();
            let (runs, said) = running(config, within).await;
            findings.push(said);
            if runs {
                findings.extend(listeners(config, within).await);
                findings.extend(ready(config, within).await);
            } else {
                findings.extend(taken(config, within).await);
                findings.push(Finding::untried("ready", "not looked at, because no exeat is running"));
                known.stopped.clone_from(&ours);
            }
            findings.extend(names(config, within).await);
            Some(ours)
        }
        Err(faults) => {
            findings.extend(faults.iter().map(|fault| Finding::of_fault("config", fault)));
            findings.push(Finding::untried(
                "serve",
                "not looked at, nor allowlists, state, listeners and name servers, because the configuration does not load",
            ));
            None
        }
    };
    let variable = |name: &str| std::env::var(name).ok();
    let of_shell: Vec<Finding> = match (proxy.and_then(|url| ProxyUrl::parse(url).ok()), shell::unset(variable, listed)) {
        (Some(passed), _) => shell::unproven("--proxy", &passed, within).await.into_iter().collect(),
        (None, Some(unset)) => vec![unset],
        (None, None) => shell::look(variable, ours.as_deref(), within).await,
    };
    known.unled = of_shell.iter().any(|one| one.level == Level::Bad);
    findings.extend(of_shell);
    findings.extend(clients::look(listed, proxy, &known, within).await);
    Report::new(findings)
}

/// The allowlists, the authority, and second looks.
fn policy(config: &Config) -> Vec<Finding> {
    let loaded = loaded::to_look_at(config);
    let mut findings: Vec<Finding> = loaded.standing.faults().iter().map(|fault| Finding::of_fault("allowlists", fault)).collect();
    findings.extend(loaded.standing.warnings.iter().map(|warning| Finding::of_warning("allowlists", warning)));
    findings.extend(loaded::second_looks(config).iter().map(|warning| Finding::of_warning("config", warning)));
    match loaded.agents().len() {
        0 if !loaded.standing.faults().is_empty() => findings.push(Finding::bad(
            "allowlists",
            "as the files are, no agent would be in force at the next start",
            "mend them; where exeat runs, it goes on with the last good ones",
        )),
        0 => findings.push(Finding::bad(
            "allowlists",
            "no agent is in force: every attempt is refused",
            "write an allowlist: `exeat init` begins one",
        )),
        agents => findings.push(Finding::ok("allowlists", format!("agents in force: {agents}"))),
    }
    let faults = inspect::faults(config, SystemTime::now());
    findings.extend(faults.iter().map(|fault| Finding::of_fault("ca", fault)));
    if let Some(of) = config.inspect.as_ref().filter(|_| faults.is_empty()) {
        findings.extend(authority(&of.cert));
    }
    findings
}

fn authority(file: &Path) -> Vec<Finding> {
    let read = inspect::bytes(file, "a certificate in PEM").ok().and_then(|pem| certificates(&pem).ok()).unwrap_or_default();
    let days = read.iter().map(|one| one.not_after().duration_since(SystemTime::now()).map_or(0, |left| left.as_secs() / DAY)).min();
    days.map(|days| {
        let text = format!("the authority is good for {days} days");
        if days < CA_DAYS { Finding::warn("ca", text, "exeat ca init --rotate") } else { Finding::ok("ca", text) }
    })
    .into_iter()
    .collect()
}

/// The state folder, its room, and the clock against what was written there.
fn kept(config: &Config) -> Vec<Finding> {
    let folder = &config.state;
    let shown = plain(&folder.display().to_string(), 1000);
    let mut findings = Vec::new();
    match state::look(folder) {
        Ok(true) => findings.push(Finding::ok("state", format!("{shown} is private"))),
        Ok(false) => findings.push(Finding::ok("state", format!("{shown} is not there yet: `exeat serve` makes it"))),
        Err(error) => findings.push(Finding::said(Level::Bad, "state", error.to_string())),
    }
    if let Some(room) = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok()) {
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let (least, most) = (config.journal.segment.saturating_mul(2), config.journal.max);
        let text = format!("{} MiB are free for the journal", free >> 20);
        findings.push(if free < least {
            Finding::bad("state", text, "make room: without it nothing is recorded, and what is not recorded does not pass")
        } else if free < most {
            Finding::warn("state", text, format!("make room for [journal] max ({} MiB), or lower it", most >> 20))
        } else {
            Finding::ok("state", text)
        });
    }
    findings.extend(clock(folder));
    findings
}

fn clock(folder: &Path) -> Option<Finding> {
    let now = Timestamp::now();
    let reader = Reader::since(folder, now).ok()?;
    let newest = reader.filter_map(Result::ok).map(|entry| entry.line.at).max()?;
    let behind = newest.duration_since(now) > CLOCK;
    Some(if behind {
        Finding::bad(
            "clock",
            format!("the journal tells of {newest}, and the clock says {now}"),
            "set the clock: approvals and `until` end by it",
        )
    } else {
        Finding::ok("clock", "it is not behind the journal")
    })
}

/// Whether exeat runs, as far as its socket says. Where that tells nothing, its listeners may.
async fn running(config: &Config, within: Duration) -> (bool, Finding) {
    let client = AdminClient::new(&config.state);
    let asked = tokio::time::timeout(within, client.get::<serde_json::Value>("agents")).await;
    match asked {
        Ok(Ok(_)) => (true, Finding::ok("serve", "exeat runs with this state, and answers on its admin socket")),
        Ok(Err(error)) if error.is::<NotRunning>() => {
            let text = format!("no exeat is running with the state in {}", plain(&config.state.display().to_string(), 1000));
            (false, Finding::bad("serve", text, "start `exeat serve`, or name the configuration of the one that runs with --config"))
        }
        Ok(Err(error)) => (true, Finding::bad("serve", super::super::chain(&error), "see the log of `exeat serve`")),
        Err(_) => (true, Finding::bad("serve", "the admin socket does not answer", "see the log of `exeat serve`")),
    }
}

/// Addresses that somebody else has: there, exeat would not start.
async fn taken(config: &Config, within: Duration) -> Vec<Finding> {
    let all = config.listen.iter().flat_map(|listen| listen.addresses.iter().map(move |at| (format!("listen.{}", listen.name), *at)));
    let all = all.chain(config.metrics.map(|at| ("metrics".to_owned(), at)));
    let tried = join_all(all.filter(|(_, at)| at.port() != 0).map(async |(name, at)| {
        let answers = wire::connect(here(at), Instant::now() + within).await.is_ok();
        answers.then(|| {
            let text = format!("another program has {at}, which is the address of {name}: exeat cannot start");
            Finding::bad("listen", text, "end that program, or write another address")
        })
    }));
    let taken: Vec<Finding> = tried.await.into_iter().flatten().collect();
    if taken.is_empty() { vec![Finding::untried("listen", "not looked at, because no exeat is running")] } else { taken }
}

async fn listeners(config: &Config, within: Duration) -> Vec<Finding> {
    let all = config.listen.iter().flat_map(|listen| listen.addresses.iter().map(move |at| (&listen.name, *at)));
    join_all(all.filter(|(_, at)| at.port() != 0).map(async |(name, at)| match wire::connect(here(at), Instant::now() + within).await {
        Ok(_) => Finding::ok("listen", format!("listen.{name} takes connections at {at}")),
        Err(Silence::Late) => Finding::bad("listen", format!("listen.{name} at {at} takes no connection"), "see the log of `exeat serve`"),
        Err(Silence::Error(kind)) => Finding::bad(
            "listen",
            format!("listen.{name} at {at} takes no connection: {}", trouble(kind)),
            "start `exeat serve`, or correct the address",
        ),
    }))
    .await
}

async fn ready(config: &Config, within: Duration) -> Vec<Finding> {
    let Some(address) = config.metrics else {
        return vec![Finding::warn(
            "ready",
            "there is no metrics listener, so nothing can ask whether exeat is ready",
            "write [metrics] and, on the next line, address = \"127.0.0.1:9464\" at the end of exeat.toml",
        )];
    };
    if address.port() == 0 {
        return Vec::new();
    }
    match wire::get(here(address), "/readyz", within).await {
        Ok(answer) if answer.status == Some(200) => {
            let notes = answer.body.lines().filter(|line| *line != "ready").map(|line| Finding::said(Level::Warn, "ready", line));
            std::iter::once(Finding::ok("ready", "exeat is ready")).chain(notes).collect()
        }
        Ok(answer) if answer.status == Some(503) => answer.body.lines().map(|line| Finding::said(Level::Bad, "ready", line)).collect(),
        Ok(_) => vec![Finding::bad("ready", format!("what answers at {address} is not exeat"), "correct [metrics] address")],
        Err(_) => vec![Finding::bad("ready", format!("nothing answers at {address}"), "start `exeat serve`, or correct [metrics] address")],
    }
}

/// The name servers that exeat asks.
async fn names(config: &Config, within: Duration) -> Vec<Finding> {
    let system = || resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let servers = match config.dns.servers.as_slice() {
        [] => system().into_iter().map(|ip| SocketAddr::new(ip, 53)).collect(),
        servers => servers.to_vec(),
    };
    if servers.is_empty() {
        return vec![Finding::bad("dns", "there is no name server", "name one in [dns] servers")];
    }
    join_all(servers.into_iter().map(async |server| {
        let unspecified: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((unspecified, 0)).await;
        let (outcome, known) = tries::datagram(socket, server, &tries::ROOT, Instant::now() + within).await;
        match outcome {
            Outcome::Open => Finding::ok("dns", format!("{server} answers")),
            Outcome::Closed => {
                Finding::bad("dns", format!("{server} does not answer: {known}"), "correct [dns] servers, or let exeat reach it")
            }
            Outcome::Unanswered | Outcome::Works | Outcome::Fails | Outcome::Untried => {
                Finding::bad("dns", format!("{server} does not answer within {within:?}"), "correct [dns] servers, or let exeat reach it")
            }
        }
    }))
    .await
}

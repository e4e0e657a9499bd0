//! `exeat serve`: the proxy, its admin socket, its metrics, until it is told to stop.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loaded;
use crate::admin::{self, AdminHooks, Api, People, Streams};
use crate::app::freezing::Freezing;
use crate::app::reload::{Calls, Reloader, Told};
use crate::app::{self, App, Bound, Kept, Lent, NotBound, Prepared, service};
use crate::approval::store::{Freeze, Sqlite, Store, Whom};
use crate::config::lint;
use crate::config::tokens::TokenStore;
use crate::config::{AdminHost, Config, Drain};
use crate::text::plain;

const ADVISORY: &str =
    "exeat: approvals are advisory for agents that run as this user on this machine: such an agent can answer for itself";

/// Runs until SIGINT or SIGTERM, and ends as `[drain]` says.
pub async fn serve(mut config: Config, lent: Lent) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    // From the first moment on: unheard, it would end the process.
    let hang_ups = signal(SignalKind::hangup())?;
    let given = app::raise_open_files(&config);
    lent.stand_in(&mut config)?;
    app::look_before(&config, SystemTime::now())?;
    let on_terminal = io::stdout().is_terminal();
    let mut bound = bound(&config, lent, on_terminal).await?;
    let loaded = loaded::load(&config, bound.guard(&config));
    loaded.report(&mut io::stderr())?;
    for warning in lint::second_looks(&config, &loaded.policy) {
        writeln!(io::stderr(), "{warning}")?;
    }
    let prepared = Prepared::of(&config, &bound)?;
    let kept = Kept::lasting(&config)?;
    let store = Arc::clone(&kept.store);
    let tokens = TokenStore::open(&config.state)?;
    let freezing = Freezing::kept(Arc::clone(&kept.store))?;
    let policy = loaded.with_tokens(&tokens)?.with_frozen(freezing.with(loaded.standing.frozen()));
    let mut addresses = addresses(&bound)?;

    let (app, ways) = App::start(&config, &bound, prepared, (policy, loaded.standing.told()), kept)?;
    let not_in_force = loaded.standing.not_in_force();
    let inspection = Arc::clone(&app.in_force.inspection);
    for fault in inspection.faults() {
        writeln!(io::stderr(), "error: {fault}")?;
    }
    inspection.write_trust();
    given.memory().into_iter().for_each(|memory| app.in_force.recording.metrics.show_memory(memory));
    let page = bound.admin.take();
    let reloading = Reloader::new(app.in_force.clone(), loaded.standing, tokens, freezing);
    let (reloader, api) = policy_of(&app, (&config, store), reloading, hang_ups)?;
    if let Some(listener) = page {
        addresses.push_str(&page_at(&config, listener.local_addr()?, on_terminal.then_some(&*api))?);
        app.beside(admin::serve_page(listener, api, app.stop.now.clone()));
    }
    let readiness = app.readiness();
    app.open(&ways, bound, Arc::new(move || readiness(reloader.readiness())));
    drop(ways);
    if let Some(faults) = not_in_force {
        writeln!(io::stderr(), "exeat: {faults}; /readyz says not ready until that is mended")?;
    }
    writeln!(io::stderr(), "{ADVISORY}")?;
    // Said once everything that it promises is there.
    io::stdout().write_all(addresses.as_bytes())?;
    io::stdout().flush()?;
    app.export();
    app.beside(service::live(app.in_force.clone(), app.stop.now.clone()));
    service::ready(addresses.trim_end());

    signals.next().await;
    Ok(end(&app, config.drain, signals).await)
}

/// Ends in order. A second signal gives what is open no more time, and a third waits for nothing.
async fn end(app: &App, drain: Drain, mut signals: Signals) -> ExitCode {
    tracing::info!("stopping; a second signal gives what is open no more time, and a third stops at once");
    service::stopping(drain);
    let mut ending = pin!(app.end(drain));
    let in_order = tokio::select! {
        in_order = ending.as_mut() => in_order,
        () = signals.next() => {
            app.stop.hurry();
            tokio::select! {
                in_order = ending => in_order,
                () = signals.next() => false,
            }
        }
    };
    if in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Binds all that is configured, and on a terminal a place for the page besides.
async fn bound(config: &Config, lent: Lent, on_terminal: bool) -> anyhow::Result<Bound> {
    let mut bound = Bound::all(config, lent).await.map_err(|error| not_bound(config, error))?;
    if bound.admin.is_none()
        && on_terminal
        && let Some(note) = bound.with_page().await?
    {
        writeln!(io::stderr(), "exeat: {note}")?;
    }
    Ok(bound)
}

/// Where an exeat that runs already has the address, it has the state folder too, and that is what to say.
fn not_bound(config: &Config, error: NotBound) -> anyhow::Error {
    match (&error, Sqlite::holder(&config.state)) {
        (NotBound::Address { error: system, .. }, Some(pid)) if system.kind() == io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "the state folder {} is in use by process {pid}, most likely an exeat that runs already: stop that one first, or start this one with \
             a configuration that has another `state` and other addresses",
            plain(&config.state.display().to_string(), 1000)
        ),
        (NotBound::Address { .. } | NotBound::Passed { .. }, _) => error.into(),
    }
}

fn addresses(bound: &Bound) -> anyhow::Result<String> {
    let mut text = String::new();
    for door in &bound.doors {
        let (name, address) = (&door.name, door.listener.local_addr()?);
        if door.transparent {
            writeln!(text, "transparent {name} {address}")?;
        } else {
            writeln!(text, "proxy {name} http://{address}")?;
        }
    }
    if let Some(metrics) = &bound.metrics {
        writeln!(text, "metrics http://{}/metrics", metrics.local_addr()?)?;
    }
    Ok(text)
}

/// Where the page is; on a terminal with a link that logs in whoever sees it, which is nobody's to log.
fn page_at(config: &Config, at: SocketAddr, on_terminal: Option<&Api>) -> anyhow::Result<String> {
    let at = place(&config.admin.hosts, at);
    let Some(api) = on_terminal else { return Ok(format!("page http://{at}/\n")) };
    let code = api.people.link(Instant::now())?;
    Ok(format!("page http://{at}/#login={} (once, within {} s)\n", code.expose(), admin::LINK.as_secs()))
}

/// Where a browser finds the page: nothing is reached by the address that stands for all of them.
fn place(hosts: &[AdminHost], at: SocketAddr) -> String {
    // A name with a port of its own leads to something in front of us.
    let named = hosts.iter().find(|name| !name.written.contains(':'));
    match (named, at) {
        (Some(name), at) if at.ip().is_unspecified() => format!("{}:{}", name.written, at.port()),
        (None, SocketAddr::V4(at)) if at.ip().is_unspecified() => format!("{}:{}", Ipv4Addr::LOCALHOST, at.port()),
        (None, SocketAddr::V6(at)) if at.ip().is_unspecified() => format!("[{}]:{}", Ipv6Addr::LOCALHOST, at.port()),
        (_, at) => at.to_string(),
    }
}

/// Opens the unix socket for people, and reads policy again from now on.
fn policy_of(
    app: &App,
    kept: (&Config, Arc<dyn Store>),
    reloading: (Arc<Reloader>, Calls),
    hang_ups: Signal,
) -> anyhow::Result<(Arc<Reloader>, Arc<Api>)> {
    let (config, store) = kept;
    let listener = admin::bind(&config.state).with_context(|| admin_advice(&config.state))?;
    let (reloader, calls) = reloading;
    // Once more: what was revoked before there was a socket to tell us of it.
    reloader.reload_tokens()?;
    app.beside(Arc::clone(&reloader).run(calls, hang_ups, app.stop.clone()));
    let hooks = Arc::new(Hooks(Arc::clone(&reloader)));
    let api = Arc::new(Api {
        desk: Arc::clone(&app.in_force.desk),
        hooks,
        policy: Arc::clone(&app.in_force.policy),
        recorder: Arc::clone(&app.in_force.recording) as _,
        recent: Arc::clone(&app.in_force.recording.recent),
        tunnels: app.tunnels(),
        people: People::new(store)?,
        hosts: config.admin.hosts.iter().map(|name| Arc::clone(&name.written)).collect(),
        streams: Streams::default(),
        stop: app.stop.now.clone(),
    });
    app.beside(admin::serve(listener, Arc::clone(&api), app.stop.now.clone()));
    Ok((reloader, api))
}

/// What people can bring about beside answers.
#[derive(Debug)]
struct Hooks(Arc<Reloader>);

impl AdminHooks for Hooks {
    fn reload_tokens(&self) -> Result<(), String> {
        self.0.reload_tokens().map_err(|error| error.to_string())
    }

    fn reload(&self) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async {
            let Told { result, hash, faults } = self.0.reload().await?;
            Some(serde_json::json!({ "result": result.as_str(), "policy": hash, "faults": faults }))
        })
    }

    fn policy(&self) -> Value {
        let standing = self.0.standing();
        let files: BTreeSet<&str> = standing.policy.agents().filter_map(|agent| standing.policy.file(agent)).map(AsRef::as_ref).collect();
        let (warnings, faults): (Vec<_>, Vec<_>) =
            (standing.warnings.iter().map(ToString::to_string).collect(), standing.faults().iter().map(ToString::to_string).collect());
        serde_json::json!({ "files": files, "warnings": warnings, "faults": faults })
    }

    fn inspects(&self) -> bool {
        self.0.inspects()
    }

    fn agents(&self) -> Value {
        self.0.agents().into_iter().map(|(agent, frozen)| serde_json::json!({ "agent": agent, "frozen": frozen })).collect()
    }

    fn freeze(&self, freeze: Freeze) -> Result<bool, String> {
        self.0.freeze(freeze).map_err(|error| error.to_string())
    }

    fn thaw(&self, whom: &Whom, by: &str) -> Result<bool, String> {
        self.0.thaw(whom, by).map_err(|error| error.to_string())
    }

    fn freezes(&self) -> Vec<Freeze> {
        self.0.freezes()
    }
}

fn admin_advice(state: &Path) -> String {
    format!("the admin socket in {} cannot be opened; is another exeat running with this `state`?", state.display())
}

/// The signals that stop it.
#[derive(Debug)]
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::policy::host::Host;

    #[test]
    fn the_page_is_said_to_be_where_its_listener_takes_requests() {
        let named = |written: &str| AdminHost { host: Host::parse("exeat.corp.example").unwrap(), written: written.into() };
        let [bare, ported] = ["exeat.corp.example", "exeat.corp.example:8443"].map(named);
        let rows: [(&[AdminHost], &str, &str); 6] = [
            (&[], "127.0.0.1:3129", "127.0.0.1:3129"),
            (&[], "0.0.0.0:3129", "127.0.0.1:3129"),
            (&[], "[::]:3129", "[::1]:3129"),
            (std::slice::from_ref(&ported), "0.0.0.0:3129", "127.0.0.1:3129"),
            (&[ported.clone(), bare.clone()], "[::]:3129", "exeat.corp.example:3129"),
            (&[bare], "192.0.2.1:3129", "192.0.2.1:3129"),
        ];
        for (hosts, at, wanted) in rows {
            assert_eq!(place(hosts, at.parse().unwrap()), wanted, "{at}");
        }
    }
}

//! `exeat serve`: the proxy, its admin socket, its metrics, until it is told to stop.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loaded::{self, Loaded};
use crate::admin::{self, AdminHooks, Api, People, Streams};
use crate::app::reload::{Reloader, Told};
use crate::app::{self, App, Bound, Kept};
use crate::approval::store::{Freeze, Store, Whom};
use crate::config::Config;
use crate::config::lint;
use crate::config::tokens::TokenStore;

const ADVISORY: &str =
    "exeat: approvals are advisory for agents that run as this user on this machine: such an agent can answer for itself";

/// Runs until SIGINT or SIGTERM; a second one stops at once.
pub async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    // From the first moment on: unheard, it would end the process.
    let hang_ups = signal(SignalKind::hangup())?;
    app::raise_open_files(&config);
    let mut bound = Bound::all(&config).await?;
    let on_terminal = io::stdout().is_terminal();
    if bound.admin.is_none()
        && on_terminal
        && let Some(note) = bound.with_page().await?
    {
        writeln!(io::stderr(), "exeat: {note}")?;
    }
    let loaded = loaded::load(&config, bound.guard(&config));
    loaded.report(&mut io::stderr())?;
    for warning in lint::second_looks(&config, &loaded.policy) {
        writeln!(io::stderr(), "{warning}")?;
    }
    let kept = Kept::lasting(&config)?;
    let store = Arc::clone(&kept.store);
    let tokens = TokenStore::open(&config.state)?;
    let policy = loaded.with_tokens(&tokens)?;
    let mut addresses = addresses(&bound)?;

    let (app, ways) = App::start(&config, &bound, (policy, loaded.standing.told()), kept)?;
    let not_in_force = loaded.standing.not_in_force();
    let page = bound.admin.take();
    let (reloader, api) = policy_of(&app, (&config, store), loaded, tokens, hang_ups)?;
    if let Some(listener) = page {
        addresses.push_str(&page_at(&config, &listener, on_terminal.then_some(&*api))?);
        app.beside(admin::serve_page(listener, api, app.stop.now.clone()));
    }
    let recording = Arc::clone(&app.in_force.recording);
    app.open(&ways, bound, Arc::new(move || app::readiness(&recording, reloader.readiness())));
    drop(ways);
    if let Some(faults) = not_in_force {
        writeln!(io::stderr(), "exeat: {faults}; /readyz says not ready until that is mended")?;
    }
    writeln!(io::stderr(), "{ADVISORY}")?;
    // Said once everything that it promises is there.
    io::stdout().write_all(addresses.as_bytes())?;
    io::stdout().flush()?;
    app.export();

    signals.next().await;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        in_order = app.end() => Ok(if in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}

fn addresses(bound: &Bound) -> anyhow::Result<String> {
    let mut text = String::new();
    for door in &bound.doors {
        writeln!(text, "proxy {} http://{}", door.name, door.listener.local_addr()?)?;
    }
    if let Some(metrics) = &bound.metrics {
        writeln!(text, "metrics http://{}/metrics", metrics.local_addr()?)?;
    }
    Ok(text)
}

/// Where the page is; on a terminal with a link that logs in whoever sees it, which is nobody's to log.
fn page_at(config: &Config, listener: &TcpListener, on_terminal: Option<&Api>) -> anyhow::Result<String> {
    let at = listener.local_addr()?;
    let at = match config.admin.hosts.first() {
        Some(name) if at.ip().is_unspecified() => format!("{}:{}", name.host, at.port()),
        Some(_) | None => at.to_string(),
    };
    let Some(api) = on_terminal else { return Ok(format!("page http://{at}/\n")) };
    let code = api.people.link(Instant::now())?;
    Ok(format!("page http://{at}/#login={} (once, within {} s)\n", code.expose(), admin::LINK.as_secs()))
}

/// Opens the unix socket for people, and reads policy again from now on.
fn policy_of(
    app: &App,
    kept: (&Config, Arc<dyn Store>),
    loaded: Loaded,
    tokens: TokenStore,
    hang_ups: Signal,
) -> anyhow::Result<(Arc<Reloader>, Arc<Api>)> {
    let (config, store) = kept;
    let listener = admin::bind(&config.state).with_context(|| admin_advice(&config.state))?;
    let (reloader, calls) = Reloader::new(app.in_force.clone(), loaded.standing, tokens);
    // Once more: what was revoked before there was a socket to tell us of it.
    reloader.reload_tokens()?;
    app.beside(Arc::clone(&reloader).run(calls, hang_ups, app.stop.drain.clone()));
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

    fn agents(&self) -> Value {
        self.0.standing().policy.agents().map(|agent| serde_json::json!({ "agent": agent })).collect()
    }

    fn freeze(&self, _: Freeze) -> Result<bool, String> {
        Err("not built yet".to_owned())
    }

    fn thaw(&self, _: &Whom, _: &str) -> Result<bool, String> {
        Err("not built yet".to_owned())
    }

    fn freezes(&self) -> Vec<Freeze> {
        Vec::new()
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

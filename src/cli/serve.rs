//! `exeat serve`: the proxy, its admin socket, its metrics, until it is told to stop.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Weak};

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loaded::{self, Loaded};
use crate::admin::{self, AdminHooks};
use crate::app::{self, App, Bound};
use crate::config::Config;
use crate::config::lint;
use crate::config::tokens::TokenStore;
use crate::policy::Policy;

const ADVISORY: &str =
    "exeat: approvals are advisory for agents that run as this user on this machine: such an agent can answer for itself";

/// Runs until SIGINT or SIGTERM; a second one stops at once.
pub async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    app::raise_open_files(&config);
    let bound = Bound::all(&config).await?;
    let loaded = loaded::load(&config, bound.guard(&config))?;
    loaded.report(&mut io::stderr())?;
    for warning in lint::second_looks(&config, &loaded.policy) {
        writeln!(io::stderr(), "{warning}")?;
    }
    let journal = app::open_journal(&config)?;
    let tokens = TokenStore::open(&config.state)?;
    let policy = loaded.with_tokens(&tokens)?;
    let addresses = addresses(&bound)?;

    let (app, ways) = App::start(&config, &bound, policy, journal)?;
    let app = Arc::new(app);
    admin(&app, &config, &loaded, tokens)?;
    let (recording, standing) = (Arc::clone(&app.recording), loaded.problems());
    app.open(&ways, bound, Arc::new(move || app::readiness(&recording, &standing)));
    drop(ways);
    if let Some(faults) = loaded.not_in_force() {
        writeln!(io::stderr(), "exeat: {faults}; /readyz says not ready until that is mended and exeat is started again")?;
    }
    writeln!(io::stderr(), "{ADVISORY}")?;
    // Said once everything that it promises is there.
    io::stdout().write_all(addresses.as_bytes())?;
    io::stdout().flush()?;

    signals.next().await;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = app.end() => Ok(ExitCode::SUCCESS),
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

/// Opens the unix socket for people.
fn admin(app: &Arc<App>, config: &Config, loaded: &Loaded, tokens: TokenStore) -> anyhow::Result<()> {
    let listener = admin::bind(&config.state).with_context(|| admin_advice(&config.state))?;
    let hooks = Arc::new(Hooks { app: Arc::downgrade(app), base: loaded.policy.clone(), tokens: Mutex::new(tokens) });
    // Once more: what was revoked before there was a socket to tell us of it.
    hooks.reload_tokens().map_err(anyhow::Error::msg)?;
    app.beside(admin::serve(listener, Arc::clone(&app.desk), hooks, app.stop.now.clone()));
    Ok(())
}

/// What people can bring about beside answers.
#[derive(Debug)]
struct Hooks {
    app: Weak<App>,
    base: Policy,
    /// Held while tokens are read and put in force, so that an older reading never comes last.
    tokens: Mutex<TokenStore>,
}

impl AdminHooks for Hooks {
    fn reload_tokens(&self) -> Result<(), String> {
        let tokens = self.tokens.lock();
        let digests = tokens.digests().map_err(|error| error.to_string())?;
        if let Some(app) = self.app.upgrade() {
            app.replace_policy(self.base.with_tokens(digests), "tokens");
        }
        Ok(())
    }

    fn agents(&self) -> Value {
        self.base.agents().map(|agent| serde_json::json!({ "agent": agent })).collect()
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

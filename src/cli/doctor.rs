//! `exeat doctor`: what is wrong with a set-up, whether exeat is alive and ready, and whether anything leads around it.

mod agent;
mod clients;
mod finding;
mod health;
mod past;
mod proxy;
mod setup;
mod shell;
mod through;
mod tries;
mod way;
mod wire;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::Config;
use crate::policy::fault::Fault;

/// `exeat doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    #[command(flatten)]
    mode: Mode,
    /// The proxy as the agent has it; HTTPS_PROXY without it
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// A URL that is listed: it must pass
    #[arg(long, value_name = "URL")]
    listed: Vec<String>,
    /// A URL that is not listed: it must be refused
    #[arg(long, value_name = "URL", requires = "from_agent")]
    unlisted: Option<String>,
    /// Where a direct TCP connection is tried; public addresses without it
    #[arg(long, value_name = "HOST:PORT", requires = "from_agent")]
    direct: Vec<String>,
    /// Where exeat's admin socket might be seen, beside the usual places
    #[arg(long, value_name = "PATH", requires = "from_agent")]
    socket: Vec<PathBuf>,
    /// The user whom the rules let pass: the proxy's
    #[arg(long, value_name = "UID", requires = "from_agent")]
    uid: Option<u32>,
    /// How long each try may take, 60s at most
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = time)]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["live", "ready"])]
    json: bool,
}

/// What is asked; without any, what is wrong with this set-up.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(multiple = false)]
struct Mode {
    /// Ask the running exeat whether it is alive
    #[arg(long)]
    live: bool,
    /// Ask the running exeat whether it can serve attempts
    #[arg(long)]
    ready: bool,
    /// Try every direct way out from here, where an agent sits, and then the proxy
    #[arg(long)]
    from_agent: bool,
}

/// The longest time that a try may take.
const LONGEST: Duration = Duration::from_secs(60);

fn time(text: &str) -> Result<Duration, String> {
    let read = crate::policy::units::duration(text).ok();
    read.filter(|time| !time.is_zero() && *time <= LONGEST).ok_or_else(|| "write a time from 1ms to 60s, like 3s".to_owned())
}

/// Looks, and says what is found. Exit status 1 where something is not as it should be. `named` is the file of `--config`.
pub async fn doctor(
    args: &DoctorArgs,
    config: impl FnOnce() -> Result<Config, Vec<Fault>>,
    named: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let DoctorArgs { mode: Mode { live, ready, from_agent }, proxy, listed, timeout, json, .. } = args;
    if *live || *ready {
        let config = config().map_err(|faults| super::loaded::refusal(&faults))?;
        return health::ask(if *live { "/livez" } else { "/readyz" }, &config, *timeout, out).await;
    }
    let good = if *from_agent {
        let report = agent::look(args, *timeout).await?;
        report.write(out, *json)?;
        report.ok
    } else {
        if let Some(url) = proxy {
            proxy::ProxyUrl::parse(url)?;
        }
        for url in listed {
            through::Target::parse(url)?;
        }
        let report = setup::look(config(), proxy.as_deref(), listed, *timeout).await;
        let report = report.with_config(named);
        report.write(out, *json)?;
        report.is_good()
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `exeat doctor`: whether exeat is alive and ready, for containers without a shell.

mod health;
mod wire;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::Config;

/// `exeat doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    mode: Mode,
}

/// What is asked.
#[derive(Args, Debug)]
#[group(multiple = false, required = true)]
struct Mode {
    /// Ask the running exeat whether it is alive: exit 0 or 1
    #[arg(long)]
    live: bool,
    /// Ask the running exeat whether it can serve attempts: exit 0 or 1
    #[arg(long)]
    ready: bool,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks, and says what was answered.
pub async fn doctor(args: DoctorArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Mode { live, ready: _ } = args.mode;
    health::ask(if live { "/livez" } else { "/readyz" }, config, PATIENCE, out).await
}

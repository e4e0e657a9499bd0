//! `exeat ca`: the certificate authority that exeat looks inside TLS with. Made here, shown, and handed to clients.

pub(super) mod bundle;
mod init;
mod show;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::token::Streams;
use crate::config::inspect::Inspect;
use crate::config::{self, Config};
use crate::text::plain;

/// `exeat ca`.
#[derive(Args, Debug)]
pub struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make a certificate authority, or the next one
    Init(init::InitArgs),
    /// Say who signs, what for and until when
    Show(show::ShowArgs),
    /// Write what clients are to trust: the system's authorities and this one
    Bundle(bundle::BundleArgs),
}

/// Of a path no more is said.
const LONGEST: usize = 1000;

/// Does what was asked.
pub fn run<O: Write, E: Write>(args: &CaArgs, config: &Config, streams: Streams<'_, O, E>) -> anyhow::Result<ExitCode> {
    match &args.command {
        CaCommand::Init(args) => init::init(args, config, streams.out).map(|()| ExitCode::SUCCESS),
        CaCommand::Show(args) => show::show(args, config, streams.out),
        CaCommand::Bundle(args) => bundle::bundle(args, config, streams).map(|()| ExitCode::SUCCESS),
    }
}

/// Where the authority is: as configured, or else in `certs/` beside the configuration.
fn place(config: &Config) -> anyhow::Result<(Inspect, PathBuf)> {
    let file = config.path.clone().or_else(|| config::user_file(super::environment()));
    let file = file.context("there is no place for a configuration, as HOME is not set; pass --config FILE")?;
    let beside = file.parent().unwrap_or(Path::new("/")).to_owned();
    let certs = beside.join("certs");
    let inspect = config.inspect.clone().unwrap_or_else(|| Inspect { cert: certs.join("ca.pem"), key: certs.join("ca.key") });
    Ok((inspect, beside))
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string(), LONGEST)
}

//! `exeat ca bundle`: what clients are to trust, as one file: what they trusted before and exeat's authority.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;

use super::{place, shown};
use crate::cli::loaded;
use crate::cli::token::Streams;
use crate::config::{Config, inspect, trust};
use crate::tls::bundle::Bundle;
use crate::tls::ca::Certified;

/// `exeat ca bundle`.
#[derive(Args, Debug)]
pub(super) struct BundleArgs {
    /// Write PEM to this file, and not to standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a trust store for Java to this file: PKCS #12 without a password
    #[arg(long, value_name = "FILE")]
    pub java: Option<PathBuf>,
    /// Leave the system's authorities out
    #[arg(long)]
    pub ours: bool,
}

/// Writes it.
pub(super) fn bundle<O: Write, E: Write>(args: &BundleArgs, config: &Config, streams: Streams<'_, O, E>) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let bundle = of(config, args.ours)?;
    let write =
        |file: &Path, content: &[u8]| trust::replace(file, content, 0o644).with_context(|| format!("{} cannot be written", shown(file)));
    if let Some(file) = &args.out {
        write(file, bundle.pem().as_bytes())?;
    }
    if let Some(file) = &args.java {
        write(file, &bundle.java())?;
    }
    match (&args.out, &args.java) {
        (None, None) => out.write_all(bundle.pem().as_bytes())?,
        (pem, java) => {
            for file in pem.iter().chain(java) {
                writeln!(err, "exeat: {} certificates in {}", bundle.len(), shown(file))?;
            }
        }
    }
    Ok(())
}

/// What clients are to trust by this configuration.
pub(in crate::cli) fn of(config: &Config, ours_alone: bool) -> anyhow::Result<Bundle> {
    let (inspect, _) = place(config)?;
    let authority = inspect::authority(&inspect, SystemTime::now()).map_err(|faults| loaded::refusal(&faults))?;
    let ours = authority.certificates().iter().map(Certified::der).cloned();
    if ours_alone {
        let mut bundle = Bundle::default();
        bundle.add(ours);
        return Ok(bundle);
    }
    let extra = config.upstream_ca.as_deref().map(inspect::roots).transpose().map_err(|fault| loaded::refusal(&[fault]))?;
    Ok(trust::bundle(ours, extra.unwrap_or_default()))
}

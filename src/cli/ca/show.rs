//! `exeat ca show`: who signs, what for, until when, and whether the files would be taken.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;

use super::{place, shown};
use crate::config::Config;
use crate::config::inspect::{authority, bytes, secret};
use crate::policy::fault::Fault;
use crate::text::moment;
use crate::tls::ca::{Certified, certificates};

/// `exeat ca show`.
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is there.
#[derive(Debug, Serialize)]
struct Report {
    /// The files would be taken.
    ok: bool,
    ca_cert: String,
    ca_key: String,
    certificates: Vec<Entry>,
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
struct Entry {
    subject: String,
    /// SHA-256 of the certificate, in hexadecimal.
    fingerprint: String,
    not_before: String,
    not_after: String,
    days_left: i64,
    permitted: Vec<String>,
    excluded: Vec<String>,
    /// The key belongs to it.
    signs: bool,
    /// It is its own issuer.
    root: bool,
    #[serde(skip)]
    constraints: String,
}

const DAY: u64 = 24 * 3600;

/// Prints it; 1 where it would not be taken.
pub(super) fn show(args: &ShowArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let report = look(config, SystemTime::now())?;
    if args.json {
        writeln!(out, "{}", crate::text::ascii_json(&serde_json::to_string(&report)?))?;
    } else {
        report.write(out)?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(config: &Config, now: SystemTime) -> anyhow::Result<Report> {
    let (inspect, _) = place(config)?;
    let key = secret(&inspect.key).ok();
    let all = bytes(&inspect.cert, "a certificate in PEM").ok().and_then(|pem| certificates(&pem).ok()).unwrap_or_default();
    let certificates = all.iter().map(|one| Entry::of(one, key.as_ref().is_some_and(|key| one.belongs_to(key)), now)).collect();
    let faults = authority(&inspect, now).err().unwrap_or_default();
    Ok(Report { ok: faults.is_empty(), ca_cert: shown(&inspect.cert), ca_key: shown(&inspect.key), certificates, faults })
}

impl Entry {
    fn of(read: &Certified, signs: bool, now: SystemTime) -> Self {
        let left = |later: SystemTime, earlier| later.duration_since(earlier).ok().map(|left: Duration| left.as_secs() / DAY);
        let days = |days: u64| i64::try_from(days).unwrap_or(i64::MAX);
        let list = |of: &[crate::tls::constraints::Subtree]| of.iter().map(ToString::to_string).collect();
        Self {
            subject: read.subject().to_owned(),
            fingerprint: read.fingerprint(),
            not_before: moment(read.not_before()),
            not_after: moment(read.not_after()),
            days_left: left(read.not_after(), now).map_or_else(|| -left(now, read.not_after()).map_or(0, days), days),
            permitted: list(read.constraints().permitted()),
            excluded: list(read.constraints().excluded()),
            signs,
            root: read.is_root(),
            constraints: read.constraints().to_string(),
        }
    }
}

impl Report {
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        for entry in &self.certificates {
            writeln!(out, "{}{}", crate::text::plain(&entry.subject, 500), if entry.signs { " (signs)" } else { "" })?;
            writeln!(out, "  sha256     {}", entry.fingerprint)?;
            writeln!(out, "  valid      {} to {} ({} days left)", entry.not_before, entry.not_after, entry.days_left)?;
            writeln!(out, "  names      {}", crate::text::plain(&entry.constraints, 2000))?;
            if !entry.root {
                writeln!(out, "  not a root: most clients believe it only with the authority above it")?;
            }
        }
        for fault in &self.faults {
            writeln!(out, "error: {fault}")?;
        }
        if self.ok {
            writeln!(out, "{} belongs to it", self.ca_key)?;
        }
        Ok(())
    }
}

//! `exeat ca init`: makes an authority, and in two steps the next one, so that clients know it before it signs.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use ipnet::IpNet;

use super::{place, shown};
use crate::cli::Usage;
use crate::config::inspect::{Inspect, bytes, secret};
use crate::config::{Config, trust};
use crate::policy::host::Host;
use crate::tls::ca::{Ca, Certified, certificates};
use crate::tls::constraints::Subtree;
use crate::tls::make::{self, Made, Wanted};

/// `exeat ca init`.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// How long it is valid: a key that was stolen is of use for as long
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub days: u16,
    /// Its name, the common name of the certificate
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// It may vouch for this domain and all below it, or this network, and nothing else; may be repeated
    #[arg(long, value_name = "DOMAIN|CIDR")]
    pub permit: Vec<String>,
    /// It may not vouch for this domain and all below it, or this network; may be repeated
    #[arg(long, value_name = "DOMAIN|CIDR")]
    pub exclude: Vec<String>,
    /// Make the next one beside the one that signs, for clients to learn
    #[arg(long)]
    pub rotate: bool,
    /// Let the next one sign; the key of the last is gone
    #[arg(long, conflicts_with_all = ["rotate", "name", "permit", "exclude", "days"])]
    pub promote: bool,
}

/// The common name that RFC 5280 allows.
const LONGEST_NAME: usize = 64;

/// Makes one, and says what to do with it.
pub(super) fn init(args: &InitArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let (inspect, beside) = place(config)?;
    let now = SystemTime::now();
    if args.promote {
        return promote(&inspect, now, out);
    }
    if args.rotate {
        return rotate(args, &inspect, now, out);
    }
    nothing_is_there(&inspect)?;
    let made = made(args, &[], now)?;
    for folder in [&inspect.key, &inspect.cert].into_iter().filter_map(|file| file.parent()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("{} cannot be made", shown(folder)))?;
    }
    write_key(&inspect.key, &made)?;
    if let Err(error) = trust::create(&inspect.cert, made.certificate.as_bytes(), 0o644) {
        let _ = fs::remove_file(&inspect.key);
        return Err(error).with_context(|| format!("{} cannot be written", shown(&inspect.cert)));
    }
    writeln!(out, "made {} and {}", shown(&inspect.cert), shown(&inspect.key))?;
    if config.inspect.is_none() {
        let from = |file: &Path| shown(file.strip_prefix(&beside).unwrap_or(file));
        writeln!(out, "\nput this into {}:\n", shown(&config.path.clone().unwrap_or_else(|| beside.join("exeat.toml"))))?;
        writeln!(out, "[inspect]\nca_cert = \"{}\"\nca_key  = \"{}\"", from(&inspect.cert), from(&inspect.key))?;
    }
    writeln!(out, "\nclients learn to trust it by `exeat env`, `exeat run`, or a file that `exeat ca bundle` writes")?;
    Ok(())
}

/// One of the two without the other is what is left of an authority, or of an attempt to make one.
fn nothing_is_there(inspect: &Inspect) -> anyhow::Result<()> {
    let Inspect { cert, key } = inspect;
    match (taken(cert), taken(key)) {
        (false, false) => Ok(()),
        (true, true) => bail!("{} is there already; pass --rotate to make the next one beside it", shown(cert)),
        (false, true) => bail!(
            "{} is there without {}, as after an init that was ended halfway; remove it if no certificate was made with it, or put the certificate back",
            shown(key),
            shown(cert)
        ),
        (true, false) => {
            bail!("{} is there without {}; put the key back, or move the certificate away to make both anew", shown(cert), shown(key))
        }
    }
}

/// The next one is made beside: its certificate joins the file, its key waits. What signs does not change.
fn rotate(args: &InitArgs, inspect: &Inspect, now: SystemTime, out: &mut impl Write) -> anyhow::Result<()> {
    let next = next_key(&inspect.key);
    ensure!(!taken(&next), "{} is there already; let it sign with `exeat ca init --promote`, or remove it", shown(&next));
    let (signing, above) = signing(inspect)?;
    let inherited: Vec<Subtree> = signing.constraints().permitted().iter().chain(signing.constraints().excluded()).cloned().collect();
    let made = made(args, if inherited.is_empty() { &[] } else { std::slice::from_ref(&signing) }, now)?;
    write_key(&next, &made)?;
    let both = format!("{}{}{}", signing.pem(), made.certificate, above.iter().map(Certified::pem).collect::<String>());
    if let Err(error) = trust::replace(&inspect.cert, both.as_bytes(), 0o644) {
        let _ = fs::remove_file(&next);
        return Err(error).with_context(|| format!("{} cannot be written", shown(&inspect.cert)));
    }
    let read = certificates(made.certificate.as_bytes()).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let name = read.first().map(|read| read.subject().to_owned()).unwrap_or_default();
    writeln!(out, "{} holds the next one besides, {name}; {} waits", shown(&inspect.cert), shown(&next))?;
    writeln!(out, "give clients the new bundle (`exeat ca bundle`, `exeat env`); when all have it: exeat ca init --promote")?;
    Ok(())
}

/// One rename: whoever reads the two files before or after it finds a pair that fits.
fn promote(inspect: &Inspect, now: SystemTime, out: &mut impl Write) -> anyhow::Result<()> {
    let next = next_key(&inspect.key);
    ensure!(taken(&next), "{} is not there; make the next one with `exeat ca init --rotate`", shown(&next));
    let (pem, key) = (read(bytes(&inspect.cert, "certificates in PEM"))?, read(secret(&next))?);
    let ca = Ca::read(&pem, &key, now).map_err(|fault| anyhow::anyhow!("{} cannot sign: {fault}", shown(&next)))?;
    fs::rename(&next, &inspect.key).with_context(|| format!("{} cannot take the place of {}", shown(&next), shown(&inspect.key)))?;
    writeln!(out, "{} signs from now on; a running exeat takes it up by itself, or at once on SIGHUP", ca.certificate().subject())?;
    Ok(())
}

/// `ca.key` is followed by `ca.next.key`.
fn next_key(key: &Path) -> PathBuf {
    key.with_extension("next.key")
}

/// The certificate that signs by now, also where it is over, and what its leaves need beside it.
fn signing(inspect: &Inspect) -> anyhow::Result<(Certified, Vec<Certified>)> {
    let (pem, key) = (read(bytes(&inspect.cert, "a certificate in PEM"))?, read(secret(&inspect.key))?);
    let all = certificates(&pem).map_err(|fault| anyhow::anyhow!("{}: {fault}", shown(&inspect.cert)))?;
    let (mut signing, mut others): (Vec<_>, Vec<_>) = all.into_iter().partition(|certificate| certificate.belongs_to(&key));
    let signing =
        signing.pop().with_context(|| format!("{} belongs to no certificate of {}", shown(&inspect.key), shown(&inspect.cert)))?;
    if signing.is_root() {
        // Beside a root there is only what signed before it.
        others.clear();
    }
    Ok((signing, others))
}

fn read<T>(read: Result<T, crate::policy::fault::Fault>) -> anyhow::Result<T> {
    read.map_err(|fault| anyhow::anyhow!("{fault}"))
}

fn write_key(file: &Path, made: &Made) -> anyhow::Result<()> {
    match trust::create(file, made.key.as_bytes(), 0o600) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!("{} is there already, and no key is overwritten", shown(file)),
        Err(error) => {
            let _ = fs::remove_file(file);
            Err(error).with_context(|| format!("{} cannot be written", shown(file)))
        }
    }
}

/// A link that leads nowhere is taken as well.
fn taken(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok()
}

/// Makes one as it is asked for; `like` is whose constraints it keeps where none are given.
fn made(args: &InitArgs, like: &[Certified], now: SystemTime) -> anyhow::Result<Made> {
    let named = || -> anyhow::Result<String> {
        let mut chance = [0; 2];
        getrandom::fill(&mut chance).map_err(|_| anyhow::anyhow!("the system gave no random bits"))?;
        let day = jiff::Timestamp::try_from(now)?.strftime("%Y-%m-%d");
        // Two authorities of one name would be taken for one by whoever looks for the issuer by its name.
        Ok(format!("exeat CA {day} {:02x}{:02x}", chance[0], chance[1]))
    };
    let name = args.name.clone().map_or_else(named, Ok)?;
    let fits = !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    ensure!(fits, Usage(format!("--name is not a name; write 1 to {LONGEST_NAME} bytes of letters, digits, and signs")));
    let given = |texts: &[String]| texts.iter().map(|text| subtree(text)).collect::<anyhow::Result<Vec<Subtree>>>();
    let (mut permit, mut exclude) = (given(&args.permit)?, given(&args.exclude)?);
    if let Some(like) = like.first().filter(|_| permit.is_empty() && exclude.is_empty()) {
        (permit, exclude) = (like.constraints().permitted().to_vec(), like.constraints().excluded().to_vec());
    }
    make::authority(&Wanted { name: &name, days: args.days, permit: &permit, exclude: &exclude }, now).context("no authority could be made")
}

fn subtree(text: &str) -> anyhow::Result<Subtree> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(Subtree::Network(network));
    }
    match Host::parse(text) {
        Ok(Host::Name(name)) => Ok(Subtree::Name(name.as_str().to_owned())),
        Ok(Host::Address(address)) => Ok(Subtree::Network(address.into())),
        Err(_) => bail!(Usage(format!(
            "{} is no domain and no network; write example.com, which stands for all below it as well, or 10.0.0.0/8",
            crate::policy::fault::shown(text)
        ))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

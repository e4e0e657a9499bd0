//! `exeat init`: a first allowlist from what this machine and the working directory show.
//!
//! It only looks. Nothing of the working directory is run, clients answer without a way out, and no file is replaced unasked.

mod agents;
mod apt;
mod ask;
mod cargo;
mod found;
mod go;
mod kept;
mod locks;
mod machine;
mod maven;
mod npm;
mod pip;
mod remotes;
#[cfg(test)]
mod testing;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::Usage;
use super::token::Streams;
use crate::config::allowlists::load_paths;
use crate::config::{Config, user_file};
use crate::policy::attempt::AgentId;
use crate::policy::preset::preset;
use crate::text::{plain, trouble};

use found::{Client, Entry, Word};
use machine::Machine;
use written::{Basis, Written};

/// `exeat init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// Whose allowlist it is
    #[arg(long, value_name = "NAME", default_value = "coder")]
    agent: AgentId,
    /// Where NAME.toml is written; the configuration's folder of allowlists without it
    #[arg(long, value_name = "DIR", conflicts_with = "stdout")]
    folder: Option<PathBuf>,
    /// Print the allowlist and write nothing; what was found goes to standard error
    #[arg(long)]
    stdout: bool,
    /// Replace the file that is there
    #[arg(long, conflicts_with = "stdout")]
    force: bool,
}

/// The name of the floor's file: no agent's file may have it.
const FLOOR: &str = "floor";

/// Says what was found, and writes it. `named` is the configuration that the command line names.
pub async fn init<O: Write, E: Write>(
    args: &InitArgs,
    config: &Config,
    named: Option<&Path>,
    streams: Streams<'_, O, E>,
) -> anyhow::Result<()> {
    let Streams { out, err } = streams;
    let place = if args.stdout { None } else { Some(Place::of(args, config)?) };
    let work = std::env::current_dir().context("the working directory cannot be read; go to another")?;
    let machine = Machine::new(super::environment(), &work);
    let Looked { entries, needs } = look(&machine).await;
    let needed: BTreeSet<Client> = needs.into_keys().collect();
    let basis = Basis { agent: &args.agent, entries: &entries, needed: &needed, preset_exists };
    let written = basis.written();
    ensure!(
        loads(&written.text),
        "what was found makes no allowlist that loads; write one by hand, as docs/reference/allowlists.md says, and please report this"
    );
    let Some(place) = place else {
        report(&basis, err)?;
        write!(out, "{}", written.text)?;
        return Ok(());
    };
    report(&basis, out)?;
    place.keep(args, &machine, &written, out)?;
    place.next(args, named, out)?;
    Ok(())
}

/// Whether a preset is there and can be included. The loader is asked as well: what it does not take would keep the whole file from loading.
fn preset_exists(name: &str) -> bool {
    preset(name).is_ok() && loads(&format!("agent = \"a\"\ninclude = [\"preset:{name}\"]\n"))
}

/// Whether a text loads as `exeat check` would load it.
fn loads(text: &str) -> bool {
    let Ok(scratch) = ask::Scratch::new() else { return false };
    let file = scratch.path().join("allowlist.toml");
    std::fs::write(&file, text).is_ok() && load_paths(&[file], false).faults.is_empty()
}

/// What looking has given.
struct Looked {
    entries: Vec<Entry>,
    needs: BTreeMap<Client, BTreeSet<String>>,
}

/// Looks at everything; the clients are asked at the same time.
async fn look(machine: &Machine) -> Looked {
    let mut entries = agents::look(machine);
    entries.extend(remotes::look(machine));
    let locks = locks::look(machine);
    let (pip, npm, cargo, go, maven) =
        tokio::join!(pip::look(machine), npm::look(machine), cargo::look(machine), go::look(machine), maven::look(machine));
    entries.extend([pip, npm, cargo, apt::look(machine), go, maven].into_iter().flatten());
    let known = |client: Client, entries: &[Entry]| {
        entries.iter().any(|entry| matches!(entry, Entry::Host(found) if found.client == client && found.word == Word::Machine))
    };
    for (client, files) in &locks.needs {
        let files = files.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        if known(*client, &entries) {
            entries.push(Entry::Said(format!("{}: needed, by {files}", client.name())));
            continue;
        }
        entries.push(match client.preset() {
            Some(preset) => Entry::Fits { preset, what: format!("{}: {files}", client.name()), otherwise: None },
            None => {
                Entry::Said(format!("{}: {files} needs it, and nothing here says where it goes: the first download asks", client.name()))
            }
        });
    }
    entries.extend(locks.entries);
    if !machine.passed_over.is_empty() {
        let folders: Vec<String> = machine.passed_over.iter().map(|folder| plain(&folder.display().to_string(), 80)).collect();
        entries.push(Entry::Said(format!(
            "not asked, as they are relative or lie in the working directory: the folders {} of PATH",
            folders.join(", ")
        )));
    }
    Looked { entries, needs: locks.needs }
}

/// A line for each finding, hosts and presets first.
fn report(basis: &Basis<'_>, to: &mut impl Write) -> io::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for entry in basis.entries {
        if let Entry::Fits { preset, what, otherwise } = entry {
            say(match (basis.presets().contains(preset), otherwise) {
                (true, Some(found)) if remotes::opaque(found) => {
                    format!("{what}: preset:{preset}, which is for https; ssh needs a rule with port = [22] and opaque = true")
                }
                (true, _) => format!("{what}: preset:{preset}"),
                (false, Some(_)) => continue,
                (false, None) => format!("{what}; preset:{preset} cannot be included: list its hosts yourself"),
            });
        }
    }
    for found in basis.hosts() {
        let reason = basis.standing(found).reason().map(|reason| format!(" (not in force: {reason})")).unwrap_or_default();
        say(format!("{}: {} from {}{reason}", found.by, found.origin.shown(), found.place));
    }
    for entry in basis.entries {
        if let Entry::Said(said) = entry {
            say(said.clone());
        }
    }
    for line in lines {
        writeln!(to, "{line}")?;
    }
    Ok(())
}

/// Where the allowlist is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The allowlist.
    file: PathBuf,
    /// The first configuration, where there is none.
    first: Option<PathBuf>,
    /// How the agent reaches exeat afterwards.
    then: Then,
}

/// What the second of the next commands is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// A listener is the agent's.
    Serve,
    /// None is: `run` needs none.
    Run,
    /// The folder is not the configuration's.
    Move,
}

impl Place {
    /// The folder that is named, the configuration's, or the user's own. What stands in the way is said before anything is asked.
    fn of(args: &InitArgs, config: &Config) -> anyhow::Result<Self> {
        let agent = &args.agent;
        ensure!(
            agent.as_str() != FLOOR,
            Usage("no agent's file may be named floor.toml: that is the floor of them all; pass another --agent".into())
        );
        let bound = config.listen.iter().any(|listen| listen.agent.as_ref() == Some(agent));
        let then = if bound { Then::Serve } else { Then::Run };
        let (folder, first, then) = match (&args.folder, &config.allowlists) {
            (Some(folder), configured) => {
                let folder = std::path::absolute(folder).context("--folder is no path")?;
                let then = if configured.as_ref() == Some(&folder) { then } else { Then::Move };
                (folder, None, then)
            }
            (None, Some(folder)) => (folder.clone(), None, then),
            (None, None) => {
                let first = user_file(super::environment()).context("there is no HOME to write into; pass --folder DIR, or --stdout")?;
                let folder = first.parent().map(|parent| parent.join("allowlists")).unwrap_or_default();
                (folder, Some(first), Then::Serve)
            }
        };
        let place = Self { file: folder.join(format!("{agent}.toml")), first, then };
        let taken = load_paths(std::slice::from_ref(&folder), true).allowlists.into_iter().find(|other| other.agent == *agent);
        if let Some(other) = taken.filter(|other| Path::new(&*other.file) != place.file) {
            bail!("{agent} has an allowlist already, {}; pass another --agent, or --stdout to compare", plain(&other.file, 1000));
        }
        if !args.force && place.file.symlink_metadata().is_ok() {
            bail!("{} is there already; pass --force to replace it, or --stdout to compare", shown(&place.file));
        }
        Ok(place)
    }

    fn keep(&self, args: &InitArgs, machine: &Machine, written: &Written, out: &mut impl Write) -> anyhow::Result<()> {
        let Written { text, rules, presets, comments } = written;
        let failed = |path: &Path, error: &io::Error| format!("{} cannot be written: {}", shown(path), trouble(error.kind()));
        if let Err(error) = kept::keep(&self.file, text, args.force) {
            ensure!(error.kind() != ErrorKind::AlreadyExists, "{} came meanwhile; pass --force to replace it", shown(&self.file));
            bail!("{}; pass --folder DIR, or --stdout", failed(&self.file, &error));
        }
        writeln!(out, "\nwrote {}: rules {rules}, presets {presets}, comments {comments}", machine.shown(&self.file))?;
        if let Some(first) = &self.first {
            let text = first_configuration(&args.agent);
            match kept::keep(first, &text, false) {
                Ok(()) => {
                    writeln!(out, "wrote {}: whoever connects to 127.0.0.1:3128 or [::1]:3128 is {}", machine.shown(first), args.agent)?
                }
                Err(error) => bail!("{}", failed(first, &error)),
            }
        }
        Ok(())
    }

    fn next(&self, args: &InitArgs, named: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
        let exeat = named.map_or("exeat".to_owned(), |config| format!("exeat --config {}", shown(config)));
        writeln!(out, "next:\n  {exeat} check {}", shown(&self.file))?;
        match self.then {
            Then::Serve => {
                writeln!(out, "  {exeat} serve")?;
                if self.first.is_some() {
                    writeln!(out, "  eval \"$({exeat} env)\"   # in the agent's shell: points what starts there at the proxy")?;
                }
                Ok(())
            }
            Then::Run => writeln!(out, "  {exeat} run --agent {} -- CMD", args.agent),
            Then::Move => {
                writeln!(out, "  {exeat} serve   # once allowlists in exeat.toml is {}", shown(self.file.parent().unwrap_or(&self.file)))
            }
        }
    }
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string(), 1000)
}

/// A configuration with which `serve` works: the embedded one, with this agent.
fn first_configuration(agent: &AgentId) -> String {
    format!(
        "# Written by `exeat init`. Whoever connects here is {agent}: programs on this machine need no token.\n\
         # To tell agents apart remove the key agent, and give each a token with `exeat token AGENT`.\n\
         [listen.main]\naddress = [\"127.0.0.1:3128\", \"[::1]:3128\"]\nagent   = \"{agent}\"\n\n\
         # Where questions are answered in a browser, also where `exeat serve` has no terminal.\n\
         # [admin]\n# address = \"127.0.0.1:3129\"\n\n\
         # Whether exeat is well, for `exeat doctor`, Prometheus and orchestrators: /livez, /readyz and /metrics.\n\
         # [metrics]\n# address = \"127.0.0.1:9464\"\n"
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_preset_exists_where_there_is_one_and_the_loader_takes_it() {
        assert!(loads("agent = \"a\"\n") && !loads("agent = 1\n"));
        assert!(!preset_exists("no-such-preset"));
    }

    #[test]
    fn every_preset_that_may_be_written_ships() {
        let clients = [Client::Go, Client::Maven, Client::Ruby, Client::Php, Client::Dotnet, Client::Elixir, Client::Dart];
        let named = clients.into_iter().filter_map(Client::preset).chain(agents::presets()).chain(remotes::presets());
        let missing: Vec<&str> = named.filter(|name| preset(name).is_err()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn the_first_configuration_loads_and_its_listener_is_the_agents() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exeat.toml");
        let agent = AgentId::parse("coder").unwrap();
        std::fs::write(&file, first_configuration(&agent)).unwrap();
        let config = Config::load(Some(&file), [("HOME".to_owned(), "/h".to_owned())]).unwrap();
        assert_eq!(config.allowlists, Some(folder.path().join("allowlists")));
        let bound: Vec<_> = config.listen.iter().map(|listen| (listen.agent.clone(), listen.addresses.clone())).collect();
        assert_eq!(bound, [(Some(agent.clone()), vec!["127.0.0.1:3128".parse().unwrap(), "[::1]:3128".parse().unwrap()])]);
        assert_eq!(config.metrics, None, "nothing listens that was not asked for");
        assert_eq!(config.admin.address, None);
        let more = first_configuration(&agent).replace("# [", "[").replace("# address", "address");
        std::fs::write(&file, more).unwrap();
        let config = Config::load(Some(&file), [("HOME".to_owned(), "/h".to_owned())]).unwrap();
        assert_eq!(config.metrics, Some("127.0.0.1:9464".parse().unwrap()));
        assert_eq!(config.admin.address, Some("127.0.0.1:3129".parse().unwrap()));
    }
}

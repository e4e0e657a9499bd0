//! The command line: one file a command. Errors go to stderr as one sentence and a fix; usage exits 2, failure 1.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use after::{AFTER_DIFF, AFTER_EXPLAIN, AFTER_REPLAY, AFTER_RUN, AFTER_SUGGEST, AFTER_VERIFY};

use crate::app::Lent;
use crate::config::{Config, NO_FILE, inspect};
use crate::explain::{self, Unexplained};
use crate::policy::attempt::AgentId;
use crate::policy::fault::Fault;
use crate::telemetry::log as logging;

pub mod admin_client;
mod after;
pub mod agents;
pub mod approvals;
pub mod approve;
pub mod approver;
pub mod ca;
pub mod check;
pub mod completions;
pub mod deny;
pub mod diff;
pub mod doctor;
pub mod env;
mod fit;
pub mod freeze;
pub mod holds;
pub mod init;
mod loaded;
pub mod log;
pub mod man;
mod named;
pub mod preset;
pub mod prove;
mod recorded;
pub mod replay;
pub mod revoke;
pub mod run;
pub mod schema;
pub mod serve;
pub mod suggest;
pub mod terminal;
pub mod thaw;
pub mod token;
pub mod verify;

const GLOBAL: &str = "Global options";

/// An egress proxy for AI agents: what is listed passes, the rest is blocked or waits for a person, and every decision is recorded.
#[derive(Debug, Parser)]
#[command(name = "exeat", version, max_term_width = 100)]
struct Cli {
    /// The configuration file; without it: EXEAT_CONFIG, the user's configuration folder, /etc/exeat. Never the working directory.
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// More of the log on stderr; twice for more still. EXEAT_LOG sets a filter.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
    /// How the log is written.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT", help_heading = GLOBAL)]
    log_format: logging::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until it is told to stop
    Serve,
    /// Run one command behind a proxy of its own, and answer its questions here
    #[command(after_help = AFTER_RUN)]
    Run(run::RunArgs),
    /// Load allowlists and say everything that is wrong with them
    Check(CheckArgs),
    /// Say what an agent would get for a destination, and why
    #[command(after_help = AFTER_EXPLAIN)]
    Explain(ExplainArgs),
    /// Write a first allowlist from what this machine and the working directory show
    Init(init::InitArgs),
    /// List the questions that wait for an answer, or watch them come
    Holds(holds::HoldsArgs),
    /// Answer questions with yes
    Approve(approve::ApproveArgs),
    /// Answer questions with no
    Deny(deny::DenyArgs),
    /// List what has been approved
    Approvals(approvals::ApprovalsArgs),
    /// Take approvals back
    Revoke(revoke::RevokeArgs),
    /// Stop an agent, or all of them: what they try is refused, what they have open is cut
    Freeze(freeze::FreezeArgs),
    /// Let an agent go on, or all of them
    Thaw(thaw::ThawArgs),
    /// Read the journal
    Log(log::LogArgs),
    /// Check that the journal is what was written
    #[command(after_help = AFTER_VERIFY)]
    Verify(verify::VerifyArgs),
    /// Print an attempt's records with a proof of each that others can check
    Prove(prove::ProveArgs),
    /// Issue a token for an agent
    Token(token::TokenArgs),
    /// List agents and their tokens, or revoke them
    Agents(agents::AgentsArgs),
    /// Add, list or remove the people who may use page and API
    Approver(approver::ApproverArgs),
    /// Make, show or hand out the certificate authority that exeat looks inside TLS with
    Ca(ca::CaArgs),
    /// Print the environment that points clients at the proxy
    Env(env::EnvArgs),
    /// List the allowlists that come with exeat, or print one
    Preset(preset::PresetArgs),
    /// Say what becomes reachable between two versions of allowlists, and what no longer
    #[command(after_help = AFTER_DIFF)]
    Diff(diff::DiffArgs),
    /// Say what recorded attempts would get under other allowlists
    #[command(after_help = AFTER_REPLAY)]
    Replay(replay::ReplayArgs),
    /// Write an allowlist from what an agent was seen to do
    #[command(after_help = AFTER_SUGGEST)]
    Suggest(suggest::SuggestArgs),
    /// Say what is wrong with this set-up, or whether anything leads around it
    Doctor(doctor::DoctorArgs),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::SchemaArgs),
    /// Print what a shell completes
    Completions(completions::CompletionsArgs),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Man(man::ManArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Allowlists, or folders of them; the configuration's folder without any
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The agent
    agent: AgentId,
    /// A URL, with a method before it or without, or HOST or HOST:PORT; method and URL in one argument or in two
    #[arg(value_name = "[METHOD] URL | HOST:PORT", required = true, num_args = 1..=2)]
    target: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the command line, does what it says, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            env::failed::end(env::failed::asked(std::env::args_os().skip(1)));
        }
        error.exit()
    });
    let shell = if let Command::Env(args) = &cli.command { Some(args.shell) } else { None };
    let named = cli.config.clone();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            env::failed::end(shell);
            let _ = writeln!(io::stderr(), "exeat: {}", named::with_config(&chain(&error), named.as_deref()));
            if error.is::<Usage>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The exit code of a wrong use, as clap has it.
const USAGE: u8 = 2;

/// The arguments are wrong, and how to put them right. It ends the process with 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// Arguments that were read as a file is: a line a fault.
    pub fn of(faults: &[Fault]) -> Self {
        Self(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nexeat: "))
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    logging::init(cli.verbose, cli.log_format)?;
    let out = &mut io::stdout().lock();
    if let Some(done) = without_configuration(&cli, out) {
        return done;
    }
    let config = Config::load(cli.config.as_deref(), environment()).map_err(|faults| loaded::refusal(&faults))?;
    let state = config.state.clone();
    let named = cli.config.as_ref().and(config.path.clone());
    match cli.command {
        Command::Serve => {
            let lent = Lent::take()?;
            wait_for(serve::serve(config, lent))
        }
        Command::Run(args) => wait_for(run::run(args, config)),
        Command::Check(CheckArgs { paths: _, json }) => match &config.allowlists {
            Some(folder) => {
                let faults = inspect::faults(&config, SystemTime::now());
                let beside = check::Beside {
                    inspects: config.inspects(),
                    faults,
                    warnings: loaded::second_looks(&config),
                    floor: config.floor.clone(),
                };
                check::run(std::slice::from_ref(folder), &beside, json, out)
            }
            None => anyhow::bail!("there is no configuration, so there are no allowlists to check; name a file or a folder"),
        },
        Command::Explain(args) => explained(&args, &config, out),
        Command::Init(args) => wait_for(init::init(&args, &config, named.as_deref(), token::Streams { out, err: &mut io::stderr() }))
            .map(|()| ExitCode::SUCCESS),
        Command::Holds(args) => wait_for(holds::run(args, &state, named.as_deref(), out)),
        Command::Approve(args) => wait_for(approve::run(args, &state, out)),
        Command::Deny(args) => wait_for(deny::run(args, &state, out)),
        Command::Approvals(args) => wait_for(approvals::run(args, &state, out)),
        Command::Revoke(args) => wait_for(revoke::run(args, &state, out)),
        Command::Freeze(args) => wait_for(freeze::run(args, &config, out)),
        Command::Thaw(args) => wait_for(thaw::run(args, &config, out)),
        Command::Log(args) => log::log(&state, &args, out, &mut io::stderr()).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify::run(&args, &state, out),
        Command::Prove(args) => prove::run(&args, &state, token::Streams { out, err: &mut io::stderr() }).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replayed(&args, &config, out),
        Command::Suggest(args) => suggest::suggest(&args, &config, out, &mut io::stderr()).map(|()| ExitCode::SUCCESS),
        Command::Token(args) => named::telling(cli.config.as_deref(), |err| issued(&args, &config, token::Streams { out, err })),
        Command::Agents(args) => listed(&args, &config, out),
        Command::Approver(args) => {
            named::telling(cli.config.as_deref(), |err| wait_for(approver::run(args, &config, token::Streams { out, err })))
        }
        Command::Ca(args) => ca::run(&args, &config, token::Streams { out, err: &mut io::stderr() }),
        Command::Env(args) => {
            named::telling(cli.config.as_deref(), |err| env::env(&args, &config, token::Streams { out, err })).map(|()| ExitCode::SUCCESS)
        }
        Command::Preset(args) => preset::run(&args, out).map(|()| ExitCode::SUCCESS),
        Command::Diff(args) => diff::run(&args, out),
        Command::Doctor(args) => wait_for(doctor::doctor(&args, || Ok(config), named.as_deref(), out)),
        Command::Schema(args) => Ok(schema::write(&args, out).map(|()| ExitCode::SUCCESS)?),
        Command::Completions(args) => Ok(completions::completions(&args, Cli::command(), out).map(|()| ExitCode::SUCCESS)?),
        Command::Man(args) => man::man(&args, Cli::command()).map(|()| ExitCode::SUCCESS),
    }
}

/// Does what rests on no configuration, so that a broken one is no trouble to it.
fn without_configuration(cli: &Cli, out: &mut impl Write) -> Option<anyhow::Result<ExitCode>> {
    let command = &cli.command;
    if let Command::Check(CheckArgs { paths, json }) = command
        && !paths.is_empty()
    {
        // One that does not load has no CA to look inside TLS with.
        let inspects = Config::load(cli.config.as_deref(), environment()).is_ok_and(|config| config.inspects());
        return Some(check::run(paths, &check::Beside { inspects, ..check::Beside::default() }, *json, out));
    }
    if let Command::Preset(args) = command {
        return Some(preset::run(args, out).map(|()| ExitCode::SUCCESS));
    }
    if let Command::Diff(args) = command {
        return Some(diff::run(args, out));
    }
    if let Command::Doctor(args) = command {
        let config = || Config::load(cli.config.as_deref(), environment());
        return Some(wait_for(doctor::doctor(args, config, cli.config.as_deref(), out)));
    }
    if let Command::Schema(args) = command {
        return Some(schema::write(args, out).map(|()| ExitCode::SUCCESS).map_err(Into::into));
    }
    if let Command::Completions(args) = command {
        return Some(completions::completions(args, Cli::command(), out).map(|()| ExitCode::SUCCESS).map_err(Into::into));
    }
    if let Command::Man(args) = command {
        return Some(man::man(args, Cli::command()).map(|()| ExitCode::SUCCESS));
    }
    if let Command::Verify(args) = command
        && let Some(path) = &args.path
    {
        return Some(verify::run(args, path, out));
    }
    if let Command::Prove(args) = command
        && let Some(path) = &args.path
    {
        return Some(prove::run(args, path, token::Streams { out, err: &mut io::stderr() }).map(|()| ExitCode::SUCCESS));
    }
    None
}

fn environment() -> impl Iterator<Item = (String, String)> {
    let spelled = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    };
    std::env::vars_os().map(spelled)
}

/// How long threads may take yet once a command is done.
const LAST_WORK: Duration = Duration::from_secs(1);

fn wait_for<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(task);
    // A name that the system looks up, or a disk that hangs, would be waited for without end.
    runtime.shutdown_timeout(LAST_WORK);
    done
}

fn replayed(args: &replay::ReplayArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let report = replay::replay(args, config, &mut io::stderr())?;
    report.write(out, args.json())?;
    Ok(ExitCode::from(report.exit_code()))
}

fn explained(args: &ExplainArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let loaded = loaded::to_look_at(config);
    loaded.report_faults(&mut io::stderr())?;
    let explanation = explain::explain(&loaded.policy, &args.agent, &args.target.join(" "), SystemTime::now(), config.inspects());
    let built_in = config.allowlists.is_none();
    let explanation = explanation.map_err(|error| match error {
        Unexplained::NoSuchAgent { agent, .. } if built_in => {
            anyhow::anyhow!("no agent is named {agent}; there is only the built-in agent local, as {NO_FILE}")
        }
        Unexplained::NoSuchAgent { .. } => anyhow::Error::from(error),
        Unexplained::NotTried(_) => Usage(error.to_string()).into(),
    })?;
    explanation.write(out, args.json)?;
    Ok(ExitCode::from(explanation.exit_code()))
}

fn issued<O: Write, E: Write>(args: &token::TokenArgs, config: &Config, streams: token::Streams<'_, O, E>) -> anyhow::Result<ExitCode> {
    let agents = looked_at(config)?;
    token::token(args, token::Known { config, agents: &agents }, SystemTime::now(), || reload(&config.state), streams)?;
    Ok(ExitCode::SUCCESS)
}

fn listed(args: &agents::AgentsArgs, config: &Config, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let agents = looked_at(config)?;
    let known = token::Known { config, agents: &agents };
    let streams = token::Streams { out, err: &mut io::stderr() };
    match &args.revoke {
        Some(agent) => agents::revoke(agent, known, || reload(&config.state), streams.out)?,
        None => {
            let stopped = wait_for(freeze::stopped(config));
            agents::list(args.json, known, agents::Looked { seen: loaded::last_seen(config), stopped }, streams)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The agents that have rules. What does not load is said, as an agent may be missing for it.
fn looked_at(config: &Config) -> anyhow::Result<Vec<AgentId>> {
    let loaded = loaded::to_look_at(config);
    loaded.report(&mut io::stderr())?;
    Ok(loaded.agents())
}

fn reload(state: &Path) -> anyhow::Result<()> {
    wait_for(admin_client::AdminClient::new(state).reload_tokens())
}

/// An error and its causes as one sentence. A cause that was said already, as part of what it caused, is not said again.
fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(|cause| without_numbers(&cause.to_string())) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// The text without the system's numbers for errors, which follow their words.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| said + part.split_once(')').map_or(part, |(_, rest)| rest))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.into_iter().any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_thread_that_waits_for_the_system_keeps_nothing_from_its_end() {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (release, held) = std::sync::mpsc::channel();
        let done = wait_for(async move {
            tokio::task::spawn_blocking(move || (begun.send(()), held.recv_timeout(10 * LAST_WORK)));
            Ok(begins.await?)
        });
        assert_eq!((done.is_ok(), release.send(())), (true, Ok(())), "the thread was waited for");
    }

    #[test]
    fn a_cause_is_said_once_and_without_the_numbers_of_the_system() {
        let inner = || io::Error::from_raw_os_error(2);
        let words = inner().to_string().split(" (").next().unwrap_or_default().to_owned();
        for (error, said) in [
            (anyhow::Error::from(inner()), words.clone()),
            (anyhow::Error::from(inner()).context("x cannot be read"), format!("x cannot be read: {words}")),
            (
                anyhow::Error::from(inner()).context(format!("x cannot be read: {}; make it", inner())),
                format!("x cannot be read: {words}; make it"),
            ),
        ] {
            assert_eq!(chain(&error), said);
        }
    }

    #[test]
    fn an_empty_id_or_name_is_wrong_usage_and_no_question_to_the_running_one() {
        for command in [&["approve"][..], &["deny"], &["revoke"], &["approver", "remove"]] {
            let parsed = |last| Cli::try_parse_from([&["exeat"], command, &[last]].concat()).map_err(|error| error.kind());
            assert_eq!(parsed("").err(), Some(clap::error::ErrorKind::InvalidValue), "{command:?}");
            assert!(parsed("a29j5w").is_ok(), "{command:?}");
        }
    }

    #[test]
    fn every_help_ends_its_options_with_the_global_ones() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_help().to_string();
            let (own, global) = help.split_once("Global options:").unwrap_or((&help, ""));
            for option in ["--config", "--verbose", "--log-format"] {
                assert!(global.contains(option) && !own.contains(option), "{}", help);
            }
        }
    }
}

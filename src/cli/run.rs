//! `exeat run`: a proxy of its own for one command, its questions answered here, and the command's exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::loaded::{self, Loaded};
use super::{Usage, ca, env, freeze, terminal};
use crate::app::freezing::FrozenBy;
use crate::app::{App, Bound, Kept, Lent, Prepared};
use crate::config::tokens::Token;
use crate::config::{Admin, Config, Listen, trust};
use crate::policy::Frozen;
use crate::policy::allowlist::{Allowlist, Unlisted};
use crate::policy::attempt::AgentId;
use crate::telemetry::serve::Readiness;
use crate::text::plain;

/// Run one command behind a proxy of its own.
///
/// The policy is fixed when it starts: only answers given here change it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Use this agent's allowlist; without it only --allow lists anything
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    /// List a host besides: a name, or a pattern such as *.example.com
    #[arg(long, value_name = "HOST")]
    allow: Vec<String>,
    /// What hosts of --allow and approved ones may resolve to besides public addresses
    // What a refusal says is for `exeat approve` as well, whose flag is --address.
    #[arg(long, alias = "address", value_name = "CIDR")]
    addresses: Vec<String>,
    /// What happens to a destination that nothing lists; without a terminal to ask on it is blocked
    #[arg(long, value_enum)]
    unlisted: Option<UnlistedArg>,
    /// Whether to shut the command in, so that nothing goes round the proxy
    #[arg(long, value_enum, default_value = "auto")]
    isolate: Isolate,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnlistedArg {
    /// Ask on the terminal
    Hold,
    /// Refuse at once
    Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Isolate {
    /// The strongest there is, which for now is the environment alone
    Auto,
    /// Refuse to run unless the command is shut in
    On,
    /// The environment alone
    Off,
}

const NOT_ENFORCED: &str = "exeat: not enforced: the command is pointed at the proxy by its environment, and what ignores that is not seen; \
    it shares this user and terminal, so approvals are advisory";
/// Of a name no more is said.
const LONGEST_NAME: usize = 100;

const NOBODY: &str = "exeat: there is no terminal to ask on: what is not listed is refused; list it with --allow HOST";

/// Runs the command to its end.
pub async fn run(args: RunArgs, mut config: Config) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.isolate != Isolate::On,
        "nothing here can shut a command in yet; run it without --isolate on, or in a container whose only way out is exeat"
    );
    let signals = Signals::new()?;
    let ask = terminal::terminal_available();
    config.listen = vec![own_listener()];
    config.metrics = None;
    config.admin = Admin::default();
    // It is the command's.
    config.telemetry.stdout = false;

    let bound = Bound::all(&config, Lent::default()).await?;
    let address = bound.doors.first().context("the proxy has no listener")?.listener.local_addr()?;
    let loaded = loaded::load(&config, bound.guard(&config));
    let (allowlist, agent) = allowlist(&args, &loaded, ask)?;
    let (token, secret) = (Token::generate()?, allowlist.variables());
    let mut policy =
        loaded.standing.alone(allowlist).map_err(|faults| loaded::refusal(&faults))?.with_tokens([(token.digest(), agent.clone())]);
    if let Some(by) = frozen(&freeze::stopped(&config).await?, &agent) {
        tell(&format!("exeat: {agent} is frozen by {by}: all it tries is refused"));
        policy = policy.with_frozen(Frozen::Everyone);
    }
    let trusting = trusting(&config)?;
    let prepared = Prepared::of(&config, &bound)?;
    let kept = Kept::passing(&config)?;
    let (app, ways) = App::start(&config, &bound, prepared, (policy, Vec::new()), kept)?;
    app.open(&ways, bound, Arc::new(Readiness::default));
    drop(ways);
    app.export();

    tell(NOT_ENFORCED);
    let unasked = terminal::Unasked::default();
    if ask {
        let asking = terminal::ask_on_terminal(
            Arc::clone(&app.in_force.desk),
            agent.clone(),
            config.hold.wait,
            unasked.clone(),
            app.stop.drain.clone(),
        );
        app.beside(async move {
            let _why = asking.await;
        });
    } else if args.agent.is_some() || !matches!(args.unlisted, Some(UnlistedArg::Block)) {
        tell(NOBODY);
    }
    let url = format!("http://{agent}:{}@{address}", token.expose());
    let (folder, trusting) = trusting.unzip();
    let variables = env::variables(&url).into_iter().chain(trusting.into_iter().flatten());
    let status = command(&args.command, (variables.collect(), &secret), signals).await;
    drop(folder);
    said_at_the_end(&app, &unasked, status).await
}

/// Ends the proxy, and says what came of it.
async fn said_at_the_end(app: &App, unasked: &terminal::Unasked, status: Result<ExitStatus, NotRun>) -> anyhow::Result<ExitCode> {
    // The command's own code stands: what is wrong with the journal is in the log.
    app.end_at_once().await;
    match status {
        Ok(status) => {
            tell(&format!("exeat: {}", app.in_force.recording.tally.lock()));
            if let Some(words) = unasked.words() {
                tell(&format!("exeat: {words}"));
            }
            Ok(exit_code(status))
        }
        Err(NotRun { program, error }) => {
            tell(&format!("exeat: {} cannot be run: {error}", program.display()));
            // As shells say it.
            Ok(ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }))
        }
    }
}

type Variables = Vec<(&'static str, String)>;

/// What makes the command's clients trust exeat's authority, where there is one.
fn trusting(config: &Config) -> anyhow::Result<Option<(Folder, Variables)>> {
    if !config.inspects() {
        return Ok(None);
    }
    let folder = Folder::new()?;
    let bundle = ca::bundle::of(config, false)?;
    let trust = trust::write(&folder.0, &bundle).context("what the command is to trust cannot be written")?;
    let said = |name: &str| std::env::var(name).ok();
    if let Some(words) = env::trust::overruled(&bundle, said) {
        tell(&format!("exeat: {words}"));
    }
    let variables = env::trust::variables(&trust, said(env::trust::JAVA).as_deref());
    Ok(Some((folder, variables)))
}

/// A folder of this run's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("exeat-run-{}", uuid::Uuid::now_v7()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Says something beside the command. Whether anybody listens does not change what is run, nor its exit code.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Who stopped the agent, or everyone.
fn frozen(stopped: &BTreeMap<AgentId, Vec<FrozenBy>>, agent: &AgentId) -> Option<String> {
    let binding = stopped.iter().flat_map(|(of, frozen)| frozen.iter().filter(move |frozen| frozen.everyone || of == agent));
    binding.map(|frozen| plain(&frozen.by, LONGEST_NAME)).next()
}

fn own_listener() -> Listen {
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Listen { name: "run".into(), addresses: vec![address], agent: None, known_as: Vec::new(), transparent: false }
}

/// The agent's own allowlist, or one made of the arguments alone.
fn allowlist(args: &RunArgs, loaded: &Loaded, ask: bool) -> anyhow::Result<(Allowlist, AgentId)> {
    let agent = args.agent.clone().unwrap_or_else(|| AgentId::parse("this-run").expect("`this-run` is an agent's name"));
    let unlisted = match args.unlisted {
        Some(UnlistedArg::Hold) if ask => Some(Unlisted::Hold),
        None if ask => None,
        Some(UnlistedArg::Hold | UnlistedArg::Block) | None => Some(Unlisted::Block),
    };
    let made = Allowlist::for_run(agent.clone(), &args.allow, &args.addresses, unlisted.unwrap_or(Unlisted::Hold));
    let (made, warnings) = made.map_err(|faults| Usage::of(&faults))?;
    for warning in warnings {
        tell(&warning.to_string());
    }
    if args.agent.is_none() {
        return Ok((made, agent));
    }
    let mut own = loaded::one(loaded, &agent)?;
    own.rules.extend(made.rules);
    own.unlisted = unlisted.unwrap_or(own.unlisted);
    if !args.addresses.is_empty() {
        own.addresses = made.addresses;
    }
    Ok((own, agent))
}

/// A command that could not be started, or waited for.
struct NotRun {
    program: OsString,
    error: io::Error,
}

async fn command(words: &[OsString], given: (Variables, &[Arc<str>]), signals: Signals) -> Result<ExitStatus, NotRun> {
    let program = words.first().cloned().unwrap_or_default();
    spawned(words, given, signals).await.map_err(|error| NotRun { program, error })
}

/// What a service manager passes to the process it starts (sd_listen_fds(3), sd_notify(3), systemd.exec(5)).
const OF_SERVICES: &[&str] =
    &["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY"];

/// Input, output and errors come before it.
const FIRST_OF_OTHERS: i32 = 3;

/// Variables that hold secrets are taken out, and those of a service manager: the proxy has them in the command's place.
async fn spawned(words: &[OsString], (variables, secret): (Variables, &[Arc<str>]), mut signals: Signals) -> io::Result<ExitStatus> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _value) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("EXEAT_") || OF_SERVICES.iter().any(|of| name == *of);
        if ours || secret.iter().any(|secret| name == **secret) {
            command.env_remove(name);
        }
    }
    command.envs(variables);
    // A socket that leads out, or that exeat was lent, would be a way past the proxy.
    close_fds::set_fds_cloexec_threadsafe(FIRST_OF_OTHERS, &[]);
    let mut child = command.spawn()?;
    loop {
        tokio::select! {
            status = child.wait() => return status,
            // The terminal sends this one to the command as well; the command decides what it means.
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => pass_on(child.id()),
            _ = signals.hang_up.recv() => pass_on(child.id()),
        }
    }
}

/// Signals that are the command's business, caught before it is started.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let [interrupt, terminate, hang_up] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, hang_up: hang_up? })
    }
}

/// The command is to end: so was meant whoever sent it.
fn pass_on(child: Option<u32>) {
    let pid = child.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// The command's own code; as a shell says it where a signal ended the command.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

//! Secrets that a command prints: one run at a time for each, kept for a while, and after a failure no other for a second.
//!
//! A run is a task of its own, so that an agent that hangs up neither ends it nor starts another.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{BYTES_MAX, Secret, Unavailable};

/// The longest run.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a failure is the answer.
const FAILURE_LASTS: Duration = Duration::from_secs(1);

/// As many commands are remembered; a policy names a few.
const KEPT_MAX: usize = 1024;

/// What of exeat's environment a command is given: enough to find programs, the user's folders and the keyring of a session.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

type Line = Arc<[Arc<str>]>;
type Outcome = Result<Arc<Secret>, Unavailable>;

/// The commands that were run, and what became of it.
#[derive(Debug)]
pub(super) struct Commands {
    base: PathBuf,
    runs: Arc<Mutex<HashMap<Line, State>>>,
}

#[derive(Debug)]
enum State {
    /// Whoever wants it waits.
    Running(watch::Receiver<Option<Outcome>>),
    /// It ended then.
    Ended(Outcome, Instant),
}

impl State {
    /// What it is worth still.
    fn lasting(&self, cache: Duration) -> Option<Outcome> {
        let Self::Ended(outcome, at) = self else { return None };
        let lasts = if outcome.is_ok() { cache } else { FAILURE_LASTS };
        (at.elapsed() < lasts).then(|| outcome.clone())
    }
}

impl Commands {
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, runs: Arc::default() }
    }

    /// What the command prints, or printed not longer ago than `cache`.
    pub(super) async fn value(&self, line: &Line, cache: Duration) -> Outcome {
        let mut running = match self.begin(line, cache) {
            Ok(outcome) => return outcome,
            Err(running) => running,
        };
        let outcome = running.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or(Err(Unavailable::Failed))
    }

    /// What is known, or where it will be told.
    fn begin(&self, line: &Line, cache: Duration) -> Result<Outcome, watch::Receiver<Option<Outcome>>> {
        let mut runs = self.runs.lock();
        match runs.get(line) {
            Some(State::Running(running)) if running.has_changed().is_ok() => return Err(running.clone()),
            Some(state) => {
                if let Some(outcome) = state.lasting(cache) {
                    return Ok(outcome);
                }
            }
            None => {}
        }
        if runs.len() >= KEPT_MAX {
            runs.retain(|_, state| matches!(state, State::Running(_)));
        }
        let (told, running) = watch::channel(None);
        runs.insert(Arc::clone(line), State::Running(running.clone()));
        let (runs, line, base) = (Arc::clone(&self.runs), Arc::clone(line), self.base.clone());
        tokio::spawn(async move {
            let outcome = run(&line, &base).await.map(Arc::new);
            runs.lock().insert(line, State::Ended(outcome.clone(), Instant::now()));
            let _ = told.send(Some(outcome));
        });
        Err(running)
    }
}

async fn run(line: &[Arc<str>], base: &Path) -> Result<Secret, Unavailable> {
    let mut child = spawn(line, base).map_err(Unavailable::NotStarted)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let ended = tokio::time::timeout(LONGEST, printed(&mut child)).await;
    if !matches!(ended, Ok(Ok(_))) {
        // What it started may hold its output open, and outlive it.
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.wait().await;
    }
    ended.unwrap_or(Err(Unavailable::TooSlow))
}

fn spawn(line: &[Arc<str>], base: &Path) -> Result<Child, ErrorKind> {
    let (program, arguments) = line.split_first().ok_or(ErrorKind::InvalidInput)?;
    let program: OsString = if program.contains('/') { base.join(&**program).into() } else { (&**program).into() };
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| &**argument)).current_dir(base).env_clear();
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    command.spawn().map_err(|error| error.kind())
}

/// Everything it prints, if it ends well.
async fn printed(child: &mut Child) -> Result<Secret, Unavailable> {
    let mut stdout = child.stdout.take().ok_or(Unavailable::Failed)?;
    // Of its final size at once: a buffer that grows leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(vec![0; BYTES_MAX + 3]);
    let mut filled = 0;
    loop {
        match stdout.read(&mut bytes[filled..]).await.map_err(|error| Unavailable::Unreadable(error.kind()))? {
            0 if filled == bytes.len() => return Err(Unavailable::TooLong),
            0 => break,
            more => filled += more,
        }
    }
    let status = child.wait().await.map_err(|_unknown| Unavailable::Failed)?;
    if !status.success() {
        return Err(Unavailable::Failed);
    }
    Secret::read(bytes[..filled].to_vec())
}

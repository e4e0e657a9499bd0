//! Asking a client's own command: no shell, a time limit, a bounded answer, and no way out of this machine.
//!
//! Clients run in the root folder, where no repository's files configure them, and are sent to a proxy at a port that cannot be.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::machine::Machine;
use crate::cli::env;

/// The most of an answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// Nothing can listen on port 0: a client that asks its network meets a refusal at once.
pub(super) const NO_WAY_OUT: &str = "http://127.0.0.1:0";

/// What a client said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// It ended with 0.
    pub(super) well: bool,
    /// Its standard output.
    pub(super) out: String,
    /// Its standard error.
    pub(super) err: String,
}

/// Asks. `extra` goes over the environment of the machine. `None` where it cannot be started or does not end in time; it is killed then.
pub(super) async fn ask(machine: &Machine, program: &Path, arguments: &[&str], extra: &[(&str, &str)]) -> Option<Answer> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().envs(&machine.environment);
    for name in env::PAST {
        command.env_remove(name);
    }
    for name in env::PROXIES {
        command.env(name, NO_WAY_OUT);
    }
    command.env("PATH", std::env::join_paths(&machine.path).ok()?);
    command.env("COLUMNS", "400").env("LC_ALL", "C").env("NO_COLOR", "1");
    command.envs(extra.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let (out, err) = (child.stdout.take()?, child.stderr.take()?);
    let answered = tokio::time::timeout(machine.patience, async {
        let (out, err) = tokio::join!(bounded(out), bounded(err));
        let well = child.wait().await.is_ok_and(|status| status.success());
        Some(Answer { well, out: out?, err: err? })
    });
    if let Ok(answer) = answered.await {
        return answer;
    }
    if let Some(group) = group {
        // It was not waited for to its end, so the number is still its own; its group, as what it started would outlive it.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait().await;
    None
}

/// All of it; `None` where it is too much.
async fn bounded(stream: impl AsyncRead + Unpin) -> Option<String> {
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX + 1).read_to_end(&mut bytes).await.ok()?;
    (bytes.len() as u64 <= ANSWER_MAX).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// A folder of our own that is gone when this is dropped: some clients insist on one to keep things in.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;

        let folder = std::env::temp_dir().join(format!("exeat-init-{}", uuid::Uuid::now_v7()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        machine: Machine,
    }

    fn place(variables: &[(&str, &str)]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let environment = variables.iter().copied().chain([("PATH", path.as_str())]);
        let machine = Machine::new(environment.map(|(name, value)| (name.to_owned(), value.to_owned())), Path::new("/nowhere"));
        Place { folder, machine }
    }

    impl Place {
        fn script(&self, text: &str) -> PathBuf {
            let path = self.folder.path().join("client");
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }
    }

    #[tokio::test]
    async fn a_client_answers_from_the_root_folder_and_without_a_way_out() {
        let place = place(&[("HTTPS_PROXY", "http://p.test"), ("NO_PROXY", "*"), ("EXEAT_TOKEN", "s3cret"), ("KEPT", "kept")]);
        let script = place.script("pwd; echo $HTTPS_PROXY; echo \"[$NO_PROXY$EXEAT_TOKEN]$KEPT$EXTRA$1\"; echo err >&2; exit 3");
        let answer = ask(&place.machine, &script, &["a b"], &[("EXTRA", "extra")]).await.unwrap();
        let expected = Answer { well: false, out: format!("/\n{NO_WAY_OUT}\n[]keptextraa b\n"), err: "err\n".into() };
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn a_client_that_does_not_end_is_killed_with_what_it_started() {
        let mut place = place(&[]);
        place.machine.patience = Duration::from_secs(1);
        let pipe = place.folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let reads = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let reader = rustix::fs::open(&pipe, reads, rustix::fs::Mode::empty()).unwrap();
        let script = place.script(&format!("sleep 600 >{0} & exec sleep 600 >{0}", pipe.display()));
        assert_eq!(ask(&place.machine, &script, &[], &[]).await, None);
        // The pipe ends once nobody holds its other end.
        let ended = || rustix::io::read(&reader, &mut [0; 1]) == Ok(0);
        tokio::time::timeout(Duration::from_secs(10), async {
            while !ended() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn an_endless_answer_and_a_program_that_is_none_are_no_answers() {
        let place = place(&[]);
        assert_eq!(ask(&place.machine, &place.script("exec yes"), &[], &[]).await, None);
        assert_eq!(ask(&place.machine, Path::new("/nowhere/client"), &[], &[]).await, None);
    }

    #[test]
    fn a_scratch_folder_is_private_and_goes() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        drop(scratch);
        assert!(!folder.exists());
    }
}

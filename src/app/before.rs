//! What is looked at before a start changes anything: a clock that is behind what was written before, and a state folder that takes nothing.
//!
//! Either would look as if exeat ran: with a wrong clock a yes or a rule outlives its end, and without a journal every attempt is refused.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::config::{Config, state};
use crate::journal;
use crate::text::trouble;

/// So far clocks of machines that are well differ.
const ASKEW: Duration = Duration::from_secs(5 * 60);

/// Written once, and taken away: less than a start of journal and store needs.
static PROBE: [u8; 64 * 1024] = [b'.'; 64 * 1024];
const PROBED: &str = ".writable";

/// Why this process cannot run here now.
#[derive(Debug, thiserror::Error)]
pub enum NotFit {
    /// What is written lies in the future.
    #[error(
        "the clock says {now:.0}, and {what} is of {at:.0}: a clock that is behind keeps alive what has ended. Set the clock, by NTP for instance, and start again; \
        if that time was the wrong one, {otherwise}"
    )]
    Clock {
        /// What the clock says.
        now: Timestamp,
        /// What is later.
        what: String,
        /// How late.
        at: Timestamp,
        /// What to do if the clock is right.
        otherwise: String,
    },
    /// The state folder takes nothing.
    #[error("nothing can be written in the state folder {}: {why}; {fix}", folder.display())]
    State {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        why: String,
        /// What to do.
        fix: &'static str,
    },
}

/// Looks whether this process can run.
pub fn look_before(config: &Config, now: SystemTime) -> Result<(), super::StartError> {
    state::make(&config.state)?;
    writable(&config.state)?;
    clock(config, now)?;
    Ok(())
}

fn writable(folder: &Path) -> Result<(), NotFit> {
    let path = folder.join(PROBED);
    let tried = File::create(&path).and_then(|mut file| file.write_all(&PROBE).and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&path);
    tried.and(removed).map_err(|error| NotFit::State { folder: folder.to_owned(), why: trouble(error.kind()), fix: fix(error.kind()) })
}

fn fix(kind: io::ErrorKind) -> &'static str {
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        "make room there, or lower [journal] max and keep"
    } else if kind == io::ErrorKind::ReadOnlyFilesystem {
        "mount it writable (readOnly: false, or without :ro), or name another in `state`"
    } else {
        "give exeat's user that folder, or name another in `state`"
    }
}

fn clock(config: &Config, now: SystemTime) -> Result<(), NotFit> {
    // A journal that cannot be read is told of by whoever opens it.
    if let Some(at) = journal::latest(&config.state).ok().flatten() {
        let folder = journal::folder(&config.state);
        let otherwise = format!("put the journal aside: mv {0} {0}.of-a-wrong-time", folder.display());
        judge(now, at, || ("the newest record of the journal".to_owned(), otherwise))?;
    }
    for path in policy_files(config) {
        let written = fs::metadata(&path).and_then(|found| found.modified()).ok().and_then(|at| Timestamp::try_from(at).ok());
        if let Some(at) = written {
            judge(now, at, || (format!("the file {}", path.display()), format!("touch {}", path.display())))?;
        }
    }
    Ok(())
}

fn judge(now: SystemTime, at: Timestamp, told: impl FnOnce() -> (String, String)) -> Result<(), NotFit> {
    let Ok(now) = Timestamp::try_from(now) else { return Ok(()) };
    if at.duration_since(now) <= ASKEW.try_into().unwrap_or(jiff::SignedDuration::MAX) {
        return Ok(());
    }
    let (what, otherwise) = told();
    Err(NotFit::Clock { now, what, at, otherwise })
}

fn policy_files(config: &Config) -> Vec<PathBuf> {
    let listed = config.allowlists.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten().map(|entry| entry.path());
    listed.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).chain(config.floor.clone()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_behind_once_what_is_written_is_more_than_five_minutes_later() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (later, fits) in [(-86_400, true), (0, true), (300, true), (301, false), (86_400, false)] {
            let at = Timestamp::from_second(1_000_000 + later).unwrap();
            assert_eq!(judge(now, at, || ("it".into(), "mend it".into())).is_ok(), fits, "{later}");
        }
        let said = judge(now, Timestamp::from_second(2_000_000).unwrap(), || ("it".into(), "mend it".into())).unwrap_err().to_string();
        assert!(said.starts_with("the clock says 1970-01-12T13:46:40Z, and it is of 1970-01-24T03:33:20Z"), "{said}");
    }
}

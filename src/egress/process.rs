//! The process at the other end of a connection from this machine, as Linux tells of it in `/proc`.
//!
//! Looked for only when a question is opened, off the tasks that carry bytes, within a bound of processes and time. What is seen can be outrun: a process
//! may end, its number be used again, or the connection be shared or handed on. So it is shown, and nothing is decided by it.

use std::net::SocketAddr;

use tokio::sync::Semaphore;

use super::hold::Process;

/// Looks at a time; one more is not made.
const AT_ONCE: usize = 2;

/// Both ends of a connection from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The agent's.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) local: SocketAddr,
}

/// Looks for processes, a few at a time.
#[derive(Debug)]
pub(super) struct Observer {
    free: Semaphore,
}

impl Default for Observer {
    fn default() -> Self {
        Self { free: Semaphore::new(AT_ONCE) }
    }
}

impl Observer {
    /// The process that holds the peer's end, if it is worth a look; `None` where none was found in time.
    pub(super) async fn look(&self, ends: Option<Ends>, worth: impl FnOnce() -> bool) -> Option<Process> {
        let ends = ends.filter(|_| worth())?;
        let _place = self.free.try_acquire().ok()?;
        tokio::task::spawn_blocking(move || holder(ends)).await.ok().flatten()
    }
}

/// The user's name, or `uid:N` for one without.
pub fn user_name(uid: u32) -> String {
    use std::io::Read as _;
    const LARGEST: u64 = 1 << 20;
    let mut users = String::new();
    let read = std::fs::File::open("/etc/passwd").and_then(|file| file.take(LARGEST).read_to_string(&mut users));
    read.ok().and_then(|_| find(&users, uid)).unwrap_or_else(|| format!("uid:{uid}"))
}

fn find(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(not(target_os = "linux"))]
fn holder(_: Ends) -> Option<Process> {
    None
}

#[cfg(target_os = "linux")]
use proc::holder;

#[cfg(target_os = "linux")]
mod proc;

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_user_is_found_by_uid_and_by_nothing_else() {
        let users = "root:x:0:0:root:/root:/bin/sh\n:x:7:7::/:\nshort:x\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n";
        assert_eq!(find(users, 1000).as_deref(), Some("alice"));
        for nobody in [100, 7, 1] {
            assert_eq!(find(users, nobody), None);
        }
    }
}

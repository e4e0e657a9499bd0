//! The process at the other end of a connection from this machine, as Linux tells of it in `/proc`.
//!
//! Looked for only when a question is opened, off the tasks that carry bytes, within a bound of processes and time. What is seen can be outrun: a process
//! may end, its number be used again, or the connection be shared or handed on. So it is shown, and nothing is decided by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use super::hold::Process;

/// Looks at a time; one more is not made.
const AT_ONCE: usize = 2;

/// How long an attempt waits for a look. The kernel reads what a process shows of itself from that process's memory, which it may have lie where reading
/// never ends; such a look keeps its place until it does.
const PATIENCE: Duration = Duration::from_millis(250);

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
    free: Arc<Semaphore>,
}

impl Default for Observer {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Observer {
    /// The process that holds the peer's end, if it is worth a look; `None` where none was found in time.
    pub(super) async fn look(&self, ends: Option<Ends>, worth: impl FnOnce() -> bool) -> Option<Process> {
        let ends = ends.filter(|_| worth())?;
        self.look_by(move || holder(ends)).await
    }

    async fn look_by(&self, look: impl FnOnce() -> Option<Process> + Send + 'static) -> Option<Process> {
        let place = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let (tell, told) = oneshot::channel();
        // A thread of its own: the end of exeat waits for those of the runtime.
        let look = move || {
            let found = look();
            drop(place);
            let _ = tell.send(found);
        };
        std::thread::Builder::new().name("look".to_owned()).spawn(look).ok()?;
        tokio::time::timeout(PATIENCE, told).await.ok()?.ok().flatten()
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
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_never_ends_keeps_its_place_and_nobody_waiting() {
        let observer = Observer::default();
        let (end, ends) = mpsc::channel::<()>();
        let ends = Arc::new(parking_lot::Mutex::new(ends));
        for _ in 0..AT_ONCE {
            let ends = Arc::clone(&ends);
            let stuck = move || {
                let _ = ends.lock().recv();
                None
            };
            assert_eq!(observer.look_by(stuck).await, None, "not in time");
        }
        let seen = Process { pid: 1, name: String::new(), executable: None, called: None, user: String::new(), holders: 1 };
        let (later, again) = (seen.clone(), seen.clone());
        assert_eq!(observer.look_by(|| Some(later)).await, None, "no place is free");
        drop(end);
        while observer.free.available_permits() < AT_ONCE {
            tokio::task::yield_now().await;
        }
        // The clock that stands still would not wait for another thread.
        tokio::time::resume();
        assert_eq!(observer.look_by(|| Some(again)).await, Some(seen));
    }

    #[test]
    fn a_user_is_found_by_uid_and_by_nothing_else() {
        let users = "root:x:0:0:root:/root:/bin/sh\n:x:7:7::/:\nshort:x\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n";
        assert_eq!(find(users, 1000).as_deref(), Some("alice"));
        for nobody in [100, 7, 1] {
            assert_eq!(find(users, nobody), None);
        }
    }
}

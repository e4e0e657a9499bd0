//! Bytes both ways between two sockets, counted, half-close kept, silence bounded.
//!
//! An idle tunnel holds no buffer: a thread's one buffer is lent only between a readable and a writable socket.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::carried::Carried;
use super::tunnel::AgentSide;
use super::upstream::OriginSide;
use crate::policy::reason::Reason;

const BUFFER: usize = 64 * 1024;

thread_local! {
    static LENT: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    /// Both sides closed in order.
    Completed,
    /// The agent's connection broke.
    AgentGone,
    /// The origin's connection broke.
    OriginGone,
    /// exeat ended it.
    Cut(Reason),
}

#[derive(Clone, Copy)]
enum Side {
    Agent,
    Origin,
}

/// Carries bytes until both directions have ended, one breaks, or nothing moves for `idle`.
pub(super) async fn relay(agent: &AgentSide, origin: &OriginSide, carried: &Carried, idle: Duration) -> Relayed {
    let (early, agent) = (&agent.early, agent.stream.as_ref());
    let (origin_early, origin) = (&origin.early, &origin.stream);
    let began = Instant::now();
    let stirred = AtomicU64::new(0);
    let stir = || stirred.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
    let both = async {
        let up = async {
            let count = |bytes| {
                carried.count_up(bytes);
                stir();
            };
            first(early, (origin, Side::Origin), carried, &count).await?;
            pump((agent, Side::Agent), (origin, Side::Origin), carried, count).await
        };
        let down = async {
            let count = |bytes| {
                carried.count_down(bytes);
                stir();
            };
            first(origin_early, (agent, Side::Agent), carried, &count).await?;
            pump((origin, Side::Origin), (agent, Side::Agent), carried, count).await
        };
        tokio::try_join!(up, down)
    };
    let silent = async {
        loop {
            let quiet_since = began + Duration::from_millis(stirred.load(Ordering::Relaxed));
            if quiet_since.elapsed() >= idle {
                return;
            }
            let silent = quiet_since + idle;
            tokio::time::sleep_until(carried.due().map_or(silent, |due| due.min(silent))).await;
            carried.report();
        }
    };
    tokio::select! {
        ended = both => match ended {
            Ok(((), ())) => Relayed::Completed,
            Err(Side::Agent) => Relayed::AgentGone,
            Err(Side::Origin) => Relayed::OriginGone,
        },
        () = silent => Relayed::Cut(Reason::Overloaded),
        () = carried.exhausted() => Relayed::Cut(Reason::Budget),
    }
}

/// What was read before there was a relay.
async fn first(early: &[u8], (to, to_side): (&TcpStream, Side), carried: &Carried, moved: &impl Fn(u64)) -> Result<(), Side> {
    let may = carried.take(early.len());
    write_rest(to, early.get(..may).unwrap_or_default()).await.map_err(|_broken| to_side)?;
    moved(may as u64);
    if may < early.len() { stopped(carried).await } else { Ok(()) }
}

/// The budget is spent: whoever relays is told, and nothing moves any more.
async fn stopped(carried: &Carried) -> Result<(), Side> {
    carried.exhaust();
    std::future::pending().await
}

/// One direction, to its end; the error names the side that broke.
async fn pump(from: (&TcpStream, Side), to: (&TcpStream, Side), carried: &Carried, moved: impl Fn(u64)) -> Result<(), Side> {
    let ((from, from_side), (to, to_side)) = (from, to);
    loop {
        // Readiness costs no budget: without this, a stream that never waits would never let anything else of its task run, its cut above all.
        tokio::task::consume_budget().await;
        from.readable().await.map_err(|_broken| from_side)?;
        match step(from, to, carried) {
            Step::Ended => {
                // A side that is gone already shows in the other direction.
                let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
                return Ok(());
            }
            Step::Nothing => {}
            Step::Moved { moved: bytes, rest, whole } => {
                write_rest(to, &rest).await.map_err(|_broken| to_side)?;
                moved(bytes as u64);
                if !whole {
                    return stopped(carried).await;
                }
            }
            Step::ReadBroke => return Err(from_side),
            Step::WriteBroke => return Err(to_side),
        }
    }
}

enum Step {
    Ended,
    Nothing,
    /// Not the whole of what was read where the budget ends within it.
    Moved {
        moved: usize,
        rest: Vec<u8>,
        whole: bool,
    },
    ReadBroke,
    WriteBroke,
}

/// Reads once and writes what it can; what does not fit is kept apart, so that the lent buffer is free at once.
fn step(from: &TcpStream, to: &TcpStream, carried: &Carried) -> Step {
    LENT.with_borrow_mut(|buffer| {
        let read = match from.try_read(buffer) {
            Ok(0) => return Step::Ended,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Nothing,
            Err(_broken) => return Step::ReadBroke,
        };
        let moved = carried.take(read);
        if moved == 0 {
            return Step::Moved { moved, rest: Vec::new(), whole: false };
        }
        let written = match to.try_write(&buffer[..moved]) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_broken) => return Step::WriteBroke,
        };
        Step::Moved { moved, rest: buffer[written..moved].to_vec(), whole: moved == read }
    })
}

async fn write_rest(to: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as Plain;
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::super::record::{Ended, Progress, Record, Recorder, Unwritable};
    use super::*;
    use crate::policy::attempt::AttemptId;

    #[tokio::test]
    async fn a_stream_that_never_waits_leaves_its_task_room_to_be_cut() {
        let ((mut source, agent), (mut sink, origin)) = (pair().await, pair().await);
        let writer = std::thread::spawn(move || while source.write_all(&[0; 256 * 1024]).is_ok() {});
        let reader = std::thread::spawn(move || while sink.read(&mut [0; 256 * 1024]).is_ok_and(|read| read > 0) {});
        let began = std::time::Instant::now();
        let (carried, agent) = (Carried::default(), AgentSide { early: bytes::Bytes::new(), stream: Arc::new(agent) });
        let origin = OriginSide { early: bytes::Bytes::new(), stream: origin };
        let (mut before, mut longest) = (0, 0);
        let cut = async {
            while began.elapsed() < Duration::from_millis(500) {
                let total = carried.total();
                (longest, before) = (longest.max(total - before), total);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ended = relay(&agent, &origin, &carried, Duration::from_secs(60)) => panic!("ended by itself"),
            () = cut => {}
        }
        drop((agent, origin));
        writer.join().unwrap();
        reader.join().unwrap();
        // A task has 128 steps before it must let others run, and each carries a block at most; it may get two turns to one of ours.
        assert!(longest > 0 && longest <= 2 * 130 * BUFFER as u64, "{} blocks at a stretch", longest / BUFFER as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_that_lives_on_says_so_every_five_minutes_until_it_is_cut_for_its_silence() {
        let ((_near, agent), (mut far, origin)) = (pair().await, pair().await);
        let (written, carried) = (Arc::new(Written::default()), Carried::default());
        carried.give_account(AttemptId(uuid::Uuid::nil()), None, Arc::clone(&written) as _);
        let agent = AgentSide { early: bytes::Bytes::from_static(b"hello"), stream: Arc::new(agent) };
        let origin = OriginSide { early: bytes::Bytes::from_static(b"hi"), stream: origin };
        let began = Instant::now();
        assert_eq!(relay(&agent, &origin, &carried, Duration::from_secs(1000)).await, Relayed::Cut(Reason::Overloaded));
        assert_eq!(began.elapsed().as_secs(), 1000);
        let progress = Progress { id: AttemptId(uuid::Uuid::nil()), agent: None, bytes_up: 5, bytes_down: 2 };
        assert_eq!(*written.0.lock(), vec![(300, progress.clone()), (600, progress.clone()), (900, progress)]);
        far.read_exact(&mut [0; 5]).unwrap();
    }

    /// Progress, and the second of its coming.
    #[derive(Debug)]
    struct Written(parking_lot::Mutex<Vec<(u64, Progress)>>, Instant);

    impl Default for Written {
        fn default() -> Self {
            Self(parking_lot::Mutex::default(), Instant::now())
        }
    }

    impl Recorder for Written {
        fn record(&self, record: &Record) -> Result<(), Unwritable> {
            let Record::Progress(progress) = record else { panic!("{record:?}") };
            self.0.lock().push((self.1.elapsed().as_secs(), progress.clone()));
            Ok(())
        }
        fn settle(&self, _: Ended) {}
        fn limit_hit(&self, _: &'static str) {}
        fn decision_took(&self, _: Duration) {}
        fn added(&self, _: crate::policy::attempt::AttemptId, _: crate::egress::record::Ruling, _: Duration) {}
    }

    #[expect(clippy::disallowed_methods, reason = "the test's own listener")]
    async fn pair() -> (Plain, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = Plain::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().await.unwrap().0)
    }
}

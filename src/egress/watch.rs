//! Watches the exchange that a connection is at: it is cut when the answer is allow no longer, when nothing moves, and when exeat stops.
//!
//! It runs beside the agent's connection, in the same task, as hyper polls neither a body it cannot write nor one it waits for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::carried::Carried;
use super::live::Live;
use super::open::Open;
use super::pool::{Key, Parked, Pool};
use super::record::Outcome;
use crate::policy::reason::Reason;

/// Silence is sampled this often within its limit.
const SAMPLES: u32 = 4;

/// Where an exchange puts itself under watch.
#[derive(Clone, Debug)]
pub struct Watch(mpsc::Sender<Watched>);

/// The watcher, to be run beside the connection.
#[derive(Debug)]
pub struct Watching(mpsc::Receiver<Watched>);

/// A watch over the exchanges of one connection, which come one after the other.
pub fn watch() -> (Watch, Watching) {
    let (sender, receiver) = mpsc::channel(1);
    (Watch(sender), Watching(receiver))
}

impl Watch {
    pub(super) async fn over(&self, watched: Watched) {
        // Where nobody watches any more, the connection is gone and its exchange goes with it.
        let _ = self.0.send(watched).await;
    }
}

impl Watching {
    /// Resolves when an exchange was cut, with why: whatever is left of the agent's connection is to be dropped.
    ///
    /// An exchange that it watches is watched no more once this is dropped.
    pub async fn cut(mut self) -> Reason {
        while let Some(watched) = self.0.recv().await {
            if let End::Cut(reason) = watched.until_its_end().await {
                return reason;
            }
        }
        std::future::pending().await
    }
}

/// One exchange whose answer is on its way.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) live: Live,
    pub(super) underway: Arc<Underway>,
    pub(super) limits: Limits,
}

/// What ends an exchange besides its own end.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) idle: Duration,
    pub(super) stop: CancellationToken,
}

enum End {
    ByItself,
    Cut(Reason),
}

impl Watched {
    async fn until_its_end(mut self) -> End {
        let reason = tokio::select! {
            biased;
            () = self.underway.ended.cancelled() => return End::ByItself,
            reason = lost(&mut self.live, &self.underway.carried, &self.limits) => reason,
        };
        self.underway.end(Outcome::Cut, reason);
        End::Cut(reason)
    }
}

/// Resolves with the reason to cut what carries these bytes.
pub(super) async fn lost(live: &mut Live, carried: &Carried, limits: &Limits) -> Reason {
    tokio::select! {
        reason = live.lost() => reason,
        () = carried.exhausted() => Reason::Budget,
        () = silence(carried, limits.idle) => Reason::Overloaded,
        () = limits.stop.cancelled() => Reason::Internal,
    }
}

/// Resolves once no byte has moved either way for `idle`, a quarter more at most. Meanwhile it reports what is due.
pub(super) async fn silence(carried: &Carried, idle: Duration) {
    let (mut moved, mut quiet) = (carried.total(), 0);
    let mut sample = Instant::now() + idle / SAMPLES;
    while quiet < SAMPLES {
        tokio::time::sleep_until(carried.due().map_or(sample, |due| due.min(sample))).await;
        carried.report();
        if Instant::now() >= sample {
            let total = carried.total();
            quiet = if total == moved { quiet + 1 } else { 0 };
            (moved, sample) = (total, Instant::now() + idle / SAMPLES);
        }
    }
}

/// An exchange between its answer's head and its end, shared by the body that carries it and the watcher.
#[derive(Debug)]
pub(super) struct Underway {
    state: Mutex<Option<State>>,
    carried: Arc<Carried>,
    ended: CancellationToken,
}

#[derive(Debug)]
struct State {
    open: Open,
    parked: Parked,
    pool: Arc<Pool>,
    key: Option<Key>,
}

impl Underway {
    pub(super) fn new(open: Open, parked: Parked, pool: Arc<Pool>, key: Option<Key>) -> Arc<Self> {
        let carried = Arc::clone(&open.carried);
        Arc::new(Self { state: Mutex::new(Some(State { open, parked, pool, key })), carried, ended: CancellationToken::new() })
    }

    /// The answer has ended. The connection is kept for the next request, unless this one's body still runs: nothing may flow after `ended`.
    pub(super) fn complete(&self) {
        let Some(State { mut open, parked, pool, key }) = self.state.lock().take() else { return };
        let reason = open.reason();
        if self.carried.upload_is_over() {
            open.will_end(Outcome::Completed, reason);
            drop(open);
            if let Some(key) = key {
                pool.park(key, parked);
            }
        } else {
            self.carried.close();
            drop(parked);
            open.will_end(Outcome::Completed, reason);
        }
        self.ended.cancel();
    }

    /// Ends it from outside; the connection to the origin is closed before that is recorded.
    pub(super) fn end(&self, outcome: Outcome, reason: Reason) {
        let Some(State { mut open, parked, pool: _, key: _ }) = self.state.lock().take() else { return };
        self.carried.close();
        drop(parked);
        open.will_end(outcome, reason);
        drop(open);
        self.ended.cancel();
    }

    /// The agent went away before the end.
    pub(super) fn abandon(&self) {
        let Some(State { open, parked, pool: _, key: _ }) = self.state.lock().take() else { return };
        self.carried.close();
        drop(parked);
        drop(open);
        self.ended.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    pub(super) fn carried(&self) -> &Carried {
        &self.carried
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Ended, Record, Recorder, Unwritable};
    use super::*;
    use crate::policy::attempt::AttemptId;

    /// The seconds at which something was recorded.
    #[derive(Debug)]
    struct Written(Mutex<Vec<u64>>, Instant);

    impl Recorder for Written {
        fn record(&self, record: &Record) -> Result<(), Unwritable> {
            assert_eq!(record.kind(), "progress");
            self.0.lock().push(self.1.elapsed().as_secs());
            Ok(())
        }
        fn settle(&self, _: Ended) {}
        fn limit_hit(&self, _: &'static str) {}
        fn decision_took(&self, _: Duration) {}
        fn added(&self, _: crate::policy::attempt::AttemptId, _: crate::egress::record::Ruling, _: Duration) {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_lives_on_says_so_every_five_minutes_and_is_silent_as_late_as_ever() {
        let (written, carried) = (Arc::new(Written(Mutex::default(), Instant::now())), Carried::default());
        carried.give_account(AttemptId(uuid::Uuid::nil()), None, Arc::clone(&written) as _);
        let began = Instant::now();
        let idle = Duration::from_secs(1000);
        let moving = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            carried.count_down(1);
        };
        tokio::join!(silence(&carried, idle), moving);
        // The byte falls into the first quarter, and four that are quiet follow it.
        assert_eq!((began.elapsed().as_secs(), written.0.lock().clone()), (1250, vec![300, 600, 900, 1200]));
    }
}

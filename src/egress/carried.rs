//! The bytes an attempt has carried, and `progress` while it is long: a record every 100 MiB and every five minutes.
//!
//! There is no timer for it: whoever moves bytes tells of them, and whoever waits for silence asks what is due before.
//! What cannot be written is tried again later and cuts nothing: the decision is recorded, and `ended` says the whole.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::budget::Drawing;
use super::record::{Progress, Record, Recorder};
use crate::policy::attempt::{AgentId, AttemptId};

/// So many bytes more are recorded.
const BYTES: u64 = 100 << 20;

/// So much time more is recorded.
const TIME: Duration = Duration::from_secs(5 * 60);

/// Where the journal took nothing, it is tried again after so many bytes,
const BYTES_AGAIN: u64 = 10 << 20;

/// or after so long.
const TIME_AGAIN: Duration = Duration::from_secs(10);

/// Bytes carried, shared with whoever carries them.
#[derive(Debug)]
pub(super) struct Carried {
    up: AtomicU64,
    down: AtomicU64,
    uploaded: AtomicBool,
    closed: AtomicBool,
    /// Whoever waits for more to carry, and is to hear that no more may be.
    waits: AtomicWaker,
    /// The total at which the next `progress` is due.
    due_at: AtomicU64,
    account: Mutex<Option<Account>>,
    /// What its bytes are taken from, where a limit counts them.
    drawing: OnceLock<Drawing>,
}

/// Whose bytes they are, and where that is recorded.
#[derive(Debug)]
struct Account {
    id: AttemptId,
    agent: Option<AgentId>,
    recorder: Arc<dyn Recorder>,
    due: Instant,
}

impl Default for Carried {
    fn default() -> Self {
        let (up, down, uploaded, closed, waits) = Default::default();
        Self { up, down, uploaded, closed, waits, due_at: AtomicU64::new(u64::MAX), account: Mutex::new(None), drawing: OnceLock::new() }
    }
}

impl Carried {
    /// Gives account from here on: `decided` is written.
    pub(super) fn give_account(&self, id: AttemptId, agent: Option<AgentId>, recorder: Arc<dyn Recorder>) {
        *self.account.lock() = Some(Account { id, agent, recorder, due: Instant::now() + TIME });
        self.due_at.store(self.total() + BYTES, Ordering::Relaxed);
    }

    /// Its bytes are taken from here.
    pub(super) fn draws_on(&self, drawing: Option<Drawing>) {
        if let Some(drawing) = drawing {
            // An attempt is permitted once.
            let _ = self.drawing.set(drawing);
        }
    }

    /// How many of so many bytes may pass; they are spent, whether or not they arrive. Fewer than all: then nothing more may pass.
    pub(super) fn take(&self, bytes: usize) -> usize {
        let Some(drawing) = self.drawing.get() else { return bytes };
        usize::try_from(drawing.take(bytes as u64)).unwrap_or(bytes)
    }

    /// What may pass has passed: whoever carries these bytes is to stop.
    pub(super) fn exhaust(&self) {
        if let Some(drawing) = self.drawing.get() {
            drawing.exhausted.cancel();
        }
    }

    /// Resolves once that is so.
    pub(super) async fn exhausted(&self) {
        match self.drawing.get() {
            Some(drawing) => drawing.exhausted.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// The last word is about to be said: nothing is recorded of it after this.
    pub(super) fn no_more_account(&self) {
        self.account.lock().take();
        self.due_at.store(u64::MAX, Ordering::Relaxed);
    }

    /// So many bytes more went up.
    pub(super) fn count_up(&self, bytes: u64) {
        self.up.fetch_add(bytes, Ordering::Relaxed);
        self.counted();
    }

    /// So many bytes more came down.
    pub(super) fn count_down(&self, bytes: u64) {
        self.down.fetch_add(bytes, Ordering::Relaxed);
        self.counted();
    }

    pub(super) fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn total(&self) -> u64 {
        self.up().wrapping_add(self.down())
    }

    /// When the next `progress` is due if nothing moves; `None` where there is no account of it.
    pub(super) fn due(&self) -> Option<Instant> {
        self.account.lock().as_ref().map(|account| account.due)
    }

    /// Records how far it is, if that is due.
    pub(super) fn report(&self) {
        let mut account = self.account.lock();
        let Some(Account { id, agent, recorder, due }) = account.as_mut() else { return };
        let (now, total) = (Instant::now(), self.total());
        if now < *due && total < self.due_at.load(Ordering::Relaxed) {
            return;
        }
        let progress = Progress { id: *id, agent: agent.clone(), bytes_up: self.up(), bytes_down: self.down() };
        let written = recorder.record(&Record::Progress(progress)).is_ok();
        let (bytes, time) = if written { (BYTES, TIME) } else { (BYTES_AGAIN, TIME_AGAIN) };
        self.due_at.store(total + bytes, Ordering::Relaxed);
        *due = now + time;
    }

    fn counted(&self) {
        if self.total() >= self.due_at.load(Ordering::Relaxed) {
            self.report();
        }
    }

    /// The request's body has been read to its end.
    pub(super) fn upload_over(&self) {
        self.uploaded.store(true, Ordering::Release);
    }

    /// Nothing more may be carried: what is under way is over, or about to be recorded as over.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waits.wake();
    }

    /// Whether nothing more may be carried; if something may, the task is woken when that ends.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> bool {
        self.waits.register(cx.waker());
        self.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn upload_is_over(&self) -> bool {
        self.uploaded.load(Ordering::Acquire)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::record::{Ended, Unwritable};
    use super::*;

    /// A journal in memory that takes records while it is told to.
    #[derive(Debug, Default)]
    struct Fickle {
        full: AtomicBool,
        tried: AtomicU64,
        written: Mutex<Vec<(u64, u64)>>,
    }

    impl Recorder for Fickle {
        fn record(&self, record: &Record) -> Result<(), Unwritable> {
            let Record::Progress(Progress { id, agent, bytes_up, bytes_down }) = record else { panic!("{record:?}") };
            assert_eq!((*id, agent), (AttemptId(uuid::Uuid::from_u128(7)), &AgentId::parse("a").ok()));
            self.tried.fetch_add(1, Ordering::Relaxed);
            if self.full.load(Ordering::Relaxed) {
                return Err(Unwritable);
            }
            self.written.lock().push((*bytes_up, *bytes_down));
            Ok(())
        }
        fn settle(&self, _: Ended) {}
        fn limit_hit(&self, _: &'static str) {}
        fn decision_took(&self, _: Duration) {}
        fn added(&self, _: crate::policy::attempt::AttemptId, _: crate::egress::record::Ruling, _: Duration) {}
    }

    fn accounted() -> (Carried, Arc<Fickle>) {
        let (carried, recorder) = (Carried::default(), Arc::new(Fickle::default()));
        carried.give_account(AttemptId(uuid::Uuid::from_u128(7)), AgentId::parse("a").ok(), Arc::clone(&recorder) as _);
        (carried, recorder)
    }

    #[test]
    fn bytes_of_both_ways_are_recorded_each_time_so_many_have_come_together() {
        let (carried, recorder) = accounted();
        carried.count_up(BYTES - 1);
        assert_eq!(*recorder.written.lock(), []);
        carried.count_down(1);
        carried.count_down(BYTES - 1);
        assert_eq!(*recorder.written.lock(), [(BYTES - 1, 1)]);
        carried.count_up(5);
        carried.count_up(BYTES);
        assert_eq!(*recorder.written.lock(), [(BYTES - 1, 1), (BYTES + 4, BYTES), (2 * BYTES + 4, BYTES)]);
        carried.no_more_account();
        carried.count_up(9 * BYTES);
        assert_eq!(recorder.tried.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_recorded_too_and_counts_from_the_record_before() {
        let (carried, recorder) = accounted();
        carried.report();
        assert_eq!(*recorder.written.lock(), []);
        tokio::time::advance(TIME / 2).await;
        carried.count_up(BYTES);
        assert_eq!(carried.due(), Some(Instant::now() + TIME));
        tokio::time::advance(TIME).await;
        carried.report();
        carried.report();
        assert_eq!(*recorder.written.lock(), [(BYTES, 0), (BYTES, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_journal_does_not_take_is_tried_again_and_not_with_every_byte() {
        let (carried, recorder) = accounted();
        recorder.full.store(true, Ordering::Relaxed);
        carried.count_up(BYTES);
        for _ in 1..BYTES_AGAIN >> 10 {
            carried.count_up(1 << 10);
        }
        assert_eq!(recorder.tried.load(Ordering::Relaxed), 1);
        assert_eq!(carried.due(), Some(Instant::now() + TIME_AGAIN));
        tokio::time::sleep_until(carried.due().unwrap()).await;
        carried.report();
        assert_eq!(recorder.tried.load(Ordering::Relaxed), 2);
        recorder.full.store(false, Ordering::Relaxed);
        carried.count_down(BYTES_AGAIN);
        assert_eq!(*recorder.written.lock(), [(BYTES + BYTES_AGAIN - 1024, BYTES_AGAIN)]);
        assert_eq!(carried.due(), Some(Instant::now() + TIME));
    }
}

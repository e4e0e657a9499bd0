//! Follows the journal for one sink: reads a batch, hands it over until it is taken, moves the cursor.
//!
//! The cursor moves over a record once the receiver has it, or has it refused while taking others: a receiver that refuses everything
//! is wrongly set up, and records wait for that to be mended.

mod search;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use search::Search;

use super::backoff::Backoff;
use super::cursor::CursorFile;
use super::gather::{Gathered, Most, gather};
use super::{Deliver, NotDelivered, Sink};
use crate::egress::record::{Gap, GapWhy, Record, Recorder};
use crate::journal::{Entry, Position, Positions, Reader, newest, untold};
use crate::telemetry::Metrics;

/// How fast a follower goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Records and bytes of a batch; one record may be longer.
    pub most: Most,
    /// Time for more records to come once one has.
    pub linger: Duration,
    /// How often it is looked for records of other processes.
    pub glance: Duration,
    /// Time between two savings of the cursor.
    pub save: Duration,
    /// The wait after a failure; it doubles up to `longest`.
    pub first: Duration,
    /// The longest wait of our own.
    pub longest: Duration,
    /// Time to hand over what is left at the end.
    pub drain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            most: Most { records: 512, bytes: 1 << 20 },
            linger: Duration::from_millis(100),
            glance: Duration::from_secs(1),
            save: Duration::from_secs(1),
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            drain: Duration::from_secs(2),
        }
    }
}

/// What a follower works with.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The state folder.
    pub state: PathBuf,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it writes down what its receiver will never have.
    pub recorder: Arc<dyn Recorder>,
    /// Changes when this process has written a record.
    pub written: watch::Receiver<()>,
    /// Tells it to end: it hands over what there is, for `Pace::drain`, and leaves the rest to the next start.
    pub stop: CancellationToken,
}

/// Follows the journal for one sink.
#[derive(Debug)]
pub struct Follower<D> {
    sink: Sink,
    deliver: D,
    pace: Pace,
    beside: Beside,
    file: CursorFile,
    /// What the receiver has.
    cursor: Positions,
    /// The cursor as it stands in the file.
    saved: Positions,
    save_at: Instant,
    measure_at: Instant,
    reader: Option<Reader>,
    backoff: Backoff,
    /// Records behind the cursor that were refused, each alone, while none was taken.
    suspected: usize,
    /// The trouble that was told, and when; its end was not.
    trouble: Option<(String, Instant)>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handed {
    /// The cursor is behind it.
    Over,
    /// So much of it is refused that the receiver is left alone for a while; the cursor is before what is left.
    Refused,
    /// It was not taken until the end.
    Left,
}

impl<D: Deliver> Follower<D> {
    /// A follower from the cursor of its sink on. The process must lead: see [`super::Lead`].
    pub fn new(sink: Sink, deliver: D, pace: Pace, beside: Beside) -> Self {
        let file = CursorFile::new(&beside.state, sink);
        let cursor = file.load();
        let (saved, now, backoff) = (cursor.clone(), Instant::now(), Backoff::new(pace.first, pace.longest));
        Self {
            sink,
            deliver,
            pace,
            beside,
            file,
            cursor,
            saved,
            save_at: now,
            measure_at: now,
            reader: None,
            backoff,
            suspected: 0,
            trouble: None,
        }
    }

    /// Follows until it is told to end.
    pub async fn run(mut self) {
        let (stop, drain) = (self.beside.stop.clone(), self.pace.drain);
        let over = async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            () = self.follow() => {}
            () = over => {}
        }
        self.save().await;
    }

    async fn follow(&mut self) {
        loop {
            let ending = self.beside.stop.is_cancelled();
            self.beside.written.mark_unchanged();
            let Some(batch) = self.read().await else {
                self.save_when_due().await;
                if ending {
                    return;
                }
                self.wait().await;
                continue;
            };
            match self.hand_over(&batch).await {
                Handed::Over => {}
                Handed::Refused => {
                    // What is read next begins with the same records, and may hold one that is taken.
                    self.reader = None;
                    if !self.rest(None).await {
                        return;
                    }
                }
                Handed::Left => return,
            }
            self.save_when_due().await;
            self.measure().await;
        }
    }

    /// The next records; `None` where there are none yet.
    async fn read(&mut self) -> Option<Vec<Entry>> {
        loop {
            let (reader, state, from, most) = (self.reader.take(), self.beside.state.clone(), self.cursor.clone(), self.pace.most);
            // A reader that panicked is lost, and another one begins at the cursor.
            let gathered = spawn_blocking(move || gather(reader, &state, from, most)).await.map_err(|error| error.to_string());
            let Gathered { reader, entries, bad, misplaced, end } = match gathered.and_then(|gathered| gathered) {
                Ok(gathered) => gathered,
                Err(why) => {
                    self.tell(&format!("the journal cannot be read: {why}"));
                    return None;
                }
            };
            self.reader = Some(reader);
            for bad in bad {
                tracing::error!(sink = self.sink.as_str(), "a line of the journal is not exported: {bad}");
            }
            for misplaced in misplaced {
                tracing::error!(
                    sink = self.sink.as_str(),
                    "the cursor leads nowhere ({misplaced}): the slot is exported from its oldest record"
                );
                self.cursor.remove(misplaced.slot.as_ref());
            }
            if !entries.is_empty() {
                return Some(entries);
            }
            if end {
                self.beside.metrics.set_sink_lag(self.sink, 0);
                return None;
            }
        }
    }

    async fn wait(&mut self) {
        let Self { beside: Beside { written, stop, .. }, pace, .. } = self;
        let news = async {
            // Where this process writes no more, others may.
            if written.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pace.linger).await;
        };
        tokio::select! {
            () = news => {}
            () = tokio::time::sleep(pace.glance) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn hand_over(&mut self, batch: &[Entry]) -> Handed {
        let mut search = Search::new(batch.len(), std::mem::take(&mut self.suspected));
        while let Some(part) = search.next() {
            let result = self.deliver.deliver(&batch[part.clone()]).await;
            self.beside.metrics.sink_delivery(self.sink, result.as_ref().err());
            match result {
                Ok(()) => search.take(part),
                Err(NotDelivered::Later { why, after }) => {
                    self.tell(&why);
                    search.put_off(part);
                    if !self.rest(after).await {
                        return Handed::Left;
                    }
                }
                Err(NotDelivered::Never { which, why }) => search.refuse(part, &which, &why),
            }
            self.pass(batch, search.pass());
        }
        if search.is_over() {
            return Handed::Over;
        }
        self.suspected = search.suspected();
        let what = if search.has_taken() { "one record after another" } else { "every record" };
        self.tell(&format!("the receiver refuses {what}, and they are kept: {}", search.why()));
        Handed::Refused
    }

    /// Moves the cursor over records of a batch, and tells which of them are given up.
    fn pass(&mut self, batch: &[Entry], over: Vec<(usize, Option<String>)>) {
        if over.is_empty() {
            return;
        }
        self.backoff.reset();
        if self.trouble.take().is_some() {
            tracing::info!(sink = self.sink.as_str(), "records are taken again");
        }
        for (index, refused) in over {
            let entry = &batch[index];
            if let Some(why) = refused {
                self.rejected(entry, &why);
            }
            let before = self.cursor.insert(entry.slot.as_ref().to_owned(), entry.after);
            self.missing(entry, before);
        }
    }

    /// Says which records are gone between the cursor and this one, but for those that were told when they went.
    fn missing(&self, entry: &Entry, before: Option<Position>) {
        let Some(first) = before.map(|before| before.seq.saturating_add(1)) else { return };
        let last = entry.line.seq.saturating_sub(1);
        if first > last {
            return;
        }
        let (sink, slot) = (self.sink.as_str(), &entry.slot);
        for (first, last) in untold(&self.beside.state, slot, (sink, (first, last))) {
            tracing::error!(sink, %slot, first, last, "records were not in the journal any more when the sink came to them");
            self.gap(entry, first, last, GapWhy::Missing);
        }
    }

    fn rejected(&self, entry: &Entry, why: &str) {
        let (sink, slot, seq) = (self.sink.as_str(), &entry.slot, entry.line.seq);
        tracing::error!(sink, %slot, seq, why, "the receiver refuses a record for good");
        self.beside.metrics.sink_rejected(self.sink);
        // A receiver that takes no gaps would be told of each by another.
        if !matches!(&entry.line.record, Record::Gap(_)) {
            self.gap(entry, seq, seq, GapWhy::Rejected);
        }
    }

    fn gap(&self, entry: &Entry, first: u64, last: u64, why: GapWhy) {
        let gap = Gap { slot: entry.slot.as_ref().to_owned(), first, last, sinks: vec![self.sink.as_str().to_owned()], why };
        if self.beside.recorder.record(&Record::Gap(gap)).is_err() {
            tracing::error!(sink = self.sink.as_str(), slot = %entry.slot, first, last, "a gap could not be recorded");
        }
    }

    /// Waits before the next try; `false` where there will be none.
    async fn rest(&mut self, after: Option<Duration>) -> bool {
        if self.beside.stop.is_cancelled() {
            return false;
        }
        self.save_when_due().await;
        self.measure().await;
        let wait = self.backoff.next(after);
        let stop = self.beside.stop.clone();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
        true
    }

    /// Says why nothing is taken; again where the reason is another one, no more often than the longest wait, as a receiver may word it.
    fn tell(&mut self, why: &str) {
        let sink = self.sink.as_str();
        let now = Instant::now();
        let known = |(told, at): &(String, Instant)| told == why || now.duration_since(*at) < self.pace.longest;
        if self.trouble.as_ref().is_some_and(known) {
            tracing::debug!(sink, "records are still not taken: {why}");
        } else {
            tracing::warn!(sink, "records are not taken, and wait in the journal: {why}");
            self.trouble = Some((why.to_owned(), now));
        }
    }

    async fn save_when_due(&mut self) {
        if Instant::now() >= self.save_at {
            self.save().await;
        }
    }

    async fn save(&mut self) {
        if self.cursor == self.saved {
            return;
        }
        self.save_at = Instant::now() + self.pace.save;
        let (file, cursor) = (self.file.clone(), self.cursor.clone());
        match spawn_blocking(move || file.save(&cursor).map(|()| cursor)).await {
            Ok(Ok(saved)) => self.saved = saved,
            Ok(Err(error)) => tracing::error!(sink = self.sink.as_str(), "the cursor cannot be saved: {error}"),
            Err(error) => tracing::error!(sink = self.sink.as_str(), "the cursor was not saved: {error}"),
        }
    }

    /// Counts what the receiver does not have, at most once a second.
    async fn measure(&mut self) {
        if Instant::now() < self.measure_at {
            return;
        }
        self.measure_at = Instant::now() + self.pace.save;
        let state = self.beside.state.clone();
        if let Ok(Ok(newest)) = spawn_blocking(move || newest(&state)).await {
            let has = |slot: &String| self.cursor.get(slot).map_or(0, |position| position.seq);
            let lag = newest.iter().map(|(slot, seq)| seq.saturating_sub(has(slot))).sum();
            self.beside.metrics.set_sink_lag(self.sink, lag);
        }
    }
}

#[cfg(test)]
mod tests;

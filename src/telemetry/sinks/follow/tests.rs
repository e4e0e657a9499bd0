//! What a receiver gets, whatever it answers and whenever either side dies. Time is paused.

#![expect(clippy::unwrap_used, reason = "tests")]

mod gaps;
mod lives;
mod refused;

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::ops::Range;
use std::path::Path;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::*;
use crate::journal::Journal;
use crate::journal::sample::decided;
use crate::telemetry::Recording;

/// A receiver: what it will answer, and what it has.
#[derive(Debug, Default)]
struct Receiver {
    /// Failures to come; then everything is taken.
    answers: VecDeque<NotDelivered>,
    /// Sequence numbers it refuses, alone or with others.
    poison: BTreeSet<u64>,
    refuses_all: bool,
    /// Takes everything once it was handed this often.
    mended_after: Option<usize>,
    /// Puts off once the batch that begins with this one.
    puts_off: Option<u64>,
    /// What it took, a batch each.
    taken: Vec<Vec<(String, u64)>>,
    /// How many records it was handed, each time.
    handed: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<Receiver>>);

impl Deliver for Fake {
    async fn deliver(&mut self, batch: &[Entry]) -> Result<(), NotDelivered> {
        tokio::task::yield_now().await;
        let mut receiver = self.0.lock();
        receiver.handed.push(batch.len());
        if receiver.mended_after.is_some_and(|after| receiver.handed.len() > after) {
            receiver.poison.clear();
        }
        if let Some(answer) = receiver.answers.pop_front() {
            return Err(answer);
        }
        if receiver.puts_off.take_if(|seq| *seq == batch[0].line.seq).is_some() {
            return Err(NotDelivered::later("not now"));
        }
        if receiver.refuses_all || batch.iter().any(|entry| receiver.poison.contains(&entry.line.seq)) {
            return Err(NotDelivered::Never { which: Vec::new(), why: "no".into() });
        }
        receiver.taken.push(batch.iter().map(|entry| (entry.slot.to_string(), entry.line.seq)).collect());
        Ok(())
    }
}

impl Fake {
    fn taken(&self) -> Vec<u64> {
        self.0.lock().taken.iter().flatten().map(|(_, seq)| *seq).collect()
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As a kill: nothing more is done.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Its journal begins with three records, and has one segment.
fn recording(state: &Path) -> Arc<Recording> {
    Arc::new(Recording::new(Journal::open(state, 1 << 20).unwrap().journal))
}

fn in_segments(state: &Path) -> Arc<Recording> {
    Arc::new(Recording::new(Journal::open(state, 1500).unwrap().journal))
}

fn follow(state: &Path, recording: &Arc<Recording>, fake: &Fake) -> Running {
    follow_by(state, recording, fake, Most { records: 8, bytes: 4000 })
}

fn follow_by(state: &Path, recording: &Arc<Recording>, fake: &Fake, most: Most) -> Running {
    fs::create_dir_all(state.join("sinks")).unwrap();
    let stop = CancellationToken::new();
    let beside = Beside {
        state: state.to_owned(),
        metrics: Arc::clone(&recording.metrics),
        recorder: Arc::clone(recording) as _,
        written: recording.written(),
        stop: stop.clone(),
    };
    let pace = Pace { most, ..Pace::default() };
    let task = tokio::spawn(Follower::new(Sink::Webhook, fake.clone(), pace, beside).run());
    Running { stop, task }
}

fn write(recording: &Recording, ids: Range<u128>) {
    for id in ids {
        recording.record(&Record::Decided(decided(id))).unwrap();
    }
}

/// Waits in paused time.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came true");
}

fn metric(recording: &Recording, start: &str) -> Vec<String> {
    recording
        .metrics
        .page(crate::telemetry::metrics::Format::Text)
        .lines()
        .filter(|line| line.starts_with(start))
        .map(str::to_owned)
        .collect()
}

fn gaps(state: &Path) -> Vec<(u64, u64, GapWhy)> {
    let gap = |entry: Entry| if let Record::Gap(gap) = entry.line.record { Some((gap.first, gap.last, gap.why)) } else { None };
    Reader::open(state).unwrap().filter_map(|entry| gap(entry.unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_is_not_sent_again_by_the_next_process() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let first = recording(state.path());
    write(&first, 1..20);
    let running = follow(state.path(), &first, &fake);
    write(&first, 20..30);
    running.stop().await;
    assert_eq!(fake.taken(), (1..=32).collect::<Vec<_>>());
    drop(first);

    let second = recording(state.path());
    let running = follow(state.path(), &second, &fake);
    write(&second, 30..31);
    running.stop().await;
    let newest = newest(state.path()).unwrap()["proxy-1"];
    assert_eq!(fake.taken(), (1..=newest).collect::<Vec<_>>());
    assert!(fake.0.lock().handed.iter().all(|length| *length <= 8));
    assert_eq!(metric(&second, "exeat_sink_lag"), ["exeat_sink_lag_records{sink=\"webhook\"} 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_not_taken_comes_again_after_a_while_and_nothing_overtakes_it() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..12);
    fake.0.lock().answers.extend([NotDelivered::later("a"), NotDelivered::Later { why: "b".into(), after: Some(Duration::from_secs(60)) }]);
    let begun = Instant::now();
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.0.lock().handed.len() == 2).await;
    assert_eq!(metric(&recording, "exeat_sink_lag"), ["exeat_sink_lag_records{sink=\"webhook\"} 14"]);
    until(|| fake.taken().len() == 14).await;
    assert!(begun.elapsed() >= Duration::from_secs(60), "{:?}", begun.elapsed());
    running.stop().await;
    assert_eq!(fake.taken(), (1..=14).collect::<Vec<_>>());
    let deliveries = ["exeat_sink_deliveries_total{result=\"later\",sink=\"webhook\"} 2"];
    assert_eq!(metric(&recording, "exeat_sink_deliveries_total{result=\"later\""), deliveries);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_put_off_comes_again_before_what_is_behind_it() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..6);
    fake.0.lock().poison.insert(3);
    fake.0.lock().puts_off = Some(5);
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.taken().contains(&8)).await;
    running.stop().await;
    assert_eq!((fake.taken(), gaps(state.path())), (vec![1, 2, 4, 5, 6, 7, 8, 9], vec![(3, 3, GapWhy::Rejected)]));
}

#[tokio::test(start_paused = true)]
async fn what_no_receiver_has_acknowledged_is_not_behind_the_cursor() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..8);
    fake.0.lock().answers.extend((0..1000).map(|_| NotDelivered::later("away")));
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.0.lock().handed.len() == 4).await;
    running.stop().await;
    assert_eq!(super::super::positions(state.path(), Sink::Webhook), Positions::new());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_back_is_waited_for_no_longer_than_at_first_when_it_goes_again() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..3);
    fake.0.lock().answers.extend((0..8).map(|_| NotDelivered::later("away")));
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.taken().len() == 5).await;
    fake.0.lock().answers.push_back(NotDelivered::later("away"));
    let begun = Instant::now();
    write(&recording, 3..4);
    until(|| fake.taken().len() == 6).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_leads_nowhere_begins_with_the_oldest_record() {
    let table = [
        (r#"{"segment":9,"offset":0,"seq":90}"#, "beyond every segment"),
        (r#"{"segment":1,"offset":99999,"seq":3}"#, "behind the end"),
        (r#"{"segment":1,"offset":7,"seq":1}"#, "in the middle of a line"),
        (r#"{"segment":1,"offset":93,"seq":77}"#, "of another line"),
    ];
    for (position, what) in table {
        let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let recording = recording(state.path());
        write(&recording, 1..6);
        fs::create_dir_all(state.path().join("sinks")).unwrap();
        let text = format!(r#"{{"v":1,"sink":"webhook","slots":{{"proxy-1":{position}}}}}"#);
        fs::write(state.path().join("sinks/webhook.json"), text).unwrap();
        let running = follow(state.path(), &recording, &fake);
        running.stop().await;
        assert_eq!((fake.taken(), gaps(state.path())), ((1..=8).collect::<Vec<_>>(), vec![]), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_does_not_wait_for_a_receiver_that_is_away() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..12);
    fake.0.lock().answers.extend((0..1000).map(|_| NotDelivered::later("away")));
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.0.lock().handed.len() == 4).await;
    let begun = Instant::now();
    running.stop().await;
    assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(fake.taken(), [] as [u64; 0]);
}

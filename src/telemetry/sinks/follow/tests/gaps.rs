//! Records that a sink never gets are told, once.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_gap_that_is_refused_is_not_told_by_another_gap() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..5);
    // The gap about 2 becomes record 8.
    fake.0.lock().poison.extend([2, 8]);
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.taken().contains(&7)).await;
    write(&recording, 5..7);
    until(|| fake.taken().contains(&10)).await;
    running.stop().await;
    assert_eq!((fake.taken(), gaps(state.path())), (vec![1, 3, 4, 5, 6, 7, 9, 10], vec![(2, 2, GapWhy::Rejected)]));
}

#[tokio::test(start_paused = true)]
async fn records_that_were_removed_before_a_sink_came_to_them_are_a_gap() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = in_segments(state.path());
    write(&recording, 1..3);
    let running = follow(state.path(), &recording, &fake);
    running.stop().await;
    write(&recording, 3..20);
    let folder = state.path().join("journal/proxy-1");
    fs::remove_file(folder.join("00000001.jsonl")).unwrap();
    fs::remove_file(folder.join("00000002.jsonl")).unwrap();
    let first: u64 = Reader::open(state.path()).unwrap().next().unwrap().unwrap().line.seq;
    let running = follow(state.path(), &recording, &fake);
    running.stop().await;
    let had = fake.0.lock().taken[0].last().unwrap().1;
    assert!(first > had + 1, "{first} {had}");
    assert_eq!(fake.taken()[had as usize], first);
    assert_eq!(gaps(state.path()), [(had + 1, first - 1, GapWhy::Missing)]);
}

#[tokio::test(start_paused = true)]
async fn what_went_for_want_of_room_is_told_once() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let settings = crate::journal::Settings { max: 9000, ..crate::journal::Settings::from(3000) };
    let recording = Arc::new(Recording::new(Journal::open(state.path(), settings).unwrap().journal));
    write(&recording, 1..3);
    let running = follow(state.path(), &recording, &fake);
    running.stop().await;
    let had = *fake.taken().last().unwrap();
    write(&recording, 3..40);
    let cursors = crate::telemetry::sinks::Cursors::new(state.path(), &[Sink::Webhook]);
    recording.retain(&cursors);
    let full = gaps(state.path());
    let lost = full.last().unwrap().1;
    assert!(!full.is_empty() && lost > had + 1 && full.iter().all(|(_, _, why)| *why == GapWhy::Full), "{full:?}");
    // What others take away behind it is told, and that alone.
    let numbers: Vec<_> = fs::read_dir(state.path().join("journal/proxy-1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let oldest = numbers.into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")).min().unwrap();
    let gone = fs::read_to_string(&oldest).unwrap().lines().count() as u64;
    fs::remove_file(oldest).unwrap();
    let running = follow(state.path(), &recording, &fake);
    running.stop().await;
    let missing = (lost + 1, lost + gone, GapWhy::Missing);
    assert_eq!(gaps(state.path()), [full, vec![missing]].concat());
    assert_eq!(fake.taken()[usize::try_from(had).unwrap()], lost + gone + 1);
}

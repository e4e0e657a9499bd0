//! Any order of writes, failures, kills and restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What happens to a journal and its follower.
#[derive(Clone, Copy, Debug)]
enum Event {
    Write(u8),
    /// The receiver fails so many times.
    Fail(u8),
    Time(u16),
    /// The receiver refuses the records of this `seq` for good.
    Poison(u8),
    /// The follower is killed and begins anew.
    Kill,
    /// It is stopped in order and begins anew.
    Stop,
    /// The process that writes begins anew.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..40_u8).prop_map(Event::Write),
        2 => (1..4_u8).prop_map(Event::Fail),
        3 => (0..3000_u16).prop_map(Event::Time),
        1 => (1..120_u8).prop_map(Event::Poison),
        2 => Just(Event::Kill),
        1 => Just(Event::Stop),
        1 => Just(Event::Restart),
    ]
}

async fn lived(events: &[Event], state: &Path, fake: &Fake) {
    let mut writer = in_segments(state);
    let mut running = follow(state, &writer, fake);
    let mut id = 0;
    for event in events {
        match *event {
            Event::Write(count) => {
                write(&writer, id..id + u128::from(count));
                id += u128::from(count);
            }
            Event::Fail(count) => fake.0.lock().answers.extend((0..count).map(|_| NotDelivered::later("x"))),
            Event::Time(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
            Event::Poison(seq) => drop(fake.0.lock().poison.insert(seq.into())),
            Event::Kill => {
                running.kill().await;
                running = follow(state, &writer, fake);
            }
            Event::Stop => {
                running.stop().await;
                running = follow(state, &writer, fake);
            }
            Event::Restart => {
                running.kill().await;
                drop(writer);
                writer = in_segments(state);
                running = follow(state, &writer, fake);
            }
        }
    }
    let poison = fake.0.lock().poison.clone();
    for (slot, newest) in newest(state).unwrap() {
        let Some(last) = (1..=newest).rev().find(|seq| !poison.contains(seq)) else { continue };
        until(|| fake.0.lock().taken.iter().flatten().any(|(taken, seq)| *taken == slot && *seq == last)).await;
    }
    running.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_skipped_and_all_arrives_in_order(events in prop::collection::vec(event(), 1..25)) {
        let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(lived(&events, state.path(), &fake));
        let receiver = fake.0.lock();
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        // The next record that can be taken behind one. Poison may have been taken before it was that.
        let next = |seq: u64| (seq + 1..).find(|seq| !receiver.poison.contains(seq)).unwrap();
        for batch in &receiver.taken {
            prop_assert!(batch.len() <= 8);
            let mut before: BTreeMap<&str, u64> = BTreeMap::new();
            for (slot, seq) in batch {
                let last = newest.get(slot.as_str()).copied().unwrap_or(0);
                prop_assert!(*seq <= next(last), "{slot}: {seq} after {last}");
                prop_assert!(before.insert(slot, *seq).is_none_or(|before| before < *seq && *seq <= next(before)), "{slot}: {batch:?}");
                newest.insert(slot, last.max(*seq));
            }
        }
        for (first, last, why) in gaps(state.path()) {
            prop_assert_eq!((last, why), (first, GapWhy::Rejected));
            prop_assert!(receiver.poison.contains(&first));
        }
    }
}

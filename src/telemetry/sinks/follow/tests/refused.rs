//! A receiver that refuses records, some or all of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_one_record_that_is_refused_is_found_counted_and_recorded() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..12);
    fake.0.lock().poison.insert(5);
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.taken().len() == 14).await;
    running.stop().await;
    let wanted: Vec<u64> = (1..=15).filter(|seq| *seq != 5).collect();
    assert_eq!(fake.taken(), wanted);
    assert_eq!(gaps(state.path()), [(5, 5, GapWhy::Rejected)]);
    let rejected = ["exeat_sink_rejected_records_total{sink=\"webhook\"} 1"];
    assert_eq!(metric(&recording, "exeat_sink_rejected"), rejected);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_names_what_it_refuses_has_the_rest() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..4);
    fake.0.lock().answers.push_back(NotDelivered::Never { which: vec![1, 2], why: "those".into() });
    let running = follow(state.path(), &recording, &fake);
    until(|| gaps(state.path()).len() == 2).await;
    running.stop().await;
    assert_eq!(gaps(state.path()), [(2, 2, GapWhy::Rejected), (3, 3, GapWhy::Rejected)]);
    assert_eq!(fake.taken(), [7, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_everything_costs_no_record() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..12);
    fake.0.lock().refuses_all = true;
    let running = follow(state.path(), &recording, &fake);
    until(|| fake.0.lock().handed.len() > 60).await;
    assert_eq!((fake.taken(), gaps(state.path())), (vec![], vec![]));
    fake.0.lock().refuses_all = false;
    until(|| fake.taken().len() == 14).await;
    running.stop().await;
    assert_eq!(fake.taken(), (1..=14).collect::<Vec<_>>());
}

const WHOLE: Most = Most { records: 512, bytes: 1 << 20 };

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_everything_is_asked_no_more_than_so_often_between_two_waits() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..600);
    fake.0.lock().refuses_all = true;
    let running = follow_by(state.path(), &recording, &fake, WHOLE);
    until(|| fake.0.lock().handed.len() >= 32).await;
    let begun = Instant::now();
    // The longest waits between two rounds are 15 to 30 s.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let (asked, most) = (fake.0.lock().handed.len(), 5 + begun.elapsed().as_secs() as usize / 15);
    assert!(asked <= most * 32, "{asked}");
    assert!(asked > 8 * 32, "{asked}: it is still asked");
    assert_eq!((fake.taken(), gaps(state.path())), (vec![], vec![]));
    fake.0.lock().refuses_all = false;
    until(|| fake.taken().len() == 602).await;
    running.stop().await;
    assert_eq!(fake.taken(), (1..=602).collect::<Vec<_>>(), "nothing twice, and in order");
    assert_eq!(gaps(state.path()), []);
}

#[tokio::test(start_paused = true)]
async fn a_long_row_of_records_that_are_refused_is_passed_in_the_end() {
    let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
    let recording = recording(state.path());
    write(&recording, 1..600);
    fake.0.lock().poison.extend(1..=100);
    let running = follow_by(state.path(), &recording, &fake, WHOLE);
    until(|| fake.taken().contains(&602)).await;
    running.stop().await;
    assert_eq!(gaps(state.path()), (1..=100).map(|seq| (seq, seq, GapWhy::Rejected)).collect::<Vec<_>>());
    let taken: BTreeSet<u64> = fake.taken().into_iter().collect();
    assert!(taken.is_superset(&(101..=602).collect()) && taken.is_disjoint(&(1..=100).collect()));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_before_a_wait_is_asked_again_before_it_is_given_up() {
    // Mended at its first request after the wait, at the next, and in the middle.
    for after in [search::MOST as usize, search::MOST as usize + 1, search::MOST as usize + 5] {
        let (state, fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let recording = recording(state.path());
        write(&recording, 1..600);
        fake.0.lock().poison.extend(1..=100);
        fake.0.lock().mended_after = Some(after);
        let running = follow_by(state.path(), &recording, &fake, WHOLE);
        until(|| fake.taken().contains(&602)).await;
        running.stop().await;
        let mut order = fake.taken();
        if let Some(again) = order.iter().position(|seq| *seq == 1) {
            order.drain(..again);
        }
        assert!(order.is_sorted() && order[..602] == (1..=602).collect::<Vec<_>>(), "{after}: {:?}", &order[..20]);
        assert_eq!(gaps(state.path()), [], "{after}");
    }
}

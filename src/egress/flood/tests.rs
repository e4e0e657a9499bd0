#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::super::record::{Ended, Unwritable};
use super::*;

const BLOCKED: (Reason, Front) = (Reason::Blocked, Front::Connect);
const UNLISTED: (Reason, Front) = (Reason::Unlisted, Front::Forward);

/// A journal in memory that takes so many records more.
#[derive(Debug, Default)]
struct Fickle {
    room: AtomicU32,
    written: Mutex<Vec<RefusedSummary>>,
}

impl Recorder for Fickle {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        let Record::RefusedSummary(summary) = record else { panic!("{record:?}") };
        self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(1)).map_err(|_none| Unwritable)?;
        self.written.lock().push(summary.clone());
        Ok(())
    }
    fn settle(&self, _: Ended) {}
    fn limit_hit(&self, limit: &'static str) {
        assert_eq!(limit, "limits.refusal_records");
    }
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: crate::policy::attempt::AttemptId, _: crate::egress::record::Ruling, _: Duration) {}
}

fn agent(name: &str) -> Source {
    Source::Agent(AgentId::parse(name).unwrap())
}

fn peer(address: &str) -> Source {
    Source::Peer(neighbourhood(address.parse().unwrap()))
}

/// So many milliseconds after the beginning.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
}

#[test]
fn of_each_second_that_begins_with_a_refusal_so_many_are_written() {
    let mut floods = Floods::new(2);
    let table = [
        (0, "a", true),
        (1, "a", true),
        (2, "a", false),
        (3, "b", true),
        (999, "a", false),
        (1000, "a", true),
        (1001, "a", true),
        (1002, "a", false),
        // The clock is set back.
        (-5000, "a", true),
        (9000, "b", true),
    ];
    for (millis, name, one_by_one) in table {
        assert_eq!(floods.refused(agent(name), BLOCKED, at(millis)), one_by_one, "{name} at {millis}");
    }
    let counted = Counted { from: at(2), until: at(1002), by: BTreeMap::from([(BLOCKED, 3)]) };
    assert_eq!(floods.take(at(9001)), [(agent("a"), counted)]);
    assert_eq!(floods.take(at(9001)), []);
}

#[test]
fn a_rate_of_nothing_writes_none_by_itself() {
    let mut floods = Floods::new(0);
    assert!(!floods.refused(agent("a"), BLOCKED, at(0)));
    assert_eq!(floods.take(at(0)).len(), 1);
}

#[test]
fn a_summary_says_whose_when_and_how_many_of_what() {
    let counted = Counted { from: at(1), until: at(2), by: BTreeMap::from([(BLOCKED, 3), (UNLISTED, 4)]) };
    let by = |(reason, front), count| RefusedCount { reason, front, count };
    let summary =
        RefusedSummary { agent: None, source: None, from: at(1), until: at(2), count: 7, by: vec![by(UNLISTED, 4), by(BLOCKED, 3)] };
    let table = [
        (agent("a"), AgentId::parse("a").ok(), None),
        (peer("192.0.2.7"), None, Some("192.0.2.7")),
        (peer("::ffff:192.0.2.7"), None, Some("192.0.2.7")),
        (peer("127.9.9.9"), None, Some("127.0.0.1")),
        (peer("::1"), None, Some("127.0.0.1")),
        (peer("2001:db8:1:2:3:4:5:6"), None, Some("2001:db8:1:2::/64")),
        (Source::Other, None, Some("other")),
    ];
    for (source, agent, text) in table {
        let wanted = RefusedSummary { agent, source: text.map(str::to_owned), ..summary.clone() };
        assert_eq!(counted.clone().of(&source), Record::RefusedSummary(wanted), "{source:?}");
    }
}

#[test]
fn sources_beyond_those_told_apart_share_one_count_and_make_room_once_quiet() {
    let mut floods = Floods::new(1);
    let network = |number: u32| peer(&format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff));
    for number in 0..50_000 {
        floods.refused(network(number), BLOCKED, at(0));
    }
    assert_eq!((floods.sources.len(), floods.peers), (MOST_PEERS + 1, MOST_PEERS));
    assert!(floods.refused(agent("a"), BLOCKED, at(0)), "an agent does not share with those");
    let counted = floods.take(at(500));
    let rest = 50_000 - u64::try_from(MOST_PEERS).unwrap() - 1;
    assert_eq!(counted, [(Source::Other, Counted { from: at(0), until: at(0), by: BTreeMap::from([(BLOCKED, rest)]) })]);
    assert!(!floods.refused(network(60_000), BLOCKED, at(600)), "one that finds no room");
    assert!(floods.refused(network(60_000), BLOCKED, at(1000)), "there is room once they are quiet");
    assert_eq!(floods.take(at(2000)).len(), 1);
    assert_eq!((floods.sources.len(), floods.peers), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_written_within_a_second_and_tried_again_until_it_is() {
    let recorder = Arc::new(Fickle::default());
    let (refusals, stop) = (Refusals::new(0, Arc::clone(&recorder) as _), CancellationToken::new());
    assert!(!refusals.is_one_by_one(agent("a"), BLOCKED));
    let (kept, told) = (Arc::clone(&refusals), stop.clone());
    let task = tokio::spawn(async move { kept.keep_summing_up(told).await });
    tokio::time::sleep(PAUSE * 5).await;
    assert_eq!(recorder.written.lock().len(), 0);
    recorder.room.store(9, Ordering::SeqCst);
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(recorder.written.lock().len(), 1);
    stop.cancel();
    task.await.unwrap();
}

#[derive(Clone, Debug)]
enum Event {
    Refused(Source, (Reason, Front)),
    Room(u32),
    SumUp,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let source = prop_oneof![
        Just(agent("a")),
        Just(agent("b")),
        Just(peer("192.0.2.1")),
        (0_u16..3).prop_map(|net| peer(&format!("2001:db8::{net}:0:0:0:1")))
    ];
    let what = prop_oneof![Just(BLOCKED), Just(UNLISTED), Just((Reason::UnknownAgent, Front::Connect))];
    let event = prop_oneof![
        8 => (source, what).prop_map(|(source, what)| Event::Refused(source, what)),
        1 => (0_u32..4).prop_map(Event::Room),
        1 => Just(Event::SumUp),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    #[test]
    fn records_and_summaries_add_up_to_what_was_refused(rate in 0_u32..5, events in events()) {
        let recorder = Arc::new(Fickle::default());
        let refusals = Refusals::new(rate, Arc::clone(&recorder) as _);
        let (mut refused, mut found) = (BTreeMap::new(), BTreeMap::new());
        for event in events {
            match event {
                Event::Refused(source, what) => {
                    *refused.entry((source.clone(), what)).or_insert(0_u64) += 1;
                    if refusals.is_one_by_one(source.clone(), what) {
                        *found.entry((source, what)).or_insert(0) += 1;
                    }
                }
                Event::Room(room) => recorder.room.store(room, Ordering::SeqCst),
                Event::SumUp => refusals.sum_up(),
            }
        }
        recorder.room.store(u32::MAX, Ordering::SeqCst);
        refusals.sum_up();
        for summary in recorder.written.lock().iter() {
            prop_assert!(summary.from <= summary.until);
            prop_assert_eq!(summary.count, summary.by.iter().map(|by| by.count).sum::<u64>());
            let source = match (&summary.agent, &summary.source) {
                (Some(agent), None) => Source::Agent(agent.clone()),
                (None, Some(source)) => peer(source.split('/').next().unwrap()),
                (agent, source) => panic!("{agent:?} {source:?}"),
            };
            for by in &summary.by {
                *found.entry((source.clone(), (by.reason, by.front))).or_insert(0) += by.count;
            }
        }
        prop_assert_eq!(found, refused);
    }
}

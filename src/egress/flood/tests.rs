#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::super::record::{Ended, Unwritable};
use super::*;

const BLOCKED: Refused<'static> = Refused { reason: Reason::Blocked, front: Front::Connect, to: None };
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

fn what(refused: Refused<'_>) -> (Reason, Front) {
    (refused.reason, refused.front)
}

fn to(port: u16) -> Destination {
    Destination::parse(&format!("a.example:{}", port + 1)).unwrap()
}

/// So many blocked, first and last at these times, of nobody who is known.
fn blocked(count: u64, (from, until): (Timestamp, Timestamp)) -> Counted {
    Counted { from, until, by: BTreeMap::from([(what(BLOCKED), count)]), hosts: BTreeMap::new(), elsewhere: 0 }
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
    let counted = Counted { elsewhere: 3, ..blocked(3, (at(2), at(1002))) };
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
    let hosts = BTreeMap::from([(("a.example".to_owned(), 443), 5)]);
    let counted = Counted { by: BTreeMap::from([(what(BLOCKED), 3), (UNLISTED, 4)]), hosts, elsewhere: 2, ..blocked(3, (at(1), at(2))) };
    let by = |(reason, front), count| RefusedCount { reason, front, count };
    let summary = RefusedSummary {
        agent: None,
        source: None,
        from: at(1),
        until: at(2),
        count: 7,
        by: vec![by(UNLISTED, 4), by(what(BLOCKED), 3)],
        hosts: vec![RefusedHost { host: "a.example".into(), port: 443, count: 5 }],
        elsewhere: 2,
    };
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
    let rest = 50_000 - u64::try_from(MOST_PEERS).unwrap();
    assert_eq!(counted.last(), Some(&(Source::Other, blocked(rest, (at(0), at(0))))));
    assert_eq!(counted.len(), MOST_PEERS + 1 - usize::try_from(TOGETHER).unwrap());
    assert!(!floods.refused(network(60_000), BLOCKED, at(600)), "one that finds no room");
    assert!(floods.refused(network(60_000), BLOCKED, at(1000)), "there is room once they are quiet");
    assert_eq!(floods.take(at(2000)).len(), 1);
    assert_eq!((floods.sources.len(), floods.peers), (0, 0));
}

#[test]
fn all_unidentified_sources_together_have_a_few_times_the_rate_of_one_and_an_agent_its_own() {
    let mut floods = Floods::new(2);
    let written = |floods: &mut Floods, millis| {
        let sources = (0..100).map(|number| peer(&format!("192.0.2.{number}")));
        sources.flat_map(|source| [source.clone(), source]).filter(|source| floods.refused(source.clone(), BLOCKED, at(millis))).count()
    };
    assert_eq!(written(&mut floods, 0), 10);
    assert!(floods.refused(agent("a"), BLOCKED, at(1)));
    let counted: u64 = floods.take(at(1)).iter().map(|(_, counted)| counted.by[&what(BLOCKED)]).sum();
    assert_eq!(counted, 190);
    assert_eq!(written(&mut floods, 1000), 10);
}

#[test]
fn one_unidentified_source_cannot_take_the_share_of_all() {
    let mut floods = Floods::new(2);
    assert_eq!((0..100).filter(|_| floods.refused(peer("192.0.2.1"), BLOCKED, at(0))).count(), 2);
    assert!(floods.refused(peer("192.0.2.2"), BLOCKED, at(0)));
}

#[test]
fn of_an_agent_the_first_destinations_are_told_apart_and_of_nobody_none() {
    let mut floods = Floods::new(0);
    let most = u16::try_from(MOST_HOSTS).unwrap();
    for port in (0..most + 4).chain([0, 0, most]) {
        let to = to(port);
        floods.refused(agent("a"), Refused { to: Some(&to), ..BLOCKED }, at(0));
        floods.refused(peer("192.0.2.1"), Refused { to: Some(&to), ..BLOCKED }, at(0));
    }
    floods.refused(agent("a"), BLOCKED, at(0));
    let hosts: BTreeMap<_, _> = (0..most).map(|port| (("a.example".to_owned(), port + 1), if port == 0 { 3 } else { 1 })).collect();
    let all = u64::from(most) + 7;
    let of_agent = Counted { hosts, elsewhere: 6, ..blocked(all + 1, (at(0), at(0))) };
    assert_eq!(floods.take(at(1)), [(agent("a"), of_agent), (peer("192.0.2.1"), blocked(all, (at(0), at(0))))]);
}

#[test]
fn what_could_not_be_written_while_the_sources_are_many_ends_nobodys_second() {
    let mut floods = Floods::new(1);
    for number in 0..=MOST_PEERS {
        floods.count(peer(&format!("10.0.{}.{}", number >> 8, number & 255)), BLOCKED, at(0));
    }
    assert!(floods.refused(agent("a"), BLOCKED, at(1500)));
    for (source, counted) in floods.take(at(1600)) {
        floods.give_back(source, counted, at(1700));
    }
    assert!(!floods.refused(agent("a"), BLOCKED, at(1800)), "its second is not over");
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
    Refused(Source, (Reason, Front), Option<Destination>),
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
    let of = prop_oneof![Just(what(BLOCKED)), Just(UNLISTED), Just((Reason::UnknownAgent, Front::Connect))];
    let to = proptest::option::of((0_u16..30).prop_map(to));
    let event = prop_oneof![
        8 => (source, of, to).prop_map(|(source, of, to)| Event::Refused(source, of, to)),
        1 => (0_u32..4).prop_map(Event::Room),
        1 => Just(Event::SumUp),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    #[test]
    fn records_and_summaries_add_up_to_what_was_refused(rate in 0_u32..3, events in events()) {
        let recorder = Arc::new(Fickle::default());
        let refusals = Refusals::new(rate, Arc::clone(&recorder) as _);
        let (mut refused, mut found) = (BTreeMap::new(), BTreeMap::new());
        for event in events {
            match event {
                Event::Refused(source, what, to) => {
                    *refused.entry((source.clone(), what)).or_insert(0_u64) += 1;
                    let (reason, front) = what;
                    if refusals.is_one_by_one(source.clone(), Refused { reason, front, to: to.as_ref() }) {
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
            let told_apart = summary.hosts.iter().map(|host| host.count).sum::<u64>() + summary.elsewhere;
            prop_assert_eq!(told_apart, if summary.agent.is_some() { summary.count } else { 0 });
            prop_assert!(summary.hosts.len() <= MOST_HOSTS);
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

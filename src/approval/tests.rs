//! The desk as attempts and people meet it, and as random interleavings do.

#![expect(clippy::unwrap_used, reason = "tests")]

mod facts;
mod floor;
mod kept;
mod several;
mod threads;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::testing::*;
use super::*;
use crate::egress::hold::{Asked, Claimed, Desk as _, Waiting, Word};
use crate::egress::record::Answer;
use crate::policy::address::AddressesFault;
use crate::policy::approvals::ONCE_WITHIN;
use crate::policy::approvals::{Asking, Echo};
use crate::policy::attempt::{Attempt, Instance, Scheme, Seen, Sight};

#[tokio::test]
async fn a_yes_lets_those_who_wait_decide_again_and_each_pass_once() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let mut one = room.ask_waiting(&attempt(1, "coder", 1));
    let mut two = room.ask_waiting(&attempt(2, "coder", 1));
    assert_eq!(one.hold.id, two.hold.id);
    let answered = room.desk.answer(&one.hold.id, yes(Lasting::Once), "alice", Some("fine")).unwrap();
    assert_eq!((answered.released, answered.scope.as_deref(), answered.addresses), (2, Some("once"), vec!["public".to_owned()]));
    assert_eq!((one.word().await, two.word().await), (Word::DecideAgain, Word::DecideAgain));
    for number in [1, 2] {
        assert!(room.pass(&attempt(number, "coder", 1)));
    }
    assert!(!room.pass(&attempt(3, "coder", 1)));
    assert_eq!(room.kinds(), ["held 1", "answered yes"]);
}

#[tokio::test]
async fn a_no_is_told_with_its_words_and_the_question_stays_quiet() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let mut waiting = room.ask_waiting(&attempt(1, "coder", 1));
    let answered = room.desk.answer(&waiting.hold.id, Reply::No, "alice", Some("use the mirror")).unwrap();
    assert_eq!((answered.answer, answered.released), (Answer::No, 1));
    assert_eq!(waiting.word().await, Word::No { note: Some("use the mirror".into()) });
    assert!(room.approvals.read().quiet(&attempt(2, "coder", 1), Asking::EveryRequest, now()));
    assert!(!room.approvals.read().quiet(&attempt(2, "coder", 1), Asking::EveryRequest, now() + QUIET));
    assert_eq!(room.desk.answer(&waiting.hold.id, yes(Lasting::Once), "bob", None), Err(AnswerError::Denied));
    let mut raced = room.ask_waiting(&attempt(2, "coder", 1));
    assert_eq!(raced.word().await, Word::DecideAgain, "decided before the no, asked after it");
}

#[tokio::test]
async fn the_question_outlives_its_waiters_and_a_late_yes_serves_one_next_attempt() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let waiting = room.ask_waiting(&attempt(1, "coder", 1));
    let id = Arc::clone(&waiting.hold.id);
    drop(waiting);
    assert_eq!(room.desk.hold(&id).unwrap().waiting, 0);
    let answered = room.desk.answer(&id, yes(Lasting::Once), "alice", None).unwrap();
    assert_eq!((answered.released, answered.until), (0, jiff::Timestamp::try_from(now() + ONCE_WITHIN).ok()));
    assert!(room.pass(&attempt(2, "coder", 1)));
    assert!(!room.pass(&attempt(3, "coder", 1)));
}

#[tokio::test]
async fn an_attempt_asks_only_where_somebody_can_answer_for_it() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    assert_eq!(room.desk.hold(&info.id).unwrap().waiting, 0, "the question waits all the same");
    let person = room.desk.attach(Some(agent("coder")));
    assert!(matches!(room.ask(&attempt(2, "other", 1)), Asked::Unattended(_)));
    let mut waiting = room.ask_waiting(&attempt(3, "coder", 1));
    assert_eq!(waiting.hold.id, info.id);
    let second = room.desk.attach(None);
    drop(second);
    assert_eq!(room.desk.hold(&info.id).unwrap().waiting, 1, "the terminal is still there");
    drop(person);
    assert_eq!(waiting.word().await, Word::Unattended);
    assert_eq!(room.desk.hold(&info.id).unwrap().waiting, 0);
}

#[tokio::test]
async fn a_question_dies_unanswered_and_leaves_nothing() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let mut waiting = room.ask_waiting(&attempt(1, "coder", 1));
    pass_time(PENDING);
    assert_eq!(room.desk.holds(), []);
    assert_eq!(waiting.word().await, Word::Expired);
    assert_eq!(room.desk.answer(&waiting.hold.id, yes(Lasting::Always), "alice", None), Err(AnswerError::Died));
    assert!(!room.approvals.read().quiet(&attempt(2, "coder", 1), Asking::EveryRequest, now()));
    assert_eq!(room.kinds(), ["held 1"]);
    let again = room.ask_waiting(&attempt(2, "coder", 1));
    assert_ne!(again.hold.id, waiting.hold.id);
    assert!(!room.desk.hold(&again.hold.id).unwrap().first_time);
}

#[tokio::test]
async fn a_question_that_is_asked_again_lives_on() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let first = room.ask_waiting(&attempt(1, "coder", 1));
    pass_time(PENDING - Duration::from_secs(1));
    let second = room.ask_waiting(&attempt(2, "coder", 1));
    assert_eq!(second.hold.id, first.hold.id);
    assert_eq!(second.hold.expires_at, now() + PENDING);
}

#[tokio::test]
async fn limits_are_named_and_one_agent_at_its_own_costs_no_other_its_place() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let _kept: Vec<_> = (0..3).map(|place| room.ask_waiting(&attempt(u128::from(place), "coder", place))).collect();
    assert!(matches!(room.ask(&attempt(9, "coder", 9)), Asked::Full("hold.per_agent")));
    let other = room.ask_waiting(&attempt(11, "other", 1));
    assert!(matches!(room.ask(&attempt(12, "third", 1)), Asked::Full("hold.total")));
    assert!(matches!(room.ask(&attempt(13, "coder", 1)), Asked::Full("hold.total")), "places to wait are counted too");
    assert_eq!(room.desk.pending_by_agent(), BTreeMap::from([(agent("coder"), 3), (agent("other"), 1)]));
    drop(other);
    let _freed = room.ask_waiting(&attempt(14, "coder", 1));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_asked_not_answered_and_not_shown() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    room.journal.broken.store(true, Ordering::SeqCst);
    let mut news = room.desk.subscribe();
    assert!(matches!(room.ask(&attempt(1, "coder", 1)), Asked::Unrecorded));
    assert!(room.desk.holds().is_empty() && news.try_recv().is_err());
    room.journal.broken.store(false, Ordering::SeqCst);
    let waiting = room.ask_waiting(&attempt(1, "coder", 1));
    room.journal.broken.store(true, Ordering::SeqCst);
    for reply in [yes(Lasting::Always), Reply::No] {
        assert_eq!(room.desk.answer(&waiting.hold.id, reply, "alice", None), Err(AnswerError::Unwritable));
    }
    assert!(!room.pass(&attempt(1, "coder", 1)));
    assert!(!room.approvals.read().quiet(&attempt(1, "coder", 1), Asking::EveryRequest, now()));
    assert_eq!(room.desk.hold(&waiting.hold.id).unwrap().waiting, 1);
}

#[tokio::test]
async fn a_no_after_a_yes_wins_over_what_is_unused() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let changes = room.desk.changes();
    let waiting = room.ask_waiting(&attempt(1, "coder", 1));
    let _second = room.ask_waiting(&attempt(2, "coder", 1));
    room.desk.answer(&waiting.hold.id, yes(Lasting::Once), "alice", None).unwrap();
    assert!(room.pass(&attempt(1, "coder", 1)));
    let answered = room.desk.answer(&waiting.hold.id, Reply::No, "bob", None).unwrap();
    assert_eq!(answered.answer, Answer::No);
    assert!(changes.has_changed().unwrap());
    assert!(!room.pass(&attempt(2, "coder", 1)));
    assert!(room.approvals.read().quiet(&attempt(3, "coder", 1), Asking::EveryRequest, now()));
    assert_eq!(room.kinds(), ["held 1", "answered yes", "answered no"]);
    assert_eq!(room.desk.answer(&waiting.hold.id, Reply::No, "bob", None), Err(AnswerError::Denied));
}

#[tokio::test]
async fn a_no_after_every_use_is_refused_with_the_way_out() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let waiting = room.ask_waiting(&attempt(1, "coder", 1));
    room.desk.answer(&waiting.hold.id, yes(Lasting::Once), "alice", None).unwrap();
    assert!(room.pass(&attempt(1, "coder", 1)));
    assert_eq!(room.desk.answer(&waiting.hold.id, Reply::No, "bob", None), Err(AnswerError::Used));
    assert_eq!(room.desk.answer(&waiting.hold.id, yes(Lasting::Always), "bob", None), Err(AnswerError::Approved));
}

#[tokio::test]
async fn an_approval_is_revoked_by_the_short_id_or_the_beginning_of_its_own() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    for by_name in [false, true] {
        let mut changes = room.desk.changes();
        let waiting = room.ask_waiting(&attempt(1, "coder", 1));
        room.desk.answer(&waiting.hold.id, yes(Lasting::For(Duration::from_secs(3600))), "alice", None).unwrap();
        let view = room.desk.approvals().remove(0);
        assert_eq!(view.hold.as_deref(), Some(waiting.hold.id.as_ref()));
        let id = if by_name { view.id.to_string()[..20].to_owned() } else { waiting.hold.id.to_uppercase() };
        changes.mark_unchanged();
        assert_eq!(room.desk.revoke(&id, "bob").unwrap().id, view.id);
        assert!(changes.has_changed().unwrap());
        assert!(!room.pass(&attempt(1, "coder", 1)));
        assert_eq!(room.desk.revoke(&id, "bob"), Err(RevokeError::Unknown));
    }
    assert_eq!(room.kinds().iter().filter(|kind| *kind == "revoked").count(), 2);
}

#[test]
fn a_question_keeps_no_part_of_a_path_that_may_be_a_secret() {
    let room = Room::new();
    let mut asked = attempt(1, "coder", 1);
    asked.scheme = Some(Scheme::Http);
    let path = format!("/bot{}/send{}", "1".repeat(40), "/short".repeat(200));
    asked.sight = Sight::Seen(Seen::bare("GET", path.as_str(), None).into());
    let Asked::Unattended(_) = room.ask(&asked) else { panic!("attended") };
    let shown = room.desk.holds().remove(0).request.unwrap().path;
    assert!(shown.starts_with("/***/send/short/") && shown.len() < 520, "{shown}");
}

#[tokio::test]
async fn a_yes_without_end_answers_what_it_covers_on_every_instance() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let elsewhere = |number, place| Attempt { instance: Instance("elsewhere".into()), ..attempt(number, "coder", place) };
    let one = room.ask_waiting(&attempt(1, "coder", 1));
    let mut two = room.ask_waiting(&elsewhere(2, 1));
    let mut request = elsewhere(4, 1);
    request.scheme = Some(Scheme::Http);
    let alone = room.ask_waiting(&request);
    request.id = attempt(5, "coder", 1).id;
    request.within = Some(attempt(6, "coder", 1).id);
    let mut inner = room.ask_waiting(&request);
    assert_eq!(inner.hold.id, alone.hold.id);
    let mut news = room.desk.subscribe();
    room.desk.answer(&one.hold.id, yes(Lasting::Always), "alice", None).unwrap();
    assert_eq!((two.word().await, inner.word().await), (Word::DecideAgain, Word::DecideAgain));
    assert!(room.pass(&elsewhere(2, 1)));
    assert_eq!(room.desk.hold(&two.hold.id), None, "answered with the other");
    assert_eq!(room.desk.hold(&alone.hold.id).map(|hold| hold.waiting), Some(1), "a yes to a tunnel covers no request outside it");
    assert_eq!(room.desk.answer(&two.hold.id, Reply::No, "bob", None), Err(AnswerError::Approved));
    let closed = std::iter::from_fn(|| news.try_recv().ok()).filter(|news| matches!(news, News::Closed { .. })).count();
    assert_eq!(closed, 2);
}

#[test]
fn a_no_that_took_a_yes_back_and_could_not_be_written_down_says_so() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    room.desk.answer(&info.id, yes(Lasting::Always), "alice", None).unwrap();
    room.journal.broken.store(true, Ordering::SeqCst);
    let error = room.desk.answer(&info.id, Reply::No, "bob", None).unwrap_err().to_string();
    assert!(error.contains("taken back") && !error.contains("no effect"), "{error}");
    assert!(!room.pass(&attempt(2, "coder", 1)));
}

#[test]
fn a_revocation_takes_effect_even_where_it_cannot_be_written_down() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    room.desk.answer(&info.id, yes(Lasting::Always), "alice", None).unwrap();
    room.journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(room.desk.revoke(&info.id, "bob"), Err(RevokeError::Unrecorded));
    assert!(!room.pass(&attempt(2, "coder", 1)));
}

#[test]
fn an_answer_that_says_nothing_sensible_has_no_effect() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    let long = "x".repeat(501);
    let at = |network: &str| Reply::Yes { lasting: Lasting::Once, addresses: Some(vec![network.parse().unwrap()]) };
    let rows = [
        (yes(Lasting::For(Duration::ZERO)), None, AnswerError::Duration),
        (yes(Lasting::For(Duration::from_secs(u64::MAX))), None, AnswerError::Duration),
        (Reply::Yes { lasting: Lasting::Once, addresses: Some(Vec::new()) }, None, AnswerError::Networks),
        (at("10.0.0.5/8"), None, AnswerError::Network { network: "10.0.0.5/8".parse().unwrap(), why: AddressesFault::HostBits }),
        (at("::ffff:0:0/90"), None, AnswerError::Network { network: "::ffff:0:0/90".parse().unwrap(), why: AddressesFault::HostBits }),
        (
            at("169.254.169.254/32"),
            None,
            AnswerError::Network { network: "169.254.169.254/32".parse().unwrap(), why: AddressesFault::Metadata },
        ),
        (Reply::No, Some("two\nlines"), AnswerError::Note),
        (Reply::No, Some(long.as_str()), AnswerError::Note),
    ];
    for (reply, note, error) in rows {
        assert_eq!(room.desk.answer(&info.id, reply, "alice", note), Err(error));
    }
    assert_eq!(room.desk.answer("zzzzzz", Reply::No, "alice", None), Err(AnswerError::Unknown));
    assert_eq!(room.desk.holds().len(), 1);
}

#[test]
fn addresses_of_an_answer_stand_in_place_of_those_of_the_question() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    let reply = Reply::Yes { lasting: Lasting::Always, addresses: Some(vec!["10.0.0.0/8".parse().unwrap()]) };
    assert_eq!(room.desk.answer(&info.id, reply, "alice", None).unwrap().addresses, ["10.0.0.0/8"]);
    let approvals = room.approvals.read();
    assert!(!approvals.iter().next().unwrap().addresses.public);
}

#[tokio::test(start_paused = true)]
async fn time_alone_ends_questions_and_approvals_and_says_so() {
    follow_tokio();
    let room = Room::new();
    let stop = CancellationToken::new();
    let drain = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&room.desk).run(drain.clone(), stop.clone()));
    let person = room.desk.attach(None);
    let mut dying = room.ask_waiting(&attempt(1, "coder", 1));
    let answered = room.ask_waiting(&attempt(2, "coder", 2));
    room.desk.answer(&answered.hold.id, yes(Lasting::For(Duration::from_secs(3600))), "alice", None).unwrap();
    let mut changes = room.desk.changes();
    let began = tokio::time::Instant::now();
    assert_eq!(dying.word().await, Word::Expired);
    assert_eq!(began.elapsed().as_secs(), PENDING.as_secs());
    changes.changed().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3600);
    assert_eq!(room.desk.approvals(), []);
    let mut last = room.ask_waiting(&attempt(3, "coder", 3));
    drain.cancel();
    assert_eq!(last.word().await, Word::Ending);
    let Asked::Ending(info) = room.ask(&attempt(4, "coder", 4)) else { panic!("it is waited for, or nobody is there") };
    room.desk.answer(&info.id, yes(Lasting::For(Duration::from_secs(60))), "alice", None).unwrap();
    drop(person);
    assert!(matches!(room.ask(&attempt(5, "coder", 5)), Asked::Unattended(_)));
    changes.changed().await.unwrap();
    assert_eq!(room.desk.approvals(), [], "time goes on until the end");
    stop.cancel();
    running.await.unwrap();
}

#[test]
fn a_no_echoes_with_its_words_also_over_a_restart() {
    let room = Room::new();
    let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
    room.desk.answer(&info.id, Reply::No, "alice", Some("use the mirror")).unwrap();
    let echo = Echo { until: now() + QUIET, note: Some("use the mirror".into()) };
    let again = Room::over(Arc::clone(&room.store), under(crate::policy::floor::Floor::none()), None);
    for room in [room, again] {
        assert_eq!(room.approvals.read().echo(&attempt(2, "coder", 1), Asking::EveryRequest, now()), Some(&echo));
    }
}

#[test]
fn a_question_says_the_same_of_its_end_everywhere() {
    let room = Room::with_clock(|| now() + Duration::from_nanos(123_456_789));
    for _ in 0..2 {
        let Asked::Unattended(info) = room.ask(&attempt(1, "coder", 1)) else { panic!("attended") };
        let end = now() + PENDING + Duration::from_micros(123_456);
        assert_eq!((info.expires_at, room.desk.hold(&info.id).unwrap().expires_at), (end, jiff::Timestamp::try_from(end).unwrap()));
    }
}

#[test]
fn it_is_remembered_whose_question_was_over() {
    let room = Room::new();
    let mut asked = Vec::new();
    for (place, reply) in [(1, Some(Reply::No)), (2, Some(yes(Lasting::Always))), (3, None)] {
        let Asked::Unattended(info) = room.ask(&attempt(place.into(), "coder", place)) else { panic!("attended") };
        reply.into_iter().for_each(|reply| drop(room.desk.answer(&info.id, reply, "alice", None).unwrap()));
        asked.push(info.id);
    }
    pass_time(PENDING);
    assert_eq!(room.desk.holds(), []);
    assert_eq!(asked.iter().map(|id| room.desk.whose(id)).collect::<Vec<_>>(), vec![Some(agent("coder")); 3]);
    assert_eq!(room.desk.whose("zzzzzz"), None);
}

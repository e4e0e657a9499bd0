//! More than one person has to say yes.

use std::sync::Arc;

use super::*;
use crate::approval::store::{Approver, Role, Sqlite, Store as _};
use crate::egress::record::Record;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::allowlist::Allowlist;
use crate::policy::floor::Floor;

const TERMS: &str = "agent = \"coder\"\nunlisted = \"hold\"\naddresses = [\"192.0.2.0/24\"]\n";

fn two(allowlist: &str, floor: &str) -> Policy {
    let (allowlist, _) = Allowlist::parse("coder.toml", &format!("{TERMS}{allowlist}")).unwrap();
    let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
    Policy::under(Arc::new(Floor::parse("floor.toml", floor).unwrap().0), vec![allowlist], guard).unwrap()
}

fn room(policy: Policy) -> Room {
    Room::over(Arc::new(Sqlite::in_memory().unwrap()), policy, None)
}

fn asked(room: &Room, number: u128) -> Waiting {
    asks(room, attempt(number, "coder", 1))
}

fn asks(room: &Room, attempt: Attempt) -> Waiting {
    let decided = room.policy.load().decide(&attempt, &room.approvals.read(), now());
    let crate::policy::decide::Decision::Hold(terms) = decided else { panic!("{decided:?}") };
    match Arc::clone(&room.desk).ask(&attempt, &terms, None) {
        Asked::Waiting(waiting) => waiting,
        Asked::Unattended(_) | Asked::Ending(_) | Asked::Full(_) | Asked::Unrecorded => panic!("not waited for"),
    }
}

#[tokio::test]
async fn one_yes_of_two_lets_nothing_pass_and_is_shown_and_the_second_passes_the_narrower() {
    let (long, short) = (Lasting::For(Duration::from_secs(3600)), Lasting::For(Duration::from_secs(60)));
    for (first, second, scope, until) in [
        (Lasting::Always, short, "for", Some(60)),
        (short, Lasting::Always, "for", Some(60)),
        (long, short, "for", Some(60)),
        (Lasting::Once, Lasting::Always, "once", None),
        (Lasting::Always, Lasting::Always, "always", None),
    ] {
        let room = room(two("approvers = 2\n", ""));
        let _person = room.desk.attach(None);
        let mut waiting = asked(&room, 1);
        let id = Arc::clone(&waiting.hold.id);
        let mut news = room.desk.subscribe();
        let said = room.desk.answer(&id, yes(first), "alice", None).unwrap();
        assert_eq!((said.of, said.yes_by, said.approval, said.released), (Some(2), vec!["alice".to_owned()], None, 0));
        let shown = room.desk.hold(&id).unwrap();
        assert_eq!((&shown.yes_by[..], shown.waiting), (&["alice".to_owned()][..], 1));
        assert_eq!(news.try_recv().unwrap(), News::Changed { hold: shown });
        assert!(!room.pass(&attempt(1, "coder", 1)));
        assert_eq!(room.desk.answer(&id, yes(second), "alice", None), Err(AnswerError::SaidAlready { of: 2 }));
        let said = room.desk.answer(&id, yes(second), "bob", None).unwrap();
        assert_eq!((said.of, said.yes_by.len(), said.scope.as_deref(), said.released), (Some(2), 0, Some(scope), 1));
        assert_eq!(said.until, until.map(|until| jiff::Timestamp::try_from(now() + Duration::from_secs(until)).unwrap()));
        assert_eq!(waiting.word().await, Word::DecideAgain);
        assert!(room.pass(&attempt(1, "coder", 1)));
        assert_eq!(room.desk.approvals()[0].approver, "alice and bob");
        let written = room.journal.written.lock().clone();
        let [Record::Held(_), Record::Answered(one), Record::Answered(other)] = &written[..] else { panic!("{written:?}") };
        assert_eq!((one.approver.as_str(), one.of, one.approval), ("alice", Some(2), None));
        assert_eq!((other.approver.as_str(), other.of, other.approval.is_some()), ("bob", Some(2), true));
    }
}

#[tokio::test]
async fn one_no_is_a_no_and_nothing_of_the_yes_before_it_is_left() {
    let room = room(two("approvers = 2\n", ""));
    let _person = room.desk.attach(None);
    let mut waiting = asked(&room, 1);
    room.desk.answer(&waiting.hold.id, yes(Lasting::Always), "alice", None).unwrap();
    room.desk.answer(&waiting.hold.id, Reply::No, "bob", None).unwrap();
    assert_eq!(waiting.word().await, Word::No { note: None });
    assert_eq!(room.desk.answer(&waiting.hold.id, yes(Lasting::Always), "carol", None), Err(AnswerError::Denied));
    pass_time(QUIET);
    let again = asked(&room, 2);
    assert_eq!(room.desk.hold(&again.hold.id).unwrap().yes_by, <[String; 0]>::default());
}

#[tokio::test]
async fn the_first_yes_outlives_a_restart_and_is_still_no_second_of_the_same_person() {
    let first = room(two("approvers = 2\n", ""));
    let person = first.desk.attach(None);
    let id = Arc::clone(&asked(&first, 1).hold.id);
    first.desk.answer(&id, yes(Lasting::For(Duration::from_secs(60))), "alice", Some("fine")).unwrap();
    drop(person);
    let room = Room::over(Arc::clone(&first.store), two("approvers = 2\n", ""), None);
    assert_eq!(room.desk.hold(&id).unwrap().yes_by, ["alice"]);
    assert_eq!(room.desk.answer(&id, yes(Lasting::Always), "alice", None), Err(AnswerError::SaidAlready { of: 2 }));
    let said = room.desk.answer(&id, yes(Lasting::Always), "bob", None).unwrap();
    assert_eq!((said.scope.as_deref(), room.desk.approvals()[0].note.as_deref()), (Some("for"), Some("fine")));
}

#[tokio::test]
async fn how_many_have_to_say_so_is_the_more_of_allowlist_and_floor_and_yeses_must_have_an_address_in_common() {
    for (allowlist, floor, of) in
        [("", "", 1), ("approvers = 2\n", "", 2), ("", "approvers = 2\n", 2), ("approvers = 3\n", "approvers = 2\n", 3)]
    {
        let room = room(two(allowlist, floor));
        let _person = room.desk.attach(None);
        let id = Arc::clone(&asked(&room, 1).hold.id);
        let needed = ["alice", "bob", "carol"]
            .iter()
            .position(|who| room.desk.answer(&id, yes(Lasting::Once), who, None).unwrap().approval.is_some());
        assert_eq!(needed, Some(of - 1), "{allowlist}{floor}");
    }
    let room = room(two("approvers = 2\n", ""));
    let _person = room.desk.attach(None);
    let id = Arc::clone(&asked(&room, 1).hold.id);
    let at = |network: &str| Reply::Yes { lasting: Lasting::Once, addresses: Some(vec![network.parse().unwrap()]) };
    room.desk.answer(&id, at("10.0.0.0/8"), "alice", None).unwrap();
    assert_eq!(room.desk.answer(&id, at("192.168.0.0/16"), "bob", None), Err(AnswerError::NothingInCommon));
    let said = room.desk.answer(&id, at("10.1.0.0/16"), "bob", None).unwrap();
    assert_eq!(said.addresses, ["10.1.0.0/16"]);
}

#[tokio::test]
async fn the_yes_of_who_may_answer_no_more_counts_no_more() {
    let room = room(two("approvers = 2\n", ""));
    let _person = room.desk.attach(None);
    let id = Arc::clone(&asked(&room, 1).hold.id);
    let digest = crate::policy::token::TokenDigest::of("mallory");
    let at = now();
    let mallory = Approver { name: "mallory".into(), role: Role::Approver, agents: None, digest, at, by: "alice".into() };
    assert!(room.store.add_approver(&mallory).unwrap());
    room.desk.answer(&id, yes(Lasting::Always), "mallory", None).unwrap();
    let mut news = room.desk.subscribe();
    assert!(room.store.remove_approver("mallory").unwrap());
    room.desk.is_no_approver("mallory");
    let shown = room.desk.hold(&id).unwrap();
    assert_eq!((&shown.yes_by[..], news.try_recv()), (&[][..], Ok(News::Changed { hold: shown.clone() })));
    assert_eq!(room.desk.answer(&id, yes(Lasting::Always), "bob", None).unwrap().approval, None, "one of two");
    assert!(!room.pass(&attempt(1, "coder", 1)));
    let again = Room::over(Arc::clone(&room.store), two("approvers = 2\n", ""), None);
    assert_eq!(again.desk.hold(&id).unwrap().yes_by, ["bob"], "nor after a restart");
}

#[tokio::test]
async fn a_first_yes_that_the_store_does_not_take_counts_for_nothing_and_leaves_no_record() {
    let room = room(two("approvers = 2\n", ""));
    let _person = room.desk.attach(None);
    let id = Arc::clone(&asked(&room, 1).hold.id);
    room.store.break_it(true);
    assert!(matches!(room.desk.answer(&id, yes(Lasting::Once), "alice", None), Err(AnswerError::Unkept(_))));
    assert_eq!((room.kinds().len(), room.desk.hold(&id).unwrap().yes_by.len()), (1, 0));
    room.store.break_it(false);
    assert_eq!(room.desk.answer(&id, yes(Lasting::Once), "alice", None).unwrap().yes_by, ["alice"]);
}

#[tokio::test]
async fn a_last_yes_that_the_store_does_not_take_lets_nobody_pass_and_may_be_said_again() {
    let room = room(two("approvers = 2\n", ""));
    let _person = room.desk.attach(None);
    let mut waiting = asked(&room, 1);
    let id = Arc::clone(&waiting.hold.id);
    room.desk.answer(&id, yes(Lasting::Once), "alice", None).unwrap();
    room.store.break_it(true);
    for _ in 0..2 {
        assert!(matches!(room.desk.answer(&id, yes(Lasting::Once), "bob", None), Err(AnswerError::Unkept(_))));
        let shown = room.desk.hold(&id).unwrap();
        assert_eq!((&shown.yes_by[..], shown.waiting, room.desk.approvals().len()), (&["alice".to_owned()][..], 1, 0));
        assert!(!room.pass(&attempt(1, "coder", 1)));
    }
    let kinds: Vec<_> = room.journal.written.lock().iter().map(Record::kind).collect();
    assert_eq!(kinds, ["held", "answered", "answered", "revoked", "answered", "revoked"], "what was said in vain is taken back");
    room.store.break_it(false);
    assert_eq!(room.desk.answer(&id, yes(Lasting::Once), "bob", None).unwrap().released, 1);
    assert_eq!(waiting.word().await, Word::DecideAgain);
    assert!(room.pass(&attempt(1, "coder", 1)));
}

#[tokio::test]
async fn of_several_questions_answered_while_the_store_fails_each_says_so_and_stays() {
    let room = room(two("", ""));
    let _person = room.desk.attach(None);
    let waiting: Vec<Waiting> = (1..=3).map(|place| asks(&room, attempt(u128::from(place), "coder", place))).collect();
    let answer = |waiting: &Waiting| room.desk.answer(&waiting.hold.id, yes(Lasting::Always), "alice", None);
    room.store.break_it(true);
    assert!(waiting.iter().all(|waiting| matches!(answer(waiting), Err(AnswerError::Unkept(_)))));
    assert_eq!((room.desk.approvals().len(), room.desk.pending_by_agent()[&agent("coder")]), (0, 3));
    room.store.break_it(false);
    assert!(waiting.iter().all(|waiting| answer(waiting).is_ok()));
    assert_eq!(room.desk.approvals().len(), 3);
}

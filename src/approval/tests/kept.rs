//! What outlives the desk, and what a store that fails changes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::approval::store::{Sqlite, Store as _, StoreError};
use crate::egress::record::Record;
use crate::policy::Policy;
use crate::policy::address::Guard;
use crate::policy::allowlist::Allowlist;
use crate::policy::approvals::Approvals;
use crate::policy::decide::{Decision, HoldTerms};
use crate::policy::destination::Destination;
use crate::policy::floor::Floor;

const ASKS: &str = "agent = \"coder\"\nunlisted = \"hold\"\n";

fn policy(allowlist: &str, floor: &str) -> Policy {
    let (allowlist, _) = Allowlist::parse("coder.toml", allowlist).unwrap();
    let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
    Policy::under(Arc::new(Floor::parse("floor.toml", floor).unwrap().0), vec![allowlist], guard).unwrap()
}

fn to(number: u128, host: &str) -> Attempt {
    Attempt { destination: Destination::parse(&format!("{host}:443")).unwrap(), ..attempt(number, "coder", 1) }
}

fn terms(room: &Room, attempt: &Attempt) -> HoldTerms {
    let decided = room.policy.load().decide(attempt, &Approvals::default(), now());
    let Decision::Hold(terms) = decided else { panic!("{decided:?}") };
    terms
}

fn room(allowlist: &str) -> Room {
    Room::over(Arc::new(Sqlite::in_memory().unwrap()), policy(allowlist, ""), None)
}

/// The same state after a kill, under a policy of its own.
fn again(room: &Room, policy: Policy) -> Room {
    Room::over(Arc::clone(&room.store), policy, None)
}

fn asked(room: &Room, attempt: &Attempt) -> String {
    match Arc::clone(&room.desk).ask(attempt, &terms(room, attempt), None) {
        Asked::Waiting(waiting) => waiting.hold.id.to_string(),
        Asked::Unattended(info) | Asked::Ending(info) => info.id.to_string(),
        Asked::Full(limit) => panic!("{limit}"),
        Asked::Unrecorded => panic!("it is not asked"),
    }
}

fn answer(room: &Room, id: &str, reply: Reply) -> Result<Answered, AnswerError> {
    room.desk.answer(id, reply, "alice", None)
}

#[tokio::test]
async fn a_question_comes_back_under_its_id_a_retry_joins_it_and_its_answer_counts() {
    let room = room(ASKS);
    let id = asked(&room, &to(1, "held.test"));
    let before = room.desk.hold(&id).unwrap();
    let room = again(&room, policy(ASKS, ""));
    assert_eq!(room.desk.holds(), [before]);
    let _person = room.desk.attach(None);
    let retry = to(2, "held.test");
    let Asked::Waiting(mut waiting) = Arc::clone(&room.desk).ask(&retry, &terms(&room, &retry), None) else { panic!("not asked") };
    assert_eq!((&*waiting.hold.id, waiting.hold.opened, room.desk.holds().len()), (id.as_str(), false, 1));
    answer(&room, &id, yes(Lasting::Once)).unwrap();
    assert_eq!(waiting.word().await, Word::DecideAgain);
    assert!(room.pass(&retry) && !room.pass(&to(3, "held.test")));
    assert_eq!(room.kinds(), ["answered yes"], "it was written down when it was asked");
}

#[tokio::test]
async fn what_was_said_yes_to_comes_back_and_what_was_used_or_taken_back_does_not() {
    let first = room(ASKS);
    let lasting = [("for.test", Lasting::For(Duration::from_secs(60))), ("always.test", Lasting::Always), ("next.test", Lasting::Once)];
    for (host, lasting) in
        lasting.into_iter().chain([("used.test", Lasting::Once), ("gone.test", Lasting::Always), ("no.test", Lasting::Always)])
    {
        let id = asked(&first, &to(1, host));
        answer(&first, &id, yes(lasting)).unwrap();
        match host {
            "used.test" => assert!(first.pass(&to(2, host))),
            "gone.test" => drop(first.desk.revoke(&id, "alice").unwrap()),
            "no.test" => drop(answer(&first, &id, Reply::No).unwrap()),
            _ => {}
        }
    }
    let second = again(&first, policy(ASKS, ""));
    let hosts: BTreeSet<_> = second.desk.approvals().into_iter().map(|approval| approval.place.host).collect();
    assert_eq!(hosts, BTreeSet::from(["always.test", "for.test", "next.test"].map(str::to_owned)));
    for (host, times) in [("for.test", 3), ("always.test", 3), ("next.test", 1), ("used.test", 0), ("gone.test", 0), ("no.test", 0)] {
        assert_eq!((10..13).filter(|number| second.pass(&to(*number, host))).count(), times, "{host}");
    }
    assert!(second.approvals.read().quiet(&to(20, "no.test"), Asking::EveryRequest, now()), "a no still echoes");
    let third = again(&second, policy(ASKS, ""));
    assert_eq!([third.pass(&to(30, "for.test")), third.pass(&to(30, "next.test"))], [true, false]);
    pass_time(ONCE_WITHIN);
    let fourth = again(&third, policy(ASKS, ""));
    assert_eq!([fourth.pass(&to(40, "for.test")), fourth.pass(&to(40, "always.test"))], [false, true]);
    pass_time(QUIET);
    assert!(!again(&fourth, policy(ASKS, "")).approvals.read().quiet(&to(50, "no.test"), Asking::EveryRequest, now()));
}

#[tokio::test]
async fn what_comes_back_is_judged_by_the_policy_of_the_start() {
    let ruled = format!("{ASKS}[[hold]]\nhost = \"ruled.test\"\nnote = \"ask\"\n");
    let room = room(&ruled);
    let [unlisted, by_rule] = ["held.test", "ruled.test"].map(|host| asked(&room, &to(1, host)));
    let moved = format!("{ASKS}\n\n[[hold]]\nhost = \"ruled.test\"\nnote = \"ask\"\n");
    let still = |room: &Room| room.desk.holds().into_iter().map(|hold| hold.id).collect::<BTreeSet<_>>();
    assert_eq!(still(&again(&room, policy(&moved, ""))), BTreeSet::from([unlisted.clone(), by_rule.clone()]));
    let listed = format!("{moved}[[allow]]\nhost = \"held.test\"\n");
    let next = again(&room, policy(&listed, ""));
    assert_eq!(still(&next), BTreeSet::from([by_rule.clone()]));
    assert_eq!(answer(&next, &unlisted, yes(Lasting::Once)), Err(AnswerError::Withdrawn));
    let blocked = again(&next, policy("agent = \"coder\"\n", ""));
    assert_eq!(still(&blocked), BTreeSet::new());
    assert_eq!(still(&again(&blocked, policy(&moved, ""))), BTreeSet::new(), "what was withdrawn stays so");
}

#[tokio::test]
async fn a_floor_that_came_meanwhile_hides_what_it_does_not_give() {
    let first = room(ASKS);
    for (host, lasting) in [("always.test", Lasting::Always), ("for.test", Lasting::For(Duration::from_secs(7200)))] {
        answer(&first, &asked(&first, &to(1, host)), yes(lasting)).unwrap();
    }
    for (floor, wanted) in [("", [true, true]), ("forbid = [\"always\"]", [false, true]), ("max_for = \"1m\"", [false, false])] {
        let room = again(&first, policy(ASKS, floor));
        pass_time(Duration::from_secs(60));
        let allowed = ["always.test", "for.test"]
            .map(|host| matches!(room.policy.load().decide(&to(2, host), &room.approvals.read(), now()), Decision::Allow(_)));
        assert_eq!(allowed, wanted, "{floor}");
    }
}

#[tokio::test]
async fn an_id_that_the_store_remembers_is_not_used_again() {
    let room = room(ASKS);
    let id = asked(&room, &to(1, "held.test"));
    pass_time(PENDING);
    let room = again(&room, policy(ASKS, ""));
    assert_eq!((room.desk.holds(), room.store.fate(&id)), (vec![], Ok(Some(Some(Closing::Expired)))));
    let is_taken = |id: &str| room.desk.is_taken(&room.desk.state.lock(), id);
    assert!(is_taken(&id) && !is_taken("zzzzzz"));
    room.desk.forget(now() + Duration::from_secs(1)).unwrap();
    assert!(!is_taken(&id));
}

#[tokio::test]
async fn a_store_that_fails_lets_nothing_pass_and_takes_back_all_the_same() {
    let room = room(ASKS);
    let _person = room.desk.attach(None);
    let given = [("claim.test", Lasting::Once), ("revoke.test", Lasting::Always), ("late.test", Lasting::Always)].map(|(host, lasting)| {
        let id = asked(&room, &to(1, host));
        answer(&room, &id, yes(lasting)).unwrap();
        id
    });
    let [_, revoke_id, late_id] = &given;
    let [yes_id, no_id] = &["yes.test", "no.test"].map(|host| asked(&room, &to(1, host)));
    let why = StoreError::Broken { path: PathBuf::from("the store in memory"), why: "attempt to write a readonly database".to_owned() };
    room.store.break_it(true);
    assert_eq!(answer(&room, yes_id, yes(Lasting::Always)), Err(AnswerError::Unkept(why.clone())));
    assert_eq!(
        AnswerError::Unkept(why.clone()).to_string(),
        "the store in memory cannot be used: attempt to write a readonly database; mend it or its permissions, or move it away and start with \
         no approvals; so the answer has no effect"
    );
    assert!(!room.pass(&to(2, "yes.test")) && room.desk.hold(yes_id).is_some(), "the question stays");
    let written = room.journal.written.lock().clone();
    let [.., Record::Answered(said), Record::Revoked(taken)] = &written[..] else { panic!("{written:?}") };
    assert_eq!((said.approval, taken.who.as_str()), (Some(taken.approval), "exeat"), "the journal does not say that it may pass");

    assert_eq!(answer(&room, no_id, Reply::No), Err(AnswerError::Unlasting(why.clone())));
    assert!(room.approvals.read().quiet(&to(2, "no.test"), Asking::EveryRequest, now()) && room.desk.hold(no_id).is_none());
    assert_eq!(answer(&room, late_id, Reply::No), Err(AnswerError::Unlasting(why.clone())));
    assert_eq!(room.desk.revoke(revoke_id, "alice"), Err(RevokeError::Unlasting(why)));
    assert!(!room.pass(&to(2, "late.test")) && !room.pass(&to(2, "revoke.test")));

    let once = room.desk.approvals()[0].id;
    let use_of_it = |number| room.desk.claim(crate::policy::approvals::ApprovalId(once), &to(number, "claim.test"), now());
    assert_eq!([use_of_it(2), use_of_it(3)], [Claimed::Unkept, Claimed::Gone]);
    let fresh = to(4, "fresh.test");
    assert!(matches!(Arc::clone(&room.desk).ask(&fresh, &terms(&room, &fresh), None), Asked::Unrecorded));
    assert_eq!(room.desk.holds().len(), 1, "what cannot be kept is not asked");
    room.store.break_it(false);
    answer(&room, yes_id, yes(Lasting::Always)).unwrap();
    assert!(room.pass(&to(5, "yes.test")));
}

#[tokio::test]
async fn a_once_that_the_store_counts_as_used_is_not_used_here() {
    let room = room(ASKS);
    answer(&room, &asked(&room, &to(1, "held.test")), yes(Lasting::Once)).unwrap();
    let other = again(&room, policy(ASKS, ""));
    assert_eq!([other.pass(&to(2, "held.test")), room.pass(&to(3, "held.test"))], [true, false]);
    assert_eq!(room.desk.approvals(), []);
}

#[tokio::test]
async fn approvals_without_end_are_written_as_text_when_they_come_and_go_and_at_a_start() {
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(state.path(), false).unwrap());
    let room = Room::over(Arc::clone(&store), policy(ASKS, ""), Some(state.path().to_owned()));
    let file = state.path().join("granted/coder.toml");
    let short = asked(&room, &to(1, "short.test"));
    answer(&room, &short, yes(Lasting::For(Duration::from_secs(60)))).unwrap();
    assert!(!file.exists());
    let ids = ["one.test", "two.test"].map(|host| asked(&room, &to(1, host)));
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    let named = || ["one.test", "two.test"].map(|host| text().contains(&format!("host = \"{host}\"")));
    answer(&room, &ids[0], yes(Lasting::Always)).unwrap();
    answer(&room, &ids[1], yes(Lasting::Always)).unwrap();
    assert_eq!(named(), [true, true]);
    room.desk.revoke(&ids[0], "alice").unwrap();
    assert_eq!(named(), [false, true]);
    std::fs::write(&file, "[[approved]]\nhost = \"forged.test\"\n").unwrap();
    std::fs::write(state.path().join("granted/gone.toml"), "").unwrap();
    let room = Room::over(store, policy(ASKS, ""), Some(state.path().to_owned()));
    assert!(named() == [false, true] && !text().contains("forged") && !room.pass(&to(2, "forged.test")));
    assert!(!state.path().join("granted/gone.toml").exists());
    room.store.break_it(true);
    assert!(matches!(answer(&room, &ids[1], Reply::No), Err(AnswerError::Unlasting(_))));
    assert!(!file.exists(), "it is taken back, kept or not");
}

#[tokio::test]
async fn a_network_is_granted_as_a_rule_would_have_it_and_is_read_again_at_the_next_start() {
    let first = room(ASKS);
    let networks = ["::ffff:10.1.0.0/112", "192.0.2.1/32", "fd00::/8", "0.0.0.0/0"];
    let reply = Reply::Yes { lasting: Lasting::Always, addresses: Some(networks.map(|network| network.parse().unwrap()).to_vec()) };
    let granted = answer(&first, &asked(&first, &to(1, "held.test")), reply).unwrap().addresses;
    assert_eq!(granted, ["10.1.0.0/16", "192.0.2.1/32", "fd00::/8", "0.0.0.0/0"]);
    assert_eq!(again(&first, policy(ASKS, "")).desk.approvals()[0].addresses, granted);
}

#[tokio::test]
async fn what_was_taken_back_while_the_store_failed_is_told_to_it_later_and_does_not_come_back() {
    let first = room(ASKS);
    let hosts = ["revoked.test", "late.test", "no.test"];
    let [revoked, late, no] = hosts.map(|host| asked(&first, &to(1, host)));
    answer(&first, &revoked, yes(Lasting::Always)).unwrap();
    answer(&first, &late, yes(Lasting::Always)).unwrap();
    first.store.break_it(true);
    assert!(matches!(first.desk.revoke(&revoked, "alice"), Err(RevokeError::Unlasting(_))));
    for id in [&late, &no] {
        assert!(matches!(answer(&first, id, Reply::No), Err(AnswerError::Unlasting(_))));
    }
    first.desk.turn(now());
    let comes_back = |room: &Room| {
        let room = again(room, policy(ASKS, ""));
        let quiet = hosts.map(|host| room.approvals.read().quiet(&to(2, host), Asking::EveryRequest, now()));
        (room.desk.approvals().len(), room.desk.holds().len(), quiet)
    };
    first.store.break_it(false);
    assert_eq!(comes_back(&first), (2, 1, [false; 3]), "as it was before the store failed");
    first.desk.turn(now());
    assert_eq!(comes_back(&first), (0, 0, [false, true, true]));
    assert_eq!(first.store.fate(&no), Ok(Some(Some(Closing::Denied))));
}

#[test]
fn of_many_questions_that_are_over_at_once_a_few_are_buried_at_a_time_and_none_is_answered() {
    const MANY: usize = 1000;
    let books = Books { recorder: Arc::new(Journal::default()), store: Arc::new(Sqlite::in_memory().unwrap()), state: None };
    let settings = HoldSettings { pending: PENDING, per_agent: MANY, per_source: MANY, total: MANY, quiet_after_deny: QUIET };
    let policy = Arc::new(arc_swap::ArcSwap::from_pointee(policy(ASKS, "")));
    let desk = HoldDesk::with_clock(settings, policy, Arc::default(), books, now).unwrap();
    let ids: Vec<_> = (0..MANY)
        .map(|number| {
            let attempt = to(number as u128 + 1, &format!("h{number}.test"));
            let decided = desk.policy.load().decide(&attempt, &Approvals::default(), now());
            let Decision::Hold(terms) = decided else { panic!("{decided:?}") };
            match Arc::clone(&desk).ask(&attempt, &terms, None) {
                Asked::Unattended(hold) => hold.id,
                other @ (Asked::Waiting(_) | Asked::Ending(_) | Asked::Full(_) | Asked::Unrecorded) => panic!("{other:?}"),
            }
        })
        .collect();
    pass_time(PENDING);
    desk.turn(now());
    let left = || desk.state.lock().holds.ids();
    assert!((MANY / 2..MANY).contains(&left().len()), "{}", left().len());
    for id in left().iter().take(3) {
        assert_eq!(desk.answer(id, yes(Lasting::Always), "alice", None), Err(AnswerError::Died));
    }
    while desk.turn(now()).is_some_and(|next| next <= now()) {}
    assert!(left().is_empty() && ids.iter().all(|id| desk.store.fate(id) == Ok(Some(Some(Closing::Expired)))));
}

//! What every store does, whatever it is made of. A new one is run through all of this by one more line at the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use jiff::civil::date;
use uuid::Uuid;

use super::*;
use crate::approval::Lasting;
use crate::approval::holds::Yes;
use crate::approval::testing::{agent, attempt};
use crate::policy::address::Addresses;
use crate::policy::approvals::{Asking, ONCE_WITHIN, Scope};
use crate::policy::attempt::{AttemptId, RequestLine};
use crate::policy::decide::HoldTerms;
use crate::policy::rule::RuleRef;

type Make = fn() -> Box<dyn Store>;

fn a_question_comes_back_as_it_was_opened_and_lives_as_long_as_was_told(make: Make) {
    let store = make();
    let request = RequestLine { method: "POST".into(), path: "/a/b".into() };
    let about_one = Question::kept(
        "bbbbbb".into(),
        Subject { request: Some(request.clone()), ..subject(2) },
        Some(request),
        HoldTerms {
            rule: Some(RuleRef { file: "coder.toml".into(), line: 7 }),
            note: Some("ask".into()),
            addresses: addresses(&["public", "10.0.0.0/8"]),
            asking: Asking::ThisRequest,
        },
        (true, [at(2), at(1000)]),
    );
    let plain = question("aaaaaa", 1);
    store.open(&about_one).unwrap();
    store.open(&plain).unwrap();
    store.extend("aaaaaa", at(2000)).unwrap();
    store.extend("aaaaaa", at(1500)).unwrap();
    store.extend("nobody", at(1500)).unwrap();
    let mut longer = plain;
    longer.dies_at = at(2000);
    assert_eq!(told(&store.kept(at(10)).unwrap().questions), told(&[longer, about_one]));
    assert!(store.open(&question("aaaaaa", 3)).is_err(), "an id stands for one question");
    assert_eq!((store.fate("aaaaaa").unwrap(), store.fate("nobody").unwrap()), (Some(None), None));
}

fn a_question_ends_once_and_its_fate_is_told(make: Make) {
    for how in [Closing::Approved, Closing::Denied, Closing::Expired, Closing::Withdrawn] {
        let store = make();
        store.open(&question("aaaaaa", 1)).unwrap();
        assert_eq!((store.close("nobody", how, at(5)).unwrap(), store.close("aaaaaa", how, at(5)).unwrap()), (false, true));
        assert!(!store.close("aaaaaa", Closing::Expired, at(6)).unwrap());
        assert!(!store.approve("aaaaaa", &approval(1, Scope::Always)).unwrap());
        assert_eq!(store.fate("aaaaaa").unwrap(), Some(Some(how)));
        let kept = store.kept(at(7)).unwrap();
        assert!(kept.questions.is_empty() && kept.approvals.is_empty());
    }
}

fn a_yes_ends_its_question_and_comes_back_in_every_scope(make: Make) {
    let once = |waiting: &[u128], next_until| Scope::Once {
        waiting: waiting.iter().map(|id| AttemptId(Uuid::from_u128(*id))).collect(),
        next_until,
    };
    let for_the_next = once(&[], Some(at(5) + ONCE_WITHIN));
    let scopes = [
        (once(&[], Some(at(5) + ONCE_WITHIN)), for_the_next.clone()),
        // Who waited is gone with the process.
        (once(&[8, 9], None), for_the_next),
        (Scope::For { until: at(600) }, Scope::For { until: at(600) }),
        (Scope::Always, Scope::Always),
    ];
    for (given, kept) in scopes {
        let store = make();
        store.open(&question("aaaaaa", 1)).unwrap();
        let yes = Approval { note: Some("why".into()), addresses: addresses(&["10.0.0.0/8"]), ..approval(1, given) };
        assert!(!store.approve("nobody", &yes).unwrap());
        assert!(store.approve("aaaaaa", &yes).unwrap());
        assert!(!store.approve("aaaaaa", &approval(2, Scope::Always)).unwrap());
        let found = store.kept(at(10)).unwrap();
        assert_eq!((found.questions.len(), found.approvals), (0, vec![(Arc::from("aaaaaa"), Approval { scope: kept, ..yes })]));
        assert_eq!(store.fate("aaaaaa").unwrap(), Some(Some(Closing::Approved)));
    }
}

fn a_no_echoes_and_takes_back_a_yes_before_it(make: Make) {
    let store = make();
    store.open(&question("aaaaaa", 1)).unwrap();
    store.open(&question("bbbbbb", 2)).unwrap();
    assert!(store.approve("bbbbbb", &approval(2, Scope::Always)).unwrap());
    for (hold, place) in [("aaaaaa", 1), ("bbbbbb", 2)] {
        assert!(store.deny(hold, &subject(place), at(5), &at(100).into()).unwrap());
        assert!(!store.deny(hold, &subject(place), at(6), &at(900).into()).unwrap(), "said once");
        assert_eq!(store.fate(hold).unwrap(), Some(Some(Closing::Denied)));
    }
    assert!(!store.deny("nobody", &subject(3), at(6), &at(900).into()).unwrap());
    assert!(!store.claim(approval(2, Scope::Always).id).unwrap());
    let kept = store.kept(at(10)).unwrap();
    let silences: BTreeSet<_> = kept.silences.into_iter().collect();
    assert_eq!((kept.approvals, silences), (vec![], BTreeSet::from([(subject(1), at(100).into()), (subject(2), at(100).into())])));
    assert_eq!(store.kept(at(100)).unwrap().silences, []);
}

fn a_once_is_claimed_as_often_as_attempts_waited_and_the_rest_until_they_end(make: Make) {
    let waiting = |count: u128| Scope::Once { waiting: (0..count).map(|id| AttemptId(Uuid::from_u128(id))).collect(), next_until: None };
    for (scope, uses) in [(waiting(0), 1), (waiting(3), 3), (Scope::For { until: at(600) }, 9), (Scope::Always, 9)] {
        let store = make();
        store.open(&question("aaaaaa", 1)).unwrap();
        let id = approval(1, scope.clone()).id;
        assert!(!store.claim(id).unwrap());
        store.approve("aaaaaa", &approval(1, scope)).unwrap();
        let claimed = (0..9).filter(|_| store.claim(id).unwrap()).count();
        assert_eq!(claimed, uses);
        assert!(store.end(id, at(6)).unwrap() && !store.end(id, at(7)).unwrap());
        assert!(!store.claim(id).unwrap());
        assert_eq!(store.kept(at(8)).unwrap().approvals, []);
    }
}

fn what_ended_by_itself_does_not_come_back(make: Make) {
    let store = make();
    let once = Scope::Once { waiting: BTreeSet::new(), next_until: None };
    for (id, place, scope) in [("aaaaaa", 1, Scope::For { until: at(100) }), ("bbbbbb", 2, once.clone()), ("cccccc", 3, once)] {
        store.open(&question(id, place)).unwrap();
        store.approve(id, &approval(place, scope)).unwrap();
    }
    store.open(&question("dddddd", 4)).unwrap();
    store.claim(approval(2, Scope::Always).id).unwrap();
    let ids = |now| store.kept(now).unwrap().approvals.into_iter().map(|(hold, _)| hold.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(ids(at(99)), BTreeSet::from(["aaaaaa".to_owned(), "cccccc".to_owned()]), "a once that was used is over");
    assert_eq!(ids(at(100)), BTreeSet::from(["cccccc".to_owned()]));
    assert_eq!(ids(at(5) + ONCE_WITHIN), BTreeSet::new());
    assert_eq!(ids(at(6)), BTreeSet::new(), "nor does it when the clock is set back");
    assert_eq!((store.kept(at(999)).unwrap().questions.len(), store.kept(at(1000)).unwrap().questions.len()), (1, 0));
    assert_eq!(store.fate("dddddd").unwrap(), Some(Some(Closing::Expired)));
}

fn yeses_that_are_not_enough_stay_with_their_question(make: Make) {
    let store = make();
    store.open(&question("aaaaaa", 1)).unwrap();
    let said = |name: &str, lasting| Yes { approver: name.into(), lasting, addresses: addresses(&["public"]), note: None };
    let [alice, bob] =
        [said("alice", Lasting::For(Duration::from_secs(60))), Yes { note: Some("why".into()), ..said("bob", Lasting::Always) }];
    assert!(store.agree("aaaaaa", &alice, at(2)).unwrap());
    assert!(!store.agree("aaaaaa", &said("alice", Lasting::Once), at(3)).unwrap(), "one person's yes counts once");
    assert!(!store.agree("nobody", &alice, at(3)).unwrap());
    assert!(store.agree("aaaaaa", &bob, at(4)).unwrap());
    assert_eq!(store.kept(at(5)).unwrap().questions[0].yeses, [alice.clone(), bob]);
    let approver = Approver { name: "bob".into(), role: Role::Viewer, agents: None, digest: digest("b"), at: at(1), by: "root".into() };
    assert!(store.add_approver(&approver).unwrap() && store.remove_approver("bob").unwrap());
    assert_eq!(store.kept(at(5)).unwrap().questions[0].yeses, [alice], "who may answer no more takes his yes along");
    store.close("aaaaaa", Closing::Denied, at(6)).unwrap();
    assert!(!store.agree("aaaaaa", &said("carol", Lasting::Once), at(7)).unwrap());
    store.forget(at(8)).unwrap();
    store.open(&question("aaaaaa", 1)).unwrap();
    assert_eq!(store.kept(at(9)).unwrap().questions[0].yeses, [], "an id that is free again brings no yes along");
}

fn where_an_agent_asked_is_known_until_it_is_forgotten(make: Make) {
    let store = make();
    let asked = |who: &str, place| store.asked_before(&agent(who), &subject(place).destination).unwrap();
    assert!(!asked("coder", 1));
    store.open(&question("aaaaaa", 1)).unwrap();
    assert!(asked("coder", 1) && !asked("coder", 2) && !asked("other", 1));
    store.close("aaaaaa", Closing::Expired, at(10)).unwrap();
    assert!(asked("coder", 1));
    assert_eq!((store.forget(at(10)).unwrap(), store.forget(at(11)).unwrap()), (0, 1));
    assert!(!asked("coder", 1));
    assert_eq!(store.fate("aaaaaa").unwrap(), None);
}

fn what_is_in_force_or_pending_is_not_forgotten(make: Make) {
    let store = make();
    let once = Scope::Once { waiting: BTreeSet::new(), next_until: None };
    for (id, place, scope) in [("aaaaaa", 1, Scope::Always), ("bbbbbb", 2, Scope::For { until: at(100) }), ("cccccc", 3, once)] {
        store.open(&question(id, place)).unwrap();
        store.approve(id, &approval(place, scope)).unwrap();
    }
    store.open(&question("dddddd", 4)).unwrap();
    store.open(&question("eeeeee", 5)).unwrap();
    store.deny("eeeeee", &subject(5), at(5), &at(50).into()).unwrap();
    assert_eq!(store.forget(at(100)).unwrap(), 1, "the no");
    assert_eq!(store.forget(at(101)).unwrap(), 2, "the yes that ended, and its question");
    assert_eq!(store.forget(at(9000)).unwrap(), 2, "the once nobody used, and its question");
    let kept = store.kept(at(20)).unwrap();
    assert_eq!((kept.approvals.len(), kept.questions.len(), kept.silences.len()), (1, 1, 0));
    assert_eq!(store.fate("aaaaaa").unwrap(), Some(Some(Closing::Approved)));
}

fn approvers_and_freezes_are_kept_as_they_were_written(make: Make) {
    let store = make();
    let approver = |name: &str, agents| Approver {
        name: name.into(),
        role: Role::Approver,
        agents,
        digest: digest(name),
        at: at(3),
        by: "root".into(),
    };
    let alice = approver("alice", Some(BTreeSet::from([agent("coder"), agent("other")])));
    let bob = Approver { role: Role::Admin, ..approver("bob", None) };
    let carol = Approver { role: Role::Viewer, ..approver("carol", Some(BTreeSet::new())) };
    for one in [&bob, &carol, &alice] {
        assert!(store.add_approver(one).unwrap() && !store.add_approver(one).unwrap());
    }
    assert_eq!(store.approvers().unwrap(), [alice, bob.clone(), carol.clone()]);
    assert!(store.remove_approver("alice").unwrap() && !store.remove_approver("alice").unwrap());
    assert_eq!(store.approvers().unwrap(), [bob, carol]);

    let freeze = |whom, note: Option<&str>| Freeze { whom, by: "alice".into(), at: at(4), note: note.map(Into::into) };
    let (all, one) = (freeze(Whom::Everyone, Some("fire")), freeze(Whom::Agent(agent("coder")), None));
    assert!(store.freeze(&all).unwrap() && store.freeze(&one).unwrap());
    assert!(!store.freeze(&Freeze { by: "bob".into(), ..all.clone() }).unwrap());
    assert_eq!(store.freezes().unwrap(), [all, one.clone()]);
    assert!(store.thaw(&Whom::Everyone).unwrap() && !store.thaw(&Whom::Everyone).unwrap());
    assert_eq!(store.freezes().unwrap(), [one]);
}

fn what_is_spent_adds_up_by_day_and_budget(make: Make) {
    let store = make();
    let spent = |who: &str, budget: &str, bytes| Spent { agent: agent(who), budget: budget.into(), bytes };
    let (first, second, third) = (date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3));
    store.spend(first, &[spent("coder", "day", 5), spent("other", "day", 1)]).unwrap();
    store.spend(first, &[spent("coder", "day", 7), spent("coder", "rule", 2)]).unwrap();
    store.spend(second, &[spent("coder", "day", 1)]).unwrap();
    let of = |day| store.spent(day).unwrap().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(of(first), BTreeSet::from([spent("coder", "day", 12), spent("coder", "rule", 2), spent("other", "day", 1)]));
    store.spend(third, &[]).unwrap();
    assert_eq!((of(first), of(second)), (BTreeSet::new(), BTreeSet::from([spent("coder", "day", 1)])));
}

fn of_two_at_once_exactly_one_makes_each_change(make: Make) {
    let yes = approval(1, Scope::Once { waiting: BTreeSet::new(), next_until: None });
    let agreed = Yes { approver: "alice".into(), lasting: Lasting::Once, addresses: addresses(&["public"]), note: None };
    let alice = Approver { name: "alice".into(), role: Role::Viewer, agents: None, digest: digest("a"), at: at(1), by: "root".into() };
    let freeze = Freeze { whom: Whom::Everyone, by: "alice".into(), at: at(1), note: None };
    type Change<'a> = &'a (dyn Fn(&dyn Store) -> bool + Sync);
    let close: Change<'_> = &|store| store.close("aaaaaa", Closing::Expired, at(5)).unwrap();
    let approve: Change<'_> = &|store| store.approve("aaaaaa", &yes).unwrap();
    let deny: Change<'_> = &|store| store.deny("aaaaaa", &subject(1), at(5), &at(9).into()).unwrap();
    let agree: Change<'_> = &|store| store.agree("aaaaaa", &agreed, at(5)).unwrap();
    let claim: Change<'_> = &|store| store.claim(yes.id).unwrap();
    let end: Change<'_> = &|store| store.end(yes.id, at(5)).unwrap();
    let add: Change<'_> = &|store| store.add_approver(&alice).unwrap();
    let stop: Change<'_> = &|store| store.freeze(&freeze).unwrap();
    let pairs = [
        ("close", false, [close, close]),
        ("approve", false, [approve, approve]),
        ("approve or close", false, [approve, close]),
        ("deny", false, [deny, deny]),
        ("agree", false, [agree, agree]),
        ("claim", true, [claim, claim]),
        ("end", true, [end, end]),
        ("add", false, [add, add]),
        ("freeze", false, [stop, stop]),
    ];
    for (name, given, changes) in pairs {
        for _ in 0..10 {
            let store = make();
            store.open(&question("aaaaaa", 1)).unwrap();
            if given {
                store.approve("aaaaaa", &yes).unwrap();
            }
            let ready = Barrier::new(2);
            let made = std::thread::scope(|scope| {
                let both = changes.map(|change| {
                    let (store, ready) = (&store, &ready);
                    scope.spawn(move || {
                        ready.wait();
                        change(store.as_ref())
                    })
                });
                both.into_iter().filter_map(|one| one.join().ok()).filter(|made| *made).count()
            });
            assert_eq!(made, 1, "{name}");
        }
    }
}

fn addresses(entries: &[&str]) -> Arc<Addresses> {
    let mut addresses = Addresses::none();
    entries.iter().for_each(|entry| addresses.add(entry).unwrap());
    Arc::new(addresses)
}

fn digest(word: &str) -> TokenDigest {
    TokenDigest::of(word)
}

fn told(questions: &[Question]) -> BTreeSet<String> {
    questions.iter().map(|question| format!("{question:?}")).collect()
}

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

pub(super) fn subject(place: u8) -> Subject {
    Subject::of(&attempt(1, "coder", place))
}

pub(super) fn question(id: &str, place: u8) -> Question {
    let terms = HoldTerms { rule: None, note: None, addresses: addresses(&["public"]), asking: Asking::EveryRequest };
    Question::kept(id.into(), subject(place), None, terms, (false, [at(1), at(1000)]))
}

pub(super) fn approval(place: u8, scope: Scope) -> Approval {
    Approval {
        id: ApprovalId(Uuid::from_u128(u128::from(place))),
        subject: subject(place),
        scope,
        addresses: addresses(&["public"]),
        approver: "alice".into(),
        at: at(5),
        note: None,
        claimed: BTreeSet::new(),
    }
}

/// Runs every clause of the contract on one kind of store.
macro_rules! kept_by {
    ($kind:ident, $make:expr) => {
        kept_by!($kind, $make,
            a_question_comes_back_as_it_was_opened_and_lives_as_long_as_was_told
            a_question_ends_once_and_its_fate_is_told
            a_yes_ends_its_question_and_comes_back_in_every_scope
            a_no_echoes_and_takes_back_a_yes_before_it
            a_once_is_claimed_as_often_as_attempts_waited_and_the_rest_until_they_end
            what_ended_by_itself_does_not_come_back
            yeses_that_are_not_enough_stay_with_their_question
            where_an_agent_asked_is_known_until_it_is_forgotten
            what_is_in_force_or_pending_is_not_forgotten
            approvers_and_freezes_are_kept_as_they_were_written
            what_is_spent_adds_up_by_day_and_budget
            of_two_at_once_exactly_one_makes_each_change
        );
    };
    ($kind:ident, $make:expr, $($clause:ident)*) => {
        mod $kind {
            $(#[test] fn $clause() { super::$clause($make); })*
        }
    };
}

thread_local! {
    static FOLDERS: std::cell::RefCell<Vec<tempfile::TempDir>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn on_a_file(disk: bool) -> Box<dyn Store> {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path(), disk).unwrap();
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    Box::new(store)
}

kept_by!(sqlite_in_memory, || Box::new(crate::approval::store::Sqlite::in_memory().unwrap()));
kept_by!(sqlite_on_a_file, || super::on_a_file(false));
kept_by!(sqlite_that_waits_for_the_disk, || super::on_a_file(true));

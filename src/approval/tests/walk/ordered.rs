//! Walks in one order: a store that fails in its several ways, and one agent's flood beside another's question.

use super::world::World;
use super::*;
use crate::approval::store::StoreError;
use crate::egress::record::Record;

/// Attempts of a flood.
const FLOOD: usize = 2_000;

fn asks(who: usize, place: usize) -> Step {
    Step::Ask { who, place, sight: 0 }
}

#[test]
fn a_store_that_is_locked_or_full_gives_no_yes_its_effect_says_why_and_loses_no_no() {
    for (why, words) in [
        (StoreError::Locked { path: "/state/approvals.db".into(), by: None }, "/state/approvals.db is in use by another process"),
        (StoreError::Full { path: "/state/approvals.db".into() }, "/state/approvals.db cannot be written: there is no room"),
    ] {
        let mut world = World::new(Rules::default());
        for step in [Step::Come(None), asks(0, 0), asks(2, 1)] {
            world.step(&step).unwrap();
        }
        let ids: Vec<String> = world.shown.iter().map(|(id, _)| id.clone()).collect();
        *world.store.why.lock() = why.clone();
        world.step(&Step::StoreFails(true)).unwrap();
        let error = world.process.desk.answer(&ids[0], yes(Lasting::Always), "alice", None).unwrap_err();
        assert_eq!(error, AnswerError::Unkept(why.clone()));
        assert!(error.to_string().starts_with(words) && error.to_string().ends_with("so the answer has no effect"), "{error}");
        assert_eq!(world.process.desk.approvals(), []);
        world.step(&Step::PollAll).unwrap();
        assert_eq!(world.waiting.len(), 2, "one is released that nobody let go");
        let last = world.journal.written.lock().last().cloned();
        assert!(matches!(&last, Some(Record::Revoked(revoked)) if revoked.who == "exeat"), "{last:?}");
        assert_eq!(world.process.desk.answer(&ids[1], Reply::No, "alice", None), Err(AnswerError::Unlasting(why)));
        world.step(&Step::PollAll).unwrap();
        assert_eq!(world.waiting.len(), 1, "the no took effect");
        world.step(&Step::StoreFails(false)).unwrap();
        assert_eq!(world.process.desk.answer(&ids[0], yes(Lasting::Once), "alice", None).unwrap().released, 1);
    }
}

#[test]
fn bytes_of_a_day_that_passed_before_a_restart_count_after_it() {
    let mut world = World::new(Rules { lists: true, limits: true, ..Rules::default() });
    let carry = |bytes| Step::Carry { open: 0, bytes };
    for step in [asks(0, 0), Step::PollAll, carry(15), Step::Pass(2), Step::Restart, asks(0, 0), Step::PollAll, carry(20), carry(20)] {
        world.step(&step).unwrap();
        world.check().unwrap();
    }
    assert_eq!((world.model.spent_before, world.model.spent), (15, 40));
    world.finish().unwrap();
}

#[test]
fn one_agents_flood_adds_no_work_to_the_question_of_another() {
    let [alone, beside] = [0, FLOOD].map(|flood| {
        let mut world = World::new(Rules::default());
        world.step(&Step::Come(None)).unwrap();
        for number in 0..flood {
            world.step(&asks(number % 2, number % 3)).unwrap();
            // Its questions stay and are all it may have; those who wait have a limit of their own.
            world.step(&Step::HangUp(0)).unwrap();
        }
        let told = |world: &World| (world.store.calls.load(Ordering::SeqCst), world.journal.written.lock().len());
        let before = told(&world);
        world.step(&asks(2, 2)).unwrap();
        let number = world.model.attempts.len() - 1;
        let Some(at) = world.waiting.iter().position(|(waiting, _)| *waiting == number) else { panic!("it has no place") };
        let id = world.process.desk.holds().into_iter().find(|hold| hold.agent == agent("other")).unwrap().id;
        assert_eq!(world.process.desk.answer(&id, yes(Lasting::Always), "alice", None).unwrap().released, 1);
        let waiting = world.waiting.len();
        let polled = {
            let _inside = world.runtime.enter();
            futures_util::FutureExt::now_or_never(world.waiting[at].1.as_mut())
        };
        assert!(matches!(polled, Some(Ok(_))), "one poll after the answer it passes");
        assert_eq!(world.waiting.len(), waiting);
        let after = told(&world);
        drop(world.waiting.swap_remove(at));
        (after.0 - before.0, after.1 - before.1)
    });
    assert_eq!(alone, beside, "calls of the store, and records");
}

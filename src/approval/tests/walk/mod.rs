//! Random interleavings of what agents, people, policies and faults do to the real gate and desk, beside a model of what may come of it.
//!
//! `PROPTEST_CASES` sets how many walks are taken.

mod flaky;
mod model;
mod process;
mod rules;
mod world;

use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use super::*;
use model::{Given, Model, Of, Shown};
use rules::Rules;
use world::World;

/// What may happen. Whoever is told something goes on only when it is polled: all that happens in between is a race.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask { who: usize, place: usize, sight: usize },
    AskWithin { tunnel: usize, sight: usize },
    Poll(usize),
    PollAll,
    HangUp(usize),
    End(usize),
    Answer { hold: usize, reply: u8 },
    Revoke(usize),
    Pass(u16),
    Turn(u8),
    Come(Option<bool>),
    Go(usize),
    JournalFails(bool),
    StoreFails(bool),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any_number = any::<usize>;
    let step = prop_oneof![
        12 => (0..3usize, 0..3usize, 0..4usize).prop_map(|(who, place, sight)| Step::Ask { who, place, sight }),
        3 => (any_number(), 1..4usize).prop_map(|(tunnel, sight)| Step::AskWithin { tunnel, sight }),
        6 => any_number().prop_map(Step::Poll),
        3 => Just(Step::PollAll),
        2 => any_number().prop_map(Step::HangUp),
        2 => any_number().prop_map(Step::End),
        9 => (any_number(), 0..6u8).prop_map(|(hold, reply)| Step::Answer { hold, reply }),
        1 => any_number().prop_map(Step::Revoke),
        2 => prop_oneof![0..20u16, 0..1000u16].prop_map(Step::Pass),
        2 => (0..7u8).prop_map(Step::Turn),
        3 => prop::option::of(any::<bool>()).prop_map(Step::Come),
        1 => any_number().prop_map(Step::Go),
        1 => any::<bool>().prop_map(Step::JournalFails),
        1 => any::<bool>().prop_map(Step::StoreFails),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_only_what_a_live_yes_or_a_rule_gives_passes_and_each_attempt_is_decided_once(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(&step)?;
            world.check()?;
        }
        world.finish()?;
    }
}

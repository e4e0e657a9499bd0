//! Random interleavings of what agents, people, policies and faults do to the real gate and desk, beside a model of what may come of it.
//!
//! `PROPTEST_CASES` sets how many walks are taken.

mod answers;
mod caps;
mod flaky;
mod model;
mod ordered;
mod process;
mod rules;
mod world;

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use proptest::test_runner::TestRunner;

use super::*;
use answers::Says;
use model::{Model, Of, Shown};
use rules::{PEOPLE, Rules};
use world::World;

/// What may happen. Whoever is told something goes on only when it is polled: all that happens in between is a race.
#[derive(Clone, Debug)]
enum Step {
    Ask { who: usize, place: usize, sight: usize },
    AskWithin { tunnel: usize, sight: usize },
    Poll(usize),
    PollAll,
    HangUp(usize),
    End(usize),
    Answer { hold: usize, says: Says },
    Carry { open: usize, bytes: u8 },
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
    let says = (0..PEOPLE.len(), 0..6u8, 0..6u8).prop_map(|(who, reply, opens)| Says { who, reply, opens });
    let step = prop_oneof![
        12 => (0..3usize, 0..3usize, 0..4usize).prop_map(|(who, place, sight)| Step::Ask { who, place, sight }),
        3 => (any_number(), 1..4usize).prop_map(|(tunnel, sight)| Step::AskWithin { tunnel, sight }),
        6 => any_number().prop_map(Step::Poll),
        3 => Just(Step::PollAll),
        2 => any_number().prop_map(Step::HangUp),
        2 => any_number().prop_map(Step::End),
        12 => (any_number(), says).prop_map(|(hold, says)| Step::Answer { hold, says }),
        3 => (any_number(), 1..60u8).prop_map(|(open, bytes)| Step::Carry { open, bytes }),
        1 => any_number().prop_map(Step::Revoke),
        2 => prop_oneof![0..20u16, 0..1000u16].prop_map(Step::Pass),
        2 => (0..10u8).prop_map(Step::Turn),
        3 => prop::option::of(any::<bool>()).prop_map(Step::Come),
        1 => any_number().prop_map(Step::Go),
        1 => any::<bool>().prop_map(Step::JournalFails),
        1 => any::<bool>().prop_map(Step::StoreFails),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..150)
}

/// What walks must come by, so that what is said of it is said of something. Bytes of a day over a restart are too rare for that; they are walked in order.
const MET: [&str; 8] = [
    "budget",
    "hold.per_agent",
    "hold.per_source",
    "hold.total",
    "hold.total of those who wait",
    "nothing in common",
    "one yes of two",
    "two yeses",
];

/// How often the walks are walked until they have come by all of it.
const MOST_ROUNDS: u32 = 16;

#[test]
fn whatever_happens_in_whatever_order_only_what_a_live_yes_or_a_rule_gives_passes_and_each_attempt_is_decided_once() {
    let met = RefCell::new(BTreeMap::<&str, usize>::new());
    let config = ProptestConfig { source_file: Some(file!()), test_name: Some(module_path!()), ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    // Once is nearly always enough.
    for _round in 0..MOST_ROUNDS {
        let walked = runner.run(&(any::<[bool; 3]>(), steps()), |([lists, two, limits], steps)| {
            let mut world = World::new(Rules { lists, two, limits, ..Rules::default() });
            for step in steps {
                world.step(&step)?;
                world.check()?;
            }
            for what in world.finish()? {
                *met.borrow_mut().entry(what).or_default() += 1;
            }
            Ok(())
        });
        walked.unwrap_or_else(|error| panic!("{error}"));
        if MET.iter().all(|what| met.borrow().contains_key(what)) {
            return;
        }
    }
    panic!("walks do not come by all of {MET:?}: {met:?}");
}

//! Random interleavings of what attempts and people do, and what must be true on each.

use super::*;

/// What may happen, in random order.
#[derive(Clone, Debug)]
enum Step {
    Ask { agent: u8, place: u8 },
    Leave(usize),
    Answer { hold: usize, reply: u8 },
    Claim(usize),
    End(usize),
    Pass(u16),
    Come(Option<u8>),
    Go(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..2u8, 0..3u8).prop_map(|(agent, place)| Step::Ask { agent, place }),
        2 => any::<usize>().prop_map(Step::Leave),
        3 => (any::<usize>(), 0..3u8).prop_map(|(hold, reply)| Step::Answer { hold, reply }),
        4 => any::<usize>().prop_map(Step::Claim),
        1 => any::<usize>().prop_map(Step::End),
        1 => (0..1000u16).prop_map(Step::Pass),
        2 => prop::option::of(0..2u8).prop_map(Step::Come),
        1 => any::<usize>().prop_map(Step::Go),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn each_waiter_gets_one_word_no_once_is_used_twice_a_no_wins_and_caps_hold(steps in steps()) {
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step)?;
            walk.check()?;
        }
        walk.finish()?;
    }
}

/// One walk through the steps and what must be true on it, kept beside the desk in the plainest form.
struct Walk {
    room: Room,
    attempts: Vec<Attempt>,
    waiting: Vec<(usize, Waiting)>,
    people: Vec<Presence>,
    ids: Vec<String>,
    once: BTreeMap<Uuid, BTreeSet<usize>>,
    granted: BTreeMap<Uuid, usize>,
    denied: BTreeSet<String>,
    by_hold: BTreeMap<String, Uuid>,
}

impl Walk {
    fn new() -> Self {
        let (once, granted, denied, by_hold) = Default::default();
        Self { room: Room::new(), attempts: vec![], waiting: vec![], people: vec![], ids: vec![], once, granted, denied, by_hold }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Ask { agent, place } => self.ask(agent, place),
            Step::Leave(which) => {
                if !self.waiting.is_empty() {
                    self.waiting.swap_remove(which % self.waiting.len());
                }
                Ok(())
            }
            Step::Answer { hold, reply } => self.answer(hold, reply),
            Step::Claim(which) => self.claim(which),
            Step::End(which) => {
                if !self.attempts.is_empty() {
                    let attempt = self.attempts[which % self.attempts.len()].id;
                    self.waiting.retain(|(number, _)| self.attempts[*number].id != attempt);
                    self.room.approvals.write().ended(attempt);
                }
                Ok(())
            }
            Step::Pass(seconds) => {
                pass_time(Duration::from_secs(seconds.into()));
                self.room.desk.holds();
                self.room.approvals.write().expire(now());
                Ok(())
            }
            Step::Come(agent) => {
                self.people.push(self.room.desk.attach(agent.map(named)));
                Ok(())
            }
            Step::Go(which) => {
                if !self.people.is_empty() {
                    self.people.swap_remove(which % self.people.len());
                }
                Ok(())
            }
        }
    }

    fn ask(&mut self, agent: u8, place: u8) -> Result<(), TestCaseError> {
        let number = self.attempts.len();
        let attempt = attempt(number as u128 + 1, named(agent).as_str(), place);
        self.attempts.push(attempt.clone());
        match self.room.ask(&attempt) {
            Asked::Waiting(waiting) => {
                if !waiting.hold.id.is_empty() {
                    self.ids.push(waiting.hold.id.to_string());
                }
                self.waiting.push((number, waiting));
            }
            Asked::Unattended(info) => self.ids.push(info.id.to_string()),
            Asked::Full(_) => {}
            Asked::Unrecorded => prop_assert!(false, "the journal works"),
        }
        Ok(())
    }

    fn answer(&mut self, hold: usize, reply: u8) -> Result<(), TestCaseError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let id = self.ids[hold % self.ids.len()].clone();
        let pending = self.room.desk.hold(&id);
        let reply = match reply {
            0 => Reply::No,
            1 => yes(Lasting::Once),
            _ => yes(Lasting::For(Duration::from_secs(300))),
        };
        match self.room.desk.answer(&id, reply.clone(), "alice", None) {
            Ok(Answered { answer: Answer::Yes, approval: Some(approval), released, .. }) => {
                prop_assert!(!self.denied.contains(&id));
                prop_assert_eq!(released, pending.map_or(usize::MAX, |hold| hold.waiting));
                self.granted.insert(approval, if reply == yes(Lasting::Once) { released.max(1) } else { usize::MAX });
                self.by_hold.insert(id, approval);
            }
            Ok(Answered { answer: Answer::No, .. }) => {
                self.denied.insert(id);
            }
            Ok(Answered { .. }) => prop_assert!(false, "a yes without an approval"),
            Err(_) => prop_assert!(pending.is_none()),
        }
        Ok(())
    }

    fn claim(&mut self, which: usize) -> Result<(), TestCaseError> {
        if self.attempts.is_empty() {
            return Ok(());
        }
        let number = which % self.attempts.len();
        let attempt = &self.attempts[number];
        let live = self.room.approvals.read().live(attempt, Asking::EveryRequest, now()).map(|approval| approval.id);
        let Some(approval) = live else { return Ok(()) };
        prop_assert_eq!(self.room.desk.claim(approval, attempt, now()), Claimed::Taken, "what covers an attempt can be claimed by it");
        let users = self.once.entry(approval.0).or_default();
        users.insert(number);
        prop_assert!(users.len() <= self.granted[&approval.0], "used more often than granted");
        for (hold, given) in &self.by_hold {
            prop_assert!(*given != approval.0 || !self.denied.contains(hold), "a no wins");
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let holds = self.room.desk.holds();
        prop_assert!(holds.len() <= 4);
        prop_assert!(self.room.desk.pending_by_agent().values().all(|count| (1..=3).contains(count)));
        prop_assert_eq!(self.room.desk.pending_by_agent().values().sum::<usize>(), holds.len());
        prop_assert!(holds.iter().map(|hold| hold.waiting).sum::<usize>() <= 4);
        let ids: BTreeSet<_> = holds.iter().map(|hold| &hold.id).collect();
        prop_assert_eq!(ids.len(), holds.len());
        Ok(())
    }

    /// Everything ends; each attempt that still waits must then have one word, and only one.
    fn finish(mut self) -> Result<(), TestCaseError> {
        pass_time(PENDING * 2);
        self.room.desk.holds();
        for (_, waiting) in &mut self.waiting {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let told = std::pin::pin!(waiting.word()).poll(&mut context);
            prop_assert!(told.is_ready(), "told nothing");
        }
        prop_assert_eq!(self.room.desk.holds().len(), 0);
        Ok(())
    }
}

//! Bytes of a question, of one who waits at it, and of the attempt itself, as the allocator counts them.
//!
//! The attempt is measured at a desk that keeps nothing but the end of the line its word comes by; what the real desk needs beyond that is the question's where
//! nobody waits, and the waiter's where somebody does.

use std::sync::Arc;
use std::time::SystemTime;

use exeat::egress::hold::{Asked, Claimed, Desk, HoldInfo, Process, Waiting, Word};
use exeat::policy::approvals::ApprovalId;
use exeat::policy::attempt::{Attempt, AttemptId};
use exeat::policy::decide::HoldTerms;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::allocated;
use super::world::{EACH, World, claim};

/// What a question may take, and what one who waits may.
const MOST: i64 = 2 << 10;

/// Everybody waits, and nothing is known of anybody.
#[derive(Debug)]
struct Blank(Mutex<Vec<oneshot::Sender<Word>>>);

impl Desk for Blank {
    fn would_open(&self, _: &Attempt, _: &HoldTerms) -> bool {
        false
    }

    fn ask(self: Arc<Self>, attempt: &Attempt, _: &HoldTerms, _: Option<Process>) -> Asked {
        let (tell, word) = oneshot::channel();
        self.0.lock().push(tell);
        let info = HoldInfo { id: "".into(), expires_at: SystemTime::now(), opened: false };
        Asked::Waiting(Waiting::new(info, attempt.id, word, self))
    }

    fn leave(&self, _: &str, _: AttemptId) {}

    fn claim(&self, _: ApprovalId, _: &Attempt, _: SystemTime) -> Claimed {
        Claimed::Gone
    }
}

pub(crate) fn measure(pending: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();

    let blank = World::asking(pending, |_| Arc::new(Blank(Mutex::new(Vec::with_capacity(pending)))));
    let (attempt, waiting) = admitted(&blank, pending);
    let future = waiting.first().map_or(0, |future| size_of_val(&**future));
    drop((waiting, blank));

    let world = World::new(pending);
    let (question, unattended) = admitted(&world, pending);
    assert!(unattended.is_empty() && world.desk.holds().len() == pending);
    row("question, nobody waiting", question);
    assert!(question < MOST, "a question takes too much");
    let _person = world.desk.attach(None);
    let (first, waiting) = admitted(&world, pending);
    assert_eq!(waiting.len(), pending);
    row("waiter at the desk, its line included", first - attempt + line());
    assert!(first - attempt + line() < MOST, "who waits takes too much");
    row("attempt that waits, its line excluded", attempt - line());
    row("  of which the future of admit", i64::try_from(future).unwrap());
    let (second, more) = admitted(&world, pending);
    row("a second waiter at the same question", second - attempt + line());
    drop((waiting, more));
    assert!(world.desk.holds().iter().all(|hold| hold.waiting == 0));
}

/// Bytes each of attempts of all agents for all places; those that wait.
fn admitted(world: &World, pending: usize) -> (i64, Vec<std::pin::Pin<Box<impl Future + use<>>>>) {
    let mut waiting = Vec::with_capacity(pending);
    let before = allocated();
    for number in 0..pending {
        let gate = Arc::clone(&world.gate);
        let claim = claim(number / EACH, number % EACH);
        let mut admitting = Box::pin(async move { gate.admit(claim).await.map(drop) });
        if admitting.as_mut().now_or_never().is_none() {
            waiting.push(admitting);
        }
    }
    ((allocated() - before) / i64::try_from(pending).unwrap(), waiting)
}

/// Bytes of the line one word comes by.
fn line() -> i64 {
    let before = allocated();
    let _line = oneshot::channel::<Word>();
    allocated() - before
}

fn row(what: &str, bytes: i64) {
    println!("{what:40} {bytes:7} bytes");
}

//! Real threads at one desk: of what cannot all happen, exactly one happens.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;
use std::time::SystemTime;

use super::*;
use crate::egress::hold::{Claimed, Desk as _};
use crate::policy::approvals::ApprovalId;

const ROUNDS: u64 = 300;

/// Each round lies so far behind the one before it that nothing of that one is left.
static ROUND: AtomicU64 = AtomicU64::new(0);
static PASSED: AtomicU64 = AtomicU64::new(0);
/// The clock is one test's at a time.
static TURN: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

fn clock() -> SystemTime {
    let seconds = ROUND.load(Ordering::SeqCst) * 100_000 + PASSED.load(Ordering::SeqCst);
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn next_round(round: u64) {
    PASSED.store(0, Ordering::SeqCst);
    ROUND.store(round, Ordering::SeqCst);
}

/// What all of them came to, begun at the same time.
fn at_once<T: Send>(does: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    let begin = &Barrier::new(does.len());
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for does in does {
            threads.push(scope.spawn(move || {
                begin.wait();
                does()
            }));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn of_answers_an_end_and_a_hang_up_at_once_each_waiter_gets_one_word_and_the_question_one_end() {
    let _turn = TURN.lock();
    let room = Room::with_clock(clock);
    let _person = room.desk.attach(None);
    for round in 1..=ROUNDS {
        next_round(round);
        let number = u128::from(round) * 10;
        let (mut stays, leaves) = (room.ask_waiting(&attempt(number, "coder", 1)), room.ask_waiting(&attempt(number + 1, "coder", 1)));
        let (id, desk) = (Arc::clone(&stays.hold.id), &room.desk);
        let written = room.journal.written.lock().len();
        let answer = |reply: Reply| desk.answer(&id, reply, "alice", None).is_ok();
        let ended = at_once::<bool>(vec![
            Box::new(|| answer(yes(Lasting::For(Duration::from_secs(60))))),
            Box::new(|| answer(yes(Lasting::Once))),
            Box::new(|| {
                PASSED.store(PENDING.as_secs(), Ordering::SeqCst);
                desk.holds().is_empty()
            }),
            Box::new(|| {
                drop(leaves);
                true
            }),
        ]);
        let answered = ended[..2].iter().filter(|won| **won).count();
        assert!(answered <= 1 && ended[2], "round {round}: {ended:?}");
        let word = futures_util::FutureExt::now_or_never(stays.word());
        let wanted = if answered == 1 { Word::DecideAgain } else { Word::Expired };
        assert_eq!(word, Some(wanted), "round {round}");
        assert_eq!(
            room.journal.written.lock().len() - written,
            answered,
            "round {round}: an answer without effect is recorded, or one with is not"
        );
        assert!(room.desk.state.lock().words.is_empty(), "round {round}: a waiter is left");
    }
}

#[test]
fn of_many_who_claim_what_nobody_waited_for_exactly_one_gets_it() {
    let _turn = TURN.lock();
    let room = Room::with_clock(clock);
    for round in ROUNDS + 1..=2 * ROUNDS {
        next_round(round);
        let number = u128::from(round) * 10;
        let Asked::Unattended(info) = room.ask(&attempt(number, "coder", 1)) else { panic!("attended") };
        let given = room.desk.answer(&info.id, yes(Lasting::Once), "alice", None).unwrap().approval.unwrap();
        let (won, taken_back) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let claims = |number: u128| {
            let (room, won) = (&room, &won);
            move || {
                let claimed = room.desk.claim(ApprovalId(given), &attempt(number, "coder", 1), clock());
                won.fetch_add(usize::from(claimed == Claimed::Taken), Ordering::SeqCst);
            }
        };
        at_once::<()>(vec![
            Box::new(claims(number + 1)),
            Box::new(claims(number + 2)),
            Box::new(claims(number + 3)),
            Box::new(|| {
                let denied = room.desk.answer(&info.id, Reply::No, "bob", None);
                assert!(matches!(denied, Ok(_) | Err(AnswerError::Used)), "{denied:?}");
                taken_back.fetch_add(usize::from(denied.is_ok()), Ordering::SeqCst);
            }),
        ]);
        let outcome = (won.into_inner(), taken_back.into_inner());
        assert!(matches!(outcome, (1, 0) | (0, 1)), "round {round}: so many passed, and were denied: {outcome:?}");
        for number in number + 1..=number + 3 {
            room.approvals.write().ended(attempt(number, "coder", 1).id);
        }
        assert_eq!(room.approvals.read().iter().count(), 0, "round {round}");
    }
}

//! From an answer to the end of the wait, with everybody else still waiting: alone, beside an agent that floods, and beside what looks at every question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use exeat::approval::{HoldDesk, Lasting, Reply};
use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast::error::RecvError;

use super::load;
use super::world::{EACH, World, claim};

/// Answers that are measured in one turn, and turns of each kind.
const ANSWERS: usize = 250;
const TURNS: usize = 4;
/// Threads, and tasks of the proxy's own threads, that one agent floods from.
const THREADS: usize = 4;
const TASKS: usize = 256;

/// Who waits, and when the wait was over.
struct Waiters {
    runtime: Runtime,
    released: mpsc::Receiver<(usize, Instant)>,
    tell: mpsc::Sender<(usize, Instant)>,
}

impl Waiters {
    fn new() -> Self {
        let (tell, released) = mpsc::channel();
        Self { runtime: Builder::new_multi_thread().enable_all().build().unwrap(), released, tell }
    }

    fn wait(&self, world: &World, number: usize) {
        let (gate, tell) = (Arc::clone(&world.gate), self.tell.clone());
        self.runtime.spawn(async move {
            let admitted = gate.admit(claim(number / EACH, number % EACH)).await;
            let _ = tell.send((number, Instant::now()));
            drop(admitted);
        });
    }
}

/// The questions that are still to be answered, by number.
struct Questions(Vec<(usize, String)>);

pub(crate) fn measure(pending: usize) {
    let world = World::new(pending);
    let _person = world.desk.attach(None);
    let waiters = Waiters::new();
    let mut news = world.desk.subscribe();
    // As an open page: it reads all it is told.
    waiters.runtime.spawn(async move { while !matches!(news.recv().await, Err(RecvError::Closed)) {} });
    let never = tokio_util::sync::CancellationToken::new();
    waiters.runtime.spawn(Arc::clone(&world.desk).run(never.clone(), never));
    let began = Instant::now();
    (0..pending).for_each(|number| waiters.wait(&world, number));
    until(&world.desk, pending);
    println!("{pending} questions asked in {:.1} s, load {}", began.elapsed().as_secs_f64(), load());
    let mut questions = Questions::of(&world.desk);
    let mut alone = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        alone[0].extend(answers(&world, &waiters, &mut questions));
        let flood = Flood::of_threads(&world, pending);
        alone[1].extend(answers(&world, &waiters, &mut questions));
        flood.stop("its own threads");
        let flood = Flood::of_tasks(&world, &waiters, pending);
        alone[2].extend(answers(&world, &waiters, &mut questions));
        flood.stop("the proxy's threads");
    }
    let kinds = ["quiet", "one agent floods from 4 threads", "one agent floods from 256 tasks"];
    for (kind, taken) in kinds.into_iter().zip(alone) {
        row(kind, taken);
    }
    beside(&world, &waiters, &mut questions);
}

/// What looks at every question, how long it took, and how the answers given meanwhile fared.
fn beside(world: &World, waiters: &Waiters, questions: &mut Questions) {
    let desk = &world.desk;
    let whole: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("a listing", &|| drop(desk.holds())),
        ("approvals listed", &|| drop(desk.approvals())),
        ("the policy changed", &|| desk.policy_changed(&world.policy.load())),
        ("another approver comes and goes", &|| drop(desk.attach(None))),
    ];
    for (what, does) in whole {
        let over = AtomicBool::new(false);
        let mut taken = Vec::new();
        let took = thread::scope(|scope| {
            let doing = scope.spawn(|| {
                let began = Instant::now();
                does();
                over.store(true, Ordering::SeqCst);
                began.elapsed()
            });
            while !over.load(Ordering::SeqCst) && taken.len() < 2_000 {
                taken.push(answer(world, waiters, questions));
            }
            doing.join().unwrap()
        });
        println!("{what}: {:.1} ms", took.as_secs_f64() * 1e3);
        row("  answers meanwhile", taken);
    }
}

fn answers(world: &World, waiters: &Waiters, questions: &mut Questions) -> Vec<[Duration; 2]> {
    (0..ANSWERS).map(|_| answer(world, waiters, questions)).collect()
}

/// How long the answer took, and how long after its begin the wait was over.
fn answer(world: &World, waiters: &Waiters, questions: &mut Questions) -> [Duration; 2] {
    let (number, id) = questions.0.pop().unwrap();
    let began = Instant::now();
    give(&world.desk, &id);
    let answered = began.elapsed();
    let (released, at) = waiters.released.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(released, number, "another was released");
    [answered, at.duration_since(began)]
}

fn give(desk: &HoldDesk, id: &str) {
    let yes = Reply::Yes { lasting: Lasting::Once, addresses: None };
    desk.answer(id, yes, "bench", None).unwrap();
}

impl Questions {
    /// In an order that has nothing to do with how they were asked.
    fn of(desk: &HoldDesk) -> Self {
        let mut questions: Vec<_> = desk
            .holds()
            .into_iter()
            .map(|hold| {
                let mut numbers = hold.place.host.split(['-', '.']).filter_map(|part| part.parse::<usize>().ok());
                let (place, agent) = (numbers.next().unwrap(), numbers.next().unwrap());
                (agent * EACH + place, hold.id)
            })
            .collect();
        questions.sort_by(|one, other| one.1.cmp(&other.1));
        Self(questions)
    }
}

/// One agent that asks as fast as it can, hangs up, and asks again, for twice as many hosts as it may ask about at once.
struct Flood {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
    began: Instant,
}

impl Flood {
    fn new() -> Self {
        Self { stop: Arc::default(), asked: Arc::default(), threads: Vec::new(), began: Instant::now() }
    }

    fn of_threads(world: &World, pending: usize) -> Self {
        let mut flood = Self::new();
        for _ in 0..THREADS {
            let (gate, stop, asked) = (Arc::clone(&world.gate), Arc::clone(&flood.stop), Arc::clone(&flood.asked));
            flood.threads.push(thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                let _inside = runtime.enter();
                while !stop.load(Ordering::Relaxed) {
                    let place = asked.fetch_add(1, Ordering::Relaxed) as usize % (4 * EACH);
                    drop(gate.admit(claim(pending / EACH, place)).now_or_never());
                }
            }));
        }
        flood
    }

    fn of_tasks(world: &World, waiters: &Waiters, pending: usize) -> Self {
        let flood = Self::new();
        for _ in 0..TASKS {
            let (gate, stop, asked) = (Arc::clone(&world.gate), Arc::clone(&flood.stop), Arc::clone(&flood.asked));
            waiters.runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let place = asked.fetch_add(1, Ordering::Relaxed) as usize % (4 * EACH);
                    drop(gate.admit(claim(pending / EACH, place)).now_or_never());
                    tokio::task::yield_now().await;
                }
            });
        }
        flood
    }

    fn stop(self, of: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let asked = self.asked.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        println!("  a flood of {of}: {asked:.0} a second");
    }
}

fn until(desk: &HoldDesk, pending: usize) {
    while desk.pending_by_agent().values().sum::<usize>() < pending {
        #[expect(clippy::disallowed_methods, reason = "a bench stands outside: nothing else runs on its thread")]
        thread::sleep(Duration::from_millis(50));
    }
}

fn row(what: &str, taken: Vec<[Duration; 2]>) {
    let of = |which: usize, share: f64| {
        let mut all: Vec<f64> = taken.iter().map(|times| times[which].as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        all.get(((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let figures = |which| format!("p50 {:7.3}  p99 {:7.3}  max {:7.3} ms", of(which, 0.5), of(which, 0.99), of(which, 1.0));
    println!("{what:34} {:5} answers | answer() {} | released {}", taken.len(), figures(0), figures(1));
}

//! How many records a second the journal takes, sealed, by one thread and by four, for both durabilities.
//!
//! `cargo bench --bench journal`. A record counts once its call has returned; with `disk` once its sync has. An attempt is a `decided` and an
//! `ended`. The journal lies below the folder of build products, so that what is measured is a disk.
//! `cargo bench --bench journal -- fill STATE MIB` leaves a journal of that size in a state folder, to measure what reads it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]

use std::path::Path;
use std::time::{Duration, Instant};

use exeat::egress::record::{Decided, Ended, Front, Millis, Outcome, Place, Record, Ruling};
use exeat::journal::{Durability, Journal, Settings};
use exeat::policy::attempt::{AgentId, AttemptId};
use exeat::policy::reason::Reason;
use uuid::Uuid;

const ROUNDS: usize = 5;

/// The bytes of an attempt's two lines, about.
const LINES: u32 = 603;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [fill_word, state, mebibytes] = &arguments[..] {
        assert_eq!(fill_word, "fill");
        return fill(Path::new(state), mebibytes.parse().unwrap());
    }
    println!("durability  threads  records      records/s           best     CPU each         best");
    for (name, durability, threads, attempts) in [
        ("process", Durability::Process, 1, 100_000),
        ("process", Durability::Process, 4, 100_000),
        ("disk", Durability::Disk, 1, 500),
        ("disk", Durability::Disk, 4, 2_000),
        ("disk", Durability::Disk, 64, 16_000),
    ] {
        let mut taken: Vec<(Duration, Duration)> = (0..ROUNDS).map(|_| round(durability, threads, attempts)).collect();
        taken.sort();
        let records = 2 * attempts;
        let rate = |taken: Duration| records as f64 / taken.as_secs_f64();
        let mut each: Vec<f64> = taken.iter().map(|(_, cpu)| cpu.as_secs_f64() * 1e9 / records as f64).collect();
        each.sort_by(f64::total_cmp);
        let (median, best) = (rate(taken[ROUNDS / 2].0), rate(taken[0].0));
        println!("{name:10} {threads:8} {records:8} {median:14.0} {best:14.0} {:9.0} ns {:9.0} ns", each[ROUNDS / 2], each[0]);
    }
}

/// The time and the CPU time of so many attempts, split among threads.
fn round(durability: Durability, threads: usize, attempts: usize) -> (Duration, Duration) {
    let state = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let settings = Settings { durability, ..Settings::default() };
    let journal = Journal::open(state.path(), settings).unwrap().journal;
    journal.healthy().unwrap();
    let (began, before) = (Instant::now(), cpu());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let journal = &journal;
            scope.spawn(move || (0..attempts / threads).for_each(|at| attempt(journal, (at * threads + thread) as u128)));
        }
    });
    let taken = (began.elapsed(), cpu() - before);
    journal.stop(&mut |_| ()).unwrap();
    taken
}

fn fill(state: &Path, mebibytes: u64) {
    let journal = Journal::open(state, Settings::default()).unwrap().journal;
    let attempts = u128::from(mebibytes << 20) / u128::from(LINES);
    (0..attempts).for_each(|at| attempt(&journal, at));
    journal.stop(&mut |_| ()).unwrap();
}

fn attempt(journal: &Journal, id: u128) {
    journal.record(&Record::Decided(decided(id)), &mut |_| ()).unwrap();
    wait(journal);
    journal.settle(ended(id), &mut |_| ()).unwrap();
}

fn wait(journal: &Journal) {
    let mut durable = Box::pin(journal.durable().wait());
    let waker = std::task::Waker::noop();
    if durable.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending() {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(durable).unwrap();
    }
}

/// User and system time of this process.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

fn decided(id: u128) -> Decided {
    Decided {
        id: AttemptId(Uuid::from_u128(id)),
        agent: Some(AgentId::parse("coder").unwrap()),
        instance: "127.0.0.1".into(),
        front: Front::Connect,
        peer: "127.0.0.1:50000".into(),
        destination: Some(Place { host: "api.example".into(), port: 443, scheme: None }),
        request: None,
        decision: Ruling::Allow,
        reason: Reason::Listed,
        rule: Some("coder.toml:3".into()),
        approval: None,
        policy: "4a78ada55610a78e".into(),
        would: None,
        separated: Some(false),
        within: None,
        trace: None,
        leak: None,
    }
}

fn ended(id: u128) -> Ended {
    Ended {
        id: AttemptId(Uuid::from_u128(id)),
        agent: Some(AgentId::parse("coder").unwrap()),
        outcome: Outcome::Completed,
        reason: Reason::Listed,
        address: Some("192.0.2.1:443".into()),
        bytes_up: 517,
        bytes_down: 439,
        status: None,
        tls: None,
        ms: Millis { total: 5.346, ..Millis::default() },
        leak: None,
        secret: None,
    }
}

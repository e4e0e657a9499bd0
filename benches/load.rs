//! What loading rules costs, from the text of a file to the policy that decides: time, and the most memory that is resident at once.
//!
//! `cargo bench --bench load`. Each line is a process of its own, so that its peak is its own. For instructions instead of seconds:
//! `valgrind --tool=callgrind --toggle-collect='*measured*' PROGRAM --once RULES KIND`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]
#![expect(unreachable_pub, reason = "what two benches share")]

mod rules;

use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use exeat::policy::Policy;
use rules::{KINDS, Kind, SIZES, policy, text};

const ROUNDS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, rules, kind] if flag == "--once" => one(rules.parse().unwrap(), Kind::parse(kind).unwrap(), 0),
        [flag, rules, kind] if flag == "--one" => one(rules.parse().unwrap(), Kind::parse(kind).unwrap(), ROUNDS),
        _ => every(),
    }
}

fn every() {
    println!("{:>8} {:9} {:>12} {:>12} {:>12} {:>10} {:>10}", "rules", "kind", "best", "median", "text", "held", "peak");
    for kind in KINDS {
        for rules in SIZES {
            let program = std::env::current_exe().unwrap();
            let output = Command::new(program).args(["--one", &rules.to_string(), &kind.to_string()]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            print!("{}", String::from_utf8(output.stdout).unwrap());
        }
    }
}

/// `held` is what a first load leaves resident beside the text and the program, `peak` the most of the whole process in it.
fn one(rules: usize, kind: Kind, rounds: usize) {
    let text = text(rules, kind);
    let before = status("VmRSS");
    let first = measured(&text);
    let (held, peak) = (status("VmRSS") - before, status("VmHWM"));
    drop(first);
    let mut taken: Vec<Duration> = (0..rounds).map(|_| timed(&text)).collect();
    taken.sort();
    let Some(best) = taken.first() else { return };
    let ms = |taken: Duration| taken.as_secs_f64() * 1e3;
    println!(
        "{rules:8} {:9} {:9.2} ms {:9.2} ms {:8.1} MiB {held:6.1} MiB {peak:6.1} MiB",
        kind.to_string(),
        ms(*best),
        ms(taken[rounds / 2]),
        text.len() as f64 / f64::from(1 << 20)
    );
}

#[inline(never)]
fn measured(text: &str) -> Policy {
    policy(black_box(text))
}

fn timed(text: &str) -> Duration {
    let began = Instant::now();
    let policy = measured(text);
    let taken = began.elapsed();
    drop(policy);
    taken
}

/// In MiB.
fn status(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

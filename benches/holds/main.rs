//! What 100,000 pending questions cost: memory of each, how soon an answer releases its waiter, and what everything else at the desk delays.
//!
//! `cargo bench --bench holds`, or `-- memory`, `-- latency`, `-- connections` for one part. Each part is a process of its own. Gate, desk, journal and
//! store are the real ones, under a folder of their own on the disk; only the connections are left out, and measured by themselves.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]

mod connections;
mod latency;
mod memory;
#[path = "../neck/mod.rs"]
mod neck;
mod world;

use std::alloc::System;
use std::process::Command;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Questions that are pending in all.
const PENDING: usize = 100_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => ["memory", "latency", "connections"].into_iter().for_each(alone),
        ["memory"] => memory::measure(PENDING),
        ["latency"] => latency::measure(PENDING),
        ["connections"] => connections::measure(),
        ["serve"] => connections::serve(),
        [part, pending] if *part == "memory" => memory::measure(pending.parse().unwrap()),
        [part, pending] if *part == "latency" => latency::measure(pending.parse().unwrap()),
        other => println!("no such part: {other:?}"),
    }
}

fn alone(part: &str) {
    println!("# {part}, load {}", load());
    assert!(Command::new(std::env::current_exe().unwrap()).arg(part).status().unwrap().success());
}

/// Bytes that are allocated and not freed.
fn allocated() -> i64 {
    let stats = ALLOCATED.stats();
    i64::try_from(stats.bytes_allocated).unwrap() - i64::try_from(stats.bytes_deallocated).unwrap()
}

/// Bytes of a process that are in memory.
fn resident(pid: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() << 10
}

/// The load average of the last minute.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().to_owned()
}

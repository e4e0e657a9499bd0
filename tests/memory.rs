//! Memory of pending questions and of those who wait, as the allocator counts it: the part of `benches/holds` that needs no clock.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on says where, and prints its figures")]

#[path = "../benches/holds/memory.rs"]
mod memory;
#[path = "../benches/holds/world.rs"]
#[expect(dead_code, reason = "its policy is for the other parts of the bench")]
mod world;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated and not freed.
fn allocated() -> i64 {
    let stats = ALLOCATED.stats();
    i64::try_from(stats.bytes_allocated).unwrap() - i64::try_from(stats.bytes_deallocated).unwrap()
}

#[test]
fn a_pending_question_and_one_who_waits_at_it_take_less_than_two_kib_each() {
    memory::measure(10_000);
}

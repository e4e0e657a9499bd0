//! `deploy/`, what is shipped beside the program, as it is used; and exeat where it is run: how it ends, what it is given, what it is short of.

mod activation;
mod compose;
mod drain;
mod image;
mod limits;
mod package;
mod restart;
mod shipped;
mod units;

use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

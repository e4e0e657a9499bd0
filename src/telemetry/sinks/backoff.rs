//! The wait between two tries: twice as long each time, never the same for two processes.

use std::time::Duration;

/// A receiver that asks for more is asked again sooner.
const OBEYED: Duration = Duration::from_secs(300);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure, not shorter than the receiver asks for.
    pub(super) fn next(&mut self, after: Option<Duration>) -> Duration {
        let wait = self.wait(chance());
        self.failures = self.failures.saturating_add(1);
        after.map_or(wait, |after| wait.max(after.min(OBEYED)))
    }

    /// Between a half and the whole of what is due; `chance` of 255 is the whole.
    fn wait(&self, chance: u8) -> Duration {
        let due = self.first.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        due / 2 + due.mul_f64(f64::from(chance) / 255.0) / 2
    }
}

fn chance() -> u8 {
    let mut byte = [255];
    // Without chance the wait is the longest there is.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push((backoff.wait(0).as_millis(), backoff.wait(255).as_millis()));
            backoff.next(None);
        }
        let due = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
        assert_eq!(waits, due.map(|due| (due / 2, due)));
        backoff.reset();
        assert_eq!(backoff.wait(255), Duration::from_millis(500));
    }

    #[test]
    fn what_a_receiver_asks_for_is_obeyed_within_bounds() {
        let asked = |seconds| Backoff::new(Duration::from_millis(500), Duration::from_secs(30)).next(Some(Duration::from_secs(seconds)));
        assert!((250..=500).contains(&asked(0).as_millis()));
        assert_eq!(asked(7), Duration::from_secs(7));
        assert_eq!(asked(u64::MAX), OBEYED);
    }
}

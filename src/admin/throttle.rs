//! Wrong tokens and log-in codes, counted by source and in all: past a limit the answer is 429 for a while.
//!
//! What is right passes whatever was counted: on one machine every source is loopback, and an agent could lock its approver out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong ones of a source that are answered within a window.
const OF_A_SOURCE: u32 = 10;

/// Wrong ones in all that are answered within a window.
const IN_ALL: u32 = 200;

/// How long a count lasts.
const WINDOW: Duration = Duration::from_secs(60);

/// Sources that are told apart; of more, all count as one.
const SOURCES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Throttle {
    sources: HashMap<IpAddr, Count>,
    others: Option<Count>,
    all: Option<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    began: Instant,
    failed: u32,
}

impl Throttle {
    /// Counts a failure. The error is after how long another may be tried.
    pub(super) fn failed(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let source = source(from);
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, count| now.duration_since(count.began) < WINDOW);
        }
        let fresh = Count { began: now, failed: 0 };
        let all = self.all.get_or_insert(fresh);
        let own = if self.sources.len() < SOURCES || self.sources.contains_key(&source) {
            self.sources.entry(source).or_insert(fresh)
        } else {
            self.others.get_or_insert(fresh)
        };
        let (own, all) = (own.more(now, OF_A_SOURCE), all.more(now, IN_ALL));
        match (own, all) {
            (None, None) => Ok(()),
            (wait, other) => Err(wait.max(other).unwrap_or(WINDOW)),
        }
    }
}

impl Count {
    /// One more; how long to wait where that is more than `most`.
    fn more(&mut self, now: Instant, most: u32) -> Option<Duration> {
        if now.duration_since(self.began) >= WINDOW {
            *self = Self { began: now, failed: 0 };
        }
        self.failed = self.failed.saturating_add(1);
        (self.failed > most).then(|| WINDOW.saturating_sub(now.duration_since(self.began)))
    }
}

/// Whoever has an IPv6 /64 picks the address in it.
fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_source_is_told_to_wait_past_its_limit_and_another_is_not() {
        let (mut throttle, begin) = (Throttle::default(), Instant::now());
        for _ in 0..OF_A_SOURCE {
            assert_eq!(throttle.failed(address(1), begin), Ok(()));
        }
        let later = begin + Duration::from_secs(20);
        assert_eq!(throttle.failed(address(1), later), Err(Duration::from_secs(40)));
        assert_eq!(throttle.failed(address(2), later), Ok(()));
        assert_eq!(throttle.failed(address(1), begin + WINDOW), Ok(()));
    }

    #[test]
    fn addresses_that_one_holder_picks_are_one_source() {
        let rows = [("127.0.0.1", "127.9.9.9"), ("2001:db8::1", "2001:db8::ffff"), ("::ffff:192.0.2.1", "192.0.2.1")];
        for (one, other) in rows {
            assert_eq!(source(one.parse().unwrap()), source(other.parse().unwrap()), "{one} {other}");
        }
        assert_ne!(source("2001:db8::1".parse().unwrap()), source("2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn many_sources_meet_the_limit_of_all_and_do_not_grow_without_end() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let answers: Vec<_> = (0..10_000).map(|number| throttle.failed(address(number), now)).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), IN_ALL as usize);
        assert_eq!(throttle.sources.len(), SOURCES);
        assert_eq!(throttle.failed(address(70_000), now + WINDOW), Ok(()));
        assert_eq!(throttle.sources.len(), 1);
    }
}

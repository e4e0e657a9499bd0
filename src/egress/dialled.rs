//! Connections to origins while attempts carry them, so that one that is redirected back to this process is known for what it is.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::policy::address::canonical;

/// Both ends of each, ours first. A port alone would not do: the system gives the same to connections that lead to different places.
#[derive(Clone, Debug, Default)]
pub(super) struct Dials(Arc<Mutex<HashSet<(SocketAddr, SocketAddr)>>>);

/// One of them; dropping it forgets it.
#[derive(Debug)]
pub(super) struct Dialling {
    dials: Dials,
    ends: (SocketAddr, SocketAddr),
}

impl Dials {
    /// Says that there is a connection.
    pub(super) fn begun(&self, from: SocketAddr, to: SocketAddr) -> Dialling {
        let ends = (canonical(from), canonical(to));
        self.0.lock().insert(ends);
        Dialling { dials: self.clone(), ends }
    }

    /// Whether there is one between these.
    pub(super) fn holds(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.0.lock().contains(&(canonical(from), canonical(to)))
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.dials.0.lock().remove(&self.ends);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_both_ends_in_either_family_until_it_is_over() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let dials = Dials::default();
        let dialling = dials.begun(at("10.0.0.5:4000"), at("203.0.113.7:443"));
        let table = [
            ("10.0.0.5:4000", "203.0.113.7:443", true),
            ("[::ffff:10.0.0.5]:4000", "203.0.113.7:443", true),
            ("10.0.0.5:4000", "203.0.113.8:443", false),
            ("10.0.0.5:4001", "203.0.113.7:443", false),
            ("203.0.113.7:443", "10.0.0.5:4000", false),
        ];
        for (from, to, wanted) in table {
            assert_eq!(dials.holds(at(from), at(to)), wanted, "{from} {to}");
        }
        drop(dialling);
        assert!(!dials.holds(at("10.0.0.5:4000"), at("203.0.113.7:443")));
    }
}

//! Where the names of back ends lead: no agent is dialled there, whatever name or address it asks for.
//!
//! One on the internet that is reached by TLS is closed by its name alone: others share its address, and TLS tells them apart.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::BackEnd;
use crate::policy::address::{AddressClass, Guard};
use crate::policy::host::Host;

/// Of all back ends together no more are kept in mind; the one found longest ago is forgotten.
const MOST: usize = 256;

/// Addresses that names of back ends led to; whoever judges addresses shares it.
#[derive(Clone, Debug, Default)]
pub struct Found(Arc<ArcSwap<Guard>>);

impl Found {
    /// What is never dialled because a name of a back end led there.
    pub fn guard(&self) -> Arc<ArcSwap<Guard>> {
        Arc::clone(&self.0)
    }

    /// Takes note of where a back end is before it is dialled.
    pub(super) fn add(&self, to: &BackEnd, addresses: &[SocketAddr]) {
        if matches!(to.host, Host::Address(_)) {
            return;
        }
        let shared = |at: &SocketAddr| to.tls && AddressClass::of(at.ip()) == AddressClass::Public;
        let own: Vec<SocketAddr> = addresses.iter().filter(|at| !shared(at)).copied().collect();
        self.0.rcu(|guard| {
            let mut kept: Vec<SocketAddr> = guard.own.iter().filter(|at| !own.contains(at)).copied().chain(own.iter().copied()).collect();
            kept.drain(..kept.len().saturating_sub(MOST));
            Guard { own: kept, ..Guard::default() }
        });
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_kept_unless_it_stands_in_the_configuration_or_others_share_it() {
        let table = [
            ("http://collector:4317", "10.0.0.9:4317", vec!["10.0.0.9:4317"]),
            ("http://collector:4317", "8.8.8.8:4317", vec!["8.8.8.8:4317"]),
            ("https://collector", "10.0.0.9:443", vec!["10.0.0.9:443"]),
            ("https://collector", "8.8.8.8:443", vec![]),
            ("http://10.0.0.9:4317", "10.0.0.9:4317", vec![]),
        ];
        for (url, address, wanted) in table {
            let found = Found::default();
            found.add(&BackEnd::parse(url).unwrap(), &[at(address)]);
            assert_eq!(found.guard().load().own, wanted.into_iter().map(at).collect::<Vec<_>>(), "{url} at {address}");
        }
    }

    #[test]
    fn the_address_found_longest_ago_is_forgotten_first() {
        let (found, to) = (Found::default(), BackEnd::parse("http://collector:80").unwrap());
        let number = |number: u16| at(&format!("10.0.{}.{}:80", number / 256, number % 256));
        found.add(&to, &[number(0), number(1)]);
        (2..256).for_each(|next| found.add(&to, &[number(next)]));
        found.add(&to, &[number(0)]);
        found.add(&to, &[number(256)]);
        let wanted: Vec<SocketAddr> = (2..256).chain([0, 256]).map(number).collect();
        assert_eq!(found.guard().load().own, wanted);
    }
}

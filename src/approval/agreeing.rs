//! Yeses of several people to one question: what they have in common is what is granted.

use std::sync::Arc;

use ipnet::IpNet;

use super::answer::Lasting;
use super::holds::{Question, Yes};
use super::unanswered::AnswerError;
use crate::policy::address::{AddressClass, Addresses};

/// What becomes of one more yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    /// Others have to say so as well.
    NotYet(Yes),
    /// Enough have; this is what all of them granted, by all their names.
    All(Yes),
}

/// Weighs a yes beside those the question has, where `of` people have to say so.
pub(super) fn weigh(question: &Question, yes: Yes, of: u8) -> Result<Agreed, AnswerError> {
    if of <= 1 {
        return Ok(Agreed::All(yes));
    }
    if question.yeses.iter().any(|said| said.approver == yes.approver) {
        return Err(AnswerError::SaidAlready { of });
    }
    let common = question.yeses.iter().try_fold(yes.clone(), common)?;
    Ok(if question.yeses.len() + 1 < usize::from(of) { Agreed::NotYet(yes) } else { Agreed::All(common) })
}

/// Takes back what somebody said to a question, and names it where he had said something.
pub(super) fn disown(question: &mut Question, approver: &str) -> Option<Arc<str>> {
    let before = question.yeses.len();
    question.yeses.retain(|yes| *yes.approver != *approver);
    (question.yeses.len() != before).then(|| Arc::clone(&question.id))
}

fn common(last: Yes, earlier: &Yes) -> Result<Yes, AnswerError> {
    let addresses = both(&last.addresses, &earlier.addresses).ok_or(AnswerError::NothingInCommon)?;
    Ok(Yes {
        approver: format!("{} and {}", earlier.approver, last.approver).into(),
        lasting: shorter(last.lasting, earlier.lasting),
        addresses,
        note: last.note.or_else(|| earlier.note.clone()),
    })
}

fn shorter(one: Lasting, other: Lasting) -> Lasting {
    match (one, other) {
        (Lasting::Once, _) | (_, Lasting::Once) => Lasting::Once,
        (Lasting::For(one), Lasting::For(other)) => Lasting::For(one.min(other)),
        (Lasting::For(length), Lasting::Always) | (Lasting::Always, Lasting::For(length)) => Lasting::For(length),
        (Lasting::Always, Lasting::Always) => Lasting::Always,
    }
}

/// What both open; `None` where that is nothing.
fn both(one: &Arc<Addresses>, other: &Arc<Addresses>) -> Option<Arc<Addresses>> {
    if one == other {
        return Some(Arc::clone(one));
    }
    let within = |some: &Addresses, others: &Addresses| -> Vec<IpNet> {
        let contained =
            |network: &&IpNet| others.networks.iter().any(|wide| wide.contains(*network)) || others.public && !is_not_public(network);
        some.networks.iter().filter(contained).copied().collect()
    };
    let mut networks = within(one, other);
    networks.extend(within(other, one));
    networks.sort();
    networks.dedup();
    let common = Addresses { public: one.public && other.public, networks };
    (common.public || !common.networks.is_empty()).then(|| Arc::new(common))
}

/// Whether a network may hold addresses that are not public. Small ones alone are told: no block that is set apart is smaller than a /24, or lies in a /64
/// beside others.
pub fn is_not_public(network: &IpNet) -> bool {
    let small = network.prefix_len() >= if network.addr().is_ipv4() { 24 } else { 64 };
    let public = |address| AddressClass::of(address) == AddressClass::Public;
    !(small && public(network.network()) && public(network.broadcast()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_narrower_of_two_yeses_holds_in_length_and_in_addresses() {
        let (long, short) = (Lasting::For(Duration::from_secs(60)), Lasting::For(Duration::from_secs(5)));
        let lengths = [Lasting::Once, short, long, Lasting::Always];
        for (at, one) in lengths.into_iter().enumerate() {
            for other in &lengths[at..] {
                assert_eq!((shorter(one, *other), shorter(*other, one)), (one, one));
            }
        }
        for (one, other, wanted) in [
            (&["public"][..], &["public"][..], Some(&["public"][..])),
            (&["public", "10.0.0.0/8"], &["public"], Some(&["public"])),
            (&["10.0.0.0/8"], &["10.1.0.0/16", "192.168.0.0/16"], Some(&["10.1.0.0/16"])),
            (&["public"], &["8.8.8.8"], Some(&["8.8.8.8"])),
            (&["public"], &["10.0.0.0/8"], None),
            (&["10.0.0.0/16"], &["10.1.0.0/16"], None),
        ] {
            let wanted = wanted.map(addresses);
            assert_eq!((both(&addresses(one), &addresses(other)), both(&addresses(other), &addresses(one))), (wanted.clone(), wanted));
        }
    }

    #[test]
    fn only_a_small_network_of_public_addresses_needs_no_second_word() {
        for (network, wanted) in [
            ("8.8.8.8/32", false),
            ("8.8.8.0/24", false),
            ("8.0.0.0/7", true),
            ("10.0.0.7/32", true),
            ("127.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("2001:4860:4860::8888/128", false),
            ("fd00::/8", true),
            ("::1/128", true),
        ] {
            assert_eq!(is_not_public(&network.parse().unwrap()), wanted, "{network}");
        }
    }

    fn addresses(entries: &[&str]) -> Arc<Addresses> {
        let mut addresses = Addresses::none();
        entries.iter().for_each(|entry| addresses.add(entry).unwrap());
        Arc::new(addresses)
    }
}

//! What became of the attempts of one process, in one line for the person who ran it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::egress::record::{Decided, Ended, Outcome, Place, Record, Ruling};
use crate::policy::attempt::AttemptId;
use crate::policy::reason::Reason;
use crate::text::plain;

/// Destinations named; more are counted.
const MOST_NAMED: usize = 5;
/// Destinations kept to be named.
const MOST_KEPT: usize = 64;

/// Attempts of identified agents, by what they got in the end. Credentials that a client leaves out at first are no attempt of its own.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    listed: u64,
    approved: u64,
    refused: u64,
    open: HashMap<AttemptId, Place>,
    named: BTreeMap<(String, u16), Reason>,
    unnamed: u64,
}

impl Tally {
    /// Takes a record into account.
    pub fn recorded(&mut self, record: &Record) {
        match record {
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Held(_) | Record::Answered(_) | Record::Revoked(_) => {}
            Record::RefusedSummary(summary) if summary.agent.is_some() => self.refused += summary.count,
            Record::Approver(_) | Record::Cut(_) => {}
            Record::Progress(_) | Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => {}
        }
    }

    fn decided(&mut self, decided: &Decided) {
        if decided.agent.is_none() {
            return;
        }
        match (decided.decision, decided.reason) {
            (Ruling::Allow, Reason::Approved) => self.approved += 1,
            (Ruling::Allow, _) => self.listed += 1,
            // Its requests are counted one by one.
            (Ruling::Look, _) => {}
            (Ruling::Block, reason) => self.refused(decided.destination.as_ref(), reason),
        }
        if let (Ruling::Allow | Ruling::Look, Some(place)) = (decided.decision, &decided.destination) {
            self.open.insert(decided.id, place.clone());
        }
    }

    /// A name that passed and an address that did not is a refusal after all.
    fn ended(&mut self, ended: &Ended) {
        let place = self.open.remove(&ended.id);
        if let (Outcome::Refused, Some(place)) = (ended.outcome, place) {
            self.refused(Some(&place), ended.reason);
        }
    }

    fn refused(&mut self, place: Option<&Place>, reason: Reason) {
        self.refused += 1;
        let Some(place) = place else { return };
        let name = (place.host.clone(), place.port);
        if self.named.len() < MOST_KEPT || self.named.contains_key(&name) {
            self.named.insert(name, reason);
        } else {
            self.unnamed += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listed, approved, refused, open: _, named, unnamed } = self;
        if listed + approved + refused == 0 {
            return f.write_str("no attempts: nothing asked the proxy, or only for this machine itself");
        }
        write!(f, "{listed} listed, {approved} approved, {refused} refused")?;
        for (at, ((host, port), reason)) in named.iter().take(MOST_NAMED).enumerate() {
            let lead = if at == 0 { ": " } else { ", " };
            write!(f, "{lead}{}:{port} ({reason})", plain(host, 80))?;
        }
        let more = named.len().saturating_sub(MOST_NAMED) as u64 + unnamed;
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sample::{decided, ended};
    use crate::policy::attempt::AgentId;

    #[test]
    fn a_refusal_counts_when_it_comes_and_its_destination_is_named_once() {
        let mut tally = Tally::default();
        assert!(tally.to_string().starts_with("no attempts"));
        let agent = AgentId::parse("a").ok();
        for id in 1..=2 {
            let blocked = Decided { agent: agent.clone(), decision: Ruling::Block, reason: Reason::Unlisted, ..decided(id) };
            tally.recorded(&Record::Decided(blocked));
        }
        let allowed = Decided { agent: agent.clone(), decision: Ruling::Allow, reason: Reason::Listed, ..decided(3) };
        let name = allowed.destination.clone().map(|place| format!("{}:{}", place.host, place.port)).unwrap_or_default();
        tally.recorded(&Record::Decided(allowed));
        tally.recorded(&Record::Ended(Ended { outcome: Outcome::Refused, reason: Reason::ForbiddenAddress, ..ended(3) }));
        tally.recorded(&Record::Decided(Decided { agent: None, ..decided(4) }));
        assert_eq!(tally.to_string(), format!("1 listed, 0 approved, 3 refused: {name} (forbidden-address)"));
    }
}

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
    refused: Named,
    /// Of the listed and approved, those that did not get there.
    failed: Named,
    open: HashMap<AttemptId, Place>,
}

/// How many, and where to.
#[derive(Clone, Debug, Default)]
struct Named {
    count: u64,
    places: BTreeMap<(String, u16), Reason>,
    unnamed: u64,
}

impl Tally {
    /// Takes a record into account.
    pub fn recorded(&mut self, record: &Record) {
        match record {
            Record::Decided(decided) => self.decided(decided),
            Record::Ended(ended) => self.ended(ended),
            Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Held(_) | Record::Answered(_) | Record::Revoked(_) => {}
            Record::Frozen(_) | Record::Thawed(_) => {}
            Record::RefusedSummary(summary) if summary.agent.is_some() => self.refused.count += summary.count,
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
            (Ruling::Block, reason) => self.refused.one(decided.destination.as_ref(), reason),
        }
        if let (Ruling::Allow | Ruling::Look, Some(place)) = (decided.decision, &decided.destination) {
            self.open.insert(decided.id, place.clone());
        }
    }

    /// A name that passed and an address that did not is a refusal after all.
    fn ended(&mut self, ended: &Ended) {
        let Some(place) = self.open.remove(&ended.id) else { return };
        match ended.outcome {
            Outcome::Refused => self.refused.one(Some(&place), ended.reason),
            Outcome::Failed => self.failed.one(Some(&place), ended.reason),
            Outcome::Completed | Outcome::Abandoned | Outcome::Cut | Outcome::Lost => {}
        }
    }
}

impl Named {
    fn one(&mut self, place: Option<&Place>, reason: Reason) {
        self.count += 1;
        let Some(place) = place else { return };
        let name = (place.host.clone(), place.port);
        if self.places.len() < MOST_KEPT || self.places.contains_key(&name) {
            self.places.insert(name, reason);
        } else {
            self.unnamed += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listed, approved, refused, failed, open: _ } = self;
        if listed + approved + refused.count == 0 {
            return f.write_str("no attempts: nothing asked the proxy, or only for this machine itself");
        }
        write!(f, "{listed} listed, {approved} approved, {} refused{refused}", refused.count)?;
        if failed.count == 0 { Ok(()) } else { write!(f, "; {} failed{failed}", failed.count) }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count: _, places, unnamed } = self;
        for (at, ((host, port), reason)) in places.iter().take(MOST_NAMED).enumerate() {
            let lead = if at == 0 { ": " } else { ", " };
            write!(f, "{lead}{}:{port} ({reason})", plain(host, 80))?;
        }
        let more = places.len().saturating_sub(MOST_NAMED) as u64 + unnamed;
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

        let approved = Decided { agent: agent.clone(), decision: Ruling::Allow, reason: Reason::Approved, ..decided(5) };
        tally.recorded(&Record::Decided(approved));
        tally.recorded(&Record::Ended(Ended { outcome: Outcome::Failed, reason: Reason::DnsFailed, ..ended(5) }));
        let refused = format!("1 listed, 1 approved, 3 refused: {name} (forbidden-address)");
        assert_eq!(tally.to_string(), format!("{refused}; 1 failed: {name} (dns-failed)"));
    }
}

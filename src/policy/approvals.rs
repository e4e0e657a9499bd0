//! What people have said yes and no to: scopes, their ends, and the claim that uses a yes.
//!
//! A yes covers exactly what was shown and is never a permit: the attempt is decided again with it in force. A yes to a
//! tunnel covers the plain requests found in it, and none inside TLS; a yes to a request covers no tunnel, and none of another scheme. Time is an argument.

mod yes;

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use super::attempt::{AgentId, Attempt, AttemptId, Instance, RequestLine, Scheme};
use super::decide::Basis;
use super::destination::Destination;
use super::floor::Floor;
pub use yes::{Approval, ApprovalId, Asking, ONCE_WITHIN, Scope, Subject};

/// What became of taking back a yes that was just given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It is gone.
    Taken(Box<Approval>),
    /// Every use of it was claimed; `revoke` still cuts what is open.
    Used,
    /// There is no such approval.
    Unknown,
}

/// Under what an approval that may still be claimed is found; no instance for `always`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reach {
    agent: AgentId,
    instance: Option<Instance>,
    destination: Destination,
    scheme: Option<Scheme>,
    request: Option<RequestLine>,
}

impl Reach {
    fn of(approval: &Approval) -> Self {
        let Subject { agent, instance, destination, scheme, request } = approval.subject.clone();
        let instance = if matches!(approval.scope, Scope::Always) { None } else { Some(instance) };
        Self { agent, instance, destination, scheme, request }
    }
}

/// An approval in force and the end it was listed under.
#[derive(Clone, Debug)]
struct Listed {
    approval: Approval,
    end: Option<SystemTime>,
    /// Some attempt claimed it, open or not, or nobody may any more.
    used: bool,
}

/// The yeses in force and the noes still echoing. Lookups cost the same however many there are.
#[derive(Clone, Debug, Default)]
pub struct Approvals {
    all: HashMap<ApprovalId, Listed>,
    /// Those any fitting attempt may claim.
    free: HashMap<Reach, Vec<ApprovalId>>,
    /// Attempts that waited for a `once` and have not claimed it.
    seats: HashMap<AttemptId, ApprovalId>,
    /// Open attempts and what they claimed.
    claims: HashMap<AttemptId, ApprovalId>,
    ends: BTreeSet<(SystemTime, ApprovalId)>,
    silences: HashMap<Subject, SystemTime>,
    silence_ends: BTreeSet<(SystemTime, Subject)>,
}

impl Approvals {
    /// Puts a yes in force.
    pub fn insert(&mut self, approval: Approval) {
        let id = approval.id;
        self.revoke(id);
        let end = approval.end();
        self.ends.extend(end.map(|end| (end, id)));
        if let Scope::Once { waiting, next_until: _ } = &approval.scope {
            self.seats.extend(waiting.iter().map(|attempt| (*attempt, id)));
        }
        if !matches!(approval.scope, Scope::Once { waiting: _, next_until: None }) {
            self.free.entry(Reach::of(&approval)).or_default().push(id);
        }
        self.claims.extend(approval.claimed.iter().map(|attempt| (*attempt, id)));
        self.all.insert(id, Listed { used: !approval.claimed.is_empty(), approval, end });
    }

    /// Takes a yes back, whoever claimed it.
    pub fn revoke(&mut self, id: ApprovalId) -> Option<Approval> {
        self.unlist(id);
        let approval = self.all.remove(&id)?.approval;
        for attempt in &approval.claimed {
            if self.claims.get(attempt) == Some(&id) {
                self.claims.remove(attempt);
            }
        }
        Some(approval)
    }

    /// A no after a yes: takes the yes back, unless every use of it was claimed before.
    pub fn withdraw(&mut self, id: ApprovalId) -> Withdrawn {
        match self.get(id) {
            None => Withdrawn::Unknown,
            Some(approval) if !approval.has_uses_left() => Withdrawn::Used,
            Some(_) => self.revoke(id).map_or(Withdrawn::Unknown, |approval| Withdrawn::Taken(Box::new(approval))),
        }
    }

    /// The approval of that name.
    pub fn get(&self, id: ApprovalId) -> Option<&Approval> {
        self.all.get(&id).map(|listed| &listed.approval)
    }

    /// Whether what is open may rest on that: a `once` carries who claimed it, and is left to the attempt it is for by everybody else.
    pub fn carries(&self, basis: &Basis, attempt: &Attempt) -> bool {
        let Basis::Approved(id) = basis else { return true };
        let claimed = |approval: &Approval| {
            approval.claimed.contains(&attempt.id) || attempt.within.is_some_and(|tunnel| approval.claimed.contains(&tunnel))
        };
        self.get(*id).is_some_and(|approval| match &approval.scope {
            Scope::Once { waiting: _, next_until: _ } => claimed(approval),
            Scope::For { until: _ } | Scope::Always => true,
        })
    }

    /// Every approval, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Approval> {
        self.all.values().map(|listed| &listed.approval)
    }

    /// As `live_under`, with no floor.
    pub fn live(&self, attempt: &Attempt, asking: Asking, now: SystemTime) -> Option<&Approval> {
        self.live_under(&Floor::none(), attempt, asking, now)
    }

    /// The approval that covers the attempt and answers what is asked, if one does: what it claimed, what the tunnel around it claimed, what
    /// was given to it as it waited, then what anybody may claim, the widest first. What the floor has in force no more hides none that is.
    pub fn live_under(&self, floor: &Floor, attempt: &Attempt, asking: Asking, now: SystemTime) -> Option<&Approval> {
        if self.all.is_empty() {
            return None;
        }
        let counts = |approval: &&Approval| approval.answers(asking) && floor.caps(approval, now).is_some();
        let claimed = self.claimed(attempt, now, counts);
        claimed.or_else(|| self.seat(attempt, now).filter(counts)).or_else(|| self.free_for(attempt, asking, now, counts))
    }

    /// Whether the same question, or one about every request, was denied so recently that it is not asked again.
    pub fn quiet(&self, attempt: &Attempt, asking: Asking, now: SystemTime) -> bool {
        let silent = |subject: &Subject| self.silences.get(subject).is_some_and(|until| now < *until);
        !self.silences.is_empty() && (silent(&Subject::of(attempt)) || silent(&Subject::asked(attempt, asking)))
    }

    /// A no echoes until then.
    pub fn silence(&mut self, subject: Subject, until: SystemTime) {
        if let Some(old) = self.silences.insert(subject.clone(), until) {
            self.silence_ends.remove(&(old, subject.clone()));
        }
        self.silence_ends.insert((until, subject));
    }

    /// Uses a yes for one attempt. `false`: it is gone, expired, or used by others; decide again.
    ///
    /// Claiming again what the attempt holds already, or what the tunnel around it holds, is the same use.
    #[must_use]
    pub fn claim(&mut self, id: ApprovalId, attempt: &Attempt, now: SystemTime) -> bool {
        if self.claimed(attempt, now, |_| true).is_some_and(|held| held.id == id) {
            return true;
        }
        let seated = self.seat(attempt, now).is_some_and(|given| given.id == id);
        let Some(Listed { approval, end: _, used }) = self.all.get_mut(&id) else { return false };
        if !seated && !approval.is_free_to(attempt, now) {
            return false;
        }
        if let Scope::Once { waiting, next_until } = &mut approval.scope {
            waiting.remove(&attempt.id);
            *next_until = None;
        }
        approval.claimed.insert(attempt.id);
        *used = true;
        let exhausted = !approval.has_uses_left();
        self.claims.insert(attempt.id, id);
        if seated {
            self.seats.remove(&attempt.id);
        }
        if exhausted {
            self.unlist(id);
        }
        true
    }

    /// The attempt ended: it no longer covers requests found in it, nor may it claim what was given to it.
    ///
    /// A `once` whose attempts all went away before they could claim it serves the next one.
    pub fn ended(&mut self, attempt: AttemptId) {
        for id in [self.claims.remove(&attempt), self.seats.remove(&attempt)].into_iter().flatten() {
            let Some(Listed { approval, end, used }) = self.all.get_mut(&id) else { continue };
            approval.claimed.remove(&attempt);
            if let Scope::Once { waiting, next_until } = &mut approval.scope {
                waiting.remove(&attempt);
                if waiting.is_empty() && !*used && next_until.is_none() {
                    *next_until = *end;
                    self.free.entry(Reach::of(approval)).or_default().push(id);
                }
            }
            self.drop_if_spent(id);
        }
    }

    /// Drops what has ended by itself. `true` if open attempts may have lost what covered them.
    pub fn expire(&mut self, now: SystemTime) -> bool {
        while let Some(due) = self.silence_ends.first().filter(|(end, _)| *end <= now).cloned() {
            self.silence_ends.remove(&due);
            self.silences.remove(&due.1);
        }
        let mut lost = false;
        while let Some((_, id)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.unlist(id);
            let Some(Listed { approval, end: _, used }) = self.all.get_mut(&id) else { continue };
            if let Scope::Once { waiting, next_until } = &mut approval.scope {
                waiting.clear();
                *next_until = None;
                *used = true;
                self.drop_if_spent(id);
            } else {
                self.revoke(id);
                lost = true;
            }
        }
        lost
    }

    /// The first end still to come, of a yes or of the echo of a no.
    pub fn next_end(&self, now: SystemTime) -> Option<SystemTime> {
        let approval = self.ends.iter().map(|(end, _)| *end).find(|end| *end > now);
        let silence = self.silence_ends.iter().map(|(end, _)| *end).find(|end| *end > now);
        approval.into_iter().chain(silence).min()
    }

    fn claimed(&self, attempt: &Attempt, now: SystemTime, counts: impl Fn(&&Approval) -> bool) -> Option<&Approval> {
        let covers = |approval: &&Approval| approval.fits(attempt) && approval.lasts(now) && counts(approval);
        let by = |id: AttemptId| self.get(*self.claims.get(&id)?).filter(covers);
        by(attempt.id).or_else(|| attempt.within.and_then(by))
    }

    fn seat(&self, attempt: &Attempt, now: SystemTime) -> Option<&Approval> {
        self.get(*self.seats.get(&attempt.id)?).filter(|approval| approval.fits(attempt) && now < approval.at + ONCE_WITHIN)
    }

    fn free_for(&self, attempt: &Attempt, asking: Asking, now: SystemTime, counts: impl Fn(&&Approval) -> bool) -> Option<&Approval> {
        if self.free.is_empty() {
            return None;
        }
        let Subject { agent, instance, destination, scheme, request: _ } = Subject::of(attempt);
        let tunnel = (attempt.within.is_some() && scheme == Some(Scheme::Http)).then_some(None);
        let every = (asking == Asking::EveryRequest).then_some(None);
        let requests: Vec<Option<RequestLine>> = every.into_iter().chain(attempt.sight.meant().map(Some)).collect();
        let mut reach = Reach { agent, instance: None, destination, scheme, request: None };
        for bound in [None, Some(instance)] {
            reach.instance = bound;
            for scheme in [Some(scheme), tunnel].into_iter().flatten() {
                reach.scheme = scheme;
                for request in &requests {
                    reach.request.clone_from(request);
                    let ids = self.free.get(&reach).into_iter().flatten();
                    let open = ids.filter_map(|id| self.get(*id)).filter(|approval| approval.is_free_to(attempt, now) && counts(approval));
                    if let Some(found) = open.max_by_key(|approval| approval.end()) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }

    fn drop_if_spent(&mut self, id: ApprovalId) {
        if self.get(id).is_some_and(|approval| !approval.has_uses_left() && approval.claimed.is_empty()) {
            self.revoke(id);
        }
    }

    /// Removes an approval from where unclaimed uses and ends are found.
    fn unlist(&mut self, id: ApprovalId) {
        let Some(Listed { approval, end, used: _ }) = self.all.get(&id) else { return };
        if let Some(end) = end {
            self.ends.remove(&(*end, id));
        }
        if let Scope::Once { waiting, next_until: _ } = &approval.scope {
            for attempt in waiting {
                if self.seats.get(attempt) == Some(&id) {
                    self.seats.remove(attempt);
                }
            }
        }
        let reach = Reach::of(approval);
        if let Some(ids) = self.free.get_mut(&reach) {
            ids.retain(|listed| *listed != id);
            if ids.is_empty() {
                self.free.remove(&reach);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::num::NonZeroU16;
    use std::sync::Arc;
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::address::Addresses;
    use super::super::attempt::Sight;
    use super::super::destination::Port;
    use super::super::host::Host;
    use super::*;

    #[test]
    fn once_serves_exactly_the_attempts_that_waited_each_once() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, once([10, 11])));
        for waited in [10, 11] {
            let waited = tunnel(waited);
            assert_eq!(approvals.live(&waited, Asking::EveryRequest, at(1)).unwrap().id, named(1));
            assert!(approvals.claim(named(1), &waited, at(1)));
            approvals.ended(waited.id);
            assert!(approvals.live(&waited, Asking::EveryRequest, at(2)).is_none());
            assert!(!approvals.claim(named(1), &waited, at(2)));
        }
        assert_eq!(approvals.iter().count(), 0);
    }

    #[test]
    fn once_is_not_for_an_attempt_that_did_not_wait() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, once([10])));
        assert!(approvals.live(&tunnel(12), Asking::EveryRequest, at(1)).is_none());
        assert!(!approvals.claim(named(1), &tunnel(12), at(1)));
    }

    #[test]
    fn a_tunnel_under_once_stays_covered_and_covers_what_is_found_in_it_until_it_ends() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, once([10])));
        let outer = tunnel(10);
        assert!(approvals.claim(named(1), &outer, at(1)));
        let late = at(100_000);
        approvals.expire(late);
        assert!(approvals.live(&outer, Asking::EveryRequest, late).is_some());
        assert!(approvals.live(&inside(20, 10), Asking::EveryRequest, late).is_some());
        assert!(approvals.claim(named(1), &inside(20, 10), late));
        assert!(approvals.live(&inside(21, 99), Asking::EveryRequest, late).is_none(), "another tunnel");
        let mut elsewhere = inside(22, 10);
        elsewhere.destination.port = Port(NonZeroU16::new(8443).unwrap());
        assert!(approvals.live(&elsewhere, Asking::EveryRequest, late).is_none(), "another destination");
        approvals.ended(outer.id);
        assert!(approvals.live(&inside(23, 10), Asking::EveryRequest, late).is_none());
        assert_eq!(approvals.iter().count(), 0);
    }

    #[test]
    fn once_without_waiters_serves_one_next_attempt_in_time() {
        let fresh = || {
            let mut approvals = Approvals::default();
            approvals.insert(yes(1, Scope::Once { waiting: BTreeSet::new(), next_until: Some(at(300)) }));
            approvals
        };
        let mut approvals = fresh();
        assert!(approvals.claim(named(1), &tunnel(10), at(299)));
        assert!(!approvals.claim(named(1), &tunnel(11), at(299)));
        assert!(approvals.live(&tunnel(11), Asking::EveryRequest, at(299)).is_none());
        let mut approvals = fresh();
        assert!(approvals.live(&tunnel(10), Asking::EveryRequest, at(300)).is_none());
        assert!(!approvals.claim(named(1), &tunnel(10), at(300)));
        assert_eq!(approvals.next_end(at(0)), Some(at(300)));
        assert!(!approvals.expire(at(300)));
        assert_eq!(approvals.iter().count(), 0);
    }

    #[test]
    fn once_whose_waiters_went_away_before_the_claim_serves_one_next_attempt() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, once([10, 11])));
        approvals.ended(tunnel(10).id);
        assert!(approvals.live(&tunnel(12), Asking::EveryRequest, at(5)).is_none(), "one still waits");
        approvals.ended(tunnel(11).id);
        assert!(approvals.live(&tunnel(12), Asking::EveryRequest, at(300)).is_none(), "too late");
        assert!(approvals.claim(named(1), &tunnel(12), at(299)));
        assert!(approvals.live(&tunnel(13), Asking::EveryRequest, at(299)).is_none());
    }

    #[test]
    fn for_ends_at_its_end_and_says_that_tunnels_lost_it() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, Scope::For { until: at(60) }));
        assert!(approvals.claim(named(1), &tunnel(10), at(59)));
        assert!(approvals.claim(named(1), &tunnel(11), at(59)));
        assert!(approvals.live(&tunnel(10), Asking::EveryRequest, at(59)).is_some());
        assert!(approvals.live(&tunnel(10), Asking::EveryRequest, at(60)).is_none(), "the end itself is outside, for what is open too");
        assert!(!approvals.expire(at(59)));
        assert!(approvals.expire(at(60)));
        assert_eq!(approvals.next_end(at(0)), None);
    }

    #[test]
    fn only_always_reaches_another_instance() {
        let other = Attempt { instance: Instance("other".into()), ..tunnel(10) };
        for (scope, reaches) in [(Scope::For { until: at(60) }, false), (Scope::Always, true)] {
            let mut approvals = Approvals::default();
            approvals.insert(yes(1, scope));
            assert_eq!(approvals.live(&other, Asking::EveryRequest, at(1)).is_some(), reaches);
            assert_eq!(approvals.claim(named(1), &other, at(1)), reaches);
        }
    }

    #[test]
    fn a_yes_covers_its_agent_host_port_and_scheme_and_a_tunnel_what_it_carries() {
        let foreign = Attempt { agent: AgentId::parse("other").unwrap(), ..tunnel(10) };
        let plain = Attempt { scheme: Some(Scheme::Http), ..tunnel(11) };
        let mut elsewhere = tunnel(12);
        elsewhere.destination.host = Host::Address([192, 0, 2, 2].into());
        let rows = [
            (None, tunnel(13), true),
            (None, foreign, false),
            (None, elsewhere, false),
            (None, plain.clone(), false),
            (None, inside(14, 13), true),
            (Some(Scheme::Http), plain, true),
            (Some(Scheme::Http), tunnel(15), false),
            (Some(Scheme::Http), inside(16, 13), true),
            (None, in_tls(17, 13), false),
            (Some(Scheme::Http), in_tls(18, 13), false),
            (Some(Scheme::Https), in_tls(19, 13), true),
            (Some(Scheme::Https), inside(20, 13), false),
            (Some(Scheme::Https), tunnel(21), false),
        ];
        for scope in [Scope::For { until: at(60) }, Scope::Always] {
            for (scheme, attempt, covered) in &rows {
                let mut approvals = Approvals::default();
                let mut approval = yes(1, scope.clone());
                approval.subject.scheme = *scheme;
                approvals.insert(approval);
                assert_eq!(approvals.live(attempt, Asking::EveryRequest, at(1)).is_some(), *covered, "{scheme:?} {attempt:?}");
                assert_eq!(approvals.claim(named(1), attempt, at(1)), *covered, "{scheme:?} {attempt:?}");
            }
        }
    }

    #[test]
    fn once_for_a_next_tunnel_is_not_used_up_by_a_request_in_another() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, Scope::Once { waiting: BTreeSet::new(), next_until: Some(at(300)) }));
        assert!(approvals.live(&inside(11, 9), Asking::EveryRequest, at(1)).is_none());
        assert!(!approvals.claim(named(1), &inside(11, 9), at(1)));
        assert!(approvals.claim(named(1), &tunnel(10), at(1)));
    }

    #[test]
    fn what_is_revoked_covers_nothing_that_claimed_it() {
        for scope in [once([10]), Scope::For { until: at(60) }, Scope::Always] {
            let mut approvals = Approvals::default();
            approvals.insert(yes(1, scope));
            assert!(approvals.claim(named(1), &tunnel(10), at(1)));
            assert_eq!(approvals.revoke(named(1)).unwrap().id, named(1));
            assert!(approvals.live(&tunnel(10), Asking::EveryRequest, at(1)).is_none());
            assert!(approvals.live(&inside(11, 10), Asking::EveryRequest, at(1)).is_none());
            assert!(!approvals.claim(named(1), &tunnel(10), at(1)));
            assert_eq!(approvals.revoke(named(1)), None);
        }
    }

    #[test]
    fn a_no_takes_back_a_yes_that_has_uses_left() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, once([10, 11])));
        assert!(approvals.claim(named(1), &tunnel(10), at(1)));
        assert!(matches!(approvals.withdraw(named(1)), Withdrawn::Taken(_)));
        assert!(!approvals.claim(named(1), &tunnel(11), at(1)));
        assert_eq!(approvals.withdraw(named(1)), Withdrawn::Unknown);
        approvals.insert(yes(2, once([12])));
        assert!(approvals.claim(named(2), &tunnel(12), at(1)));
        assert_eq!(approvals.withdraw(named(2)), Withdrawn::Used);
        assert!(approvals.live(&tunnel(12), Asking::EveryRequest, at(1)).is_some());
    }

    #[test]
    fn a_no_echoes_for_its_own_subject_until_its_end() {
        let mut approvals = Approvals::default();
        approvals.silence(Subject::of(&tunnel(10)), at(50));
        approvals.silence(Subject::of(&tunnel(10)), at(60));
        assert_eq!(approvals.next_end(at(0)), Some(at(60)));
        assert!(approvals.quiet(&tunnel(11), Asking::EveryRequest, at(59)));
        assert!(!approvals.quiet(&Attempt { instance: Instance("other".into()), ..tunnel(11) }, Asking::EveryRequest, at(59)));
        assert!(!approvals.quiet(&Attempt { scheme: Some(Scheme::Http), ..tunnel(11) }, Asking::EveryRequest, at(59)));
        assert!(!approvals.quiet(&tunnel(11), Asking::EveryRequest, at(60)));
        approvals.expire(at(60));
        assert_eq!(approvals.next_end(at(0)), None);
    }

    #[test]
    fn the_longest_of_two_is_used_first() {
        let mut approvals = Approvals::default();
        approvals.insert(yes(1, Scope::For { until: at(90) }));
        approvals.insert(yes(2, Scope::For { until: at(60) }));
        assert_eq!(approvals.live(&tunnel(10), Asking::EveryRequest, at(1)).unwrap().id, named(1));
        approvals.insert(yes(3, Scope::Always));
        assert_eq!(approvals.live(&tunnel(10), Asking::EveryRequest, at(1)).unwrap().id, named(3));
    }

    #[test]
    fn nothing_is_left_of_a_hundred_thousand_once_all_have_ended() {
        let mut approvals = Approvals::default();
        for number in 0..100_000 {
            let mut approval = yes(number, Scope::For { until: at(60) });
            approval.subject.destination.host = Host::Address(std::net::Ipv4Addr::from(number as u32).into());
            approvals.insert(approval);
        }
        let mut attempt = tunnel(10);
        attempt.destination.host = Host::Address(std::net::Ipv4Addr::from(77_777).into());
        assert_eq!(approvals.live(&attempt, Asking::EveryRequest, at(1)).unwrap().id, named(77_777));
        assert!(approvals.expire(at(60)));
        assert!(approvals.all.is_empty() && approvals.free.is_empty() && approvals.ends.is_empty());
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn named(number: u128) -> ApprovalId {
        ApprovalId(Uuid::from_u128(number))
    }

    fn once(waiting: impl IntoIterator<Item = u128>) -> Scope {
        Scope::Once { waiting: waiting.into_iter().map(|number| AttemptId(Uuid::from_u128(number))).collect(), next_until: None }
    }

    fn tunnel(number: u128) -> Attempt {
        Attempt {
            id: AttemptId(Uuid::from_u128(number)),
            agent: AgentId::parse("coder").unwrap(),
            instance: Instance("run".into()),
            destination: Destination { host: Host::Address([192, 0, 2, 1].into()), port: Port(NonZeroU16::new(443).unwrap()) },
            scheme: None,
            sight: Sight::NotYet,
            within: None,
            proven: true,
        }
    }

    fn in_tls(number: u128, outer: u128) -> Attempt {
        Attempt { scheme: Some(Scheme::Https), ..inside(number, outer) }
    }

    fn inside(number: u128, outer: u128) -> Attempt {
        Attempt { scheme: Some(Scheme::Http), within: Some(AttemptId(Uuid::from_u128(outer))), ..tunnel(number) }
    }

    fn yes(number: u128, scope: Scope) -> Approval {
        Approval {
            id: named(number),
            subject: Subject::of(&tunnel(0)),
            scope,
            addresses: Arc::new(Addresses { public: true, networks: Vec::new() }),
            approver: "alice".into(),
            at: at(0),
            note: None,
            claimed: BTreeSet::new(),
        }
    }
}

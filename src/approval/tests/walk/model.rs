//! What may pass, in the plainest form: every yes and no in the order they were given, looked through from the first to the last.
//!
//! It knows what an approver was shown and what the rules say. It shares no code with what it judges.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::rules::{BYTES, Opens, PLACES, Rules, SHORT, SIGHTS, Stand, WHO};
use super::*;

/// How long a `once` may go unclaimed, and how long a no echoes.
const CLAIMED_WITHIN: Duration = Duration::from_secs(300);
const ECHOES: Duration = Duration::from_secs(600);

/// What an attempt is, by its numbers in the tables of `rules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) who: usize,
    pub(super) place: usize,
    pub(super) sight: usize,
    /// The tunnel it was found in.
    pub(super) within: Option<usize>,
}

/// What was shown to who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) agent: String,
    instance: String,
    place: String,
    plain: bool,
    only: Option<(String, String)>,
}

impl Shown {
    pub(super) fn of(hold: &HoldView) -> Self {
        Self {
            agent: hold.agent.to_string(),
            instance: hold.instance.clone(),
            place: hold.place.authority(),
            plain: hold.place.scheme.is_some(),
            only: hold.place.only.as_ref().map(|only| (only.method.to_string(), only.path.to_string())),
        }
    }

    /// Whether it was about that very question.
    pub(super) fn is_asked_by(&self, of: &Of, this: bool) -> bool {
        let only = SIGHTS[of.sight].filter(|_| this).map(|(method, path)| (method.to_owned(), path.to_owned()));
        self.is_of(of) && self.instance == WHO[of.who].1 && self.plain == (of.sight > 0) && self.only == only
    }

    fn is_of(&self, of: &Of) -> bool {
        self.agent == WHO[of.who].0 && self.place == PLACES[of.place]
    }
}

/// A yes that somebody gave.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) shown: Shown,
    pub(super) lasting: Lasting,
    pub(super) opens: Opens,
    pub(super) at: SystemTime,
    /// Who may have waited when a `once` was said, and how many did.
    pub(super) waited: BTreeSet<usize>,
    pub(super) released: usize,
    pub(super) used: BTreeSet<usize>,
    pub(super) over: bool,
    /// Its end could not be kept: the next start brings it back.
    pub(super) comes_back: bool,
}

/// A no that somebody said.
#[derive(Clone, Debug)]
struct Denied {
    shown: Shown,
    at: SystemTime,
    kept: bool,
}

/// One yes, whether or not it is enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) by: &'static str,
    pub(super) lasting: Lasting,
    pub(super) opens: Opens,
}

/// What becomes of one yes beside those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    SaidAlready,
    NothingInCommon,
    NotYet,
    All(Lasting, Opens),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) rules: Rules,
    pub(super) given: BTreeMap<Uuid, Given>,
    denied: Vec<Denied>,
    pub(super) attempts: Vec<Of>,
    /// The yeses to a question of which one is not enough.
    pub(super) said: BTreeMap<String, Vec<Said>>,
    /// Attempts that began under the limit of bytes, what went through them, and how much of that is written down.
    pub(super) limited: BTreeSet<usize>,
    pub(super) spent: u64,
    pub(super) spent_kept: u64,
    /// Of that, what went through before the process began.
    pub(super) spent_before: u64,
    /// Attempts that are neither waiting nor open any more.
    pub(super) gone: BTreeSet<usize>,
}

impl Model {
    pub(super) fn under(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// One more yes to a question.
    pub(super) fn agrees(&self, hold: &str, shown: &Shown, said: Said) -> Agreed {
        let before = self.said.get(hold).map(Vec::as_slice).unwrap_or_default();
        let needed = self.rules.approvers(&shown.agent);
        if needed == 1 {
            return Agreed::All(said.lasting, said.opens);
        }
        if before.iter().any(|earlier| earlier.by == said.by) {
            return Agreed::SaidAlready;
        }
        let opens = before.iter().try_fold(said.opens, |opens, earlier| opens.and(earlier.opens));
        let Some(opens) = opens else { return Agreed::NothingInCommon };
        let length = |lasting: &Lasting| match lasting {
            Lasting::Once => Duration::ZERO,
            Lasting::For(time) => *time,
            Lasting::Always => Duration::MAX,
        };
        let lasting = before.iter().map(|earlier| earlier.lasting).chain([said.lasting]).min_by_key(length);
        match lasting {
            Some(lasting) if before.len() + 1 >= needed => Agreed::All(lasting, opens),
            Some(_) | None => Agreed::NotYet,
        }
    }

    /// Whether the agent may move no more bytes today.
    pub(super) fn is_spent(&self, of: &Of) -> bool {
        self.rules.limits && WHO[of.who].0 == "coder" && self.spent >= BYTES
    }

    /// So many bytes came, and how many of them may pass.
    pub(super) fn carry(&mut self, number: usize, bytes: u64) -> u64 {
        if !self.limited.contains(&number) {
            return bytes;
        }
        let may = bytes.min(BYTES - self.spent);
        self.spent += may;
        may
    }

    /// What a permit opens.
    pub(super) fn opens(&self, by: Option<Uuid>) -> Opens {
        by.and_then(|by| self.given.get(&by)).map_or(Opens::Public, |given| given.opens)
    }

    /// A permit was given: by which yes, or by the rules.
    pub(super) fn passed(&mut self, number: usize, by: Option<Uuid>, now: SystemTime) -> Result<(), TestCaseError> {
        let of = self.attempts[number];
        if self.rules.limits && WHO[of.who].0 == "coder" {
            self.limited.insert(number);
        }
        let Some(by) = by else {
            prop_assert_eq!(self.rules.say(&of), Stand::Listed, "no rule lists {:?}", of);
            prop_assert!(!self.is_quiet(&of, now), "a no echoes for {:?}", of);
            return Ok(());
        };
        prop_assert!(self.given.contains_key(&by), "nobody gave {by}");
        prop_assert!(
            self.covers(by, number, now),
            "{:?} does not cover {number}, {of:?}, under {:?} at {now:?}",
            self.given[&by],
            self.rules
        );
        let carried = of.within.is_some_and(|outer| self.given[&by].used.contains(&outer));
        let gone = self.gone.clone();
        if let Some(given) = self.given.get_mut(&by)
            && given.lasting == Lasting::Once
            && !carried
        {
            let first = given.used.is_empty();
            let next = first && given.waited.intersection(&gone).count() >= given.released;
            prop_assert!(given.waited.contains(&number) || next, "{number} uses {given:?}, which was not for it");
            prop_assert!(now < given.at + CLAIMED_WITHIN, "{given:?} was used too late");
            prop_assert!(given.used.insert(number), "{number} uses {given:?} twice");
            prop_assert!(given.used.len() <= given.released.max(1), "more used {given:?} than it was for");
        }
        Ok(())
    }

    /// Whether anything at all lets what is open go on.
    pub(super) fn may_go_on(&self, number: usize, now: SystemTime) -> bool {
        let of = self.attempts[number];
        let used = |given: &Given| given.used.contains(&number) || of.within.is_some_and(|outer| given.used.contains(&outer));
        let mut yeses = self.given.iter().filter(|(_, given)| given.lasting != Lasting::Once || used(given));
        match self.rules.say(&of) {
            Stand::Refused => false,
            Stand::Looks => true,
            Stand::Listed | Stand::Asks { this: _ } if self.is_quiet(&of, now) => false,
            Stand::Listed => true,
            Stand::Asks { this: _ } => yeses.any(|(by, _)| self.covers(*by, number, now)),
        }
    }

    /// Whether a yes is alive and was given for this.
    fn covers(&self, by: Uuid, number: usize, now: SystemTime) -> bool {
        let (given, of) = (&self.given[&by], self.attempts[number]);
        let this = match self.rules.say(&of) {
            Stand::Refused | Stand::Looks => return false,
            Stand::Listed => false,
            Stand::Asks { this } => this,
        };
        let lasts = match given.lasting {
            Lasting::For(time) => now < given.at + time,
            Lasting::Once | Lasting::Always => true,
        };
        let Shown { agent: _, instance, place: _, plain, only } = &given.shown;
        let within = of.within.is_some() && !plain;
        let seen = SIGHTS[of.sight].map(|(method, path)| (method.to_owned(), path.to_owned()));
        let cut = self.rules.floor_ends && given.at + SHORT <= now;
        if given.over || !lasts || cut || self.is_quiet(&of, now) {
            return false;
        }
        given.shown.is_of(&of)
            && (given.lasting == Lasting::Always || instance == WHO[of.who].1)
            && (within || *plain == (of.sight > 0))
            && (only.is_none() || *only == seen)
            && (!this || only.is_some())
    }

    fn is_quiet(&self, of: &Of, now: SystemTime) -> bool {
        let this = self.rules.say(of) == Stand::Asks { this: true };
        let echoes = |denied: &Denied| now < denied.at + ECHOES;
        let about = |denied: &Denied| denied.shown.is_asked_by(of, false) || this && denied.shown.is_asked_by(of, true);
        self.denied.iter().any(|denied| echoes(denied) && about(denied))
    }

    /// Somebody said no, and what was shown with it.
    pub(super) fn deny(&mut self, shown: Shown, at: SystemTime, kept: bool) {
        self.denied.push(Denied { shown, at, kept });
    }

    /// The process ended: nothing waits and nothing is open any more, and a `once` of which something was used is used up.
    pub(super) fn restart(&mut self) {
        self.gone = (0..self.attempts.len()).collect();
        (self.spent, self.spent_before) = (self.spent_kept, self.spent_kept);
        self.denied.retain(|denied| denied.kept);
        for given in self.given.values_mut() {
            given.over = given.over && !given.comes_back || given.lasting == Lasting::Once && !given.used.is_empty();
        }
    }
}

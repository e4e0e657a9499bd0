//! What people said: which yes covers an attempt, and whether a no still echoes.

/// What is asked: a tunnel, or a request in plain sight, perhaps inside a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub host: String,
    pub port: u16,
    pub http: bool,
    /// The attempt itself.
    pub id: u128,
    /// The tunnel it was found in.
    pub within: Option<u128>,
}

/// A yes as it was given.
#[derive(Debug)]
pub struct Yes {
    pub id: u128,
    /// What was shown.
    pub shown: Shown,
    pub scope: Scope,
    pub addresses: Vec<&'static str>,
    /// When, in seconds.
    pub at: u64,
    /// The open attempts that used it.
    pub used_by: Vec<u128>,
}

/// A no as it was given, and how long it echoes.
#[derive(Debug)]
pub struct No {
    pub shown: Shown,
    pub until: u64,
}

/// The facts of a question.
#[derive(Clone, Debug)]
pub struct Shown {
    pub host: String,
    pub port: u16,
    pub http: bool,
    /// It was this agent's.
    pub agent: bool,
    /// It was this instance's.
    pub instance: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For these, which waited.
    Waiting(Vec<u128>),
    /// None waited: for the next one until then.
    Next {
        until: u64,
    },
    For {
        until: u64,
    },
    Always,
}

/// Five minutes, in which a `once` is taken or lost.
pub const ONCE: u64 = 300;

/// Every yes that may be the one in force: what the attempt uses already, what the tunnel around it uses, what was kept for it as it waited, then what
/// anybody may use, the widest first.
pub fn covering<'a>(yeses: &'a [Yes], ask: &Ask, now: u64) -> Vec<&'a Yes> {
    let fitting = || yeses.iter().filter(|yes| yes.fits(ask));
    let used_by = |id: u128| fitting().filter(|yes| yes.used_by.contains(&id) && yes.lasts(now)).collect();
    let kept = |yes: &&Yes| matches!(&yes.scope, Scope::Waiting(waiting) if waiting.contains(&ask.id)) && now < yes.at + ONCE;
    let free = |always: bool, own: bool| {
        let open =
            fitting().filter(|yes| yes.is_free(ask, now) && (yes.scope == Scope::Always) == always && (yes.shown.http == ask.http) == own);
        let last = open.clone().filter_map(|yes| yes.end()).max();
        open.filter(|yes| yes.end() == last).collect()
    };
    let ranks: [Vec<&Yes>; 7] = [
        used_by(ask.id),
        ask.within.map(used_by).unwrap_or_default(),
        fitting().filter(kept).collect(),
        free(true, true),
        free(true, false),
        free(false, true),
        free(false, false),
    ];
    ranks.into_iter().find(|rank| !rank.is_empty()).unwrap_or_default()
}

/// Whether the same question was denied a short while ago. The last no counts.
pub fn is_quiet(noes: &[No], ask: &Ask, now: u64) -> bool {
    let same = |no: &&No| no.shown.is(ask) && no.shown.instance && no.shown.http == ask.http;
    noes.iter().rfind(same).is_some_and(|no| now < no.until)
}

impl Yes {
    /// It was given for what the attempt is. A yes to a tunnel covers the requests found in one.
    fn fits(&self, ask: &Ask) -> bool {
        let instance = self.shown.instance || self.scope == Scope::Always;
        let scheme = self.shown.http == ask.http || !self.shown.http && ask.within.is_some();
        self.shown.is(ask) && instance && scheme
    }

    fn lasts(&self, now: u64) -> bool {
        match self.scope {
            Scope::For { until } => now < until,
            Scope::Waiting(_) | Scope::Next { until: _ } | Scope::Always => true,
        }
    }

    /// Anybody it fits may use it. The next one a `once` waits for is of the kind that was shown.
    fn is_free(&self, ask: &Ask, now: u64) -> bool {
        match &self.scope {
            Scope::Waiting(_) => false,
            Scope::Next { until } => now < *until && self.shown.http == ask.http,
            Scope::For { until } => now < *until,
            Scope::Always => true,
        }
    }

    fn end(&self) -> Option<u64> {
        match &self.scope {
            Scope::Waiting(_) | Scope::Always => None,
            Scope::Next { until } | Scope::For { until } => Some(*until),
        }
    }
}

impl Shown {
    fn is(&self, ask: &Ask) -> bool {
        self.agent && self.host == ask.host && self.port == ask.port
    }
}

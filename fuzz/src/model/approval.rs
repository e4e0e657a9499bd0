//! What people said: which yes covers an attempt, and whether a no still echoes.

use super::request::Request;
use super::written::Floor;

/// What is asked: a tunnel, or a request in plain sight, perhaps inside a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub host: String,
    pub port: u16,
    /// The request, where it is in plain sight.
    pub seen: Option<Request>,
    /// The attempt itself.
    pub id: u128,
    /// The tunnel it was found in.
    pub within: Option<u128>,
}

impl Ask {
    /// As an expectation writes it.
    pub fn tried(&self) -> String {
        let Self { host, port, seen, id: _, within: _ } = self;
        let Some(Request { method, path, query, .. }) = seen else { return format!("CONNECT {host}:{port}") };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{method} http://{host}:{port}{path}{query}")
    }

    fn is_plain(&self) -> bool {
        self.seen.is_some()
    }

    fn line(&self) -> Option<(&'static str, &'static str)> {
        self.seen.as_ref().map(|seen| (seen.method, seen.meant()))
    }
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
    /// A request in plain sight, and no tunnel.
    pub http: bool,
    /// The one method and path it was about, where a rule looked at them.
    pub line: Option<(&'static str, &'static str)>,
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
/// anybody may use, the widest first. Where a rule looks at requests, only a yes to this very request is one.
pub fn covering<'a>(yeses: &[&'a Yes], ask: &Ask, looked_at: bool, now: u64) -> Vec<&'a Yes> {
    let fitting: Vec<&'a Yes> = yeses.iter().copied().filter(|yes| yes.fits(ask) && (!looked_at || yes.shown.line.is_some())).collect();
    let of = |is: &dyn Fn(&Yes) -> bool| -> Vec<&'a Yes> { fitting.iter().copied().filter(|yes| is(yes)).collect() };
    let used_by = |id: u128| of(&|yes| yes.used_by.contains(&id) && yes.lasts(now));
    let kept = of(&|yes| matches!(&yes.scope, Scope::Waiting(waiting) if waiting.contains(&ask.id)) && now < yes.at + ONCE);
    let free = |always: bool, own: bool, every: bool| {
        let wide =
            |yes: &Yes| (yes.scope == Scope::Always, yes.shown.http == ask.is_plain(), yes.shown.line.is_none()) == (always, own, every);
        let open = of(&|yes| yes.is_free(ask, now) && wide(yes));
        let last = open.iter().filter_map(|yes| yes.end()).max();
        open.into_iter().filter(|yes| yes.end() == last).collect::<Vec<_>>()
    };
    let mut ranks = vec![used_by(ask.id), ask.within.map(used_by).unwrap_or_default(), kept];
    for always in [true, false] {
        for own in [true, false] {
            ranks.extend([true, false].map(|every| free(always, own, every)));
        }
    }
    ranks.into_iter().find(|rank| !rank.is_empty()).unwrap_or_default()
}

/// Whether the same question, or one about every request, was denied a short while ago. Of noes to one question the last counts.
pub fn is_quiet(noes: &[No], ask: &Ask, looked_at: bool, now: u64) -> bool {
    let about = |no: &No| no.shown.is(ask) && no.shown.instance && no.shown.http == ask.is_plain();
    let echoes = |line| noes.iter().rfind(|no| about(no) && no.shown.line == line).is_some_and(|no| now < no.until);
    echoes(None) || looked_at && ask.seen.is_some() && echoes(ask.line())
}

impl Yes {
    /// It was given for what the attempt is. A yes to a tunnel covers the requests found in one.
    fn fits(&self, ask: &Ask) -> bool {
        let instance = self.shown.instance || self.scope == Scope::Always;
        let scheme = self.shown.http == ask.is_plain() || !self.shown.http && ask.within.is_some();
        let line = self.shown.line.is_none() || self.shown.line == ask.line();
        self.shown.is(ask) && instance && scheme && line
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
            Scope::Next { until } => now < *until && self.shown.http == ask.is_plain(),
            Scope::For { until } => now < *until,
            Scope::Always => true,
        }
    }

    /// When it ends: the floor may say earlier. A `once` ends by itself with what used it.
    pub fn ends_under(&self, floor: &Floor) -> Option<u64> {
        let longest = floor.max_for.map(|longest| self.at + longest);
        match &self.scope {
            Scope::Waiting(_) | Scope::Next { until: _ } | Scope::Always => longest,
            Scope::For { until } => Some(longest.map_or(*until, |longest| longest.min(*until))),
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

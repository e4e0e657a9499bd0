//! What bounds how much an agent, or one rule, may let pass: attempts open at once and attempts a minute.

use std::fmt;

use super::rule::RuleRef;

/// The most that either limit may be: what is remembered of an attempt within a minute is bounded by it.
pub const LIMIT_MAX: u32 = 100_000;

/// `[limits]` of an allowlist or the floor, `limits` of a rule. At least one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Limits {
    /// Attempts that may be open at once.
    pub open: Option<u32>,
    /// Attempts that may begin within any 60 seconds.
    pub per_minute: Option<u32>,
}

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitedBy {
    /// The floor's, for each agent.
    Floor,
    /// The agent's own.
    Agent,
    /// One rule's, for the agent.
    Rule(RuleRef),
}

impl Limits {
    /// Nothing is bounded.
    pub fn is_none(&self) -> bool {
        let Self { open, per_minute } = self;
        open.is_none() && per_minute.is_none()
    }
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitedBy::Floor => f.write_str("the floor's [limits]"),
            LimitedBy::Agent => f.write_str("the agent's [limits]"),
            LimitedBy::Rule(rule) => write!(f, "the limits of {rule}"),
        }
    }
}

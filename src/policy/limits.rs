//! What bounds how much an agent, or one rule, may let pass: attempts open at once, attempts a minute and bytes a day.

use std::fmt;

use super::rule::RuleRef;

/// The most that either limit may be: what is remembered of an attempt within a minute is bounded by it.
pub const LIMIT_MAX: u32 = 100_000;

/// The most that `bytes_per_day` may be: 1024 TiB, so that sums of it are far from any end.
pub const BYTES_MAX: u64 = 1 << 50;

/// `[limits]` of an allowlist or the floor, `limits` of a rule. At least one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Limits {
    /// Attempts that may be open at once.
    pub open: Option<u32>,
    /// Attempts that may begin within any 60 seconds.
    pub per_minute: Option<u32>,
    /// Bytes that may pass within a day of UTC, both ways together.
    pub bytes_per_day: Option<u64>,
}

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LimitedBy {
    /// The floor's, for each agent.
    Floor,
    /// The agent's own.
    Agent,
    /// One rule's, for the agent.
    Rule {
        /// Where it stands.
        place: RuleRef,
        /// A digest of what it is about, which stays where its line moves or its limits change.
        mark: u64,
    },
}

impl LimitedBy {
    /// A name that stays the same over edits that leave alone what the limits are about, and over restarts.
    pub fn key(&self) -> String {
        match self {
            LimitedBy::Floor => "floor".to_owned(),
            LimitedBy::Agent => "agent".to_owned(),
            LimitedBy::Rule { place: RuleRef { file, line: _ }, mark } => format!("{file}#{mark:016x}"),
        }
    }
}

impl Limits {
    /// Nothing is bounded.
    pub fn is_none(&self) -> bool {
        let Self { open, per_minute, bytes_per_day } = self;
        open.is_none() && per_minute.is_none() && bytes_per_day.is_none()
    }
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitedBy::Floor => f.write_str("the floor's [limits]"),
            LimitedBy::Agent => f.write_str("the agent's [limits]"),
            LimitedBy::Rule { place, mark: _ } => write!(f, "the limits of {place}"),
        }
    }
}

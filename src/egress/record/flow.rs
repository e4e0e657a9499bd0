//! Records of attempts that are long or many.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Front;
use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::reason::Reason;

/// `progress`: what an open attempt has carried so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The attempt.
    pub id: AttemptId,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Bytes from the agent since it began.
    pub bytes_up: u64,
    /// Bytes to the agent since it began.
    pub bytes_down: u64,
}

/// `refused_summary`: refusals above `limits.refusal_records`, counted exactly instead of written down one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedSummary {
    /// Whose; absent where not identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The peer's address, where nobody was identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When the first of them was refused.
    #[serde(serialize_with = "super::with_microseconds")]
    pub from: Timestamp,
    /// When the last of them was.
    #[serde(serialize_with = "super::with_microseconds")]
    pub until: Timestamp,
    /// How many.
    pub count: u64,
    /// How many by reason and front; they add up to `count`.
    pub by: Vec<RefusedCount>,
    /// Of an agent's, how many to each of the first destinations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<RefusedHost>,
    /// Of an agent's, how many to others, or to what could not be read; with `hosts` they add up to `count`.
    #[serde(default, skip_serializing_if = "is_none")]
    pub elsewhere: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Refusals of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCount {
    /// Why.
    pub reason: Reason,
    /// The way in.
    pub front: Front,
    /// How many.
    pub count: u64,
}

/// Refusals for one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedHost {
    /// The canonical host, no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How many.
    pub count: u64,
}

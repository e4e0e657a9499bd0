//! The record of a policy that came into force.

use serde::{Deserialize, Serialize};

use crate::policy::attempt::AgentId;

/// `policy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// The hash before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The hash in force.
    pub new: String,
    /// Who brought it: `start`, `tokens`, `reload` (files moved), `sighup`, `admin`.
    pub who: String,
    /// What of the files is not in force as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// A file that is not in force as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unread {
    /// The agent that misses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The agent goes on by its last good allowlist; else it has none.
    pub kept: bool,
    /// The first error, with file and line.
    pub why: String,
}

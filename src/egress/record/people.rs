//! Records of what people do beside answering.

use serde::{Deserialize, Serialize};

use crate::policy::attempt::{AgentId, AttemptId};

/// `approver`: who may use page and API changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverChanged {
    /// The approver's name.
    pub name: String,
    /// `added` or `removed`.
    pub change: ApproverChange,
    /// `viewer`, `approver` or `admin`, of one who is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The agents he is for, of one who is added and not for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<AgentId>>,
    /// Who did it.
    pub who: String,
}

/// What became of an approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApproverChange {
    /// He may use page and API.
    Added,
    /// He may no longer.
    Removed,
}

impl ApproverChange {
    /// As records spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            ApproverChange::Added => "added",
            ApproverChange::Removed => "removed",
        }
    }
}

/// `cut`: a person ends an attempt that is open; its `ended` follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Who cuts it.
    pub who: String,
}

//! Records the journal makes about itself: where a segment stands in the tree, checkpoints, and what is not kept.

use serde::{Deserialize, Serialize};

/// `segment`: the first line of every segment. Each line of a slot is a leaf of one Merkle tree (RFC 6962), in the order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Leaves before this line: its own `seq` less one.
    pub size: u64,
    /// The roots of the tree's perfect subtrees before this line, largest first, in base64.
    pub peaks: Vec<String>,
}

/// `sealed`: a checkpoint of the tree before this line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Leaves it covers.
    pub size: u64,
    /// The tree's root, in base64.
    pub root: String,
    /// The signed note (C2SP tlog-checkpoint), whole.
    pub note: String,
}

/// `gap`: records that are not there, or that one sink will never get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The slot they stood in.
    pub slot: String,
    /// The `seq` of the first of them.
    pub first: u64,
    /// The `seq` of the last of them.
    pub last: u64,
    /// The sinks that miss them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<String>,
    /// Why.
    pub why: GapWhy,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapWhy {
    /// The journal was larger than `journal.max` before the sinks had them.
    Full,
    /// The sink's receiver refuses them and says that trying again is of no use.
    Rejected,
    /// They were not in the journal when a sink came to them.
    Missing,
}

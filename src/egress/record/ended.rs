//! The last word on an attempt.

use serde::{Deserialize, Serialize};

use crate::policy::attempt::{AgentId, AttemptId};
use crate::policy::leaks::LeakFound;
use crate::policy::reason::Reason;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// To its proper end.
    Completed,
    /// Refused, before or after the decision.
    Refused,
    /// The agent went away.
    Abandoned,
    /// The network or the destination failed.
    Failed,
    /// exeat cut it.
    Cut,
    /// The process died while it was open; written at the next start.
    Lost,
}

impl Outcome {
    /// As records and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Refused => "refused",
            Outcome::Abandoned => "abandoned",
            Outcome::Failed => "failed",
            Outcome::Cut => "cut",
            Outcome::Lost => "lost",
        }
    }
}

/// What was seen of TLS in a tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSeen {
    /// The name in the ClientHello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The protocols offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
    /// Whether an encrypted ClientHello extension stood in it.
    pub ech: bool,
    /// Whether exeat saw inside.
    pub inspected: bool,
}

/// A secret that exeat needed for an attempt and could not have; nothing of its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretMissing {
    /// `file:line` of what names it.
    pub rule: String,
    /// Why.
    pub why: String,
}

/// Durations by stage, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Millis {
    /// Waiting for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<f64>,
    /// Resolving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<f64>,
    /// Dialling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<f64>,
    /// Until the first bytes of a tunnel were judged, where they are TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// From the claim to the end.
    pub total: f64,
}

/// `ended`: the last word on an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The attempt.
    pub id: AttemptId,
    /// Who asked; absent where not identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The address dialled or reused; on a refusal after DNS the one refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes from the agent.
    pub bytes_up: u64,
    /// Bytes to the agent.
    pub bytes_down: u64,
    /// The status of the origin's answer, where seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was seen of TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSeen>,
    /// What a leak guard found in a body on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<LeakFound>,
    /// What exeat lacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretMissing>,
    /// Durations.
    pub ms: Millis,
}

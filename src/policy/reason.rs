//! Why a decision or an ending is what it is: the closed set of reason codes, the same in refusals, records and metrics.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A reason code. The words are promises: programs match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An allow rule lists the destination.
    Listed,
    /// A live approval covers the attempt.
    Approved,
    /// It would be held or refused, and passes while the agent is observed.
    Observed,
    /// A rule looks at requests, and none is seen yet.
    Inspect,
    /// No rule lists the destination.
    Unlisted,
    /// A block rule names the destination.
    Blocked,
    /// A person said no.
    Refused,
    /// The wait is over, the question lives.
    Pending,
    /// The question or the approval died before it was used.
    Expired,
    /// Nobody can answer at the moment.
    Unattended,
    /// The agent is stopped: by the file `freeze`.
    Frozen,
    /// The same question was denied a short while ago.
    Quiet,
    /// The agent is not identified.
    UnknownAgent,
    /// The target or the head could not be read in exactly one way.
    Malformed,
    /// The destination is exeat itself.
    #[serde(rename = "self")]
    OwnAddress,
    /// A name that belongs to no public zone.
    SpecialName,
    /// An address outside what the rule may resolve to.
    ForbiddenAddress,
    /// The name inside the tunnel is not the destination.
    NameMismatch,
    /// The tunnel does not carry TLS.
    NotTls,
    /// A limit is reached.
    Overloaded,
    /// The policy lets no more of it pass at once, or in this minute.
    Budget,
    /// The answer stopped being allow while the tunnel was open.
    PolicyChanged,
    /// The name could not be resolved.
    DnsFailed,
    /// The destination did not accept the connection, or broke it.
    Unreachable,
    /// The other side of TLS cannot be trusted: the origin's certificate, or to the agent exeat's own.
    BadCertificate,
    /// exeat could not do its part, a journal that cannot be written above all.
    Internal,
}

impl Reason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Reason; 26] = [
        Reason::Listed,
        Reason::Approved,
        Reason::Observed,
        Reason::Inspect,
        Reason::Unlisted,
        Reason::Blocked,
        Reason::Refused,
        Reason::Pending,
        Reason::Expired,
        Reason::Unattended,
        Reason::Frozen,
        Reason::Quiet,
        Reason::UnknownAgent,
        Reason::Malformed,
        Reason::OwnAddress,
        Reason::SpecialName,
        Reason::ForbiddenAddress,
        Reason::NameMismatch,
        Reason::NotTls,
        Reason::Overloaded,
        Reason::Budget,
        Reason::PolicyChanged,
        Reason::DnsFailed,
        Reason::Unreachable,
        Reason::BadCertificate,
        Reason::Internal,
    ];

    /// The code as records, refusals and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Listed => "listed",
            Reason::Approved => "approved",
            Reason::Observed => "observed",
            Reason::Inspect => "inspect",
            Reason::Unlisted => "unlisted",
            Reason::Blocked => "blocked",
            Reason::Refused => "refused",
            Reason::Pending => "pending",
            Reason::Expired => "expired",
            Reason::Unattended => "unattended",
            Reason::Frozen => "frozen",
            Reason::Quiet => "quiet",
            Reason::UnknownAgent => "unknown-agent",
            Reason::Malformed => "malformed",
            Reason::OwnAddress => "self",
            Reason::SpecialName => "special-name",
            Reason::ForbiddenAddress => "forbidden-address",
            Reason::NameMismatch => "name-mismatch",
            Reason::NotTls => "not-tls",
            Reason::Overloaded => "overloaded",
            Reason::Budget => "budget",
            Reason::PolicyChanged => "policy-changed",
            Reason::DnsFailed => "dns-failed",
            Reason::Unreachable => "unreachable",
            Reason::BadCertificate => "bad-certificate",
            Reason::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_refusals_spell_a_reason_alike() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::json!(reason), reason.as_str());
        }
    }
}

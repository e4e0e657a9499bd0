//! `[[inject]]`: a credential that exeat puts into requests of one agent to one host, port and scheme.

mod filed;
pub(super) mod read;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Scheme;
use super::destination::Destination;
use super::request::RequestRule;
use super::rule::RuleRef;
pub use filed::Injection;
pub(super) use filed::Injects;
pub(super) use whole::{second_looks, twice};

/// One credential for one destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inject {
    /// Where it stands.
    pub place: RuleRef,
    /// The one host and port it is for, never a pattern.
    pub destination: Destination,
    /// `Https`; `Http` only where the host is a loopback address.
    pub scheme: Scheme,
    /// The requests it is put into; all of them where absent.
    pub request: Option<RequestRule>,
    /// What is put in.
    pub credential: Credential,
    /// The value is masked where the origin's answer repeats it.
    pub mask: bool,
}

/// What is put into a request, or proves exeat to the origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A header field.
    Header {
        /// Its name, in lower case.
        name: Arc<str>,
        /// What stands before the secret in the field: `Bearer `, for one.
        prefix: Arc<str>,
        /// Where the secret comes from.
        value: SecretSource,
        /// The text of the agent's own field that the secret takes the place of; without it, the whole field is set.
        placeholder: Option<Arc<str>>,
    },
    /// A client certificate in TLS (RFC 8446 section 4.4.2).
    Certificate {
        /// The chain, a PEM file.
        chain: Arc<str>,
        /// The key, a PEM file.
        key: Arc<str>,
    },
}

/// Where a secret comes from. It is never in the policy itself. A keyring is asked by a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// A variable of exeat's own environment.
    Env(Arc<str>),
    /// A file, read again when it changes; relative to the file that names it.
    File(Arc<str>),
    /// What a command prints, kept for a while.
    Command {
        /// Program and arguments; no shell.
        line: Arc<[Arc<str>]>,
        /// How long what it printed is used.
        cache: Duration,
    },
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

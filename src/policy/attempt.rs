//! What is judged: one try of one agent to reach one destination, and the evidence of who asks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::destination::Destination;
use super::leaks::{LeakFound, LeakPlace};
use super::path::RequestPath;
use super::policy::digest_of;
use super::query::Query;
use super::token::TokenDigest;

/// Names one attempt in its refusal, its records and its trace: a UUIDv7 (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub Uuid);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An agent's name: `[a-z0-9-]{1,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z0-9-]{1,63}$")]
pub struct AgentId(Arc<str>);

/// The text is not an agent's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an agent's name is 1 to 63 characters of a-z, 0-9 and -")]
pub struct NotAnAgentName;

impl AgentId {
    /// Reads a name, or says that it is none.
    pub fn parse(text: &str) -> Result<Self, NotAnAgentName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=63).contains(&text.len()) && text.bytes().all(plain) { Ok(Self(text.into())) } else { Err(NotAnAgentName) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = NotAnAgentName;
    fn from_str(text: &str) -> Result<Self, NotAnAgentName> {
        Self::parse(text)
    }
}

impl TryFrom<String> for AgentId {
    type Error = NotAnAgentName;
    fn try_from(text: String) -> Result<Self, NotAnAgentName> {
        Self::parse(&text)
    }
}

impl From<AgentId> for String {
    fn from(agent: AgentId) -> String {
        agent.0.as_ref().to_owned()
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which running one of an agent asks: the peer's address, all of this machine being one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instance(pub Arc<str>);

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The scheme of a request a front can read; a tunnel has none until its bytes are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP inside TLS that exeat terminates.
    Https,
}

impl Scheme {
    /// The word, as records, questions and URLs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What a front can know of the request behind an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// The request's head is in plain sight.
    Seen(Arc<Seen>),
    /// A tunnel whose bytes come later.
    NotYet,
}

impl Sight {
    /// The request, where it is in plain sight.
    pub fn seen(&self) -> Option<&Seen> {
        match self {
            Sight::Seen(seen) => Some(seen),
            Sight::NotYet => None,
        }
    }

    /// Method and path as questions are about them, where they are in plain sight.
    pub fn meant(&self) -> Option<RequestLine> {
        self.seen().map(Seen::meant)
    }
}

/// What request rules are judged by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The method as sent.
    pub method: Arc<str>,
    /// The path as sent, and its normal form.
    pub path: RequestPath,
    /// The query: matched, never shown or recorded.
    pub query: Query,
    /// Content comes with the head.
    pub content: bool,
    /// The head asks for a WebSocket (RFC 6455 section 4.1).
    pub websocket: bool,
    /// A field asks some servers to take another method or target than the request line's.
    pub rewrites: bool,
    /// What the agent's leak guard found in it.
    pub leak: Option<LeakFound>,
}

impl Seen {
    /// A request of which nothing but the request line is known: no content, no upgrade.
    pub fn bare(method: &str, path: &str, query: Option<&str>) -> Self {
        let (path, query) = (RequestPath::read(path), Query::read(query));
        Self { method: method.into(), path, query, content: false, websocket: false, rewrites: false, leak: None }
    }

    /// Method and path as sent.
    pub fn line(&self) -> RequestLine {
        let path = if self.leaks_in_its_url() { "(not shown: a leak rule spoke)" } else { self.path.raw() };
        RequestLine { method: self.method.clone(), path: path.into() }
    }

    fn leaks_in_its_url(&self) -> bool {
        self.leak.as_ref().is_some_and(|leak| leak.place == LeakPlace::Url)
    }

    /// Method and path as questions are about them: the normal form, or as sent where there is none. However a path is spelled, it is one question.
    ///
    /// What a leak guard found is a part of what is asked: a yes to the request is none to the leak, nor to another one.
    pub fn meant(&self) -> RequestLine {
        let path = self.path.normal().unwrap_or(self.path.raw());
        let path = match &self.leak {
            // What stands in for the path tells it from others, and nobody what it says.
            Some(leak) if self.leaks_in_its_url() => format!("(path {:08x}, not shown) ({leak})", digest_of(&path) >> 32).into(),
            // No path has a space.
            Some(leak) => format!("{path} ({leak})").into(),
            None => path.into(),
        };
        RequestLine { method: self.method.clone(), path }
    }
}

/// Method and path of a request in plain sight. It has no query, which is never recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct RequestLine {
    /// The method as sent.
    pub method: Arc<str>,
    /// The path without its query.
    pub path: Arc<str>,
}

/// One try of an agent to reach a destination, complete enough to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Names the attempt everywhere.
    pub id: AttemptId,
    /// Who asks.
    pub agent: AgentId,
    /// Which running one of them.
    pub instance: Instance,
    /// Where to.
    pub destination: Destination,
    /// `Some` where the request is in plain sight.
    pub scheme: Option<Scheme>,
    /// What can be known of the request.
    pub sight: Sight,
    /// The open tunnel this request was found in, if any: a yes to the tunnel covers what it carries.
    pub within: Option<AttemptId>,
    /// More than where it connects from proves the agent: no credential of exeat's goes out otherwise.
    pub proven: bool,
}

/// All that speaks for who asks. What is offered must be valid, and all of it must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The listener's name in `exeat.toml`.
    pub listener: Arc<str>,
    /// The peer's address.
    pub source: IpAddr,
    /// The credential the agent sent.
    pub offered: Offered,
}

/// A credential as an agent offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// None was sent.
    Nothing,
    /// A name and the digest of a token. The token itself goes no further than the front.
    Token {
        /// The user name beside the token.
        agent: String,
        /// SHA-256 of the token.
        digest: TokenDigest,
    },
    /// Something was sent that is no credential of ours.
    Garbled,
}

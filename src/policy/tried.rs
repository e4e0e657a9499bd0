//! An attempt as people write it: `GET http://host/path`, `https://host`, `CONNECT host:port`, `host`.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use super::Policy;
use super::approvals::Approvals;
use super::attempt::{AgentId, Attempt, AttemptId, Instance, Scheme, Seen, Sight};
use super::decide::{Block, Decision, Look};
use super::destination::{Destination, Port};
use super::malformed::Malformed;
use super::reason::Reason;

/// An attempt of nobody in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Where to.
    pub destination: Destination,
    /// `http` where the request would be in plain sight; a tunnel has none.
    pub scheme: Option<Scheme>,
    /// The request, where it would be in plain sight.
    pub sight: Sight,
    /// The request that TLS in the tunnel would carry, which is seen only where something looks into it.
    inside: Option<Arc<Seen>>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What decided it: the tunnel, or the request inside.
    pub attempt: Attempt,
    /// What that gets.
    pub decision: Decision,
    /// Why the tunnel was looked into, where the request inside decided.
    pub through: Option<Look>,
}

/// Why the text is no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTried {
    /// The target cannot be read.
    #[error("the target cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// Neither a URL nor host and port.
    #[error("the target is not a URL that exeat carries; write HOST, HOST:PORT, http://HOST/PATH or https://HOST/PATH")]
    NotATarget,
}

impl Judged {
    /// The same where exeat has no authority: TLS that it would look into is refused.
    #[must_use]
    pub fn without_authority(self) -> Self {
        let Some(look) = &self.through else { return self };
        let decision = Decision::Block(Block { reason: Reason::Inspect, rule: Some(look.rule.clone()), because: None, echo: None });
        Self { decision, ..self }
    }
}

impl Tried {
    /// Reads `[METHOD] URL` or `[CONNECT] HOST[:PORT]`. Without a port it is that of the scheme, or 443. What TLS would hide is not in sight, but known.
    pub fn parse(text: &str) -> Result<Self, NotTried> {
        let is_method = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let (said, target) =
            text.split_once(' ').filter(|(word, _)| is_method(word)).map_or((None, text), |(method, rest)| (Some(method), rest));
        let method = said.unwrap_or("GET").to_ascii_uppercase();
        if ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"].contains(&target) {
            return Err(NotTried::NotATarget);
        }
        let Some((scheme, rest)) = target.split_once("://") else {
            if said.is_some() && method != "CONNECT" {
                return Err(NotTried::NotATarget);
            }
            return Ok(Self::tunnel(Destination::parse_with_default_port(target, port(443))?));
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        match scheme.to_ascii_lowercase().as_str() {
            "https" => {
                let inside = (method != "CONNECT").then(|| request(&method, target));
                Ok(Self { inside, ..Self::tunnel(Destination::parse_with_default_port(authority, port(443))?) })
            }
            "http" if method == "CONNECT" => Err(NotTried::NotATarget),
            "http" => {
                let (destination, seen) = (Destination::parse_with_default_port(authority, port(80))?, request(&method, target));
                Ok(Self { destination, scheme: Some(Scheme::Http), sight: Sight::Seen(seen), inside: None })
            }
            _ => Err(NotTried::NotATarget),
        }
    }

    /// Decides it for an agent, with no approval in force: the tunnel, and where that is looked into the request inside.
    pub fn judge(&self, policy: &Policy, agent: &AgentId, now: SystemTime) -> Judged {
        let decide = |attempt: &Attempt| policy.decide(attempt, &Approvals::default(), now);
        let attempt = self.attempt(agent);
        match (decide(&attempt), &self.inside) {
            (Decision::Look(look), Some(seen)) => {
                let attempt = Attempt { scheme: Some(Scheme::Https), sight: Sight::Seen(Arc::clone(seen)), ..attempt };
                Judged { decision: decide(&attempt), attempt, through: Some(look) }
            }
            (decision, _) => Judged { attempt, decision, through: None },
        }
    }

    /// As an attempt of an agent that has shown its token, which is made by nobody and never dialled.
    pub fn attempt(&self, agent: &AgentId) -> Attempt {
        let Self { destination, scheme, sight, inside: _ } = self.clone();
        let instance = Instance("explain".into());
        Attempt { id: AttemptId(Uuid::nil()), agent: agent.clone(), instance, destination, scheme, sight, within: None, proven: true }
    }

    fn tunnel(destination: Destination) -> Self {
        Self { destination, scheme: None, sight: Sight::NotYet, inside: None }
    }
}

/// The request of a URL: what follows its authority.
fn request(method: &str, target: &str) -> Arc<Seen> {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Seen::bare(method, if path.is_empty() { "/" } else { path }, query).into()
}

const fn port(number: u16) -> Port {
    Port(NonZeroU16::new(number).expect("a port that is not 0"))
}

//! One agent's allowlist, read and valid.
//!
//! An allow or hold rule without `port` means 80 and 443; a block rule without `port` means every port, as caution reads it.

mod flags;
mod read;

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::address::Addresses;
use super::attempt::AgentId;
use super::destination::Port;
use super::document::Document;
use super::fault::{Fault, Warning};
use super::pattern::HostPattern;
use super::rule::RuleRef;
use super::token::TokenDigest;

/// One agent's rules and how the agent is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// Whose it is.
    pub agent: AgentId,
    /// The line that names the agent, from 1.
    pub agent_line: u32,
    /// What a destination that no rule lists gets.
    pub unlisted: Unlisted,
    /// What such a destination may resolve to once approved.
    pub addresses: Arc<Addresses>,
    /// How the agent is known: any one of these.
    pub identify: Vec<Identify>,
    /// The rules, in the order of the file, which means nothing.
    pub rules: Vec<Rule>,
}

/// What a destination that no rule lists gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// It is refused.
    Block,
    /// Somebody is asked.
    Hold,
}

/// One `[[identify]]`: all that is set must hold, and something is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify {
    /// The digest of the token offered.
    pub token: Option<TokenDigest>,
    /// The network the peer is in.
    pub source: Option<IpNet>,
    /// The listener in `exeat.toml`.
    pub listener: Option<Arc<str>>,
    /// Where it stands.
    pub place: RuleRef,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub place: RuleRef,
    /// The hosts it is about; at least one.
    pub hosts: Vec<HostPattern>,
    /// The ports it is about.
    pub ports: Ports,
    /// What it does.
    pub effect: Effect,
    /// Words for people.
    pub note: Option<Arc<str>>,
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// All of them.
    Every,
    /// These; sorted.
    These(Arc<[Port]>),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It passes.
    Allow {
        /// What the destination may resolve to.
        addresses: Arc<Addresses>,
        /// The rule spells its addresses.
        spelled: bool,
        /// Neither TLS nor HTTP.
        opaque: bool,
    },
    /// Somebody is asked.
    Hold {
        /// What the destination may resolve to once approved, where the rule says.
        addresses: Option<Arc<Addresses>>,
    },
    /// It is refused.
    Block {
        /// Words for the agent.
        because: Option<Arc<str>>,
    },
}

impl Allowlist {
    /// Reads an allowlist. Every fault is told at once.
    pub fn parse(file: &str, text: &str) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        let document = Document::parse(file, text);
        let allowlist = read::allowlist(&document);
        let (mut faults, warnings) = document.into_findings();
        faults.extend(allowlist.iter().flat_map(|allowlist| read::contradictions(&allowlist.rules)));
        faults.sort();
        match allowlist {
            Some(allowlist) if faults.is_empty() => Ok((allowlist, warnings)),
            Some(_) | None => Err(faults),
        }
    }

    /// The allowlist of the embedded default: nothing listed, everything held.
    pub fn embedded(agent: AgentId) -> Self {
        let addresses = Arc::new(Addresses::public());
        Self {
            file: "embedded default".into(),
            agent,
            agent_line: 0,
            unlisted: Unlisted::Hold,
            addresses,
            identify: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Unlisted {
    /// As files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Unlisted::Block => "block",
            Unlisted::Hold => "hold",
        }
    }
}

impl Ports {
    /// What an allow or hold rule without `port` means.
    pub fn web() -> Self {
        Self::these([80, 443].into_iter().filter_map(|port| std::num::NonZeroU16::new(port).map(Port)))
    }

    /// Exactly these.
    pub fn these(ports: impl IntoIterator<Item = Port>) -> Self {
        let mut ports: Vec<Port> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        Ports::These(ports.into())
    }

    /// Whether the port is among them.
    pub fn contain(&self, port: Port) -> bool {
        match self {
            Ports::Every => true,
            Ports::These(ports) => ports.binary_search(&port).is_ok(),
        }
    }

    /// Whether a port is in both.
    pub fn meet(&self, other: &Ports) -> bool {
        match (self, other) {
            (Ports::Every, _) | (_, Ports::Every) => true,
            (Ports::These(ports), Ports::These(_)) => ports.iter().any(|port| other.contain(*port)),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ports::Every => f.write_str("every port"),
            Ports::These(ports) => {
                let words: Vec<String> = ports.iter().map(|port| port.number().to_string()).collect();
                f.write_str(&words.join(", "))
            }
        }
    }
}

impl Effect {
    /// The name of the rule's table.
    pub fn as_str(&self) -> &'static str {
        match self {
            Effect::Allow { addresses: _, spelled: _, opaque: _ } => "allow",
            Effect::Hold { addresses: _ } => "hold",
            Effect::Block { because: _ } => "block",
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;

//! One rule of an allowlist or the floor.

mod keys;
pub(super) mod read;
mod usable;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use super::address::Addresses;
use super::destination::Port;
use super::limits::Limits;
use super::pattern::HostPattern;
use super::request::RequestRule;
pub(super) use keys::{approvers, limits, request};
pub(super) use usable::{addresses, fix_of_network, usable};

/// The place of a rule, as records, refusals and `explain` cite it: `coder.toml:12`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The file as it was named to the loader.
    pub file: Arc<str>,
    /// The line of the table's header, from 1.
    pub line: u32,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Where it stands.
    pub place: RuleRef,
    /// The hosts it is about; at least one.
    pub hosts: Vec<HostPattern>,
    /// The ports it is about.
    pub ports: Ports,
    /// The requests it is about; all of them where absent.
    pub request: Option<RequestRule>,
    /// What it does.
    pub effect: Effect,
    /// It says nothing from then on.
    pub until: Option<SystemTime>,
    /// Words for people.
    pub note: Option<Arc<str>>,
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// All of them.
    Every,
    /// These; sorted.
    These(Arc<[Port]>),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It passes.
    Allow(Allow),
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

/// How an allow rule lets pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Allow {
    /// What the destination may resolve to.
    pub addresses: Arc<Addresses>,
    /// The rule spells its addresses.
    pub spelled: bool,
    /// Neither TLS nor HTTP.
    pub opaque: bool,
    /// Never inspected, so that nothing else may want to see its requests.
    pub exclude: bool,
    /// A request may turn its connection into a WebSocket.
    pub websocket: bool,
    /// How much of it.
    pub limits: Limits,
}

impl Rule {
    /// Whether it still says something.
    pub fn in_force(&self, now: SystemTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it lets pass or asks, and says to which addresses.
    pub(super) fn spells_addresses(&self) -> bool {
        match &self.effect {
            Effect::Allow(allow) => allow.spelled,
            Effect::Hold { addresses } => addresses.is_some(),
            Effect::Block { because: _ } => false,
        }
    }
}

impl Ports {
    /// What an allow or hold rule without `port` means.
    pub fn web() -> Self {
        static WEB: LazyLock<Ports> =
            LazyLock::new(|| Ports::these([80, 443].into_iter().filter_map(|port| std::num::NonZeroU16::new(port).map(Port))));
        WEB.clone()
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
            Effect::Allow(_) => "allow",
            Effect::Hold { addresses: _ } => "hold",
            Effect::Block { because: _ } => "block",
        }
    }
}

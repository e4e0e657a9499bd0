//! The ways out that an agent might have, and what became of each try: exactly what is known, and how to close what is open.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::policy::host::Host;

/// Addresses of the public network that answer on many ports. They stand for every address: a rule that closes these alone is none.
pub(super) const PUBLIC: [&str; 4] = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888"];
/// Public name servers.
pub(super) const RESOLVERS: [&str; 2] = ["8.8.8.8", "2001:4860:4860::8888"];
/// Where machines of clouds ask for their credentials.
pub(super) const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
/// Ports of exeat that are not for agents: admin and metrics.
pub(super) const CLOSED_PORTS: [(u16, &str); 2] = [(3129, "admin-port"), (9464, "metrics-port")];
/// Where an exeat of a container keeps its admin socket.
pub(super) const SOCKETS: [&str; 2] = ["/var/lib/exeat/admin.sock", "/run/exeat/admin.sock"];

/// A way out, and what is tried on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A TCP connection; the word it is listed by.
    Tcp(&'static str, Place),
    /// A datagram that a QUIC server answers (RFC 9000, section 6.1).
    Quic(SocketAddr),
    /// A question to a name server in a datagram.
    DnsUdp(SocketAddr),
    /// An ICMP or ICMPv6 echo.
    Echo(IpAddr),
    /// Exeat's admin socket as a file.
    AdminSocket(PathBuf),
    /// Frames of one's own making, which rules for what leaves this machine do not see.
    Frames,
    /// Becoming the user whom the rules let pass.
    Uid(u32),
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An address.
    At(SocketAddr),
    /// A name, looked up by the system first.
    Named(String, u16),
}

impl Place {
    /// A port of a host.
    pub(super) fn of(host: &Host, port: u16) -> Self {
        match host {
            Host::Address(address) => Place::At(SocketAddr::new(*address, port)),
            Host::Name(name) => Place::Named(name.as_str().to_owned(), port),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::At(address) => address.fmt(f),
            Place::Named(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It leads out.
    Open,
    /// It does not.
    Closed,
    /// Nothing came back in time: closed, or nobody answers there.
    Unanswered,
    /// The proxy does what it should.
    Works,
    /// The proxy does not.
    Fails,
    /// It was not tried, and why is said.
    Untried,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Try {
    /// The kind of way, one word.
    pub way: &'static str,
    /// Where it leads.
    pub to: String,
    /// What became of it.
    pub result: Outcome,
    /// What is known.
    pub known: String,
    /// What to do where it is not as it should be.
    pub fix: Option<String>,
}

impl Outcome {
    pub(super) fn is_good(self) -> bool {
        match self {
            Outcome::Closed | Outcome::Unanswered | Outcome::Works | Outcome::Untried => true,
            Outcome::Open | Outcome::Fails => false,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Open => "OPEN",
            Outcome::Closed => "closed",
            Outcome::Unanswered => "unanswered",
            Outcome::Works => "works",
            Outcome::Fails => "FAILS",
            Outcome::Untried => "not tried",
        }
    }
}

impl Way {
    /// One word for the kind.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Way::Tcp(word, _) => word,
            Way::Quic(_) => "quic",
            Way::DnsUdp(_) => "dns-udp",
            Way::Echo(_) => "icmp",
            Way::AdminSocket(_) => "admin-socket",
            Way::Frames => "frames",
            Way::Uid(_) => "proxy-uid",
        }
    }

    /// Where it leads, as the table says it.
    pub(super) fn to(&self) -> String {
        match self {
            Way::Tcp(_, place) => place.to_string(),
            Way::Quic(address) | Way::DnsUdp(address) => address.to_string(),
            Way::Echo(address) => address.to_string(),
            Way::AdminSocket(path) => path.display().to_string(),
            Way::Frames => "packet socket".to_owned(),
            Way::Uid(uid) => format!("uid {uid}"),
        }
    }

    /// How it is closed: which rule.
    pub(super) fn fix(&self) -> String {
        let (what, to) = (self.what(), self.to());
        match self {
            Way::Tcp("admin-port" | "metrics-port", _) => format!(
                "agents may reach the proxy's port alone: let exeat's NetworkPolicy admit {to} from operators and Prometheus only, or keep it \
                 in $closed_ports of sidecar.nft"
            ),
            Way::AdminSocket(_) => "mount exeat's state folder into no container but exeat's, and run the agent as another user".to_owned(),
            Way::Frames => "drop every capability of the agent: whoever has NET_RAW sends past the rules".to_owned(),
            Way::Uid(uid) => format!(
                "run the agent as another user than {uid}, with runAsNonRoot, allowPrivilegeEscalation: false and every capability dropped"
            ),
            Way::Tcp(..) | Way::Quic(_) | Way::DnsUdp(_) | Way::Echo(_) => format!(
                "the agent's NetworkPolicy (exeat-agents) or the rules of gateway.nft or sidecar.nft let {what} to {to} out: remove \
                 that rule, and let nothing but the proxy's port be reached"
            ),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Way::Tcp(..) => "TCP",
            Way::Quic(_) => "UDP 443 (QUIC)",
            Way::DnsUdp(_) => "DNS over UDP",
            Way::Echo(_) => "ICMP echo",
            Way::AdminSocket(_) => "the admin socket",
            Way::Frames => "frames",
            Way::Uid(_) => "the proxy's uid",
        }
    }

    /// The try, given what became of it.
    pub(super) fn tried(&self, result: Outcome, known: impl Into<String>) -> Try {
        let fix = (!result.is_good()).then(|| self.fix());
        Try { way: self.word(), to: self.to(), result, known: known.into(), fix }
    }
}

/// What is known of a way on which nothing came back.
pub(super) fn silence(within: Duration) -> String {
    format!("nothing came back within {within:?}: closed, or nobody answers there")
}

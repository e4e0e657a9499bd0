//! Tries a way out: a handshake, or the one datagram that is answered where anybody listens. Nothing of this machine is told to anybody.
//!
//! Who takes a connection is asked whether he is exeat: connections that a rule redirects to the proxy lead nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use tokio::net::{UdpSocket, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::way::{Outcome, Place, Try, Way, silence};
use super::wire::{self, Silence};
use crate::text::trouble;

/// The least that a server of QUIC answers (RFC 9000, section 14.1).
const DATAGRAM: usize = 1200;

/// A long header with a version that is reserved to be unknown (RFC 9000, section 15), so that the answer is the list of versions.
const QUIC: [u8; 15] = [0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];

/// A question for the name servers of the root: everybody knows them, and the question tells nothing.
pub(super) const ROOT: [u8; 17] = [0xe8, 0xea, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// Echo requests; the kernel fills in the checksum and the identifier of such sockets.
const ECHO: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 1];
const ECHO_V6: [u8; 8] = [128, 0, 0, 0, 0, 0, 0, 1];

/// Asked of whoever takes a connection; a name that exeat always refuses (RFC 6761, section 6.4).
const WHO: &str = "GET / HTTP/1.1\r\nHost: exeat-doctor.invalid\r\nConnection: close\r\n\r\n";

/// Tries it.
pub(super) async fn one(way: Way, within: Duration) -> Try {
    let end = Instant::now() + within;
    let (result, known) = match &way {
        Way::Tcp(_, place) => tcp(place, end).await,
        Way::Quic(to) => datagram(bound(to.ip()).await, *to, &padded(), end).await,
        Way::DnsUdp(to) => datagram(bound(to.ip()).await, *to, &ROOT, end).await,
        Way::Echo(to) => {
            let message = if to.is_ipv4() { ECHO } else { ECHO_V6 };
            datagram(ping(*to), SocketAddr::new(*to, 0), &message, end).await
        }
        Way::AdminSocket(path) => admin_socket(path, end).await,
        Way::Frames => frames(),
        Way::Uid(uid) => become_user(*uid, end).await,
    };
    let known = if result == Outcome::Unanswered { silence(within) } else { known };
    way.tried(result, known)
}

fn closed(kind: io::ErrorKind) -> (Outcome, String) {
    let known = [
        (io::ErrorKind::ConnectionRefused, "refused: by a rule, or because nothing listens there"),
        (io::ErrorKind::NetworkUnreachable, "there is no route"),
        (io::ErrorKind::HostUnreachable, "unreachable: a rule or a router says so"),
        (io::ErrorKind::PermissionDenied, "not permitted"),
        (io::ErrorKind::AddrNotAvailable, "there is no address of that kind here"),
    ];
    let words = known.into_iter().find(|(of, _)| *of == kind).map_or_else(|| trouble(kind), |(_, words)| words.to_owned());
    (Outcome::Closed, words)
}

fn unanswered() -> (Outcome, String) {
    (Outcome::Unanswered, String::new())
}

async fn tcp(place: &Place, end: Instant) -> (Outcome, String) {
    let addresses = match addresses(place, end).await {
        Ok(addresses) => addresses,
        Err(words) => return (Outcome::Closed, words),
    };
    let mut last = (Outcome::Closed, "the name has no address".to_owned());
    for address in addresses {
        last = match wire::connect(address, end).await {
            Ok(mut stream) => match wire::ask(&mut stream, WHO, end).await {
                Ok(answer) if answer.by_exeat => (Outcome::Closed, "exeat itself answers: the connection is redirected to it".to_owned()),
                Ok(_) | Err(_) => (Outcome::Open, format!("{address} takes a connection")),
            },
            Err(Silence::Late) => unanswered(),
            Err(Silence::Error(kind)) => closed(kind),
        };
        if last.0 == Outcome::Open {
            break;
        }
    }
    last
}

/// Where a place is; or why that cannot be known.
pub(super) async fn addresses(place: &Place, end: Instant) -> Result<Vec<SocketAddr>, String> {
    match place {
        Place::At(address) => Ok(vec![*address]),
        Place::Named(name, port) => {
            #[expect(clippy::disallowed_methods, reason = "as a program of the agent's would look it up; nothing is carried there")]
            let asked = tokio::net::lookup_host((name.as_str(), *port));
            match timeout_at(end, asked).await {
                Ok(Ok(found)) => Ok(found.collect()),
                Ok(Err(_)) => Err("the name cannot be looked up here".to_owned()),
                Err(_) => Err("the name cannot be looked up here in time".to_owned()),
            }
        }
    }
}

fn padded() -> Vec<u8> {
    let mut datagram = QUIC.to_vec();
    datagram.resize(DATAGRAM, 0);
    datagram
}

async fn bound(like: IpAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind(SocketAddr::new(any, 0)).await
}

/// A socket that may send echoes and nothing else; the kernel gives it to the groups in `net.ipv4.ping_group_range`.
fn ping(to: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = if to.is_ipv4() { (AddressFamily::INET, ipproto::ICMP) } else { (AddressFamily::INET6, ipproto::ICMPV6) };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(protocol))?;
    UdpSocket::from_std(socket.into())
}

/// Sends it, and waits for what comes back. A connected socket hears of errors that routers and hosts send.
pub(super) async fn datagram(socket: io::Result<UdpSocket>, to: SocketAddr, message: &[u8], end: Instant) -> (Outcome, String) {
    let exchanged = async {
        let socket = socket?;
        #[expect(clippy::disallowed_methods, reason = "what answers a datagram from here is the question; nothing is carried")]
        socket.connect(to).await?;
        socket.send(message).await?;
        let mut answer = [0; DATAGRAM];
        socket.recv(&mut answer).await
    };
    match timeout_at(end, exchanged).await {
        Ok(Ok(length)) => (Outcome::Open, format!("{length} bytes came back")),
        Ok(Err(error)) => closed(error.kind()),
        Err(_) => unanswered(),
    }
}

async fn admin_socket(path: &Path, end: Instant) -> (Outcome, String) {
    if let Err(error) = std::fs::symlink_metadata(path) {
        return if error.kind() == io::ErrorKind::NotFound {
            (Outcome::Closed, "it is not to be seen from here".to_owned())
        } else {
            closed(error.kind())
        };
    }
    #[expect(clippy::disallowed_methods, reason = "whether exeat's own socket is within reach of an agent is the question")]
    let connecting = UnixStream::connect(path);
    match timeout_at(end, connecting).await {
        Ok(Ok(_)) => (Outcome::Open, "it takes a connection, and whoever has the uid of exeat is answered".to_owned()),
        Ok(Err(error)) => closed(error.kind()),
        Err(_) => unanswered(),
    }
}

/// Opens the socket and sends nothing.
fn frames() -> (Outcome, String) {
    match rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None) {
        Ok(_) => (Outcome::Open, "a process of the agent's may send frames, and no rule here sees them".to_owned()),
        Err(error) => closed(io::Error::from(error).kind()),
    }
}

/// Runs this program as that user. Whether the user could run it is another question: the change of user comes first.
async fn become_user(uid: u32, end: Instant) -> (Outcome, String) {
    let Ok(program) = std::env::current_exe() else { return (Outcome::Untried, "this program cannot be found again".to_owned()) };
    let mut child = tokio::process::Command::new(program);
    child.arg("--version").uid(uid).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let open = (Outcome::Open, "a process of the agent's can become it, and is then taken for the proxy".to_owned());
    match child.spawn() {
        Ok(mut child) => {
            // What it says of itself does not matter, and a child that does not end is killed.
            let _ = timeout_at(end, child.wait()).await;
            open
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
            (Outcome::Closed, "the system does not let a process here become it".to_owned())
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::ACCESS.raw_os_error()) => open,
        Err(error) => (Outcome::Untried, format!("no process could be started: {}", trouble(error.kind()))),
    }
}

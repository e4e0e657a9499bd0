//! Bytes unseen: a tunnel is carried only after its first bytes have shown where it goes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::interception::Interception;
use super::open::Open;
use super::record::{Outcome, TlsSeen};
use super::relay::{Relayed, relay};
use super::upstream::{Connected, Dialled, Line, OriginSide};
use crate::policy::attempt::AttemptId;
use crate::policy::host::Host;
use crate::policy::reason::Reason;
use crate::tls::client_hello::{ACCESS_DENIED, ClientHello, FirstBytes, MOST};

/// The agent's side of a tunnel: what it sent already, and the rest.
#[derive(Debug)]
pub struct AgentSide {
    /// Bytes read beyond the request for the tunnel.
    pub early: Bytes,
    /// The socket.
    pub stream: Arc<TcpStream>,
}

impl AgentSide {
    /// A connection of which nothing is read yet.
    pub fn new(stream: TcpStream) -> Self {
        Self { early: Bytes::new(), stream: Arc::new(stream) }
    }
}

/// What a tunnel turned out to be.
#[derive(Debug)]
pub enum Carried {
    /// It is over, and recorded.
    Over(Receipt),
    /// The agent speaks plain HTTP in it: each request is an attempt of its own.
    Http(Box<Interception>, AgentSide),
    /// The agent speaks TLS in it, which is to be terminated with this; each request inside is an attempt of its own.
    Tls(Box<Interception>, AgentSide, Arc<ServerConfig>),
}

/// Proof that an attempt's `ended` is written.
#[must_use = "a receipt says how the attempt ended"]
#[derive(Debug)]
pub struct Receipt {
    /// The attempt.
    pub id: AttemptId,
}

impl Receipt {
    pub(super) fn of(mut open: Open, outcome: Outcome, reason: Reason) -> Self {
        let id = open.id();
        open.will_end(outcome, reason);
        Self { id }
    }
}

impl Connected {
    /// Carries bytes both ways until both sides are done, the answer is no longer allow, or the first bytes are wrong.
    pub async fn tunnel(self, mut agent: AgentSide) -> Carried {
        let Self { mut open, grant, injected: _, mut live, line, upstream } = self;
        let Line::Fresh(Dialled { stream: Either::Left(origin), peer: _, speaks: _ }) = line else {
            return Carried::Over(Receipt::of(open, Outcome::Failed, Reason::Internal));
        };
        let began = Instant::now();
        if grant.opaque() {
            live.is_opaque();
        } else {
            let first = tokio::select! {
                first = first_bytes(&mut agent, upstream.settings.peek) => first,
                reason = live.lost() => return Carried::Over(Receipt::of(open, Outcome::Cut, reason)),
                () = upstream.settings.stop.cancelled() => return Carried::Over(Receipt::of(open, Outcome::Cut, Reason::Internal)),
            };
            match judge(first, &live.attempt().destination.host) {
                Judgement::Carry(seen) => {
                    open.saw_tls(seen);
                    open.tls_took = Some(began.elapsed());
                }
                Judgement::Http => {
                    drop(origin);
                    // From here on its requests are what is open, each under limits of its own.
                    open.share = None;
                    return Carried::Http(Box::new(Interception::plain(open, live)), agent);
                }
                Judgement::Gone => return Carried::Over(Receipt::of(open, Outcome::Abandoned, Reason::NotTls)),
                Judgement::Cut { reason, tls, seen } => {
                    if let Some(seen) = seen {
                        open.saw_tls(seen);
                        open.tls_took = Some(began.elapsed());
                    }
                    if tls {
                        deny(&agent.stream).await;
                    }
                    return Carried::Over(Receipt::of(open, Outcome::Cut, reason));
                }
            }
        }
        let origin = OriginSide { early: Bytes::new(), stream: origin };
        let (moved, settings) = (Arc::clone(&open.carried), &upstream.settings);
        Carried::Over(carry(open, live.lost(), relay(&agent, &origin, &moved, settings.idle), &settings.stop).await)
    }
}

/// Lets bytes be relayed both ways until both sides are done, or `lost` says why no more may pass.
pub(super) async fn carry(
    open: Open,
    lost: impl Future<Output = Reason>,
    relaying: impl Future<Output = Relayed>,
    stop: &CancellationToken,
) -> Receipt {
    let relayed = tokio::select! {
        // First, so that nothing is carried once the answer is allow no longer.
        biased;
        reason = lost => Relayed::Cut(reason),
        () = stop.cancelled() => Relayed::Cut(Reason::Internal),
        relayed = relaying => relayed,
    };
    let reason = open.reason();
    match relayed {
        Relayed::Completed => Receipt::of(open, Outcome::Completed, reason),
        Relayed::AgentGone => Receipt::of(open, Outcome::Abandoned, reason),
        Relayed::OriginGone => Receipt::of(open, Outcome::Failed, Reason::Unreachable),
        Relayed::Cut(reason) => Receipt::of(open, Outcome::Cut, reason),
    }
}

pub(super) enum Judgement {
    Carry(TlsSeen),
    Http,
    Gone,
    Cut { reason: Reason, tls: bool, seen: Option<TlsSeen> },
}

pub(super) fn judge(first: Option<FirstBytes>, host: &Host) -> Judgement {
    match first {
        None => Judgement::Gone,
        Some(FirstBytes::Http) => Judgement::Http,
        Some(FirstBytes::Other | FirstBytes::More) => Judgement::Cut { reason: Reason::NotTls, tls: false, seen: None },
        Some(FirstBytes::BrokenTls) => Judgement::Cut { reason: Reason::NotTls, tls: true, seen: None },
        Some(FirstBytes::Tls(hello)) => {
            let named = names(&hello, host);
            let seen = seen(hello);
            if named { Judgement::Carry(seen) } else { Judgement::Cut { reason: Reason::NameMismatch, tls: true, seen: Some(seen) } }
        }
    }
}

/// Whether the hello asks for the destination: by name where that is a name, by no name where it is an address.
fn names(hello: &ClientHello, host: &Host) -> bool {
    match (&hello.server_name, host) {
        (None, Host::Address(_)) => true,
        (Some(sent), Host::Name(_)) => std::str::from_utf8(sent).is_ok_and(|sent| Host::parse(sent).as_ref() == Ok(host)),
        (None, Host::Name(_)) | (Some(_), Host::Address(_)) => false,
    }
}

pub(super) fn seen(hello: ClientHello) -> TlsSeen {
    let word =
        |bytes: &[u8]| -> String { bytes.iter().take(255).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect() };
    TlsSeen {
        sni: hello.server_name.as_deref().map(word),
        alpn: hello.alpn.iter().take(8).map(|protocol| word(protocol)).collect(),
        ech: hello.ech,
        inspected: false,
    }
}

/// Reads until the bytes tell what they are; `None` where the agent closed first. What is still unclear at the deadline stays unclear.
pub(super) async fn first_bytes(agent: &mut AgentSide, peek: Duration) -> Option<FirstBytes> {
    let deadline = tokio::time::Instant::now() + peek;
    let mut bytes = BytesMut::from(agent.early.as_ref());
    let first = loop {
        let first = FirstBytes::of(&bytes);
        if first != FirstBytes::More || bytes.len() >= MOST {
            break Some(first);
        }
        match tokio::time::timeout_at(deadline, read(&agent.stream, &mut bytes)).await {
            Ok(Ok(0) | Err(_)) if bytes.is_empty() => break None,
            Ok(Ok(0) | Err(_)) | Err(_) => break Some(FirstBytes::Other),
            Ok(Ok(_read)) => {}
        }
    };
    agent.early = bytes.freeze();
    first
}

/// Reads what is there, appending it; 0 at the end.
async fn read(stream: &TcpStream, bytes: &mut BytesMut) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Says no in the words of TLS, then closes. An agent that does not even take seven bytes is not waited for.
pub(super) async fn deny(agent: &TcpStream) {
    if agent.writable().await.is_ok() && agent.try_write(&ACCESS_DENIED).is_ok() {
        let _ = rustix::net::shutdown(agent, rustix::net::Shutdown::Write);
    }
}

//! WebSocket (RFC 6455): the one upgrade that is passed on, and only where the origin's answer proves that it was meant for this request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, StatusCode, Version};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::either::Either;

use super::gate::Permit;
use super::live::Live;
use super::open::Open;
use super::record::Outcome;
use super::refusal::{Cause, Refusal};
use super::relay::relay;
use super::secure::OriginStream;
use super::streams;
use super::tunnel::{AgentSide, Receipt, carry};
use super::upstream::{OriginSide, UpstreamSettings};
use crate::policy::attempt::Attempt;
use crate::policy::decide::Grant;
use crate::policy::reason::Reason;

/// What a server appends to the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A WebSocket that its origin has opened, until the agent's connection is handed over to it.
#[must_use = "a socket that is dropped is an attempt abandoned"]
#[derive(Debug)]
pub struct WebSocket {
    pub(super) open: Open,
    pub(super) live: Live,
    pub(super) origin: (Bytes, OriginStream),
    pub(super) settings: UpstreamSettings,
}

impl WebSocket {
    /// Carries bytes both ways as a tunnel does, until `outer` says why no more may pass of what it was found in.
    pub async fn carry(self, agent: AgentEnd, outer: impl Future<Output = Reason>) -> Receipt {
        let Self { open, mut live, origin, settings } = self;
        let lost = async {
            tokio::select! {
                biased;
                reason = outer => reason,
                reason = live.lost() => reason,
            }
        };
        let (moved, idle, stop) = (Arc::clone(&open.carried), settings.idle, &settings.stop);
        match (agent, origin) {
            (AgentEnd::Socket(agent), (early, Either::Left(stream))) => {
                let origin = OriginSide { early, stream };
                carry(open, lost, relay(&agent, &origin, &moved, idle), stop).await
            }
            (AgentEnd::Stream(agent), origin) => carry(open, lost, streams::relay(agent, origin, &moved, idle), stop).await,
            // Plain HTTP leads to plain HTTP.
            (AgentEnd::Socket(_), (_, Either::Right(_))) => Receipt::of(open, Outcome::Failed, Reason::Internal),
        }
    }
}

/// Whether the grant lets the attempt pass as a WebSocket. Content beside a handshake is what a server and a front end may part over.
pub(super) fn passes(grant: &Grant, attempt: &Attempt) -> bool {
    grant.websocket() && attempt.sight.seen().is_some_and(|seen| seen.websocket && !seen.content)
}

impl Permit {
    /// Refuses an extended CONNECT where no WebSocket may pass, before anything is dialled: it is no request that could go on without.
    pub fn fits<B>(self, request: &Request<B>) -> Result<Self, Refusal> {
        let Self { open, grant, live } = self;
        if request.method() == Method::CONNECT && !passes(&grant, live.attempt()) {
            return Err(open.refuse(Reason::Unlisted, Cause::NoWebSocket(grant.rule().cloned())));
        }
        Ok(Self { open, grant, live })
    }
}

/// The agent's connection when it becomes a socket.
#[derive(Debug)]
pub enum AgentEnd {
    /// The whole of its connection.
    Socket(AgentSide),
    /// What is within TLS, or one stream of several.
    Stream(Box<dyn Bytewise>),
}

/// Bytes both ways.
pub trait Bytewise: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Bytewise for T {}

/// The opening handshake of a request, and the only answer to it that counts.
#[derive(Debug)]
pub(super) struct Handshake {
    accept: String,
    /// The agent asked by extended CONNECT (RFC 8441), and is answered as it is.
    extended: bool,
}

impl Handshake {
    /// Reads a handshake (section 4.1): a GET of HTTP/1.1 with one key of 16 bytes, in base 64. Its upgrade fields were seen already.
    ///
    /// An extended CONNECT (RFC 8441 section 5) has no key: it becomes such a GET, with a key of ours.
    pub(super) fn of(parts: &mut Parts) -> Option<Self> {
        if parts.method == Method::CONNECT {
            return Self::in_place_of_connect(parts);
        }
        let key = only(&parts.headers, &SEC_WEBSOCKET_KEY)?.as_bytes();
        let whole = BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16);
        let right = whole && parts.method == Method::GET && parts.version == Version::HTTP_11;
        right.then(|| Self { accept: accept(key), extended: false })
    }

    fn in_place_of_connect(parts: &mut Parts) -> Option<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).ok()?;
        let key = BASE64.encode(&nonce);
        parts.method = Method::GET;
        let accept = accept(key.as_bytes());
        parts.headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).ok()?);
        Some(Self { accept, extended: true })
    }

    /// Asks for it on this hop, and for nothing beside it.
    pub(super) fn ask(headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
    }

    /// Whether an answer with status 101 is one to this handshake (section 4.1).
    pub(super) fn is_answered_by(&self, headers: &HeaderMap) -> bool {
        let upgrade = only(headers, &UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()));
        let tokens = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let connection = tokens.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
        upgrade && connection && only(headers, &SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept.as_bytes() == self.accept.as_bytes())
    }

    /// Makes the head of a 101, of which nothing of its hop is left, one that opens the agent's socket.
    pub(super) fn answer(&self, parts: &mut http::response::Parts) {
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(TRANSFER_ENCODING);
        if self.extended {
            parts.status = StatusCode::OK;
            parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
            parts.extensions.clear();
        } else {
            Self::ask(&mut parts.headers);
        }
    }
}

fn accept(key: &[u8]) -> String {
    BASE64.encode(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::Request;

    use super::*;

    /// The example of RFC 6455 section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn handshake(method: &str, version: Version, keys: &[&str]) -> Option<Handshake> {
        let mut request = Request::builder().method(method).version(version);
        for key in keys {
            request = request.header(SEC_WEBSOCKET_KEY, *key);
        }
        Handshake::of(&mut request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_handshake_has_one_key_of_sixteen_bytes() {
        assert_eq!(handshake("GET", Version::HTTP_11, &[KEY]).unwrap().accept, ACCEPT);
        for (method, version, keys) in [
            ("POST", Version::HTTP_11, &[KEY][..]),
            ("GET", Version::HTTP_10, &[KEY]),
            ("GET", Version::HTTP_11, &[]),
            ("GET", Version::HTTP_11, &[KEY, KEY]),
            ("GET", Version::HTTP_11, &["dGhlIHNhbXBsZSBub25jZQ"]),
            ("GET", Version::HTTP_11, &["c2hvcnQ="]),
            ("GET", Version::HTTP_11, &[""]),
        ] {
            assert!(handshake(method, version, keys).is_none(), "{method} {version:?} {keys:?}");
        }
    }

    #[test]
    fn only_the_answer_to_this_key_opens_it() {
        let handshake = handshake("GET", Version::HTTP_11, &[KEY]).unwrap();
        let right = [("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), ("sec-websocket-accept", ACCEPT)];
        assert!(handshake.is_answered_by(&headers(&right)));
        for (at, wrong) in [
            (0, ("upgrade", "h2c")),
            (0, ("upgrade", "websocket, h2c")),
            (0, ("x-upgrade", "websocket")),
            (1, ("connection", "close")),
            (1, ("x-connection", "upgrade")),
            (2, ("sec-websocket-accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            (2, ("sec-websocket-accept", "")),
            (2, ("x-accept", ACCEPT)),
        ] {
            let mut fields = right;
            fields[at] = wrong;
            assert!(!handshake.is_answered_by(&headers(&fields)), "{wrong:?}");
        }
        let twice = [right.as_slice(), &[("sec-websocket-accept", ACCEPT)]].concat();
        assert!(!handshake.is_answered_by(&headers(&twice)));
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }
}

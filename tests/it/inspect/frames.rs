//! Frames of HTTP/2 as they are written, HPACK (RFC 7541) without its tables.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{H2, HOST, World};
use crate::support::proxy::Proxy;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals; each name and value is shorter than 127 bytes.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            bytes.push(text.len() as u8);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The head of a request to the host that is visited.
pub(super) fn head(world: &World, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let authority = format!("{HOST}:{}", world.web.port());
    let first = [(":method", method), (":scheme", "https"), (":path", path), (":authority", authority.as_str())];
    block(&[&first, more].concat())
}

/// Begins as an origin does: hears the preface, and sends settings.
pub(super) fn greet(io: &mut (impl Read + Write)) -> std::io::Result<()> {
    io.read_exact(&mut [0; PREFACE.len()])?;
    io.write_all(&frame(SETTINGS, 0, 0, &[]))
}

/// The next frame that an origin is sent.
pub(super) fn heard(io: &mut impl Read) -> std::io::Result<Frame> {
    let mut start = [0; 9];
    io.read_exact(&mut start)?;
    let mut payload = vec![0; length(&start)];
    io.read_exact(&mut payload)?;
    Ok(of(&start, payload))
}

fn length(start: &[u8; 9]) -> usize {
    u32::from_be_bytes([0, start[0], start[1], start[2]]) as usize
}

fn of(start: &[u8; 9], payload: Vec<u8>) -> Frame {
    Frame { kind: start[3], flags: start[4], stream: u32::from_be_bytes([start[5], start[6], start[7], start[8]]), payload }
}

/// An agent that writes frames itself.
pub(super) struct Raw(TlsStream<TcpStream>);

impl Raw {
    /// Agent `c`, its settings sent.
    pub(super) async fn new(world: &World, proxy: &Proxy) -> Self {
        let mut raw = Self(world.way(proxy, "c", H2).secure().await.unwrap());
        assert_eq!(raw.0.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert!(raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await);
        raw
    }

    /// `false`: nobody reads any more.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// The next frame that is about a stream, or ends the connection; none at its end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut start = [0; 9];
            self.0.read_exact(&mut start).await.ok()?;
            let mut payload = vec![0; length(&start)];
            self.0.read_exact(&mut payload).await.ok()?;
            let frame = of(&start, payload);
            if frame.stream != 0 || frame.kind == GOAWAY {
                return Some(frame);
            }
        }
    }

    /// Whether one of these comes before the end.
    pub(super) async fn comes(&mut self, kind: u8, stream: u32) -> bool {
        while let Some(frame) = self.next().await {
            if (frame.kind, frame.stream) == (kind, stream) {
                return true;
            }
        }
        false
    }
}

//! WebSocket as an echo (RFC 6455): every message comes back, frame by frame; pings are answered, a close is returned.

use data_encoding::BASE64;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::Flow;

/// The answer to a key (section 4.2.2).
pub(crate) fn accept(key: &str) -> String {
    BASE64.encode(&Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A message of text in one frame.
    pub(crate) fn text(text: &str) -> Self {
        Self { first: 0x81, payload: text.into() }
    }

    /// A close with this code.
    pub(crate) fn close(code: u16) -> Self {
        Self { first: 0x88, payload: code.to_be_bytes().to_vec() }
    }

    /// As it goes over the wire; what a client sends is masked.
    pub(crate) fn bytes(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.payload.len() {
            length @ 0..126 => bytes.push(bit | u8::try_from(length).unwrap()),
            length @ 126..65_536 => {
                bytes.push(bit | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                bytes.push(bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let mask = mask.unwrap_or_default();
        bytes.extend(self.payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        bytes
    }

    /// The next frame, or the end.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let first = stream.read_u8().await.ok()?;
        let second = stream.read_u8().await.ok()?;
        let length = match second & 0x7f {
            126 => usize::from(stream.read_u16().await.ok()?),
            127 => usize::try_from(stream.read_u64().await.ok()?).ok()?,
            short => usize::from(short),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            stream.read_exact(&mut mask).await.ok()?;
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        Some(Self { first, payload })
    }
}

/// Answers an upgrade, and echoes from then on.
pub(super) fn upgrade(mut request: Request<Incoming>) -> Response<Flow> {
    let mut answer = Response::new(Flow::whole(""));
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok()) else {
        *answer.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return answer;
    };
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept(key)).unwrap());
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|protocols| protocols.to_str().ok());
    if let Some(protocol) = offered.and_then(|protocols| protocols.split(',').next()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol.trim()).unwrap());
    }
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            echo(TokioIo::new(upgraded)).await;
        }
    });
    answer
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    while let Some(mut frame) = Frame::read(&mut stream).await {
        let opcode = frame.first & 0x0f;
        match opcode {
            0x9 => frame.first = 0x8a,
            0xa => continue,
            _ => {}
        }
        if stream.write_all(&frame.bytes(None)).await.is_err() || stream.flush().await.is_err() || opcode == 0x8 {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

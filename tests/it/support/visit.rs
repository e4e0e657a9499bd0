//! An agent that speaks HTTP/2 or HTTP/1.1 within TLS: to an origin, or to it through a tunnel of the proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::credentials;
use super::web::body::Flow;
use super::web::routes::fields;

/// Where to, and what is trusted and offered on the way.
#[derive(Clone)]
pub(crate) struct Way {
    /// The proxy, and the agent to be there; none: straight to 127.0.0.1.
    pub(crate) proxy: Option<(SocketAddr, String)>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Arc<ClientConfig>,
}

/// What came of the way there.
#[derive(Debug)]
pub(crate) enum Missed {
    /// The proxy's answer to `CONNECT`, head and what came with it.
    Refused(String),
    /// The handshake.
    Tls(std::io::Error),
}

/// An open connection.
pub(crate) struct Visit {
    sender: Sender,
    host: String,
    port: u16,
    /// What was agreed on.
    pub(crate) alpn: Option<String>,
    /// The certificate that was shown.
    pub(crate) leaf: CertificateDer<'static>,
}

#[derive(Clone)]
enum Sender {
    One(Arc<tokio::sync::Mutex<http1::SendRequest<Flow>>>),
    Two(http2::SendRequest<Flow>),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// The words beside the status, where they are not the usual ones.
    pub(crate) phrase: Option<String>,
}

impl Whole {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

impl Way {
    /// Through the proxy as an agent.
    pub(crate) fn through(proxy: SocketAddr, agent: &str, host: &str, port: u16, tls: Arc<ClientConfig>) -> Self {
        Self { proxy: Some((proxy, agent.to_owned())), host: host.to_owned(), port, tls }
    }

    /// Straight to an origin on 127.0.0.1.
    pub(crate) fn straight(host: &str, port: u16, tls: Arc<ClientConfig>) -> Self {
        Self { proxy: None, host: host.to_owned(), port, tls }
    }

    /// TLS, and nothing said in it yet.
    pub(crate) async fn secure(&self) -> Result<TlsStream<TcpStream>, Missed> {
        let mut stream = match &self.proxy {
            Some((proxy, _)) => TcpStream::connect(proxy).await.unwrap(),
            None => TcpStream::connect(("127.0.0.1", self.port)).await.unwrap(),
        };
        stream.set_nodelay(true).unwrap();
        if let Some((_, agent)) = &self.proxy {
            let target = format!("{}:{}", self.host, self.port);
            let asked = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", credentials(agent));
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            if !head.starts_with(b"HTTP/1.1 200 ") {
                return Err(Missed::Refused(String::from_utf8_lossy(&head).into_owned()));
            }
        }
        let name = ServerName::try_from(self.host.clone()).unwrap();
        TlsConnector::from(self.tls.clone()).connect(name, stream).await.map_err(Missed::Tls)
    }

    /// Connects and speaks what was agreed on.
    pub(crate) async fn visit(&self) -> Result<Visit, Missed> {
        let stream = self.secure().await?;
        let session = stream.get_ref().1;
        let alpn = session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
        let leaf = session.peer_certificates().unwrap()[0].clone().into_owned();
        let sender = if alpn.as_deref() == Some("h2") {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(1 << 20)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| Missed::Tls(std::io::Error::other(error)))?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::Builder::new().max_buf_size(1 << 20).handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            Sender::One(Arc::new(tokio::sync::Mutex::new(sender)))
        };
        Ok(Visit { sender, host: self.host.clone(), port: self.port, alpn, leaf })
    }
}

impl Visit {
    /// A request to the host that is visited, in the form of the protocol that is spoken.
    pub(crate) fn request(&self, method: &str, target: &str) -> http::request::Builder {
        let authority = format!("{}:{}", self.host, self.port);
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        match self.sender {
            Sender::One(_) => request.uri(target).header("host", authority),
            Sender::Two(_) => request.uri(format!("https://{authority}{target}")),
        }
    }

    /// Sends a request as it is; the answer's body comes as it comes.
    pub(crate) async fn send(&self, request: Request<Flow>) -> hyper::Result<Response<Incoming>> {
        match &self.sender {
            Sender::One(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Two(sender) => {
                let mut sender = sender.clone();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// A request and the whole of its answer.
    pub(crate) async fn ask(&self, request: Request<Flow>) -> hyper::Result<Whole> {
        whole(self.send(request).await?).await
    }

    /// `GET`, and the whole of its answer.
    pub(crate) async fn get(&self, target: &str) -> hyper::Result<Whole> {
        self.ask(self.request("GET", target).body(Flow::whole("")).unwrap()).await
    }
}

/// Reads an answer to its end.
pub(crate) async fn whole(answer: Response<Incoming>) -> hyper::Result<Whole> {
    let (head, mut body) = answer.into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let phrase = head.extensions.get::<hyper::ext::ReasonPhrase>().map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    Ok(Whole { status: head.status.as_u16(), headers: fields(&head.headers), body: bytes, trailers: fields(&trailers), phrase })
}

/// The next piece of a body, or its end.
pub(crate) async fn piece(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let frame = body.frame().await?.ok()?;
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
}

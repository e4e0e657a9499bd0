//! The way from a command to the exeat that runs: HTTP over the admin socket of its state folder.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::admin::{Problem, SOCKET};
use crate::text::plain;

/// The largest answer that is read.
const ANSWER: usize = 64 << 20;

/// The longest line of a stream.
const LINE: usize = 1 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing answers at the socket: no exeat runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no exeat is running with this state: nothing answers at {}; start `exeat serve`, or name the configuration of the one that runs with --config",
    .0.display()
)]
pub struct NotRunning(PathBuf);

/// Talks to the exeat that keeps a state folder.
#[derive(Clone, Debug)]
pub struct AdminClient {
    socket: PathBuf,
}

impl AdminClient {
    /// A client for the exeat whose state that is.
    pub fn new(state: &Path) -> Self {
        Self { socket: state.join(SOCKET) }
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, route: &str) -> Result<T> {
        read(self.send(Method::GET, route, Bytes::new()).await?).await
    }

    /// Has something done.
    pub async fn post<T: DeserializeOwned>(&self, route: &str, body: &impl Serialize) -> Result<T> {
        read(self.send(Method::POST, route, serde_json::to_vec(body)?.into()).await?).await
    }

    /// Has something taken away.
    pub async fn delete<T: DeserializeOwned>(&self, route: &str) -> Result<T> {
        read(self.send(Method::DELETE, route, Bytes::new()).await?).await
    }

    /// Has a running exeat read the tokens again. None running reads them when it starts.
    pub async fn reload_tokens(&self) -> Result<()> {
        match self.post::<serde_json::Value>("tokens/reload", &serde_json::json!({})).await {
            Ok(_) => Ok(()),
            Err(error) if error.is::<NotRunning>() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens a stream of JSON lines.
    pub async fn stream(&self, route: &str) -> Result<Lines> {
        let response = self.send(Method::GET, route, Bytes::new()).await?;
        if response.status() == StatusCode::OK {
            Ok(Lines { body: response.into_body(), unread: BytesMut::new() })
        } else {
            read::<serde_json::Value>(response).await?;
            bail!("the running exeat answered what was not asked")
        }
    }

    async fn send(&self, method: Method, route: &str, body: Bytes) -> Result<Response<Incoming>> {
        #[expect(clippy::disallowed_methods, reason = "the admin socket is a file of ours, not the network")]
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.absent(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the running exeat broke");
            }
        });
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{route}"))
            .header(HOST, "exeat")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        answer.context("the running exeat does not answer")?.with_context(|| format!("{} did not answer", self.socket.display()))
    }

    fn absent(&self, error: &io::Error) -> anyhow::Error {
        let socket = self.socket.display();
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
            NotRunning(self.socket.clone()).into()
        } else if kind == io::ErrorKind::PermissionDenied {
            anyhow!("{socket} belongs to another user; run this as the user who runs exeat")
        } else {
            anyhow!("{socket} cannot be reached: {error}")
        }
    }
}

/// A stream of JSON lines.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    unread: BytesMut,
}

impl Lines {
    /// The next line, `None` at the end. Empty lines are left out.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end);
                self.unread.advance(1);
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.unread.len() > LINE {
                bail!("the running exeat sent a line without end");
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => bail!("the running exeat went away; start `exeat serve` again if it was killed"),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.unread.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T> {
    let status = response.status();
    let collected = tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), ANSWER).collect()).await;
    let bytes =
        collected.context("the running exeat does not answer")?.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).context("the running exeat is of another version: its answer cannot be read");
    }
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(Problem { title: _, status: _, detail }) => bail!("{}", plain(&detail, 1000)),
        Err(_) => bail!("the running exeat answered {status}"),
    }
}

/// A word somebody typed, as one segment of a route.
pub fn segment(word: &str) -> String {
    let mut out = String::new();
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Does something for every id, telling what went wrong with which at the end.
pub async fn each<F: AsyncFnMut(&str) -> Result<()>>(ids: &[String], mut act: F) -> Result<()> {
    let mut failed = Vec::new();
    for id in ids {
        if let Err(error) = act(id).await {
            failed.push(format!("{}: {}", plain(id, 60), super::chain(&error)));
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\nexeat: ")) }
}

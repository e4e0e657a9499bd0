//! One collector, spoken to by gRPC or by protobuf over HTTP. Every export is bounded in time and in what is read of its answer.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::Status;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::answer::{Refused, Taken, words};
use super::signal::Signal;
use crate::telemetry::dial::{BackEnd, Connection, Dialer, Speaks};
use crate::telemetry::post::{AGENT, post};

/// No export takes longer.
const EXPORT_TIME: Duration = Duration::from_secs(10);
/// No connection takes longer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Of an answer's head no more is read.
const LONGEST_HEAD: u32 = 16 << 10;
/// Shorter words of a header are no secret.
const SHORTEST_SECRET: usize = 6;

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf by HTTP POST.
    Http,
}

/// A collector.
#[derive(Debug)]
pub struct Collector {
    to: BackEnd,
    dialer: Dialer,
    protocol: Protocol,
    headers: HeaderMap,
    /// The connection of gRPC, while it is good.
    channel: Option<Channel>,
    within: Duration,
}

impl Clone for Collector {
    /// Another way to the same collector, with a connection of its own.
    fn clone(&self) -> Self {
        let Self { to, dialer, protocol, headers, channel: _, within } = self;
        let (to, dialer, headers) = (to.clone(), dialer.clone(), headers.clone());
        Self { to, dialer, protocol: *protocol, headers, channel: None, within: *within }
    }
}

impl Collector {
    /// The collector at a back end; `headers` go along with every export.
    pub fn new(to: BackEnd, dialer: Dialer, protocol: Protocol, headers: HeaderMap) -> Self {
        Self { to, dialer, protocol, headers, channel: None, within: EXPORT_TIME }
    }

    /// Exports, once.
    pub(super) async fn export<S: Signal>(&mut self, data: S) -> Result<Taken, Refused> {
        match self.protocol {
            Protocol::Grpc => self.call(data).await,
            Protocol::Http => self.posted(&data).await,
        }
    }

    async fn call<S: Signal>(&mut self, data: S) -> Result<Taken, Refused> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.channel()?,
        };
        let mut request = tonic::Request::from_parts(MetadataMap::from_headers(self.headers.clone()), tonic::Extensions::default(), data);
        request.set_timeout(self.within);
        match tokio::time::timeout(self.within, S::call(channel.clone(), request)).await {
            Ok(Ok(answer)) => {
                self.channel = Some(channel);
                Ok(self.said(S::taken(answer.into_inner())))
            }
            // The next export has a connection of its own: this one may be what is broken.
            Ok(Err(status)) => Err(self.refused(&status)),
            Err(_) => Err(Refused::again("the collector did not answer in time")),
        }
    }

    fn channel(&self) -> Result<Channel, Refused> {
        let endpoint = Endpoint::from_shared(self.to.origin()).and_then(|endpoint| endpoint.user_agent(AGENT));
        let endpoint = endpoint.map_err(|error| Refused::again(error.to_string()))?;
        let endpoint = endpoint.http2_max_header_list_size(LONGEST_HEAD).buffer_size(1);
        Ok(endpoint.connect_with_connector_lazy(Connector { to: self.to.clone(), dialer: self.dialer.clone() }))
    }

    /// What a status means. One that was made on the way has a cause, and that says more than its words.
    fn refused(&self, status: &Status) -> Refused {
        let message = self.masked(status.message());
        let refused = Refused::of_grpc(&Status::with_details(status.code(), message, Bytes::copy_from_slice(status.details())));
        match std::iter::successors(status.source(), |&error| error.source()).last() {
            Some(cause) => Refused { why: format!("the collector cannot be spoken to: {}", words(&cause.to_string())), ..refused },
            None => refused,
        }
    }

    fn said(&self, taken: Taken) -> Taken {
        Taken { words: words(&self.masked(&taken.words)), ..taken }
    }

    /// A collector may repeat what it was sent, and a log is no place for credentials.
    fn masked(&self, text: &str) -> String {
        let values = self.headers.values().filter_map(|value| value.to_str().ok());
        let secrets = values.flat_map(str::split_whitespace).filter(|part| part.len() >= SHORTEST_SECRET);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    async fn posted<S: Signal>(&self, data: &S) -> Result<Taken, Refused> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let path = format!("{}{}", self.to.path.trim_end_matches('/'), S::PATH);
        let content = (headers, Bytes::from(data.encode_to_vec()));
        let answered = post(&self.dialer, &self.to, &path, content, self.within).await;
        let answered = answered.map_err(|error| Refused::again(error.to_string()))?;
        if !answered.status.is_success() {
            return Err(Refused::of_http(answered.status, answered.retry_after));
        }
        let answer = S::Answer::decode(answered.body);
        answer.map(|answer| self.said(S::taken(answer))).map_err(|_| Refused::again("what answers is no OTLP collector"))
    }
}

/// Dials for gRPC.
struct Connector {
    to: BackEnd,
    dialer: Dialer,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (to, dialer) = (self.to.clone(), self.dialer.clone());
        Box::pin(async move {
            let connected = dialer.connect(&to, Speaks::Http2, CONNECT_TIME).await;
            connected.map(TokioIo::new).map_err(io::Error::other)
        })
    }
}

#[cfg(test)]
mod tests;

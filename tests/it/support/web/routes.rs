//! What the origin answers, by path. `/echo` is what is answered where nothing else is.
//!
//! `/page`, `/phrase`, `/echo`, `/refused`, `/status/CODE`, `/headers?count=&size=`, `/redirect?to=&code=`, `/chunked?pieces=&size=`, `/sse?events=&gap_ms=` or
//! `/sse?events=&gate=NAME`, `/gated/NAME`, `/late/NAME`, `/signal/NAME`, `/trailers`, `/down?bytes=`, `/up`, `/early`, `/cut?after=`, `/ws`, `/exeat.Echo/*`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::body::{Cut, Flow, Tap};
use super::{Seen, Shared, socket};

/// The page that every client asks for.
pub(crate) const PAGE: &str = "the page";

/// The head of a request, as it is kept.
pub(super) fn seen(connection: usize, request: &Request<Incoming>) -> Seen {
    let host = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    Seen {
        connection,
        version: format!("{:?}", request.version()),
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
        authority: request.uri().authority().map(ToString::to_string).or(host).unwrap_or_default(),
        headers: fields(request.headers()),
    }
}

/// Header fields as text.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// Keys and values of a query, as they stand.
struct Query(HashMap<String, String>);

impl Query {
    fn number(&self, key: &str, otherwise: usize) -> usize {
        self.0.get(key).map_or(otherwise, |value| value.parse().unwrap_or(otherwise))
    }
}

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Flow>, Cut> {
    let path = request.uri().path().to_owned();
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let query = Query(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let (first, rest) = path[1.min(path.len())..].split_once('/').unwrap_or((path.get(1..).unwrap_or_default(), ""));
    let answer = match first {
        "page" => text(request.method(), PAGE),
        "phrase" => phrase(request.headers()),
        "refused" => status(StatusCode::EXPECTATION_FAILED),
        "status" => status(rest.parse().unwrap_or(StatusCode::BAD_REQUEST)),
        "headers" => large(&query),
        "redirect" => redirect(&query),
        "chunked" => stream(move |tap| chunked(tap, query)),
        "sse" => events(query, shared),
        "gated" => gated(rest.to_owned(), shared),
        "late" => {
            shared.signalled(rest, 1).await;
            text(request.method(), PAGE)
        }
        "signal" => {
            shared.signal(rest);
            status(StatusCode::NO_CONTENT)
        }
        "trailers" => trailers(),
        "down" => down(&query),
        "up" => up(request).await,
        "early" => text(&Method::POST, "early"),
        "cut" => cut(&query),
        "ws" => socket::upgrade(request),
        "exeat.Echo" => grpc(rest.to_owned(), request),
        _ => echo(request).await,
    };
    Ok(answer)
}

fn status(status: StatusCode) -> Response<Flow> {
    let mut answer = Response::new(Flow::whole(""));
    *answer.status_mut() = status;
    answer
}

/// Says in the words beside the status who is known to it.
fn phrase(fields: &HeaderMap) -> Response<Flow> {
    let mut answer = status(StatusCode::OK);
    if let Some(Ok(known)) = fields.get(AUTHORIZATION).map(|field| hyper::ext::ReasonPhrase::try_from(field.as_bytes())) {
        answer.extensions_mut().insert(known);
    }
    answer
}

fn text(method: &Method, body: &'static str) -> Response<Flow> {
    let sent = if method == Method::HEAD { "" } else { body };
    let mut answer = Response::new(Flow::whole(sent));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    answer
}

/// Runs `fill` beside the answer, whose body it makes.
fn stream<F>(fill: impl FnOnce(Tap) -> F) -> Response<Flow>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (tap, flow) = Flow::new();
    tokio::spawn(fill(tap));
    Response::new(flow)
}

fn large(query: &Query) -> Response<Flow> {
    let mut answer = text(&Method::GET, PAGE);
    let value = "v".repeat(query.number("size", 1000));
    for index in 0..query.number("count", 10) {
        let name = HeaderName::try_from(format!("x-large-{index}")).unwrap();
        answer.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
    }
    answer
}

fn redirect(query: &Query) -> Response<Flow> {
    let code = u16::try_from(query.number("code", 302)).unwrap();
    let mut answer = status(StatusCode::from_u16(code).unwrap());
    let to = query.0.get("to").map_or("/page", String::as_str);
    answer.headers_mut().insert(LOCATION, HeaderValue::from_str(to).unwrap());
    answer
}

async fn chunked(tap: Tap, query: Query) {
    for index in 0..query.number("pieces", 3) {
        let piece = format!("{index:0>width$}\n", width = query.number("size", 8) - 1);
        if !tap.send(piece).await {
            return;
        }
    }
}

fn events(query: Query, shared: Arc<Shared>) -> Response<Flow> {
    let mut answer = stream(move |tap| async move {
        for index in 1..=query.number("events", 3) {
            if !tap.send(format!("id: {index}\ndata: event {index}\n\n")).await {
                return;
            }
            match query.0.get("gate") {
                Some(gate) => shared.signalled(gate, index).await,
                None => tokio::time::sleep(Duration::from_millis(query.number("gap_ms", 0) as u64)).await,
            }
        }
    });
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// `first` at once, and ` rest` once somebody has said so.
fn gated(name: String, shared: Arc<Shared>) -> Response<Flow> {
    stream(|tap| async move {
        tap.send("first").await;
        shared.signalled(&name, 1).await;
        tap.send(" rest").await;
    })
}

fn trailers() -> Response<Flow> {
    let mut answer = stream(|tap| async move {
        tap.send("the body").await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checked", HeaderValue::from_static("yes"));
        trailers.append("x-twice", HeaderValue::from_static("one"));
        trailers.append("x-twice", HeaderValue::from_static("two"));
        tap.trailers(trailers).await;
    });
    answer.headers_mut().insert(TRAILER, HeaderValue::from_static("x-checked, x-twice"));
    answer
}

fn down(query: &Query) -> Response<Flow> {
    let bytes = query.number("bytes", 1 << 20);
    let mut answer = stream(move |tap| async move {
        let block = Bytes::from(vec![b'd'; 64 * 1024]);
        let mut left = bytes;
        while left > 0 {
            let piece = block.slice(..left.min(block.len()));
            left -= piece.len();
            if !tap.send(piece).await {
                return;
            }
        }
    });
    answer.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    answer
}

/// Breaks off in the middle of a body whose length it has given.
fn cut(query: &Query) -> Response<Flow> {
    let after = query.number("after", 10);
    let mut answer = stream(move |tap| async move {
        tap.send(vec![b'c'; after]).await;
        tap.cut().await;
    });
    answer.headers_mut().insert(CONTENT_LENGTH, (after + 1).into());
    answer
}

/// Reads a body to its end without keeping it.
async fn drain(mut body: Incoming) -> Option<(u64, String, HeaderMap)> {
    let (mut length, mut digest, mut trailers) = (0, Sha256::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) => {
                length += data.len() as u64;
                digest.update(&data);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Some((length, data_encoding::HEXLOWER.encode(&digest.finalize()), trailers))
}

async fn up(request: Request<Incoming>) -> Response<Flow> {
    match drain(request.into_body()).await {
        Some((length, ..)) => Response::new(Flow::whole(length.to_string())),
        None => status(StatusCode::BAD_REQUEST),
    }
}

async fn echo(request: Request<Incoming>) -> Response<Flow> {
    let (head, body) = request.into_parts();
    let Some((length, digest, trailers)) = drain(body).await else { return status(StatusCode::BAD_REQUEST) };
    let said = json!({
        "method": head.method.as_str(),
        "target": head.uri.path_and_query().map(ToString::to_string),
        "version": format!("{:?}", head.version),
        "headers": fields(&head.headers),
        "authorization": head.headers.get(AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        "length": length,
        "sha256": digest,
        "trailers": fields(&trailers),
    });
    let sent = if head.method == Method::HEAD { String::new() } else { said.to_string() };
    let mut answer = Response::new(Flow::whole(sent));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Messages as gRPC frames them: a byte, a length of four, the message. `Both` sends each back as it comes, `Up` says how many came and how many bytes
/// they were, `Down` sends as many as the first says, `Fail` ends before it began.
fn grpc(method: String, request: Request<Incoming>) -> Response<Flow> {
    let kind = HeaderValue::from_static("application/grpc");
    if method == "Fail" {
        let mut answer = status(StatusCode::OK);
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer.headers_mut().insert("grpc-status", HeaderValue::from_static("7"));
        answer.headers_mut().insert("grpc-message", HeaderValue::from_static("not today"));
        return answer;
    }
    let mut answer = stream(move |tap| async move {
        let mut messages = Messages { body: request.into_body(), ahead: BytesMut::new() };
        let (mut count, mut bytes) = (0, 0);
        while let Some(message) = messages.next().await {
            count += 1;
            bytes += message.len();
            match method.as_str() {
                "Up" => {}
                "Down" => {
                    for index in 0..String::from_utf8_lossy(&message).parse().unwrap_or(1) {
                        tap.send(framed(format!("message {index}").as_bytes())).await;
                    }
                }
                _ => {
                    tap.send(framed(&message)).await;
                }
            }
        }
        if method == "Up" {
            tap.send(framed(format!("{count} {bytes}").as_bytes())).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        tap.trailers(trailers).await;
    });
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// One message as gRPC frames it.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat().into()
}

struct Messages {
    body: Incoming,
    ahead: BytesMut,
}

impl Messages {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.ahead.len() >= 5 {
                let length = u32::from_be_bytes(self.ahead[1..5].try_into().unwrap()) as usize;
                if self.ahead.len() >= 5 + length {
                    self.ahead.advance(5);
                    return Some(self.ahead.split_to(length).freeze());
                }
            }
            self.ahead.extend_from_slice(&self.body.frame().await?.ok()?.into_data().ok()?);
        }
    }
}

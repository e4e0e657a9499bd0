//! One POST to a back end over HTTP/1.1, on a connection of its own: bounded in time and in what is read of the answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::dial::{BackEnd, Dialer, Speaks, Undialled};

/// Of an answer no more is read.
const LONGEST_ANSWER: usize = 64 << 10;
/// Of an answer's head no more is read.
const LONGEST_HEAD: usize = 16 << 10;
/// No receiver makes us wait longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How exeat names itself to its back ends.
pub const AGENT: &str = concat!("exeat/", env!("CARGO_PKG_VERSION"));

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// How long it asks us to wait, 5 minutes at most.
    pub retry_after: Option<Duration>,
    /// The content.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There was no connection.
    #[error(transparent)]
    Undialled(#[from] Undialled),
    /// The exchange broke, or was no HTTP.
    #[error("the exchange broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The content broke off or is longer than anything an answer needs.
    #[error("the answer broke off or does not end")]
    Content,
    /// Not within the time given.
    #[error("there was no answer in time")]
    Late,
}

/// Posts to `path` of a back end, with these headers and this content, and gives the answer whatever its status.
pub async fn post(dialer: &Dialer, to: &BackEnd, path: &str, content: (HeaderMap, Bytes), within: Duration) -> Result<Answered, NoAnswer> {
    let end = Instant::now() + within;
    let connection = dialer.connect(to, Speaks::Http1, within).await?;
    let exchanged = async {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(LONGEST_HEAD);
        let (mut sender, connection) = builder.handshake(TokioIo::new(connection)).await?;
        let answered = async {
            let answer = sender.send_request(request(to, path, content)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(|_| NoAnswer::Content)?.to_bytes();
            let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| pause(value, SystemTime::now()));
            Ok(Answered { status: head.status, retry_after, body })
        };
        tokio::pin!(answered);
        tokio::select! {
            answered = &mut answered => answered,
            // The other side has closed; what it said before is in the answer.
            _ = connection => answered.await,
        }
    };
    tokio::time::timeout_at(end, exchanged).await.unwrap_or(Err(NoAnswer::Late))
}

fn request(to: &BackEnd, path: &str, content: (HeaderMap, Bytes)) -> Request<Full<Bytes>> {
    let (headers, body) = content;
    let mut request = Request::post("/").body(Full::new(body)).unwrap_or_default();
    if let Ok(path) = path.parse() {
        *request.uri_mut() = path;
    }
    *request.headers_mut() = headers;
    let own = request.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&to.authority) {
        own.insert(HOST, host);
    }
    own.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    own.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

/// The wait that `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3).
pub fn pause(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            SystemTime::from(date).duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers one request with these bytes, and gives what it was asked.
    async fn served(says: Vec<u8>) -> (BackEnd, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = BackEnd::parse(&format!("http://{}/base", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"content") {
                assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
            }
            let _ = stream.write_all(&says).await;
            String::from_utf8(asked).unwrap()
        });
        (to, asked)
    }

    async fn posted(to: &BackEnd, within: Duration) -> Result<Answered, NoAnswer> {
        let mut headers = HeaderMap::new();
        headers.insert("x-key", HeaderValue::from_static("k"));
        post(&Dialer::new(to, None).unwrap(), to, "/base/v1/logs", (headers, Bytes::from_static(b"content")), within).await
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn an_answer_is_given_whatever_its_status() {
        let says = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno".to_vec();
        let (to, asked) = served(says).await;
        let answered = posted(&to, SOON).await.unwrap();
        let wanted = Answered {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(Duration::from_secs(7)),
            body: Bytes::from_static(b"no"),
        };
        assert_eq!(answered, wanted);
        let asked = asked.await.unwrap();
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.lines().collect();
        lines[1..].sort_unstable();
        let (host, agent) = (format!("host: {}", to.authority), format!("user-agent: {AGENT}"));
        let wanted = ["POST /base/v1/logs HTTP/1.1", "connection: close", "content-length: 7", host.as_str(), agent.as_str(), "x-key: k"];
        assert_eq!((lines.as_slice(), body), (wanted.as_slice(), "content"));
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_bounded_and_named() {
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; LONGEST_ANSWER + 1]].concat();
        let long_head = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 2 * LONGEST_HEAD]].concat();
        let table = [
            (b"\x00\x01 garbage\r\n\r\n".to_vec(), "Broken"),
            (Vec::new(), "Broken"),
            (endless, "Content"),
            (long_head, "Broken"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec(), "Content"),
        ];
        for (says, wanted) in table {
            let (to, _asked) = served(says.clone()).await;
            let got = match posted(&to, SOON).await {
                Err(NoAnswer::Broken(_)) => "Broken",
                Err(NoAnswer::Content) => "Content",
                other => panic!("{other:?}"),
            };
            assert_eq!(got, wanted, "{:?}", String::from_utf8_lossy(&says[..says.len().min(40)]));
        }
    }

    #[tokio::test]
    async fn one_who_never_answers_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = BackEnd::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let answered = posted(&to, Duration::from_millis(50)).await;
        assert!(matches!(answered, Err(NoAnswer::Late)), "{answered:?}");
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date_and_is_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let table = [
            ("0", Some(0)),
            (" 30 ", Some(30)),
            ("999999", Some(300)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, wanted) in table {
            assert_eq!(pause(&HeaderValue::from_static(text), now), wanted.map(Duration::from_secs), "{text}");
        }
    }
}

//! One question and one answer of HTTP/1.1 in plain text, on a connection of its own: bounded in time and in what is read.
//!
//! Written by hand, so that what an answer was not, is known too: a program behind a port need not speak HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Of an answer no more is read.
const LONGEST: usize = 64 << 10;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status; `None` where it was no HTTP.
    pub status: Option<u16>,
    /// The reason phrase.
    pub phrase: String,
    /// `Proxy-Status` begins with the name of exeat: exeat itself made the answer.
    pub by_exeat: bool,
    /// What follows the head, as far as it came.
    pub body: String,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing happened in time.
    Late,
    /// The connection could not be made, or broke.
    Error(io::ErrorKind),
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        Silence::Error(error.kind())
    }
}

/// Makes a connection: the handshake alone.
pub(super) async fn connect(to: SocketAddr, end: Instant) -> Result<TcpStream, Silence> {
    #[expect(clippy::disallowed_methods, reason = "what can be connected to from here is the question; no agent asks it of the proxy")]
    let connecting = TcpStream::connect(to);
    Ok(timeout_at(end, connecting).await.map_err(|_| Silence::Late)??)
}

/// Asks, and reads until the other side closes, the answer is as long as it says, or `end`.
pub(super) async fn ask(stream: &mut TcpStream, question: &str, end: Instant) -> Result<Answer, Silence> {
    timeout_at(end, stream.write_all(question.as_bytes())).await.map_err(|_| Silence::Late)??;
    let mut said = Vec::new();
    while said.len() < LONGEST && !is_whole(&said) {
        match timeout_at(end, stream.read_buf(&mut said)).await {
            Ok(Ok(1..)) => {}
            Ok(Err(error)) if said.is_empty() => return Err(error.into()),
            Err(_) if said.is_empty() => return Err(Silence::Late),
            Ok(Ok(0) | Err(_)) | Err(_) => break,
        }
    }
    Ok(Answer::of(&said))
}

/// A `GET` of a path.
pub(super) async fn get(to: SocketAddr, path: &str, within: Duration) -> Result<Answer, Silence> {
    let end = Instant::now() + within;
    let mut stream = connect(to, end).await?;
    ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"), end).await
}

/// Head and body, and how long the body says that it is.
fn parts(said: &[u8]) -> Option<(String, &[u8])> {
    let end = said.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&said[..end]).into_owned(), &said[end + 4..]))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Nothing more is wanted: the body is there, or the head is that of a tunnel.
fn is_whole(said: &[u8]) -> bool {
    parts(said).is_some_and(|(head, body)| match field(&head, "content-length") {
        Some(length) => length.parse().is_ok_and(|length: usize| body.len() >= length),
        None => status(&head).is_some_and(|(status, _)| status == 200) && field(&head, "transfer-encoding").is_none(),
    })
}

fn status(head: &str) -> Option<(u16, &str)> {
    let rest = head.lines().next()?.strip_prefix("HTTP/1.")?.get(2..)?;
    let (status, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((status.parse().ok()?, phrase))
}

impl Answer {
    fn of(said: &[u8]) -> Self {
        let (head, body) = parts(said).unwrap_or_default();
        let (status, phrase) = status(&head).map_or((None, ""), |(status, phrase)| (Some(status), phrase));
        let by = field(&head, "proxy-status").and_then(|value| value.split([';', ',']).next());
        Self {
            status,
            phrase: phrase.to_owned(),
            by_exeat: by.is_some_and(|by| by.trim() == "exeat"),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_for_who_made_it() {
        let rows = [
            (
                "HTTP/1.1 403 blocked by exeat\r\nProxy-Status: exeat; error=http_request_denied\r\n\r\nno",
                Some(403),
                "blocked by exeat",
                true,
            ),
            ("HTTP/1.0 403 no\r\nproxy-status: corp; error=x\r\n\r\n", Some(403), "no", false),
            ("HTTP/1.1 200 OK\r\nX-Proxy-Status: exeat\r\n\r\n", Some(200), "OK", false),
            ("HTTP/1.1 200\r\nProxy-Status: exeat\r\n\r\n", Some(200), "", true),
            ("HTTP/1.1 abc\r\n\r\n", None, "", false),
            ("SSH-2.0-x\r\n", None, "", false),
            ("", None, "", false),
        ];
        for (said, status, phrase, by_exeat) in rows {
            let answer = Answer::of(said.as_bytes());
            assert_eq!((answer.status, answer.phrase.as_str(), answer.by_exeat), (status, phrase, by_exeat), "{said:?}");
        }
    }

    #[test]
    fn an_answer_is_whole_when_it_says_so() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", true),
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 403 No\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n", false),
        ];
        for (said, whole) in rows {
            assert_eq!(is_whole(said.as_bytes()), whole, "{said:?}");
        }
    }
}

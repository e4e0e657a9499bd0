//! Raw conversations with the proxy: exact bytes out, whole answers in.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};
use rustls::{AlertDescription, ClientConnection, StreamOwned};
use serde_json::Value;

use super::ahead::Ahead;
use super::tls::Authority;

const PATIENCE: Duration = Duration::from_secs(20);

/// An answer read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The reason phrase.
    pub(crate) phrase: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a refusal.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?} {}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The reason code of a refusal.
    pub(crate) fn reason(&self) -> String {
        self.problem()["reason"].as_str().unwrap_or_else(|| panic!("no reason in {}", self.text())).to_owned()
    }

    /// The attempt a refusal names.
    pub(crate) fn attempt(&self) -> String {
        self.header("exeat-attempt").unwrap_or_else(|| panic!("no exeat-attempt in {self:?}")).to_owned()
    }
}

/// The agent's end of one connection.
pub(crate) struct Talk<S = TcpStream> {
    stream: S,
    ahead: Vec<u8>,
}

/// A connection within TLS.
pub(crate) type TlsTalk = Talk<StreamOwned<ClientConnection, TcpStream>>;

impl Talk {
    /// Connects.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::try_to(address).expect("nobody listens")
    }

    /// Connects, or finds nobody there.
    pub(crate) fn try_to(address: SocketAddr) -> Option<Self> {
        TcpStream::connect(address).ok().map(Self::over)
    }

    /// Connects from an address of the caller's choice.
    pub(crate) fn from(source: [u8; 4], to: SocketAddr) -> Self {
        Self::over(connect_from(source.into(), to))
    }

    /// Either end of a connection that is there already.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new() }
    }

    /// Says that nothing more will be sent. A peer that has hung up needs not be told.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// A second handle on the same connection, for a second thread.
    pub(crate) fn split(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), ahead: Vec::new() }
    }

    /// Shortens how long a read may take.
    pub(crate) fn patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// Whether nothing arrives for a while.
    pub(crate) fn is_quiet(&mut self, patience: Duration) -> bool {
        self.patience(patience);
        let mut byte = [0; 1];
        let quiet = match self.stream.read(&mut byte) {
            Ok(0) => false,
            Ok(_) => {
                self.ahead.push(byte[0]);
                false
            }
            Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        };
        self.patience(PATIENCE);
        quiet
    }

    /// `CONNECT target`, with credentials if any.
    pub(crate) fn connect(&mut self, target: &str, credentials: &str) -> Answer {
        self.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credentials}\r\n"));
        self.answer_to("CONNECT")
    }

    /// TLS through the tunnel, asking for `name`; `Err` with the alert that came instead.
    pub(crate) fn tls(self, authority: &Authority, name: &str) -> Result<TlsTalk, Option<AlertDescription>> {
        self.secured(authority.client(name))
    }

    /// TLS as this client begins it.
    pub(crate) fn secured(self, client: ClientConnection) -> Result<TlsTalk, Option<AlertDescription>> {
        assert!(self.ahead.is_empty(), "bytes before TLS: {:?}", self.ahead);
        let mut tls = StreamOwned::new(client, self.stream);
        while tls.conn.is_handshaking() {
            match tls.conn.complete_io(&mut tls.sock) {
                Ok((0, 0)) => return Err(None),
                Ok(_) => {}
                Err(error) => return Err(alert(&error)),
            }
        }
        Ok(Talk { stream: tls, ahead: Vec::new() })
    }
}

impl TlsTalk {
    /// What was agreed on.
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.stream.conn
    }

    /// Says within TLS and below it that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        let _ = self.stream.sock.shutdown(Shutdown::Write);
    }
}

/// Connects from an address of the caller's choice.
pub(crate) fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((source, 0))).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

impl<S: Read + Write> Talk<S> {
    /// Sends bytes. A peer that has hung up is not an error here: what it answered is what counts.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush());
    }

    /// As `send`; `false` once the peer takes no more.
    pub(crate) fn pour(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// `GET` in absolute form, with credentials if any.
    pub(crate) fn get(&mut self, url: &str, credentials: &str) -> Answer {
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        self.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n"));
        self.answer()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer("GET").expect("the connection ended before an answer")
    }

    /// The next answer, to a request with this method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        self.try_answer(method).expect("the connection ended before an answer")
    }

    /// The next answer, or `None` if the connection ends first.
    pub(crate) fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let mut lines = vec![self.line()?];
        while !lines.last()?.is_empty() {
            lines.push(self.line()?);
        }
        let mut words = lines[0].splitn(3, ' ');
        assert!(words.next()?.starts_with("HTTP/1."), "not HTTP: {lines:?}");
        let status: u16 = words.next()?.parse().unwrap_or_else(|_| panic!("not a status: {lines:?}"));
        let phrase = words.next().unwrap_or_default().to_owned();
        let headers = lines[1..lines.len() - 1].iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line}"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let mut answer = Answer { status, phrase, headers: headers.collect(), body: Vec::new() };
        let opens_a_tunnel = method == "CONNECT" && (200..300).contains(&status);
        if method != "HEAD" && !opens_a_tunnel && status >= 200 && status != 204 && status != 304 {
            answer.body = self.body(&answer)?;
        }
        Some(answer)
    }

    fn body(&mut self, answer: &Answer) -> Option<Vec<u8>> {
        if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let size = usize::from_str_radix(self.line()?.split(';').next()?, 16).unwrap();
                if size == 0 {
                    while !self.line()?.is_empty() {}
                    return Some(body);
                }
                body.extend(self.exactly(size)?);
                self.exactly(2)?;
            }
        }
        match answer.header("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()),
            None => Some(self.rest()),
        }
    }

    /// The lines of the next head, the empty one that ends it left out.
    pub(crate) fn head(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            lines.push(line);
        }
        lines
    }

    /// Exactly so many bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        self.take(length)
    }

    /// Everything to the end of the stream. A reset is an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.ahead)
    }

    /// Whether the proxy has closed, with nothing more said.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.ahead.is_empty() && !self.fill() && self.ahead.is_empty()
    }
}

impl<S: Read + Write> Ahead for Talk<S> {
    fn ahead(&mut self) -> &mut Vec<u8> {
        &mut self.ahead
    }

    /// A reset is an end, and silence a failure of the test.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.ahead.extend(&buffer[..length]);
                true
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("no answer within {PATIENCE:?}; so far: {:?}", String::from_utf8_lossy(&self.ahead))
            }
            Err(_) => false,
        }
    }
}

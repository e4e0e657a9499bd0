//! Recording origins on raw sockets: every byte of every connection is kept, answers are scripted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::ahead::Ahead;
use super::tls::Identity;

/// What an origin does with one request, in order.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until a test opens the gate.
    Wait(Gate),
    /// Sends back whatever comes, to the end.
    Echo,
    /// Closes the connection.
    Close,
}

/// A door a test opens, in place of a sleep.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everyone through from now on.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, Duration::from_secs(30), |open| !*open).unwrap());
    }
}

/// A request as an origin read it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method, target and version.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The values of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [] => None,
            [value] => Some(value),
            _ => panic!("{name} stands twice in {self:?}"),
        }
    }

    /// The target of the request line.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// A complete answer with a length, on a connection that stays open.
pub(crate) fn ok(body: &str) -> Vec<Step> {
    vec![Step::Send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into())]
}

/// Bytes as they are, then the end.
pub(crate) fn raw(bytes: &str) -> Vec<Step> {
    vec![Step::Send(bytes.into()), Step::Close]
}

type Script = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

#[derive(Default)]
struct Log {
    connections: Vec<Vec<u8>>,
    requests: Vec<Request>,
    open: usize,
}

/// An origin. It lives as long as the test process.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl Origin {
    /// An HTTP/1.1 origin on 127.0.0.1.
    pub(crate) fn http(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", None, Speaks::Http(Arc::new(script)))
    }

    /// As `http`, on one address of this machine.
    pub(crate) fn http_at(address: &str, script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::listen(address, None, Speaks::Http(Arc::new(script)))
    }

    /// As `http`, within TLS.
    pub(crate) fn https(identity: &Identity, script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", Some(identity.clone()), Speaks::Http(Arc::new(script)))
    }

    /// Sends back what comes; after the agent's end of stream it says `bye`.
    pub(crate) fn echo() -> Self {
        Self::listen("127.0.0.1:0", None, Speaks::Echo)
    }

    /// Speaks first, as mail servers do, then echoes.
    pub(crate) fn greeter(greeting: &'static str) -> Self {
        Self::listen("127.0.0.1:0", None, Speaks::First(greeting))
    }

    fn listen(address: &str, identity: Option<Identity>, speaks: Speaks) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let origin = Self { address: listener.local_addr().unwrap(), log: Arc::default() };
        let log = origin.log.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, identity, speaks) = (log.clone(), identity.clone(), speaks.clone());
                thread::spawn(move || attend(stream, identity.as_ref(), &speaks, &log));
            }
        });
        origin
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The bytes of each connection so far, after TLS where there is TLS.
    pub(crate) fn connections(&self) -> Vec<Vec<u8>> {
        self.log.lock().unwrap().connections.clone()
    }

    /// How much each connection has brought so far.
    pub(crate) fn mark(&self) -> Vec<usize> {
        self.log.lock().unwrap().connections.iter().map(Vec::len).collect()
    }

    /// What came after a mark, a piece for each connection that brought any.
    pub(crate) fn since(&self, mark: &[usize]) -> Vec<Vec<u8>> {
        let log = self.log.lock().unwrap();
        let pieces = log.connections.iter().enumerate().map(|(index, bytes)| &bytes[mark.get(index).copied().unwrap_or(0)..]);
        pieces.filter(|piece| !piece.is_empty()).map(<[u8]>::to_vec).collect()
    }

    /// Every request so far, over all connections.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().requests.clone()
    }

    /// How many connections are open now.
    pub(crate) fn open(&self) -> usize {
        self.log.lock().unwrap().open
    }

    /// Waits until something holds of the connections.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds(self) {
            assert!(Instant::now() < deadline, "the origin never saw {what}; it saw {:?}", self.requests());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[derive(Clone)]
enum Speaks {
    Http(Arc<Script>),
    Echo,
    First(&'static str),
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One accepted connection and where its bytes are kept.
struct Wire<'a> {
    stream: Box<dyn Stream>,
    log: &'a Mutex<Log>,
    index: usize,
    ahead: Vec<u8>,
}

impl Ahead for Wire<'_> {
    fn ahead(&mut self) -> &mut Vec<u8> {
        &mut self.ahead
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.log.lock().unwrap().connections[self.index].extend(&buffer[..length]);
                self.ahead.extend(&buffer[..length]);
                true
            }
        }
    }
}

impl Wire<'_> {
    fn request(&mut self) -> Option<Request> {
        let line = self.line()?;
        let mut headers = Vec::new();
        loop {
            let header = self.line()?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { line, headers, body: Vec::new() };
        if request.all("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
            request.body = self.chunks()?;
        } else if let Some(length) = request.all("content-length").first() {
            request.body = self.take(length.parse().ok()?)?;
        }
        Some(request)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line()?.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(body);
            }
            body.extend(self.take(size)?);
            self.take(2)?;
        }
    }

    fn echo(&mut self) {
        loop {
            let ahead = std::mem::take(&mut self.ahead);
            if self.stream.write_all(&ahead).and_then(|()| self.stream.flush()).is_err() || !self.fill() {
                break;
            }
        }
        let _ = self.stream.write_all(b"bye").and_then(|()| self.stream.flush());
    }
}

fn attend(stream: TcpStream, identity: Option<&Identity>, speaks: &Speaks, log: &Mutex<Log>) {
    let _ = stream.set_nodelay(true);
    let index = {
        let mut log = log.lock().unwrap();
        log.connections.push(Vec::new());
        log.open += 1;
        log.connections.len() - 1
    };
    let stream: Box<dyn Stream> = match identity {
        Some(identity) => Box::new(rustls::StreamOwned::new(identity.accept(), stream)),
        None => Box::new(stream),
    };
    converse(&mut Wire { stream, log, index, ahead: Vec::new() }, speaks);
    log.lock().unwrap().open -= 1;
}

fn converse(wire: &mut Wire<'_>, speaks: &Speaks) {
    let script = match speaks {
        Speaks::Http(script) => script,
        Speaks::Echo => return wire.echo(),
        Speaks::First(greeting) => {
            let _ = wire.stream.write_all(greeting.as_bytes());
            return wire.echo();
        }
    };
    while let Some(request) = wire.request() {
        wire.log.lock().unwrap().requests.push(request.clone());
        for step in script(&request) {
            match step {
                Step::Send(bytes) => {
                    if wire.stream.write_all(&bytes).and_then(|()| wire.stream.flush()).is_err() {
                        return;
                    }
                }
                Step::Wait(gate) => gate.wait(),
                Step::Echo => return wire.echo(),
                Step::Close => return,
            }
        }
    }
}

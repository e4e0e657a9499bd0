//! An origin as the web has them: TLS with ALPN, HTTP/2 and HTTP/1.1, streams both ways, WebSocket. It says what came and what it answered with.

pub(crate) mod body;
pub(crate) mod routes;
pub(crate) mod socket;
#[cfg(test)]
mod tests;
pub(crate) mod wrong;

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::tls::Identity;

const PATIENCE: Duration = Duration::from_secs(30);

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Drives a future to its end, which has to come.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("no end within 30 seconds") })
}

/// Drives a future to its end, however long it takes.
pub(crate) fn run_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Starts a future on its own.
pub(crate) fn spawn<F>(future: F)
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    RUNTIME.spawn(future);
}

/// A connection as the origin met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) sni: Option<String>,
    pub(crate) alpn: Option<String>,
    /// How many certificates the peer showed.
    pub(crate) certificates: usize,
    /// Whether TLS got to its end.
    pub(crate) secured: bool,
}

/// A request as the origin read its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which connection brought it: a place in `met`.
    pub(crate) connection: usize,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: String,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// `:authority`, or `Host`.
    pub(crate) authority: String,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl Seen {
    /// The values of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// What all connections of an origin share.
#[derive(Default)]
pub(crate) struct Shared {
    met: Mutex<Vec<Met>>,
    seen: Mutex<Vec<Seen>>,
    signals: watch::Sender<HashMap<String, usize>>,
}

impl Shared {
    /// One more signal of this name.
    pub(crate) fn signal(&self, name: &str) {
        self.signals.send_modify(|signals| *signals.entry(name.to_owned()).or_default() += 1);
    }

    /// Waits until so many signals of this name were given.
    pub(crate) async fn signalled(&self, name: &str, count: usize) {
        let mut signals = self.signals.subscribe();
        let _ = signals.wait_for(|signals| signals.get(name).is_some_and(|given| *given >= count)).await;
    }
}

/// The origin. It lives as long as the test process.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Web {
    /// Within TLS, on 127.0.0.1; what it speaks follows from its identity.
    pub(crate) fn secure(identity: &Identity) -> Self {
        Self::listen("127.0.0.1:0", Some(identity))
    }

    /// HTTP/1.1 without TLS.
    pub(crate) fn plain() -> Self {
        Self::listen("127.0.0.1:0", None)
    }

    /// On an address of the caller's choice.
    pub(crate) fn listen(address: &str, identity: Option<&Identity>) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let web = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        let (shared, tls) = (web.shared.clone(), identity.map(|identity| TlsAcceptor::from(identity.config())));
        spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(attend(stream, tls.clone(), shared.clone()));
            }
        });
        web
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every connection so far.
    pub(crate) fn met(&self) -> Vec<Met> {
        self.shared.met.lock().unwrap().clone()
    }

    /// The head of every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Gives one signal to whoever waits for it, as `POST /signal/NAME` does.
    pub(crate) fn signal(&self, name: &str) {
        self.shared.signal(name);
    }

    /// Waits until something holds of it.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "the origin never saw {what}; it met {:?} and saw {:?}", self.met(), self.seen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn attend(stream: tokio::net::TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let Some(tls) = tls else {
        let index = note(&shared, Met { sni: None, alpn: None, certificates: 0, secured: false });
        return serve(stream, false, index, shared).await;
    };
    match tls.accept(stream).await {
        Ok(stream) => {
            let session = stream.get_ref().1;
            let alpn = session.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
            let two = alpn.as_deref() == Some("h2");
            let certificates = session.peer_certificates().map_or(0, <[_]>::len);
            let sni = session.server_name().map(str::to_owned);
            let index = note(&shared, Met { sni, alpn, certificates, secured: true });
            serve(stream, two, index, shared).await;
        }
        Err(_) => {
            note(&shared, Met { sni: None, alpn: None, certificates: 0, secured: false });
        }
    }
}

fn note(shared: &Shared, met: Met) -> usize {
    let mut all = shared.met.lock().unwrap();
    all.push(met);
    all.len() - 1
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, two: bool, connection: usize, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move {
            shared.seen.lock().unwrap().push(routes::seen(connection, &request));
            routes::answer(request, shared).await
        }
    });
    if two {
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.max_header_list_size(256 * 1024).serve_connection(TokioIo::new(stream), service).await;
    } else {
        let server = hyper::server::conn::http1::Builder::new();
        let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    }
}

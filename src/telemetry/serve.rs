//! The listener for machines that watch: `/metrics`, `/livez`, `/readyz`. Reads nothing but the target, changes nothing.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use super::metrics::Format;

/// Connections served at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// A head that takes longer is not waited for.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// No connection lives longer: a reader that does not read gives its place back.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// The wait after an accept that failed, which is nearly always for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether attempts can be served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What stands in the way, a sentence each; none is ready.
    pub problems: Vec<String>,
    /// What is to be known beside, a sentence each; none of it makes it less ready.
    pub notes: Vec<String>,
}

/// Tells whether attempts can be served.
pub type Ready = Arc<dyn Fn() -> Readiness + Send + Sync>;

struct Watched {
    metrics: Arc<Metrics>,
    ready: Ready,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

/// Answers until `stop`; then open connections end after the answer they are at.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Ready, stop: CancellationToken) {
    let watched = Arc::new(Watched { metrics, ready });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((accepted, place)) = accepted {
            let (watched, stop) = (Arc::clone(&watched), stop.clone());
            connections.spawn(async move {
                connection(accepted, watched, stop).await;
                drop(place);
            });
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

type Accepted = (TcpStream, SocketAddr);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(Accepted, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(accepted) => Some((accepted, place)),
        Err(error) => {
            tracing::debug!(%error, "a connection to the metrics listener could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection((stream, peer): Accepted, watched: Arc<Watched>, stop: CancellationToken) {
    let here = stream.local_addr().is_ok_and(|ours| is_here(peer.ip(), ours.ip()));
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, here, &watched);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(16 << 10);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let over = tokio::time::sleep(CONNECTION_TIME);
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to the metrics listener broke");
            }
        }
        () = over => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // Whatever became of the last answer, the process goes on to stop.
            let _ = tokio::time::timeout(HEAD_TIME, connection).await;
        }
    }
}

/// Whether it is asked from this machine, pod or container: from loopback, or from the very address that is asked.
fn is_here(peer: IpAddr, ours: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || peer == ours.to_canonical()
}

fn answer<B>(request: &Request<B>, here: bool, watched: &Watched) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/livez" | "/readyz") {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let format = Format::wanted(accept);
            let mut response = text(StatusCode::OK, watched.metrics.page(format));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
            response
        }
        "/readyz" => {
            let readiness = (watched.ready)();
            let status = if readiness.problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, if here { in_full(&readiness) } else { counted(&readiness) })
        }
        _ => text(StatusCode::OK, "alive\n"),
    }
}

fn in_full(Readiness { problems, notes }: &Readiness) -> String {
    let first = if problems.is_empty() { "ready\n" } else { "" };
    let lines = problems.iter().chain(notes).map(|line| one_line(line) + "\n");
    std::iter::once(first.to_owned()).chain(lines).collect()
}

/// What is wrong names files, agents and lines of allowlists, and the network of whoever looks at metrics is nobody's proof.
fn counted(Readiness { problems, notes }: &Readiness) -> String {
    let first = if problems.is_empty() { "ready" } else { "not ready" };
    let (problems, notes) = (problems.len(), notes.len());
    if problems + notes == 0 {
        return format!("{first}\n");
    }
    format!("{first}\nproblems: {problems}, things to know: {notes}; `exeat doctor --ready` on that machine and the log say which\n")
}

/// A problem may cite a path, and a path may hold a line end.
fn one_line(problem: &str) -> String {
    problem.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Served {
        address: std::net::SocketAddr,
        problems: Arc<Mutex<Vec<String>>>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    async fn served() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let problems = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&problems);
        let ready: Ready = Arc::new(move || Readiness { problems: seen.lock().clone(), notes: vec!["one is\nkept".into()] });
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, Arc::new(Metrics::new()), ready, stop.clone()));
        Served { address, problems, stop, task }
    }

    #[expect(clippy::disallowed_methods, reason = "the test's own listener")]
    async fn connect(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    /// Status and body of one exchange.
    async fn ask(served: &Served, method: &str, path: &str) -> (u16, String) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut stream = connect(served.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn each_target_has_its_answer_and_nothing_else_has_one() {
        let served = served().await;
        let cases = [
            ("GET", "/livez", 200, "alive\n"),
            ("HEAD", "/livez", 200, ""),
            ("GET", "/readyz?verbose", 200, "ready\none is kept\n"),
            ("GET", "/", 404, "not found\n"),
            ("GET", "/metrics/", 404, "not found\n"),
            ("POST", "/metrics", 405, "only GET and HEAD\n"),
            ("DELETE", "/readyz", 405, "only GET and HEAD\n"),
        ];
        for (method, path, status, body) in cases {
            assert_eq!(ask(&served, method, path).await, (status, body.to_owned()), "{method} {path}");
        }
        let (status, body) = ask(&served, "GET", "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("exeat_build_info{") && !body.contains("# EOF"), "{body}");
    }

    #[test]
    fn a_reader_that_prefers_open_metrics_gets_it_and_its_type() {
        let watched = Watched { metrics: Arc::new(Metrics::new()), ready: Arc::new(Readiness::default) };
        for (accept, kind) in [
            ("text/plain", prometheus::TEXT_FORMAT),
            ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ] {
            let request = Request::get("/metrics").header(ACCEPT, accept).body(()).unwrap();
            assert_eq!(answer(&request, true, &watched).headers()[CONTENT_TYPE], kind);
        }
    }

    #[tokio::test]
    async fn who_asks_from_elsewhere_is_told_how_many_problems_there_are_and_not_which() {
        let lines = |count: usize| vec!["coder.toml:3: found secret-host.test".to_owned(); count];
        let beside = "`exeat doctor --ready` on that machine and the log say which\n";
        for (problems, notes, status, wanted) in [
            (0, 0, 200, "ready\n".to_owned()),
            (0, 2, 200, format!("ready\nproblems: 0, things to know: 2; {beside}")),
            (1, 0, 503, format!("not ready\nproblems: 1, things to know: 0; {beside}")),
            (3, 1, 503, format!("not ready\nproblems: 3, things to know: 1; {beside}")),
        ] {
            let readiness = Readiness { problems: lines(problems), notes: lines(notes) };
            let watched = Watched { metrics: Arc::new(Metrics::new()), ready: Arc::new(move || readiness.clone()) };
            for in_full in [true, false] {
                let response = answer(&Request::get("/readyz").body(()).unwrap(), in_full, &watched);
                assert_eq!(response.status(), status);
                let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
                let body = String::from_utf8(body.to_vec()).unwrap();
                if in_full {
                    assert_eq!(body.matches("secret-host.test").count(), problems + notes);
                } else {
                    assert_eq!(body, wanted);
                }
            }
        }
    }

    #[test]
    fn here_is_loopback_and_the_address_that_is_asked() {
        for (peer, ours, here) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::", true),
            ("172.29.3.18", "172.29.3.18", true),
            ("172.29.3.18", "::ffff:172.29.3.18", true),
            ("172.29.3.19", "172.29.3.18", false),
            ("fd00::1", "fd00::2", false),
        ] {
            assert_eq!(is_here(peer.parse().unwrap(), ours.parse().unwrap()), here, "{peer} {ours}");
        }
    }

    #[tokio::test]
    async fn problems_are_told_a_line_each_until_they_are_gone() {
        let served = served().await;
        *served.problems.lock() = vec!["the journal\ncannot be written".into(), "no allowlist".into()];
        assert_eq!(ask(&served, "GET", "/readyz").await, (503, "the journal cannot be written\nno allowlist\none is kept\n".into()));
        assert_eq!(ask(&served, "GET", "/livez").await.0, 200);
        served.problems.lock().clear();
        assert_eq!(ask(&served, "GET", "/readyz").await, (200, "ready\none is kept\n".into()));
    }

    #[tokio::test]
    async fn it_stops_while_connections_idle() {
        let served = served().await;
        let mut idle = connect(served.address).await.unwrap();
        assert_eq!(ask(&served, "GET", "/livez").await.0, 200);
        served.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), served.task).await.unwrap().unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(connect(served.address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_comes_is_not_waited_for() {
        let served = served().await;
        let mut slow = connect(served.address).await.unwrap();
        slow.write_all(b"GET /livez HT").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(HEAD_TIME * 3, slow.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "still open");
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_and_are_served_when_one_leaves() {
        let served = served().await;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(connect(served.address).await.unwrap());
        }
        let asked = tokio::time::timeout(Duration::from_millis(200), ask(&served, "GET", "/livez")).await;
        assert!(asked.is_err(), "served beyond the limit");
        held.clear();
        let asked = tokio::time::timeout(Duration::from_secs(10), ask(&served, "GET", "/livez")).await;
        assert_eq!(asked.unwrap().0, 200);
    }
}

//! The whole of exeat beside a direct run, over loopback: CONNECT set-up, forwarded GETs, tunnel bytes, and the memory of idle tunnels.
//!
//! `cargo bench --bench end_to_end`. Direct and through the proxy take turns in one run; the ratio says more than either on a shared machine.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench stands outside: it connects as agents do")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const SET_UPS: usize = 200;
const GETS: usize = 1_000;
const TUNNEL_BYTES: usize = 256 << 20;
const IDLE_TUNNELS: usize = 400;
const CHUNK: usize = 64 << 10;

fn main() {
    let web = origin(answer_requests);
    let sink = origin(count_bytes);
    let proxy = Proxy::start(&[web, sink]);

    compare("CONNECT set-up", SET_UPS, "us each", || set_ups(|| drop(direct(sink))), || set_ups(|| drop(proxy.tunnel(sink))));
    let target = format!("http://{web}/");
    compare("forwarded GET", GETS, "us each", || gets(direct(web), "/"), || gets(direct(proxy.address), &target));
    let before = proxy.cpu();
    compare("tunnel, 256 MiB", 1, "us", || push(direct(sink)), || push(proxy.tunnel(sink)));
    let gib = (ROUNDS * TUNNEL_BYTES) as f64 / f64::from(1 << 30);
    println!("{:18} {:.0} ms of exeat's CPU per GiB", "tunnel, CPU", (proxy.cpu() - before).as_secs_f64() * 1e3 / gib);

    let (memory, idle) = proxy.idle_tunnels(sink);
    println!("{:18} {:.1} KiB resident each, {idle} open", "idle tunnel", memory / 1024.0);
}

/// Medians of both, and the median of their ratios, pair by pair.
fn compare(what: &str, count: usize, unit: &str, mut straight: impl FnMut() -> Duration, mut proxied: impl FnMut() -> Duration) {
    let each = |taken: Duration| taken.as_secs_f64() * 1e6 / count as f64;
    let mut pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (each(straight()), each(proxied()))).collect();
    pairs.sort_by(|one, other| (one.1 / one.0).total_cmp(&(other.1 / other.0)));
    let (one, other) = pairs[ROUNDS / 2];
    println!("{what:18} direct {one:10.1} {unit}, through exeat {other:10.1} {unit}, ratio {:.2}", other / one);
}

fn set_ups(mut once: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..SET_UPS).for_each(|_| once());
    began.elapsed()
}

fn gets(mut stream: TcpStream, target: &str) -> Duration {
    let request = format!("GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n");
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let began = Instant::now();
    for _ in 0..GETS {
        stream.write_all(request.as_bytes()).unwrap();
        assert!(head(&mut reader).starts_with("HTTP/1.1 200"));
        reader.read_exact(&mut [0; 2]).unwrap();
    }
    began.elapsed()
}

/// Pushes bytes until the other side has counted them all and says so.
fn push(mut stream: TcpStream) -> Duration {
    let chunk = vec![b'x'; CHUNK];
    let began = Instant::now();
    for _ in 0..TUNNEL_BYTES / CHUNK {
        stream.write_all(&chunk).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut counted = String::new();
    stream.read_to_string(&mut counted).unwrap();
    assert_eq!(counted, TUNNEL_BYTES.to_string());
    began.elapsed()
}

fn direct(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "closed after {head:?}");
    }
    head
}

fn origin(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || serve(stream)))));
    address
}

fn answer_requests(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
        line.clear();
    }
}

fn count_bytes(mut stream: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    let mut count = 0;
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        count += read;
    }
    let _ = write!(stream, "{count}");
}

/// exeat itself, ended by its own id when this is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(origins: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<u16> = origins.iter().map(SocketAddr::port).collect();
        let rule = format!("[[allow]]\nhost = \"127.0.0.1\"\nport = {ports:?}\naddresses = [\"127.0.0.1/32\"]\nopaque = true\n");
        fs::create_dir(folder.path().join("allowlists")).unwrap();
        fs::write(folder.path().join("allowlists/bench.toml"), format!("agent = \"bench\"\n{rule}")).unwrap();
        let config = folder.path().join("exeat.toml");
        fs::write(&config, "state = \"state\"\n[listen.main]\naddress = \"127.0.0.1:0\"\nagent = \"bench\"\n[limits]\nper_agent = 2000\n")
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_exeat"))
            .arg("--config")
            .arg(config)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { child, address, _folder: folder }
    }

    fn tunnel(&self, to: SocketAddr) -> TcpStream {
        let mut stream = direct(self.address);
        write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").unwrap();
        assert!(head(&mut BufReader::with_capacity(1, &stream)).starts_with("HTTP/1.1 200"));
        stream
    }

    /// User and system time so far, in ticks of 10 ms.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    }

    fn idle_tunnels(&self, to: SocketAddr) -> (f64, usize) {
        let before = self.resident();
        let tunnels: Vec<TcpStream> = (0..IDLE_TUNNELS).map(|_| self.tunnel(to)).collect();
        ((self.resident() - before) / tunnels.len() as f64, tunnels.len())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! What the journal costs an attempt in CPU time, on against off, in one run: forwarded GETs and refused CONNECTs, one after another.
//!
//! `cargo bench --bench attempt`. Each way to record is exeat's own gate and fronts in a process of its own, which tells its CPU time; they take
//! turns. `off` counts metrics as the others do and writes nothing. With one attempt at a time no two share a sync.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on ends, and prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench stands outside: it connects as agents do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use exeat::approval::store::Sqlite;
use exeat::approval::{Books, HoldDesk, HoldSettings};
use exeat::egress::record::{Ended, Record, Recorder, Ruling, Unwritable};
use exeat::egress::{Company, Gate, GateSettings, Resolver, Spending, Upstream, UpstreamSettings};
use exeat::front::{Door, FrontSettings, Neck, Stop, Ways};
use exeat::journal::{Durability, Journal, Settings};
use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::policy::attempt::AttemptId;
use exeat::secrets::Secrets;
use exeat::telemetry::{Metrics, Recording, Tally};
use exeat::tls::origin::OriginTls;
use http::HeaderValue;
use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio_util::task::TaskTracker;

const ROUNDS: usize = 9;
const GETS: usize = 1_000;
const CONNECTS: usize = 500;
const WAYS: [&str; 3] = ["off", "process", "disk"];

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("serve") {
        let (way, origin) = (arguments.next().unwrap(), arguments.next().unwrap());
        return serve(&way, origin.parse().unwrap());
    }
    let origin = origin();
    let mut proxies = WAYS.map(|way| Proxy::start(way, origin));
    println!("attempt           journal     CPU each         best   over off    ratio   wall each");
    measure("forwarded GET", GETS, &mut proxies, |proxy| gets(proxy, origin));
    measure("refused CONNECT", CONNECTS, &mut proxies, |proxy| (0..CONNECTS).for_each(|_| refused(proxy)));
}

/// CPU and wall clock of each way, round by round, after one round that does not count.
fn measure(what: &str, count: usize, proxies: &mut [Proxy; 3], attempts: impl Fn(SocketAddr)) {
    let mut taken: [Vec<(f64, f64)>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (proxy, taken) in proxies.iter_mut().zip(&mut taken) {
            let (began, before) = (Instant::now(), proxy.cpu());
            attempts(proxy.address);
            let each = |nanoseconds: u128| nanoseconds as f64 / 1e3 / count as f64;
            let figures = (each(u128::from(proxy.cpu() - before)), each(began.elapsed().as_nanos()));
            if round > 0 {
                taken.push(figures);
            }
        }
    }
    let off: Vec<f64> = taken[0].iter().map(|(cpu, _)| *cpu).collect();
    for (way, taken) in WAYS.iter().zip(&taken) {
        let cpu: Vec<f64> = taken.iter().map(|(cpu, _)| *cpu).collect();
        let over = median(cpu.iter().zip(&off).map(|(on, off)| on - off));
        let ratio = median(cpu.iter().zip(&off).map(|(on, off)| on / off));
        let (best, wall) = (cpu.iter().copied().fold(f64::MAX, f64::min), median(taken.iter().map(|(_, wall)| *wall)));
        let middle = median(cpu.iter().copied());
        println!("{what:16}  {way:8} {middle:9.1} us {best:9.1} us {over:7.1} us {ratio:8.2} {wall:8.1} us");
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn gets(proxy: SocketAddr, origin: SocketAddr) {
    let mut stream = direct(proxy);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..GETS {
        write!(stream, "GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\n\r\n").unwrap();
        assert!(head(&mut reader).starts_with("HTTP/1.1 200"));
        reader.read_exact(&mut [0; 2]).unwrap();
    }
}

fn refused(proxy: SocketAddr) {
    let mut stream = direct(proxy);
    stream.write_all(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n").unwrap();
    assert!(head(&mut BufReader::new(stream)).starts_with("HTTP/1.1 403"));
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

fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(thread::spawn(move || answer(stream)))));
    address
}

fn answer(mut stream: TcpStream) {
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

/// One way to record, in its own process. It ends when nobody asks any more.
struct Proxy {
    child: Child,
    asks: Option<ChildStdin>,
    tells: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Proxy {
    fn start(way: &str, origin: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", way, &origin.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asks, tells) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut proxy = Self { child, asks, tells: BufReader::new(tells), address: ([127, 0, 0, 1], 0).into() };
        proxy.address = proxy.told().parse().unwrap();
        proxy
    }

    fn told(&mut self) -> String {
        let mut line = String::new();
        self.tells.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// User and system time of all its threads so far, in nanoseconds.
    fn cpu(&mut self) -> u64 {
        self.asks.as_mut().unwrap().write_all(b"\n").unwrap();
        self.told().parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}

/// Counts records as the process does, and writes none.
#[derive(Debug, Default)]
struct Off {
    metrics: Metrics,
    tally: Mutex<Tally>,
}

impl Recorder for Off {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        self.metrics.recorded(record);
        self.tally.lock().recorded(record);
        Ok(())
    }

    fn settle(&self, ended: Ended) {
        let _ = self.record(&Record::Ended(ended));
    }

    fn limit_hit(&self, limit: &'static str) {
        self.metrics.limit_hit(limit);
    }

    fn decision_took(&self, took: Duration) {
        self.metrics.decision_took(took);
    }

    fn added(&self, attempt: AttemptId, decision: Ruling, took: Duration) {
        self.metrics.added(attempt, decision, took);
    }
}

fn serve(way: &str, origin: SocketAddr) {
    let state = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let recording = match way {
        "process" => Some(Durability::Process),
        "disk" => Some(Durability::Disk),
        _ => None,
    };
    let recording = recording.map(|durability| {
        let settings = Settings { durability, ..Settings::default() };
        Arc::new(Recording::new(Journal::open(state.path(), settings).unwrap().journal))
    });
    let recorder: Arc<dyn Recorder> = recording.clone().map_or_else(|| Arc::new(Off::default()) as _, |recording| recording as _);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("{}", listener.local_addr().unwrap());
    runtime.block_on(async {
        let door = Door { listener, name: "main".into(), lent: false };
        tokio::spawn(ways(origin, recorder).serve(door, TaskTracker::new()));
    });
    if let Some(recording) = recording.clone() {
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                recording.turn();
            }
        });
    }
    for _ask in std::io::stdin().lines() {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        println!("{}", now.tv_sec * 1_000_000_000 + now.tv_nsec);
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    recording.into_iter().for_each(|recording| recording.stop().unwrap());
}

fn ways(origin: SocketAddr, recorder: Arc<dyn Recorder>) -> Arc<Ways> {
    let rule = format!("[[allow]]\nhost = \"127.0.0.1\"\nport = {}\naddresses = [\"127.0.0.1/32\"]\n", origin.port());
    let (allowlist, _warnings) =
        Allowlist::parse("bench.toml", &format!("agent = \"bench\"\n[[identify]]\nlistener = \"main\"\n{rule}")).unwrap();
    let policy = Arc::new(ArcSwap::from_pointee(Policy::new(vec![allowlist], Guard::default()).unwrap()));
    let (stop, long) = (Stop::default(), Duration::from_secs(60));
    let holds = HoldSettings { pending: long, per_agent: 1, per_source: 1, total: 1, quiet_after_deny: long };
    let approvals = Arc::default();
    let books = Books { recorder: Arc::clone(&recorder), store: Arc::new(Sqlite::in_memory().unwrap()), state: None };
    let desk = HoldDesk::new(holds, Arc::clone(&policy), Arc::clone(&approvals), books).unwrap();
    let company = Company {
        approvals,
        desk: Arc::clone(&desk) as _,
        recorder: Arc::clone(&recorder),
        spending: Spending::default(),
        changed: desk.changes(),
    };
    let gate = Gate::new(policy, company, GateSettings { hold_wait: long, per_agent: 100, refusal_records: u32::MAX });
    let settings = UpstreamSettings {
        connect_timeout: long,
        idle: long,
        peek: long,
        own_everywhere: Vec::new(),
        back_ends: Arc::default(),
        via: HeaderValue::from_static("1.1 exeat-bench"),
        authority: Arc::default(),
        origin_tls: Arc::new(OriginTls::new(RootCertStore::empty()).unwrap()),
        secrets: Secrets::new(None),
        stop: stop.drain.clone(),
        stop_now: stop.now.clone(),
    };
    let nameless = SocketAddr::from(([127, 0, 0, 1], 1));
    let upstream = Upstream::new(Resolver::new(&[nameless], long).unwrap(), settings);
    let front = FrontSettings { head: 64 << 10, head_timeout: long, idle: long, connections: 1_000, per_source: 1_000 };
    Ways::new(Neck { gate, upstream, via: "exeat-bench".into() }, recorder, front, stop)
}

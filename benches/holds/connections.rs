//! What a held `CONNECT` costs the proxy in all, its socket and its task included: 2,000 over loopback.

#![expect(clippy::disallowed_methods, reason = "a bench stands outside: it connects as agents do")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use exeat::egress::record::Recorder;
use exeat::egress::{Gate, GateSettings, Resolver, Upstream, UpstreamSettings};
use exeat::front::{Door, FrontSettings, Neck, Stop, Ways};
use exeat::journal::{Journal, Settings};
use exeat::policy::Policy;
use exeat::policy::address::Guard;
use exeat::policy::allowlist::Allowlist;
use exeat::secrets::Secrets;
use exeat::telemetry::Recording;
use exeat::tls::origin::OriginTls;
use http::HeaderValue;
use rustls::RootCertStore;
use tokio_util::task::TaskTracker;

use super::{resident, world};

const HELD: usize = 2_000;
const LONG: Duration = Duration::from_secs(3600);

pub(crate) fn measure() {
    let mut child =
        Command::new(std::env::current_exe().unwrap()).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut asks, mut tells) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut told = || {
        let mut line = String::new();
        tells.read_line(&mut line).unwrap();
        line.trim().to_owned()
    };
    let address: SocketAddr = told().parse().unwrap();
    let mut hold = |from: usize, count: usize| {
        let streams: Vec<TcpStream> = (from..from + count)
            .map(|number| {
                let mut stream = TcpStream::connect(address).unwrap();
                let host = format!("host-{number}.test.example:443");
                write!(stream, "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench/1\r\n\r\n").unwrap();
                stream
            })
            .collect();
        loop {
            asks.write_all(b"\n").unwrap();
            if told().parse::<usize>().unwrap() == from + count {
                return streams;
            }
            thread::sleep(Duration::from_millis(20));
        }
    };
    // The first few bring what is there once.
    let few = hold(0, 100);
    let before = resident(child.id());
    let many = hold(100, HELD);
    let each = (resident(child.id()) - before) / i64::try_from(HELD).unwrap();
    println!("{:40} {each:7} bytes in memory, each of {HELD}", "held CONNECT, all of it");
    drop((few, many, asks));
    let _ = child.kill();
    let _ = child.wait();
}

pub(crate) fn serve() {
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let recorder: Arc<dyn Recorder> = Arc::new(Recording::new(Journal::open(state.path(), Settings::default()).unwrap().journal));
    let text = "agent = \"bench\"\nunlisted = \"hold\"\n[[identify]]\nlistener = \"main\"\n";
    let policy = Policy::new(vec![Allowlist::parse("bench.toml", text).unwrap().0], Guard::default()).unwrap();
    let policy = Arc::new(ArcSwap::from_pointee(policy));
    let (desk, company) = world::company(&state, &policy, Arc::clone(&recorder), (2 * HELD, 2 * HELD));
    let _person = desk.attach(None);
    let gate = Gate::new(policy, company, GateSettings { hold_wait: LONG, per_agent: 2 * HELD, refusal_records: 200 });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("{}", listener.local_addr().unwrap());
    runtime.block_on(async {
        let door = Door { listener, name: "main".into(), lent: false };
        tokio::spawn(ways(gate, recorder).serve(door, TaskTracker::new()));
    });
    for _ask in std::io::stdin().lines() {
        println!("{}", desk.pending_by_agent().values().sum::<usize>());
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn ways(gate: Arc<Gate>, recorder: Arc<dyn Recorder>) -> Arc<Ways> {
    let stop = Stop::default();
    let settings = UpstreamSettings {
        connect_timeout: LONG,
        idle: LONG,
        peek: LONG,
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
    let upstream = Upstream::new(Resolver::new(&[nameless], LONG).unwrap(), settings);
    let front = FrontSettings { head: 32 << 10, head_timeout: LONG, idle: LONG, connections: 2 * HELD, per_source: 2 * HELD };
    Ways::new(Neck { gate, upstream, via: "exeat-bench".into() }, recorder, front, stop)
}

//! A service manager that lends sockets and listens to what it is told.

use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::FdFlags;
use rustix::process::{Signal, kill_process};

use crate::support::p0::{P0, a};
use crate::support::proxy::Proxy;
use crate::support::site::Site;
use crate::support::talk::Talk;
use crate::support::wait::until;

/// Puts descriptors where the protocol wants them (sd_listen_fds(3)), and becomes exeat.
const LEND: &str = "import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split()]
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])";

/// The shell's words that start exeat with these sockets under these names.
fn lending(sockets: &[&OwnedFd], names: &str) -> String {
    let numbers: Vec<String> = sockets
        .iter()
        .map(|socket| {
            rustix::io::fcntl_setfd(socket, FdFlags::empty()).unwrap();
            socket.as_raw_fd().to_string()
        })
        .collect();
    format!("exec python3 -c '{LEND}' '{}' '{names}' \"$0\" --config \"$1\" serve", numbers.join(" "))
}

fn listener() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

fn at(socket: &OwnedFd) -> std::net::SocketAddr {
    TcpListener::from(socket.try_clone().unwrap()).local_addr().unwrap()
}

/// What a start says that fails.
fn refused(config: &Path, before: &str) -> String {
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(before).arg(env!("CARGO_BIN_EXE_exeat")).arg(config).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn lent_sockets_take_the_place_of_the_addresses_of_their_listeners() {
    let p0 = P0::new();
    let sockets = [listener(), listener(), listener(), listener()];
    let lent = lending(&sockets.each_ref(), "main:metrics:main:admin");
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some(&lent));
    let [main, metrics, second, admin] = sockets.each_ref().map(at);
    assert_eq!((proxy.watched, proxy.people_at()), (metrics, admin));
    let said: Vec<String> = [main, second].iter().map(|at| format!("proxy main http://{at}")).collect();
    assert_eq!(proxy.stdout().lines().filter(|line| line.starts_with("proxy ")).collect::<Vec<_>>(), said);
    for address in [main, second] {
        let mut talk = Talk::to(address);
        assert_eq!(talk.get(&p0.url("plain.allowed.test", "/"), &a()).status, 200);
        assert_eq!(talk.get(&format!("http://{metrics}/"), &a()).reason(), "self", "what is lent is exeat too");
    }
    assert!(proxy.stop().success());
}

#[test]
fn a_socket_without_a_place_stops_the_start_and_says_what_to_write() {
    let mut site = Site::new();
    site.set("listen.admin", "address", "\"127.0.0.1:0\"");
    let config = site.config();
    let bound = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let (one, two, unix) = (listener(), listener(), OwnedFd::from(unix));
    for (sockets, names, wanted) in [
        (
            &[&one][..],
            "mian",
            "\"mian\" has a name that nothing here goes by; fix: write FileDescriptorName= and one of admin, main, metrics",
        ),
        (&[&one], "", "\"\" has a name that nothing here goes by"),
        (&[&one], "admin", "\"admin\" may be meant for [listen] or for a table of its own; fix: give [listen.admin] another name"),
        (&[&one, &two], "metrics:metrics", "\"metrics\" was passed more than once; fix: pass one"),
        (&[&one, &bound], "main:main", "\"main\" does not listen; fix: pass listening TCP sockets alone"),
        (&[&unix], "main", "\"main\" is no TCP socket; fix: pass listening TCP sockets alone"),
    ] {
        let said = refused(&config, &lending(sockets, names));
        assert!(said.contains(wanted), "{said}\n{wanted}");
        assert!(!site.state().exists(), "it was half open");
    }
}

#[test]
fn a_restart_loses_nobody_who_waits_at_a_lent_socket() {
    let p0 = P0::new();
    let socket = listener();
    let (address, url, lent) = (at(&socket), p0.url("plain.allowed.test", "/"), lending(&[&socket], "main"));
    let start = || Proxy::start_under(&p0.site.config(), &p0.site.state(), Some(&lent));
    let mut proxy = start();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(Talk::to(address).get(&url, &a()).status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            let before = asked.load(Ordering::Relaxed);
            until("somebody asks", || asked.load(Ordering::Relaxed) > before + 20);
            assert!(proxy.stop().success());
            let mut waits = Talk::to(address);
            waits.send(format!("GET {url} HTTP/1.1\r\nHost: plain.allowed.test\r\n{}\r\n", a()));
            proxy = start();
            assert_eq!(waits.answer().status, 200);
        }
        over.store(true, Ordering::Relaxed);
    });
    eprintln!("{} requests over three restarts of one instance", asked.load(Ordering::Relaxed));
    assert!(proxy.stop().success());
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_reads_again_lives_and_ends() {
    let p0 = P0::new();
    let place = p0.site.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let next = |wanted: &str| -> String {
        let mut bytes = [0; 4096];
        for _ in 0..1000 {
            let length = manager.recv(&mut bytes).unwrap_or_else(|error| panic!("never {wanted}: {error}"));
            let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if said.lines().any(|line| line.starts_with(wanted)) {
                return said;
            }
        }
        panic!("never {wanted}")
    };
    let told = format!("export NOTIFY_SOCKET={} WATCHDOG_USEC=200000", place.display());
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some(&told));
    let ready = next("READY=1");
    assert!(ready.contains(&format!("STATUS=proxy main http://{}", proxy.address)), "{ready}");
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    kill_process(proxy.pid(), Signal::HUP).unwrap();
    let reloading = next("RELOADING=1");
    assert!(reloading.lines().any(|line| line.strip_prefix("MONOTONIC_USEC=").is_some_and(|at| at.parse::<u64>().is_ok())), "{reloading}");
    next("READY=1");
    assert!(proxy.stop().success());
    let stopping = next("STOPPING=1");
    // The two seconds of the tests' drain, and what the end takes beside.
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=17000000\n"), "{stopping}");
}

#[test]
fn a_reload_while_it_ends_takes_nothing_back_of_what_the_service_manager_was_told() {
    let mut p0 = P0::new();
    p0.site.set("drain", "time", "\"5m\"");
    let place = p0.site.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_nonblocking(true).unwrap();
    let told = || -> Vec<String> {
        let mut bytes = [0; 4096];
        std::iter::from_fn(|| manager.recv(&mut bytes).ok().map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned())).collect()
    };
    let mut proxy = Proxy::start_under(&p0.site.config(), &p0.site.state(), Some(&format!("export NOTIFY_SOCKET={}", place.display())));
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
    let tunnel = talk.tls(&p0.authority, "api.allowed.test").unwrap();
    let reloads = || proxy.metric("exeat_policy_reloads_total", &[]);
    let before = reloads();
    kill_process(proxy.pid(), Signal::TERM).unwrap();
    until("it says that it stops", || told().iter().any(|said| said.contains("STOPPING=1")));
    kill_process(proxy.pid(), Signal::HUP).unwrap();
    until("policy is read again", || reloads() > before);
    kill_process(proxy.pid(), Signal::TERM).unwrap();
    until("it ends", || !proxy.is_alive());
    assert_eq!(told(), Vec::<String>::new());
    drop(tunnel);
}

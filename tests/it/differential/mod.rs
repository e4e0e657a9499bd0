//! What exeat sends on is parsed the same way by several real servers: which requests there are, and where each ends.

mod servers;
mod shapes;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::time::{Duration, Instant};

use servers::{Heard, Server, plain};
use shapes::{Chance, SMUGGLED, Shape};

use crate::support::p0::{P0, a};
use crate::support::proxy::Proxy;
use crate::support::strict;
use crate::support::talk::connect_from;

/// How many shapes are left to chance.
const BY_CHANCE: usize = 400;
/// How long an agent waits for the first byte of an answer before it says that nothing more will come.
const PATIENCE: Duration = Duration::from_millis(100);

/// Sends a shape to exeat, as a request of its own or in a tunnel.
fn send(proxy: &Proxy, listed: &str, inside: bool, shape: &Shape) {
    let Shape { method, fields, body } = shape;
    let mut talk = proxy.talk();
    let head = if inside {
        assert_eq!(talk.connect(listed, &a()).status, 200);
        format!("{method} /first HTTP/1.1\r\nHost: {listed}\r\n")
    } else {
        format!("{method} http://{listed}/first HTTP/1.1\r\nHost: {listed}\r\n{}", a())
    };
    talk.send([head.as_bytes(), fields, b"\r\n", body].concat());
    talk.is_quiet(PATIENCE);
    talk.finish();
    talk.rest();
}

/// What exeat makes of every shape: the bytes of each connection to the origin.
fn emitted() -> Vec<Vec<u8>> {
    let p0 = P0::new();
    let proxy = p0.start();
    let listed = p0.at_plain("plain.allowed.test");
    let mut all = shapes::all();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let more: Vec<Shape> = (0..BY_CHANCE).map(|_| chance.shape(&all)).collect();
    all.extend(more);
    std::thread::scope(|scope| {
        for part in all.chunks(all.len() / 8 + 1) {
            let (proxy, listed) = (&proxy, &listed);
            scope.spawn(move || {
                for (index, shape) in part.iter().enumerate() {
                    send(proxy, listed, index % 2 == 1, shape);
                }
            });
        }
    });
    let mut talk = proxy.talk();
    let one = |path: &str| format!("GET http://{listed}{path} HTTP/1.1\r\nHost: {listed}\r\n{}\r\n", a());
    talk.send((0..20).map(|index| one(&format!("/pipelined/{index}"))).collect::<String>());
    for _ in 0..20 {
        assert_eq!(talk.answer().status, 200);
    }
    drop(talk);
    proxy.settled();
    p0.plain.connections().into_iter().filter(|bytes| !bytes.is_empty()).collect()
}

/// What exeat sent on one connection.
struct Sent {
    bytes: Vec<u8>,
    /// Its whole requests, by the reader that forgives nothing.
    wanted: Vec<Heard>,
    /// It ends within a request: the agent broke off.
    unfinished: bool,
}

fn sent(bytes: Vec<u8>) -> Sent {
    let reading = strict::read(&bytes).unwrap_or_else(|fault| panic!("exeat sent {fault}: {:?}", plain(&bytes)));
    let heard = reading.messages.iter().map(|message| {
        let mut words = message.line.split(' ');
        Heard { method: words.next().unwrap().to_owned(), target: words.next().unwrap().to_owned(), body: plain(&message.body) }
    });
    let wanted = heard.collect();
    Sent { bytes, wanted, unfinished: reading.unfinished }
}

/// An address of this machine for each connection: ports are used again.
fn sources() -> impl Iterator<Item = Ipv4Addr> {
    (1..=255).flat_map(|high| (1..=254).map(move |low| Ipv4Addr::new(127, 3, high, low)))
}

/// Gives a server the bytes of one connection; waits until it has answered so many requests, then says that there are no more.
fn replay(server: &Server, from: Ipv4Addr, sent: &Sent) {
    let mut stream = connect_from(from, server.address);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut reader = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut said, mut buffer) = (Vec::<u8>::new(), [0; 16 * 1024]);
            while said.windows(9).filter(|window| window == b"HTTP/1.1 ").count() < sent.wanted.len() {
                match reader.read(&mut buffer) {
                    Ok(length @ 1..) => said.extend(&buffer[..length]),
                    _ => break,
                }
            }
        });
        let _ = stream.write_all(&sent.bytes);
    });
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// What a server read on each connection, once it has said as much as was sent.
fn heard(server: &Server, streams: &[Sent]) -> Vec<Vec<Heard>> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut all = server.heard();
        let each: Vec<Vec<Heard>> = sources().zip(streams).map(|(from, _)| all.remove(&from).unwrap_or_default()).collect();
        if each.iter().zip(streams).all(|(heard, sent)| heard.len() >= sent.wanted.len()) || Instant::now() > deadline {
            return each;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn assert_read_alike(server: &Server, streams: &[Sent]) {
    for (from, sent) in sources().zip(streams) {
        replay(server, from, sent);
    }
    for (mut heard, sent) in heard(server, streams).into_iter().zip(streams) {
        let wanted = &sent.wanted;
        // haproxy answers a request that the agent broke off when the connection ends, with what came of its body.
        if sent.unfinished && server.name == "haproxy" && heard.len() == wanted.len() + 1 {
            assert_eq!(heard.pop().unwrap().target, "/first", "haproxy");
        }
        let differs = wanted.iter().zip(&heard).position(|(wanted, heard)| wanted != heard).unwrap_or(wanted.len().min(heard.len()));
        assert!(
            *wanted == heard,
            "{} read {} requests where {} were sent; the first that differs: {:?} for {:?}\n{:?}",
            server.name,
            heard.len(),
            wanted.len(),
            heard.get(differs),
            wanted.get(differs),
            plain(&sent.bytes[..sent.bytes.len().min(4000)])
        );
    }
}

#[test]
fn what_is_sent_on_is_read_the_same_way_by_every_server() {
    let streams: Vec<Sent> = emitted().into_iter().map(sent).collect();
    let all: Vec<&Heard> = streams.iter().flat_map(|sent| &sent.wanted).collect();
    assert!(all.len() > 300 && streams.iter().any(|sent| sent.wanted.len() > 10), "{} messages are too few to tell", all.len());
    assert!(all.iter().all(|heard| heard.target != "/smuggled"), "a request was smuggled");
    assert!(all.iter().any(|heard| heard.body == SMUGGLED), "no body holds a request");

    let folder = tempfile::TempDir::with_prefix("exeat-it-servers-").unwrap();
    let servers = servers::start(folder.path());
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| assert_read_alike(server, &streams));
        }
    });
    let names: Vec<&str> = servers.iter().map(|server| server.name).collect();
    eprintln!("{} messages on {} connections, read alike by {names:?}", all.len(), streams.len());
}

#[test]
fn what_exeat_never_sends_is_read_in_more_than_one_way() {
    let folder = tempfile::TempDir::with_prefix("exeat-it-servers-").unwrap();
    let servers = servers::start(folder.path());
    let both = "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let one = Heard { method: "POST".to_owned(), target: "/first".to_owned(), body: String::new() };
    let sent = Sent { bytes: both.into(), wanted: vec![one.clone()], unfinished: false };
    let from = Ipv4Addr::new(127, 4, 0, 1);
    for server in servers.iter().filter(|server| ["hyper", "node"].contains(&server.name)) {
        replay(server, from, &sent);
        let wanted = if server.name == "hyper" { vec![one.clone()] } else { Vec::new() };
        assert_eq!(server.heard().remove(&from).unwrap_or_default(), wanted, "{}", server.name);
    }
}

//! A scripted name server: answers as told, step by step, and remembers every question.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// One step of a script. The last step of a script repeats.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These addresses (each kind of question gets those of its kind), with this TTL.
    Addresses(Vec<IpAddr>, u32),
    /// An alias, whose own script gives the addresses in the same answer.
    Alias(String, u32),
    /// As `Addresses` over TCP; over UDP only a truncated answer.
    OnlyOverTcp(Vec<IpAddr>),
    /// The server could not find out.
    ServFail,
    /// There is no such name.
    NoSuchName,
    /// Nothing at all.
    Silence,
}

impl Reply {
    /// Addresses that may be kept for a minute.
    pub(crate) fn to<const N: usize>(addresses: [&str; N]) -> Self {
        Self::Addresses(read(&addresses), 60)
    }

    /// Addresses that may not be kept.
    pub(crate) fn fleeting<const N: usize>(addresses: [&str; N]) -> Self {
        Self::Addresses(read(&addresses), 0)
    }
}

fn read(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

/// A question the server got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Lower case, no final dot.
    pub(crate) name: String,
    /// `A`, `AAAA`, …
    pub(crate) kind: String,
}

#[derive(Default)]
struct Book {
    scripts: HashMap<String, Vec<Reply>>,
    asked: HashMap<(String, RecordType), usize>,
    questions: Vec<Question>,
}

/// The server. It lives as long as the test process.
pub(crate) struct Dns {
    /// Where it listens, UDP and TCP.
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Dns {
    /// Starts a server that knows no name.
    pub(crate) fn start() -> Self {
        let (udp, tcp) = both_on_one_port();
        let address = udp.local_addr().unwrap();
        let book = Arc::new(Mutex::new(Book::default()));
        let (over_udp, over_tcp) = (book.clone(), book.clone());
        thread::spawn(move || serve_udp(&udp, &over_udp));
        thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                let book = over_tcp.clone();
                thread::spawn(move || serve_tcp(stream, &book));
            }
        });
        Self { address, book }
    }

    /// Scripts a name; `*.zone` stands for every name under the zone that has no script of its own.
    pub(crate) fn script<const N: usize>(&self, name: &str, replies: [Reply; N]) {
        let mut book = self.book();
        book.asked.retain(|(asked, _), _| asked != name);
        book.scripts.insert(name.to_owned(), replies.to_vec());
    }

    /// Every question so far.
    pub(crate) fn queries(&self) -> Vec<Question> {
        self.book().questions.clone()
    }

    /// How often `kind` was asked of `name`.
    pub(crate) fn count(&self, name: &str, kind: &str) -> usize {
        self.queries().iter().filter(|question| question.name == name && question.kind == kind).count()
    }

    /// Whether anything was asked of `name` or of a name that begins with it (a search domain appended).
    pub(crate) fn was_asked(&self, name: &str) -> bool {
        self.queries().iter().any(|question| question.name.starts_with(name))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

fn both_on_one_port() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

fn serve_udp(socket: &UdpSocket, book: &Mutex<Book>) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if let Some(reply) = answer(&buffer[..length], book, false) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

fn serve_tcp(mut stream: TcpStream, book: &Mutex<Book>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let Some(reply) = answer(&query, book, true) else { continue };
        let framed = [&u16::try_from(reply.len()).unwrap().to_be_bytes()[..], &reply].concat();
        if stream.write_all(&framed).is_err() {
            return;
        }
    }
}

fn answer(query: &[u8], book: &Mutex<Book>, over_tcp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).ok()?;
    let question = message.queries.first()?.clone();
    let (asked, kind) = (question.name().clone(), question.query_type());
    let name = plain(&asked);
    let mut book = book.lock().unwrap();
    book.questions.push(Question { name: name.clone(), kind: kind.to_string() });
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.edns = None;
    match book.next(&name, kind) {
        Some(Reply::Addresses(addresses, ttl)) => message.answers = records(&asked, kind, &addresses, ttl),
        Some(Reply::Alias(target, ttl)) => {
            let alias = Name::from_ascii(format!("{target}.")).unwrap();
            message.answers.push(Record::from_rdata(asked, ttl, RData::CNAME(CNAME(alias.clone()))));
            if let Some(Reply::Addresses(addresses, ttl)) = book.next(&target, kind) {
                message.answers.extend(records(&alias, kind, &addresses, ttl));
            }
        }
        Some(Reply::OnlyOverTcp(addresses)) if over_tcp => message.answers = records(&asked, kind, &addresses, 60),
        Some(Reply::OnlyOverTcp(_)) => message.metadata.truncation = true,
        Some(Reply::ServFail) => message.metadata.response_code = ResponseCode::ServFail,
        Some(Reply::NoSuchName) | None => message.metadata.response_code = ResponseCode::NXDomain,
        Some(Reply::Silence) => return None,
    }
    message.to_vec().ok()
}

impl Book {
    fn next(&mut self, name: &str, kind: RecordType) -> Option<Reply> {
        let script = self.scripts.get(name).or_else(|| {
            let mut zone = name;
            loop {
                zone = zone.split_once('.')?.1;
                if let Some(script) = self.scripts.get(&format!("*.{zone}")) {
                    return Some(script);
                }
            }
        })?;
        let step = self.asked.entry((name.to_owned(), kind)).or_insert(0);
        let reply = script[(*step).min(script.len() - 1)].clone();
        *step += 1;
        Some(reply)
    }
}

fn records(owner: &Name, kind: RecordType, addresses: &[IpAddr], ttl: u32) -> Vec<Record> {
    let data = addresses.iter().filter_map(|address| match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
        _ => None,
    });
    data.map(|data| Record::from_rdata(owner.clone(), ttl, data)).collect()
}

fn plain(name: &Name) -> String {
    name.to_ascii().to_ascii_lowercase().trim_end_matches('.').to_owned()
}

//! The support does what the tests believe of it: without this a green table could mean that nothing was looked at.

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use crate::support::dns::{Dns, Reply};
use crate::support::origin::{Origin, ok};
use crate::support::pty::Terminal;
use crate::support::talk::Talk;
use crate::support::tls::Authority;

fn ask(dns: &Dns, name: &str, kind: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    socket.send_to(&query.to_vec().unwrap(), dns.address).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn the_name_server_follows_its_scripts_and_remembers_questions() {
    let dns = Dns::start();
    dns.script("moves.test", [Reply::fleeting(["127.0.0.2"]), Reply::fleeting(["127.0.0.3", "::1"])]);
    dns.script("*.wild.test", [Reply::to(["127.0.0.4"])]);
    dns.script("alias.test", [Reply::Alias("x.wild.test".into(), 60)]);
    dns.script("silent.test", [Reply::Silence]);
    dns.script("broken.test", [Reply::ServFail]);
    dns.script("long.test", [Reply::OnlyOverTcp(vec![])]);
    assert_eq!(addresses(&ask(&dns, "Moves.test.", RecordType::A).unwrap()), ["127.0.0.2"]);
    assert_eq!(addresses(&ask(&dns, "moves.test.", RecordType::A).unwrap()), ["127.0.0.3"]);
    assert_eq!(addresses(&ask(&dns, "moves.test.", RecordType::AAAA).unwrap()), [""; 0]);
    assert_eq!(addresses(&ask(&dns, "moves.test.", RecordType::AAAA).unwrap()), ["::1"]);
    assert_eq!(addresses(&ask(&dns, "a.b.wild.test.", RecordType::A).unwrap()), ["127.0.0.4"]);
    assert_eq!(addresses(&ask(&dns, "alias.test.", RecordType::A).unwrap()), ["x.wild.test.", "127.0.0.4"]);
    assert_eq!(ask(&dns, "silent.test.", RecordType::A), None);
    assert_eq!(ask(&dns, "broken.test.", RecordType::A).unwrap().metadata.response_code, ResponseCode::ServFail);
    assert_eq!(ask(&dns, "unknown.test.", RecordType::A).unwrap().metadata.response_code, ResponseCode::NXDomain);
    assert!(ask(&dns, "long.test.", RecordType::A).unwrap().metadata.truncation);
    assert_eq!((dns.count("moves.test", "A"), dns.count("moves.test", "AAAA"), dns.was_asked("evil.test")), (2, 2, false));
    assert_eq!(dns.queries().len(), 10);
    assert!(TcpStream::connect(dns.address).is_ok());
}

#[test]
fn an_origin_records_bytes_and_requests_and_frames_its_answers() {
    let origin = Origin::http(|request| ok(&format!("{} {}", request.target(), String::from_utf8_lossy(&request.body))));
    let mut talk = Talk::to(origin.address);
    talk.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((talk.answer().text().as_str(), talk.answer().text().as_str()), ("/a abc", "/b "));
    assert_eq!((origin.connections().len(), origin.requests().len(), origin.open()), (1, 2, 1));
    assert!(origin.connections()[0].ends_with(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    drop(talk);
    origin.until("the end", |origin| origin.open() == 0);
}

#[test]
fn an_echo_answers_half_close_and_a_greeter_speaks_first() {
    let mut talk = Talk::to(Origin::echo().address);
    talk.send("abc");
    talk.finish();
    assert_eq!(talk.rest(), b"abcbye");
    assert_eq!(Talk::to(Origin::greeter("220\r\n").address).exactly(5).unwrap(), b"220\r\n");
}

#[test]
fn the_tls_origin_is_trusted_by_our_client_and_by_curl_and_by_nobody_else() {
    let authority = Authority::new();
    let origin = Origin::https(&authority.identity(&["api.allowed.test"]), |_| ok("within"));
    let mut inside = Talk::to(origin.address).tls(&authority, "api.allowed.test").unwrap();
    inside.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(inside.answer().text(), "within");
    assert!(Talk::to(origin.address).tls(&Authority::new(), "api.allowed.test").is_err());
    let folder = tempfile::TempDir::new().unwrap();
    let curl = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--resolve", &format!("api.allowed.test:{}:127.0.0.1", origin.port()), "--cacert"])
        .arg(authority.write(folder.path()))
        .arg(format!("https://api.allowed.test:{}/", origin.port()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "within", "{curl:?}");
}

#[test]
fn a_terminal_shows_and_types() {
    let mut terminal =
        Terminal::run(&["sh", "-c", "printf 'name? '; read name < /dev/tty; echo \"hello $name\"; exit 3"], std::path::Path::new("/"), &[]);
    terminal.expect("name? ");
    terminal.press("you\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 3);
    assert!(shown.contains("hello you"), "{shown}");
}

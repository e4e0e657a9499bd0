//! WebSocket within TLS: by upgrade (RFC 6455) and by extended CONNECT (RFC 8441), to an origin that speaks HTTP/1.1 for it.

use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{H1, H2, HOST, OPEN, World, assert_refused, inner};
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::talk::TlsTalk;
use crate::support::tls::Authority;
use crate::support::visit::{Visit, whole};
use crate::support::web::body::Flow;
use crate::support::web::run;
use crate::support::web::socket::{Frame, accept};

const SOCKETS: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = [\"GET\"]
path = [\"/ws\", \"/page\"]
websocket = true
";

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn secure(world: &World, proxy: &Proxy) -> TlsTalk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&format!("{HOST}:{}", world.web.port()), &credentials("c")).status, 200);
    talk.tls(&world.ours, HOST).unwrap()
}

fn upgrade(world: &World) -> String {
    let host = format!("{HOST}:{}", world.web.port());
    format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

fn extended(world: &World, protocol: &'static str) -> http::Request<Flow> {
    let uri = format!("https://{HOST}:{}/ws", world.web.port());
    let mut request = http::Request::connect(uri).header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat");
    request.extensions_mut().unwrap().insert(Protocol::from_static(protocol));
    request.body(Flow::whole("")).unwrap()
}

fn socket(records: &[Value]) -> (&Value, &Value) {
    inner(records).into_iter().find(|(record, _)| record["request"]["path"] == "/ws").unwrap()
}

#[test]
fn an_upgrade_becomes_a_socket() {
    for origin in [H1, H2] {
        let world = World::speaking(SOCKETS, origin);
        let proxy = world.start();
        let mut talk = secure(&world, &proxy);
        talk.send(upgrade(&world));
        let answer = talk.answer();
        assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some(accept(KEY).as_str())));
        let text = Frame::text("hello");
        talk.send(text.bytes(MASK));
        assert_eq!(talk.exactly(text.bytes(None).len()).unwrap(), text.bytes(None));
        talk.send(Frame::close(1000).bytes(MASK));
        assert_eq!(talk.rest(), Frame::close(1000).bytes(None));
        drop(talk);
        let records = proxy.settled();
        let (decided, ended) = socket(&records);
        assert_eq!((&decided["decision"], &decided["request"]["method"]), (&json!("allow"), &json!("GET")));
        assert_eq!((&ended["outcome"], &ended["status"]), (&json!("completed"), &json!(101)));
        assert_eq!((&ended["bytes_up"], &ended["bytes_down"]), (&json!(11 + 8), &json!(7 + 4)));
        assert_eq!(world.web.met()[0].alpn.as_deref(), Some("http/1.1"));
    }
}

async fn opened(visit: &Visit, world: &World) -> TokioIo<hyper::upgrade::Upgraded> {
    assert_eq!(visit.get("/page").await.unwrap().status, 200);
    let mut answer = visit.send(extended(world, "websocket")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("sec-websocket-protocol").unwrap().as_bytes()), (200, &b"chat"[..]));
    assert!(!answer.headers().contains_key("sec-websocket-accept") && !answer.headers().contains_key("upgrade"));
    TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap())
}

#[test]
fn an_extended_connect_becomes_a_socket_beside_other_streams() {
    for origin in [H1, H2] {
        let world = World::speaking(SOCKETS, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, H2);
        run(async {
            let mut socket = opened(&visit, &world).await;
            for said in ["one", "two"] {
                socket.write_all(&Frame::text(said).bytes(MASK)).await.unwrap();
                assert_eq!(Frame::read(&mut socket).await, Some(Frame::text(said)));
                assert_eq!(visit.get("/page").await.unwrap().status, 200);
            }
            socket.write_all(&Frame::close(1000).bytes(MASK)).await.unwrap();
            assert_eq!(Frame::read(&mut socket).await, Some(Frame::close(1000)));
            socket.shutdown().await.unwrap();
            assert_eq!(Frame::read(&mut socket).await, None);
        });
        let seen = world.web.seen();
        let asked = seen.iter().find(|seen| seen.target == "/ws").unwrap();
        assert_eq!((asked.method.as_str(), asked.version.as_str(), asked.all("sec-websocket-key").len()), ("GET", "HTTP/1.1", 1));
        drop(visit);
        let records = proxy.settled();
        let (decided, ended) = socket(&records);
        assert_eq!((&decided["decision"], &decided["request"]["method"]), (&json!("allow"), &json!("GET")));
        assert_eq!((&ended["outcome"], &ended["status"]), (&json!("completed"), &json!(101)), "{origin:?}");
    }
}

#[test]
fn without_leave_there_is_no_socket_and_no_other_protocol_ever() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        assert_eq!(visit.get("/page").await.unwrap().status, 200);
        let answer = whole(visit.send(extended(&world, "websocket")).await.unwrap()).await.unwrap();
        assert_refused(&answer, 403, "unlisted");
        assert!(answer.text().contains("websocket = true"), "{}", answer.text());
        let answer = whole(visit.send(extended(&world, "connect-udp")).await.unwrap()).await.unwrap();
        assert_refused(&answer, 400, "malformed");
    });
    let mut talk = secure(&world, &proxy);
    talk.send(upgrade(&world));
    assert_eq!(talk.answer().status, 502, "an origin that takes a key for an upgrade is not believed");
    assert_eq!(world.web.seen().last().unwrap().all("upgrade").len(), 0);
}

#[test]
fn many_that_ask_for_sockets_where_none_may_pass_are_refused_before_anything_is_dialled() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        // Before it, the agent's side does not know that it may ask.
        let first = visit.request("PATCH", "/page").body(Flow::whole("")).unwrap();
        assert_refused(&visit.ask(first).await.unwrap(), 403, "unlisted");
        let all = (0..100).map(|_| async { whole(visit.send(extended(&world, "websocket")).await.unwrap()).await.unwrap() });
        for answer in futures_util::future::join_all(all).await {
            assert_refused(&answer, 403, "unlisted");
            assert!(answer.text().contains("websocket = true"), "{}", answer.text());
        }
    });
    assert!(world.web.met().is_empty() && !world.site.dns.was_asked(HOST), "{:?}", world.web.met());
    drop(visit);
    let records = proxy.settled();
    let sockets: Vec<_> = inner(&records).into_iter().filter(|(decided, _)| decided["request"]["path"] == "/ws").collect();
    let refused = |(decided, ended): &(&Value, &Value)| {
        json!([decided["decision"], ended["outcome"], ended["reason"], ended["address"]]) == json!(["allow", "refused", "unlisted", null])
    };
    assert!(sockets.len() == 100 && sockets.iter().all(refused), "{sockets:?}");
}

#[test]
fn a_socket_is_cut_when_its_rule_goes_and_the_tunnel_lives_on() {
    let world = World::new(SOCKETS);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        let mut socket = opened(&visit, &world).await;
        world.rules("c", &SOCKETS.replace("websocket = true", ""));
        assert_eq!(Frame::read(&mut socket).await, None);
        assert_eq!(visit.get("/page").await.unwrap().status, 200);
    });
    let records = proxy.until("its end", |records| records.iter().any(|record| record["outcome"] == "cut"));
    let (_, ended) = socket(&records);
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("cut"), &json!("policy-changed")));
}

#[test]
fn an_origin_that_proves_nothing_opens_no_socket() {
    use crate::support::origin::{Origin, Step};
    let world = World::new("");
    let identity = Authority::present(&world.origins, &crate::support::tls::Terms { alpn: H1, ..crate::support::tls::Terms::of(&[HOST]) });
    let liar = Origin::https(&identity, |_| {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            accept(KEY)
        );
        vec![Step::Send(head.into()), Step::Echo]
    });
    let local = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", liar.port());
    world.site.agent("c", "", &SOCKETS.replace("LOCAL", &local));
    let proxy = world.start();
    let way = crate::support::visit::Way { port: liar.port(), ..world.way(&proxy, "c", H2) };
    run(async {
        let visit = way.visit().await.unwrap();
        let mut request = extended(&world, "websocket");
        *request.uri_mut() = format!("https://{HOST}:{}/ws", liar.port()).parse().unwrap();
        // The key is exeat's own, so an answer that knows the example's proves nothing.
        let answer = whole(visit.send(request).await.unwrap()).await.unwrap();
        assert_refused(&answer, 502, "unreachable");
    });
}

#[test]
fn a_yes_to_a_handshake_opens_what_its_allow_rule_lets_it_be() {
    let held = format!("{SOCKETS}[[hold]]\nhost = \"web.test\"\nLOCAL\npath = [\"/ws\"]\n");
    for (rules, opened) in [(held.clone(), true), (held.replace("websocket = true", ""), false)] {
        let world = World::new(&rules);
        let proxy = world.start();
        let _watcher = proxy.watch();
        let mut talk = secure(&world, &proxy);
        talk.send(upgrade(&world));
        let id = proxy.until_held(1, 1)[0]["id"].as_str().unwrap().to_owned();
        assert!(world.web.met().is_empty(), "nothing is dialled for a question");
        proxy.said(&["approve", "--for", "1h", &id]);
        assert_eq!(talk.answer().status, if opened { 101 } else { 502 }, "{rules}");
        let visit = world.visit(&proxy, H2);
        let answer = run(visit.send(extended(&world, "websocket"))).unwrap();
        assert_eq!(answer.status().as_u16(), if opened { 200 } else { 403 }, "{rules}");
        drop((talk, answer, visit));
        let records = proxy.settled();
        let (decided, ended) = socket(&records);
        assert_eq!((&decided["decision"], &decided["reason"]), (&json!("allow"), &json!("approved")));
        assert_eq!(ended["status"], 101, "{ended}");
    }
}

//! The origin by itself, over both protocols.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;

use super::body::Flow;
use super::routes::{PAGE, framed};
use super::socket::{Frame, accept};
use super::wrong::Wrong;
use super::{Met, Web, run};
use crate::support::talk::Talk;
use crate::support::tls::{Authority, Identity, Terms, Valid};
use crate::support::visit::{Missed, Visit, Way, piece};

const NAME: &str = "web.test";
const BOTH: [&[&str]; 2] = [&["h2"], &["http/1.1"]];

fn web() -> (Web, Authority) {
    let authority = Authority::new();
    (Web::secure(&authority.present(&Terms::of(&[NAME]))), authority)
}

async fn visit(web: &Web, authority: &Authority, alpn: &[&str]) -> Visit {
    Way::straight(NAME, web.port(), authority.trusting(alpn)).visit().await.unwrap()
}

#[test]
fn what_is_agreed_on_is_spoken() {
    let (web, authority) = web();
    for (offer, agreed, version) in
        [(&["h2", "http/1.1"][..], Some("h2"), "HTTP/2.0"), (&["http/1.1"][..], Some("http/1.1"), "HTTP/1.1"), (&[][..], None, "HTTP/1.1")]
    {
        run(async {
            let visit = visit(&web, &authority, offer).await;
            assert_eq!(visit.alpn.as_deref(), agreed);
            assert_ne!(visit.leaf, authority.certificate(), "an origin shows a leaf");
            assert_eq!(visit.get("/page").await.unwrap().text(), PAGE);
        });
        let (met, seen) = (web.met().pop().unwrap(), web.seen().pop().unwrap());
        assert_eq!(met, Met { sni: Some(NAME.into()), alpn: agreed.map(str::to_owned), certificates: 0, secured: true });
        assert_eq!((seen.version.as_str(), seen.authority), (version, format!("{NAME}:{}", web.port())));
    }
}

#[test]
fn a_body_is_measured_and_comes_back_as_its_digest() {
    let (web, authority) = web();
    for offer in BOTH {
        run(async {
            let visit = visit(&web, &authority, offer).await;
            let request = visit.request("POST", "/echo?a=b").header("x-own", "1").body(Flow::whole("abc")).unwrap();
            let echoed = visit.ask(request).await.unwrap().json();
            assert_eq!((&echoed["method"], &echoed["target"], &echoed["length"]), (&"POST".into(), &"/echo?a=b".into(), &3.into()));
            assert_eq!(echoed["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        });
    }
}

#[test]
fn an_answer_waits_for_its_signal_and_what_came_before_does_not() {
    let (web, authority) = web();
    for (offer, gate) in BOTH.into_iter().zip(["one", "two"]) {
        run(async {
            let visit = visit(&web, &authority, offer).await;
            let request = visit.request("GET", &format!("/gated/{gate}")).body(Flow::whole("")).unwrap();
            let mut body = visit.send(request).await.unwrap().into_body();
            assert_eq!(piece(&mut body).await.unwrap(), "first");
            web.signal(gate);
            assert_eq!(body.collect().await.unwrap().to_bytes(), " rest");
        });
    }
}

#[test]
fn heads_trailers_and_lengths_are_as_asked_for() {
    let (web, authority) = web();
    for offer in BOTH {
        run(async {
            let visit = visit(&web, &authority, offer).await;
            let head = visit.ask(visit.request("HEAD", "/page").body(Flow::whole("")).unwrap()).await.unwrap();
            assert_eq!((head.status, head.header("content-length"), head.text().as_str()), (200, Some("8"), ""));
            for (target, status, length) in [
                ("/status/204", 204, 0),
                ("/status/304", 304, 0),
                ("/redirect", 302, 0),
                ("/chunked?pieces=4&size=10", 200, 40),
                ("/down?bytes=100000", 200, 100_000),
            ] {
                let answer = visit.get(target).await.unwrap();
                assert_eq!((answer.status, answer.body.len()), (status, length), "{target}");
            }
            let request = visit.request("GET", "/trailers").header("te", "trailers").body(Flow::whole("")).unwrap();
            let trailers = visit.ask(request).await.unwrap().trailers;
            assert_eq!(trailers[0], ("x-checked".into(), "yes".into()));
            assert!(visit.get("/cut?after=10").await.is_err(), "a body that breaks off is no whole one");
        });
    }
}

#[test]
fn a_call_that_streams_both_ways_has_each_message_back_before_the_next() {
    let (web, authority) = web();
    run(async {
        let visit = visit(&web, &authority, &["h2"]).await;
        let (tap, flow) = Flow::new();
        let request = visit.request("POST", "/exeat.Echo/Both").header("content-type", "application/grpc").body(flow).unwrap();
        let mut body = visit.send(request).await.unwrap().into_body();
        for message in ["one", "two", "three"] {
            assert!(tap.send(framed(message.as_bytes())).await);
            assert_eq!(piece(&mut body).await.unwrap(), framed(message.as_bytes()));
        }
        drop(tap);
        assert_eq!(body.collect().await.unwrap().trailers().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn a_socket_echoes() {
    let (web, authority) = web();
    run(async {
        let visit = visit(&web, &authority, &["http/1.1"]).await;
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let request = visit.request("GET", "/ws").header("connection", "upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-version", "13").header("sec-websocket-key", key).body(Flow::whole("")).unwrap();
        let answer = visit.send(request).await.unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["sec-websocket-accept"], accept(key));
        let mut socket = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        for (sent, back) in [
            (Frame::text("hello"), Frame::text("hello")),
            (Frame { first: 0x89, payload: b"?".to_vec() }, Frame { first: 0x8a, payload: b"?".to_vec() }),
            (Frame { first: 0x82, payload: vec![7; 70_000] }, Frame { first: 0x82, payload: vec![7; 70_000] }),
            (Frame::close(1000), Frame::close(1000)),
        ] {
            socket.write_all(&sent.bytes(Some([1, 2, 3, 4]))).await.unwrap();
            assert_eq!(Frame::read(&mut socket).await.unwrap(), back);
        }
    });
}

#[test]
fn what_is_wrong_with_an_origin_is_wrong() {
    let authority = Authority::new();
    let of = |valid, asks_for_a_certificate| authority.present(&Terms { valid, asks_for_a_certificate, ..Terms::of(&[NAME]) });
    let cases = [
        (Web::secure(&of(Valid::UntilLastYear, false)).port(), "certificate expired"),
        (Web::secure(&of(Valid::FromNextCentury, false)).port(), "certificate not valid yet"),
        (Web::secure(&Identity::self_signed(&[NAME])).port(), "UnknownIssuer"),
        (Web::secure(&Authority::named("somebody else").present(&Terms::of(&[NAME]))).port(), "UnknownIssuer"),
        (Web::secure(&authority.present(&Terms::of(&["other.test"]))).port(), "certificate not valid for name"),
        (Wrong::SpeaksPlainHttp.start().port(), "corrupt message"),
        (Wrong::SendsAnAlert.start().port(), "HandshakeFailure"),
        (Wrong::HangsUp.start().port(), "eof"),
        (Wrong::SaysGarbage.start().port(), "corrupt message"),
    ];
    for (port, expected) in cases {
        let error = run(async { Way::straight(NAME, port, authority.trusting(&["h2"])).secure().await }).unwrap_err();
        let Missed::Tls(error) = error else { panic!("{error:?}") };
        let said = format!("{error} {error:?}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let picky = Web::secure(&of(Valid::Now, true));
    let got = run(async {
        Way::straight(NAME, picky.port(), authority.trusting(&["http/1.1"]))
            .visit()
            .await?
            .get("/page")
            .await
            .map_err(|error| Missed::Tls(std::io::Error::other(error)))
    });
    assert!(got.is_err(), "who shows no certificate gets nothing: {got:?}");
    assert_eq!(picky.seen(), []);
}

#[test]
fn who_shows_a_certificate_is_met_with_it() {
    let authority = Authority::new();
    let picky = Web::secure(&authority.present(&Terms { asks_for_a_certificate: true, ..Terms::of(&[NAME]) }));
    let (chain, key) = authority.client_identity("agent.test");
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let tls = tls.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap();
    let answer = run(async { Way::straight(NAME, picky.port(), Arc::new(tls)).visit().await.unwrap().get("/page").await.unwrap() });
    assert_eq!(answer.text(), PAGE);
    assert_eq!(picky.met(), [Met { sni: Some(NAME.into()), alpn: None, certificates: 1, secured: true }]);
}

#[test]
fn without_tls_it_is_an_origin_as_well() {
    let web = Web::plain();
    let mut talk = Talk::to(web.address);
    talk.send(format!("GET /page HTTP/1.1\r\nHost: {}\r\n\r\n", web.address));
    assert_eq!(talk.answer().text(), PAGE);
    web.until("the page asked for", |web| web.seen().iter().any(|seen| seen.target == "/page"));
}

#[test]
fn bytes_go_up_without_being_kept() {
    let (web, authority) = web();
    for offer in BOTH {
        run(async {
            let visit = visit(&web, &authority, offer).await;
            let (tap, flow) = Flow::new();
            let request = visit.request("POST", "/up").body(flow).unwrap();
            let block = Bytes::from(vec![0; 64 * 1024]);
            tokio::spawn(async move {
                for _ in 0..32 {
                    tap.send(block.clone()).await;
                }
            });
            assert_eq!(visit.ask(request).await.unwrap().text(), (32 * 64 * 1024).to_string());
        });
    }
}

//! What a client keeps of a session, with exeat or with the origin itself, saves it no handshake later and carries no early data (RFC 8446, section 8).

use std::io::Write as _;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use serde_json::json;

use super::{H1, HOST, OPEN, World, inner};
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::talk::Talk;
use crate::support::tls::{Identity, Terms};
use crate::support::web::Web;

/// A client that trusts exeat and the origins, keeps its sessions, and sends what it can ahead of the handshake.
fn eager(world: &World, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(world.ours.certificate()).unwrap();
    roots.add(world.origins.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_early_data = true;
    Arc::new(config)
}

/// An origin that takes early data.
fn taking_early_data(world: &World) -> Web {
    let identity = world.origins.present(&Terms { alpn: H1, ..Terms::of(&[HOST]) });
    let mut config = (*identity.config()).clone();
    config.max_early_data_size = 16_384;
    let web = Web::secure(&Identity::of(Arc::new(config)));
    let local = format!("port = [{}]\naddresses = [\"127.0.0.0/8\"]", web.port());
    world.site.agent("c", "", &OPEN.replace("LOCAL", &local));
    web
}

fn get(web: &Web, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}:{}\r\n\r\n", web.port())
}

/// One connection: whether `/ahead` could be sent ahead, whether that was taken, what handshake it was. `/behind` is asked for behind it.
fn visited(talk: Talk, client: &Arc<ClientConfig>, web: &Web) -> (bool, bool, Option<HandshakeKind>) {
    let mut session = ClientConnection::new(client.clone(), ServerName::try_from(HOST).unwrap()).unwrap();
    let offered = session.early_data().is_some_and(|mut early| early.write_all(get(web, "/ahead").as_bytes()).is_ok());
    let mut talk = talk.secured(session).unwrap();
    let session = talk.session();
    let known = (offered, session.is_early_data_accepted(), session.handshake_kind());
    talk.send(get(web, "/behind"));
    assert_eq!(talk.answer().status, 200);
    known
}

fn through(proxy: &Proxy, web: &Web) -> Talk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&format!("{HOST}:{}", web.port()), &credentials("c")).status, 200);
    talk
}

#[test]
fn early_data_is_not_taken_and_no_session_is_resumed() {
    let whole = |offered| (offered, false, Some(HandshakeKind::Full));
    for (version, offers) in [(&TLS13, true), (&TLS12, false)] {
        let world = World::new("");
        let web = taking_early_data(&world);
        let proxy = world.start();
        let client = eager(&world, version);
        assert_eq!(visited(Talk::to(web.address), &client, &web), whole(false), "nothing is kept yet");
        assert_eq!(visited(through(&proxy, &web), &client, &web), whole(offers), "kept of the origin, {version:?}");
        let client = eager(&world, version);
        for _ in 0..2 {
            assert_eq!(visited(through(&proxy, &web), &client, &web), whole(false), "kept of exeat, {version:?}");
        }
        let seen: Vec<String> = web.seen().into_iter().map(|seen| seen.target).collect();
        assert_eq!(seen, ["/behind"; 4], "each is asked for once, and nothing that came ahead");
        let records = proxy.settled();
        let judged: Vec<_> = inner(&records).into_iter().map(|(record, _)| (&record["decision"], &record["request"]["path"])).collect();
        assert_eq!(judged, [(&json!("allow"), &json!("/behind")); 3], "each is judged");
    }
}

//! A ClientHello with another in it that nobody here can read: the outer name is judged, and it is recorded that there was one.

use std::sync::Arc;

use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::aws_lc_rs::{default_provider, hpke::DH_KEM_X25519_HKDF_SHA256_AES_128 as SUITE};
use rustls::crypto::hpke::Hpke as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

use super::{H1, HOST, OPEN, World, tunnels};
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::tls::Authority;
use crate::support::visit::{Missed, Way};
use crate::support::web::run;

/// Carried, and not looked into.
const CARRIED: &str = "
[[allow]]
host = \"web.test\"
LOCAL
";

/// One that trusts this authority alone, and greases ECH (RFC 9849, 6.2): what it sends looks as a real one does.
fn greasing(authority: &Authority) -> Arc<ClientConfig> {
    let (key, _) = SUITE.generate_key_pair().unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    let config = config.with_ech(EchMode::Grease(EchGreaseConfig::new(SUITE, key))).unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Agent `c`, on its way to the host that is listed, with `tls` of its own.
fn way(world: &World, proxy: &Proxy, tls: Arc<ClientConfig>) -> Way {
    Way { tls, ..world.way(proxy, "c", H1) }
}

fn told(proxy: &Proxy) -> Value {
    let records = proxy.settled();
    let [(decided, end)] = tunnels(&records)[..] else { panic!("{records:?}") };
    json!([decided["reason"], end["outcome"], end["reason"], end["tls"]["sni"], end["tls"]["ech"], end["tls"]["inspected"]])
}

#[test]
fn a_listed_outer_name_passes_whatever_is_in_it_and_that_is_recorded() {
    for (rules, inspected) in [(OPEN, true), (CARRIED, false)] {
        for ech in [true, false] {
            let world = World::new(rules);
            let proxy = world.start();
            let signer = if inspected { &world.ours } else { &world.origins };
            let tls = if ech { greasing(signer) } else { signer.trusting(&[]) };
            let answer = run(async { way(&world, &proxy, tls).visit().await.unwrap().get("/page").await.unwrap() });
            assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
            let reason = if inspected { "inspect" } else { "listed" };
            assert_eq!(told(&proxy), json!([reason, "completed", reason, HOST, ech, inspected]));
        }
    }
}

#[test]
fn an_outer_name_that_is_not_the_tunnels_is_refused_whatever_is_in_it() {
    for (rules, reason) in [(OPEN, "inspect"), (CARRIED, "listed")] {
        let world = World::new(rules);
        let proxy = world.start();
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&format!("{HOST}:{}", world.web.port()), &credentials("c")).status, 200);
        let mut hello = Vec::new();
        let name = ServerName::try_from("other.test").unwrap();
        ClientConnection::new(greasing(&world.ours), name).unwrap().write_tls(&mut hello).unwrap();
        talk.send(&hello);
        // A fatal alert: access_denied (RFC 8446, 6).
        assert_eq!(talk.rest(), [21, 3, 3, 0, 2, 2, 49]);
        assert!(world.web.seen().is_empty());
        assert_eq!(told(&proxy), json!([reason, "cut", "name-mismatch", "other.test", true, false]));
    }
}

#[test]
fn an_unlisted_outer_name_gets_no_tunnel() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let way = Way { host: "other.test".to_owned(), ..way(&world, &proxy, greasing(&world.ours)) };
    let missed = run(async { way.secure().await.err() });
    assert!(matches!(&missed, Some(Missed::Refused(head)) if head.starts_with("HTTP/1.1 403 ")), "{missed:?}");
    assert!(world.web.met().is_empty() && !world.site.dns.was_asked("other.test"));
}

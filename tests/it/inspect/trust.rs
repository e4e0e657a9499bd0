//! Handshakes that fail: with origins that are not to be trusted, and with agents that say little or too much.

use std::time::{Duration, Instant};

use rustls::AlertDescription;
use serde_json::{Value, json};

use super::{H1, H2, HOST, OPEN, World, assert_refused, inner, tunnels};
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::talk::Talk;
use crate::support::tls::{Authority, Identity, Terms, Valid};
use crate::support::visit::{Missed, Way};
use crate::support::web::wrong::Wrong;
use crate::support::web::{Web, run};

fn at(world: &World, port: u16, proxy: &Proxy, alpn: &[&str]) -> Way {
    Way { port, ..world.way(proxy, "c", alpn) }
}

fn listed(world: &World, port: u16) {
    let local = format!("port = [{port}]\naddresses = [\"127.0.0.0/8\"]");
    world.site.agent("c", "", &OPEN.replace("LOCAL", &local));
}

#[test]
fn an_origin_that_is_not_to_be_trusted_is_sent_nothing_and_said_why() {
    let world = World::new("");
    let stranger = Authority::named("stranger");
    let on = |terms: Terms<'_>| world.origins.present(&terms);
    let mutual = Terms { asks_for_a_certificate: true, ..Terms::of(&[HOST]) };
    let rows = [
        (on(Terms { valid: Valid::UntilLastYear, ..Terms::of(&[HOST]) }), "has expired"),
        (on(Terms { valid: Valid::FromNextCentury, ..Terms::of(&[HOST]) }), "not valid yet"),
        (on(Terms::of(&["elsewhere.test"])), "for other names"),
        (on(Terms::of(&["*.test.example"])), "for other names"),
        (stranger.present(&Terms::of(&[HOST])), "issuer is not trusted"),
        (Identity::self_signed(&[HOST]), "issuer is not trusted"),
        (Identity::self_signed_authority(&[HOST]), "self-signed, or an authority's own"),
    ];
    for alpn in [H1, H2] {
        for (identity, words) in &rows {
            let web = Web::secure(identity);
            listed(&world, web.port());
            let proxy = world.start();
            let answer = run(async { at(&world, web.port(), &proxy, alpn).visit().await.unwrap().get("/page").await.unwrap() });
            assert_refused(&answer, 502, "bad-certificate");
            assert!(answer.text().contains(words), "{words}: {}", answer.text());
            let private = ["issuer is not trusted", "self-signed, or an authority's own"].contains(words);
            assert_eq!(answer.text().contains("[upstream]"), private, "{}", answer.text());
            assert!(web.seen().is_empty());
            let records = proxy.settled();
            let (_, end) = inner(&records)[0];
            assert_eq!((&end["outcome"], &end["reason"]), (&json!("failed"), &json!("bad-certificate")));
            assert!(end["ms"]["tls"].is_number() && end["address"].is_string(), "{end}");
        }
    }
    let web = Web::secure(&on(mutual));
    listed(&world, web.port());
    let proxy = world.start();
    let answer = run(async { at(&world, web.port(), &proxy, H1).visit().await.unwrap().get("/page").await.unwrap() });
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(web.seen().is_empty());
}

/// What is said to be done about a certificate of `openssl req -x509` is what helps.
#[test]
fn a_self_signed_certificate_is_believed_once_it_is_made_as_a_servers_and_named() {
    let folder = tempfile::TempDir::with_prefix("exeat-it-").unwrap();
    let made = |more: &str| {
        let script = format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=x -addext subjectAltName=DNS:{HOST} {more} -keyout key.pem -out cert.pem"
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !made("") {
        eprintln!("NOTICE: openssl is not installed, its certificates are not tried");
        return;
    }
    for (more, status) in [("", 502), ("-addext basicConstraints=critical,CA:FALSE", 200)] {
        let mut world = World::new("");
        assert!(made(more));
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
        std::fs::write(world.site.path().join("own.pem"), &cert).unwrap();
        world.site.set("upstream", "ca", "\"own.pem\"");
        let web = Web::secure(&Identity::read(&cert, &key, H2));
        listed(&world, web.port());
        let proxy = world.start();
        let answer = run(async { at(&world, web.port(), &proxy, H2).visit().await.unwrap().get("/page").await.unwrap() });
        assert_eq!(answer.status, status, "{more}: {}", answer.text());
        if status == 502 {
            assert!(answer.text().contains("basicConstraints=critical,CA:FALSE"), "{}", answer.text());
        }
    }
}

#[test]
fn an_origin_that_speaks_no_tls_fails_in_its_own_words_and_never_hangs() {
    let world = World::new("");
    let rows = [
        (Wrong::SpeaksPlainHttp, 502, "bad-certificate", "does not speak TLS"),
        (Wrong::SaysGarbage, 502, "bad-certificate", "does not speak TLS"),
        (Wrong::SendsAnAlert, 502, "bad-certificate", "broke off the TLS handshake"),
        (Wrong::HangsUp, 502, "unreachable", "broke the connection"),
        (Wrong::SaysNothing, 504, "unreachable", "did not answer in time"),
    ];
    for (wrong, status, reason, words) in rows {
        let address = wrong.start();
        listed(&world, address.port());
        let proxy = world.start();
        let answer = run(async { at(&world, address.port(), &proxy, H2).visit().await.unwrap().get("/page").await.unwrap() });
        assert_refused(&answer, status, reason);
        assert!(answer.text().contains(words), "{wrong:?}: {}", answer.text());
    }
}

#[test]
fn an_agent_that_does_not_trust_exeat_is_recorded_as_such() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let way = Way { tls: world.origins.trusting(H2), ..world.way(&proxy, "c", H2) };
    match run(way.visit()) {
        Err(Missed::Tls(_)) => {}
        Ok(_) | Err(Missed::Refused(_)) => panic!("it trusts anybody"),
    }
    let records = proxy.settled();
    let (_, end) = tunnels(&records)[0];
    assert_eq!((&end["outcome"], &end["reason"], &end["tls"]["inspected"]), (&json!("failed"), &json!("bad-certificate"), &json!(false)));
}

fn open(world: &World, proxy: &Proxy) -> Talk {
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&format!("{HOST}:{}", world.web.port()), &credentials("c")).status, 200);
    talk
}

fn hello(world: &World, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    world.ours.client(name).write_tls(&mut bytes).unwrap();
    bytes
}

fn only_end(proxy: &Proxy) -> (Value, Value) {
    let records = proxy.settled();
    let (_, end) = *tunnels(&records).last().unwrap();
    (end["outcome"].clone(), end["reason"].clone())
}

#[test]
fn a_greeting_in_pieces_is_one_greeting() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let mut talk = open(&world, &proxy);
    let mut client = world.ours.client(HOST);
    let mut greeting = Vec::new();
    client.write_tls(&mut greeting).unwrap();
    for piece in greeting.chunks(97) {
        talk.send(piece);
    }
    // A whole flight of the server's: it has read the greeting as one.
    let head = talk.exactly(5).unwrap();
    assert_eq!((head[0], head[1]), (22, 3), "a handshake record");
}

#[test]
fn a_handshake_that_is_not_finished_ends_in_time_and_is_recorded() {
    let world = World::new(OPEN);
    for (sends, ends, wanted) in [
        (hello(&world, HOST), false, (json!("cut"), json!("overloaded"))),
        (hello(&world, HOST), true, (json!("abandoned"), json!("inspect"))),
        (hello(&world, HOST)[..100].to_vec(), false, (json!("cut"), json!("not-tls"))),
        (hello(&world, HOST)[..100].to_vec(), true, (json!("cut"), json!("not-tls"))),
        ([hello(&world, HOST), vec![23, 3, 3, 0, 4, 1, 2, 3, 4]].concat(), false, (json!("cut"), json!("not-tls"))),
    ] {
        let proxy = world.start();
        let mut talk = open(&world, &proxy);
        let began = Instant::now();
        talk.send(&sends);
        if ends {
            talk.finish();
        }
        let _ = talk.rest();
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(only_end(&proxy), wanted, "{} bytes, ends: {ends}", sends.len());
        assert!(world.web.met().is_empty());
    }
}

#[test]
fn a_greeting_without_a_name_or_for_another_gets_an_alert() {
    let world = World::new(OPEN);
    for name in ["other.test", "127.0.0.1"] {
        let proxy = world.start();
        let failed = open(&world, &proxy).tls(&world.ours, name).err();
        assert_eq!(failed, Some(Some(AlertDescription::AccessDenied)), "{name}");
        assert_eq!(only_end(&proxy), (json!("cut"), json!("name-mismatch")), "{name}");
    }
}

//! What is never dialled.

use super::*;

fn port(number: u16) -> Port {
    Port::parse(&number.to_string()).unwrap()
}

fn guard(own: &[&str]) -> Guard {
    Guard {
        own: own.iter().map(|own| own.parse().unwrap()).collect(),
        machine: vec![ip("192.0.2.7"), ip("2001:db8::7")],
        known_as: vec![Host::parse("egress.corp.example").unwrap(), Host::parse("203.0.113.9").unwrap()],
        never: vec!["10.96.0.1/32".parse().unwrap()],
    }
}

#[test]
fn exeat_knows_its_own_listeners_by_every_spelling() {
    let bound = guard(&["127.0.0.1:3128", "[::1]:3128"]);
    for address in
        ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "::", "::ffff:0.0.0.0", "203.0.113.9"]
    {
        assert!(bound.own(ip(address), port(3128)), "107: {address}");
    }
    assert!(bound.own(ip("203.0.113.9"), port(1)), "an address of ours is ours on every port");
    for address in ["127.0.0.2", "192.0.2.7", "8.8.8.8"] {
        assert!(!bound.own(ip(address), port(3128)), "{address}");
    }
    assert!(!bound.own(ip("127.0.0.1"), port(3129)));
}

#[test]
fn a_listener_on_every_address_is_own_on_every_address() {
    for own in ["0.0.0.0:3128", "[::]:3128"] {
        let every = guard(&[own]);
        for address in ["127.0.0.1", "127.9.9.9", "::1", "192.0.2.7", "2001:db8::7", "64:ff9b::192.0.2.7", "0.0.0.0", "::"] {
            assert!(every.own(ip(address), port(3128)), "{own}: {address}");
        }
        assert!(!every.own(ip("192.0.2.8"), port(3128)));
        assert!(!every.own(ip("192.0.2.7"), port(443)));
    }
}

#[test]
fn an_address_is_judged_in_one_order() {
    let wide = addresses(&["0.0.0.0/0", "::/0", "public"]);
    let guard = Guard { never: vec!["0.0.0.0/0".parse().unwrap()], ..guard(&["169.254.169.254:80", "127.0.0.1:80"]) };
    let judge = |address: &str| guard.judge(ip(address), port(80), &wide);
    assert!(matches!(judge("169.254.169.254"), Err(AddressRefusal::Metadata(_))));
    assert_eq!(judge("127.0.0.1"), Err(AddressRefusal::Own));
    assert_eq!(judge("8.8.8.8"), Err(AddressRefusal::Never));
    assert_eq!(judge("64:ff9b::808:808"), Err(AddressRefusal::Never));
    assert_eq!(judge("2606:4700::1111"), Ok(()));
    let outside = Guard::default().judge(ip("10.0.0.1"), port(80), &Addresses::public());
    assert_eq!(outside, Err(AddressRefusal::Outside(AddressClass::Special("private use, RFC 1918"))));
}

use std::sync::Barrier;
use std::time::Duration;

use ipnet::IpNet;
use rcgen::{BasicConstraints, CertificateParams, CidrSubnet, DnType, GeneralSubtree, IsCa, KeyUsagePurpose, NameConstraints};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, ProtocolVersion, RootCertStore, ServerConnection};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "exeat test");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = (now() - WEEK).into();
    params.not_after = (now() + 10 * WEEK).into();
    params
}

fn pems(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let mut params = params();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn authority(change: impl FnOnce(&mut CertificateParams)) -> Authority {
    let (cert, key) = pems(change);
    Authority::read(cert.as_bytes(), key.as_bytes(), now()).unwrap()
}

/// The leaf that a handshake is answered with, as a client sees it.
fn leaf(authority: &Authority, host: &Host) -> CertificateDer<'static> {
    leaf::mint(&authority.ca, host, &authority.leaf_key, now()).unwrap()
}

#[test]
fn a_name_is_minted_once_however_many_ask_at_once() {
    let authority = authority(|_| ());
    let (threads, at) = (32, now());
    let barrier = Barrier::new(threads);
    let given: Vec<Arc<ServerConfig>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|index| {
                let (barrier, authority) = (&barrier, &authority);
                scope.spawn(move || {
                    barrier.wait();
                    let offer = if index % 2 == 0 { Offer::Both } else { Offer::Http1 };
                    authority.server_config_at(&host("api.example.test"), offer, at).unwrap()
                })
            })
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(authority.tally(), LeafTally { hit: 31, minted: 1 });
    assert!(given.iter().step_by(2).all(|config| Arc::ptr_eq(config, &given[0])));
    assert_eq!(given[0].alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!(given[1].alpn_protocols, [b"http/1.1".to_vec()]);
}

#[test]
fn no_more_leaves_are_kept_than_there_is_room_for() {
    let (cert, key) = pems(|_| ());
    let authority = Authority::with_room(Ca::read(cert.as_bytes(), key.as_bytes(), now()).unwrap(), 8).unwrap();
    for index in 0..64 {
        authority.server_config(&host(&format!("h{index}.example.test")), Offer::Both).unwrap();
    }
    authority.leaves.run_pending_tasks();
    assert!((1..=8).contains(&authority.leaves.entry_count()), "{}", authority.leaves.entry_count());
    assert_eq!(authority.tally().minted, 64);
}

/// As an agent asks that is let to any name below one.
#[test]
fn many_thousand_names_take_no_more_room_than_a_few() {
    const NAMES: u64 = 10_000;
    let (cert, key) = pems(|_| ());
    let authority = Authority::with_room(Ca::read(cert.as_bytes(), key.as_bytes(), now()).unwrap(), 64).unwrap();
    let mut most = 0;
    for index in 0..NAMES {
        authority.server_config(&host(&format!("h{index}.example.test")), Offer::Http1).unwrap();
        most = most.max(authority.leaves.entry_count());
    }
    authority.leaves.run_pending_tasks();
    assert!(authority.leaves.entry_count() <= 64, "{}", authority.leaves.entry_count());
    // What is not taken out yet is bounded as well.
    assert!(most < 2_000, "{most}");
    assert_eq!(authority.tally(), LeafTally { hit: 0, minted: NAMES });
}

#[test]
fn another_day_has_another_leaf() {
    let authority = authority(|_| ());
    let ask = |at: SystemTime| authority.server_config_at(&host("api.example.test"), Offer::Both, at).unwrap();
    let midnight = UNIX_EPOCH + Duration::from_secs(now().duration_since(UNIX_EPOCH).unwrap().as_secs() / DAY * DAY + DAY);
    ask(midnight);
    ask(midnight + 23 * HOUR);
    assert_eq!(authority.tally().minted, 1);
    ask(midnight + 24 * HOUR);
    assert_eq!(authority.tally().minted, 2);
}

#[test]
fn a_leaf_is_for_exactly_one_host() {
    let authority = authority(|_| ());
    let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    assert_eq!(long.len(), 253);
    let rows = [
        ("api.example.test", "DNSName(api.example.test)"),
        ("API.Example.TEST.", "DNSName(api.example.test)"),
        ("b\u{fc}cher.test", "DNSName(xn--bcher-kva.test)"),
        ("_dmarc.a_b.test", "DNSName(_dmarc.a_b.test)"),
        (long.as_str(), &format!("DNSName({long})")),
        ("192.0.2.7", "IPAddress(192.0.2.7)"),
        ("[2001:db8::a]", "IPAddress(32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.10)"),
    ];
    for (asked, wanted) in rows {
        let der = leaf(&authority, &host(asked));
        let (rest, x509) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let names = x509.subject_alternative_name().unwrap().unwrap();
        assert!(names.critical, "{asked}: the subject is empty");
        assert_eq!(names.value.general_names.iter().map(shown).collect::<Vec<_>>(), [wanted]);
        assert_eq!(x509.subject().iter().count(), 0);
    }
}

#[test]
fn a_leaf_has_what_clients_look_for_and_nothing_else() {
    let authority = authority(|_| ());
    let der = leaf(&authority, &host("api.example.test"));
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    let ca_der = authority.certificate().der().clone();
    let (_, ca) = X509Certificate::from_der(&ca_der).unwrap();
    assert_eq!(x509.public_key().algorithm.parameters.as_ref().unwrap().as_oid().unwrap().to_id_string(), "1.2.840.10045.3.1.7");
    assert_eq!(x509.issuer().as_raw(), ca.subject().as_raw());
    assert_eq!(authority_key_id(&x509), authority.ca.key_id().map(<[u8]>::to_vec));
    assert!(authority.ca.key_id().is_some_and(|id| !id.is_empty()));
    let usage = x509.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature alone");
    let purpose = x509.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.server_auth && !purpose.any && !purpose.client_auth && purpose.other.is_empty());
    assert!(!x509.is_ca() && x509.basic_constraints().unwrap().unwrap().critical);
    let seconds = |at: SystemTime| i64::try_from(at.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let (begins, ends) = (x509.validity().not_before.timestamp(), x509.validity().not_after.timestamp());
    assert_eq!(ends - begins, seconds(UNIX_EPOCH + WEEK + HOUR));
    assert!((begins - seconds(now() - HOUR)).abs() < 60);
}

#[test]
fn a_serial_is_random_positive_and_sixteen_octets_long() {
    let authority = authority(|_| ());
    let serials: std::collections::BTreeSet<Vec<u8>> = (0..256)
        .map(|_| {
            let der = leaf(&authority, &host("api.example.test"));
            X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
        })
        .collect();
    assert_eq!(serials.len(), 256);
    assert!(serials.iter().all(|serial| serial.len() == 16 && serial[0] < 0x80));
}

#[test]
fn a_leaf_is_valid_within_the_authority_alone() {
    let young = authority(|params| {
        params.not_before = (now() - HOUR / 2).into();
        params.not_after = (now() + HOUR).into();
    });
    let der = leaf(&young, &host("api.example.test"));
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    let (_, ca) = X509Certificate::from_der(young.certificate().der()).unwrap();
    assert_eq!(x509.validity(), ca.validity());
    let config = |at: SystemTime| young.server_config_at(&host("api.example.test"), Offer::Both, at).unwrap_err();
    assert_eq!(config(now() + 2 * HOUR), Unmintable::Expired(young.not_after()));
    assert_eq!(config(now() - 2 * HOUR), Unmintable::NotYet(young.certificate().not_before()));
}

#[test]
fn a_client_that_trusts_the_authority_speaks_with_it() {
    let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa_pem = params().self_signed(&rsa).unwrap().pem();
    let all = [authority(|_| ()), Authority::read(rsa_pem.as_bytes(), rsa.serialize_pem().as_bytes(), now()).unwrap()];
    for authority in &all {
        for name in ["api.example.test", "xn--bcher-kva.test", "a_b.test", "192.0.2.7", "2001:db8::a", long.as_str()] {
            let asked = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
            for (offer, protocol) in [(Offer::Both, b"h2".as_slice()), (Offer::Http1, b"http/1.1")] {
                let config = authority.server_config(&host(&asked), offer).unwrap();
                let (version, spoken) = handshake(authority, config, name).unwrap();
                assert_eq!((version, spoken.as_slice()), (ProtocolVersion::TLSv1_3, protocol), "{name}");
            }
        }
    }
    let config = all[0].server_config(&host("api.example.test"), Offer::Both).unwrap();
    assert!(handshake(&all[0], config, "b.example.test").is_err());
}

#[test]
fn the_subject_of_the_authority_is_named_octet_for_octet() {
    let listed = authority(|params| {
        let component = || DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]);
        params.distinguished_name.push(component(), "example");
        params.distinguished_name.push(DnType::OrganizationName, rcgen::DnValue::PrintableString("Example".try_into().unwrap()));
    });
    let config = listed.server_config(&host("api.example.test"), Offer::Both).unwrap();
    handshake(&listed, config, "api.example.test").unwrap();
    let der = leaf(&listed, &host("api.example.test"));
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.issuer().as_raw(), listed.ca.subject());
}

#[test]
fn a_host_that_the_constraints_leave_out_gets_no_leaf() {
    let constrained = authority(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.test".into())],
            excluded_subtrees: [IpNet::V4("0.0.0.0/0".parse().unwrap()), IpNet::V6("::/0".parse().unwrap())].map(everything).to_vec(),
        });
    });
    let permitted = "only example.test, and none of every address of 0.0.0.0/0, every address of ::/0";
    for left_out in ["other.test", "192.0.2.7", "[2001:db8::a]"] {
        let refused = constrained.server_config(&host(left_out), Offer::Both).unwrap_err();
        assert_eq!(refused, Unmintable::Excluded { host: host(left_out), permitted: permitted.to_owned() });
        // And a client does refuse what would have been made.
        let name = left_out.trim_matches(['[', ']']);
        let made = constrained.mint(&host(left_out), now()).unwrap().both;
        assert!(handshake(&constrained, made, name).is_err(), "{left_out}");
    }
    let config = constrained.server_config(&host("api.example.test"), Offer::Both).unwrap();
    handshake(&constrained, config, "api.example.test").unwrap();
}

#[test]
fn neither_key_is_shown() {
    let (cert, key) = pems(|_| ());
    let authority = Authority::read(cert.as_bytes(), key.as_bytes(), now()).unwrap();
    let wanted = "Authority { ca: Ca { certificate: \"CN=exeat test\", key: \"***\", .. }, leaves: 0, .. }";
    assert_eq!(format!("{authority:?}"), wanted);
    assert_eq!(authority.certificate_pem(), cert);
}

fn everything(network: IpNet) -> GeneralSubtree {
    match network {
        IpNet::V4(v4) => GeneralSubtree::IpAddress(CidrSubnet::V4(v4.network().octets(), v4.netmask().octets())),
        IpNet::V6(v6) => GeneralSubtree::IpAddress(CidrSubnet::V6(v6.network().octets(), v6.netmask().octets())),
    }
}

fn shown(name: &GeneralName<'_>) -> String {
    if let GeneralName::DNSName(name) = name {
        return format!("DNSName({name})");
    }
    let GeneralName::IPAddress(bytes) = name else { panic!("{name:?}") };
    format!("IPAddress({})", bytes.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

fn authority_key_id(x509: &X509Certificate<'_>) -> Option<Vec<u8>> {
    x509.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else { return None };
        id.key_identifier.as_ref().map(|id| id.0.to_vec())
    })
}

/// A whole handshake in memory; the version and the protocol agreed on.
fn handshake(authority: &Authority, config: Arc<ServerConfig>, name: &str) -> Result<(ProtocolVersion, Vec<u8>), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client: Connection = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap().into();
    let mut server: Connection = ServerConnection::new(config).unwrap().into();
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    Ok((client.protocol_version().unwrap(), client.alpn_protocol().unwrap().to_vec()))
}

fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), rustls::Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

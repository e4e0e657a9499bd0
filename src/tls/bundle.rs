//! What clients are given to trust: the system's authorities and exeat's own in one file, in PEM and as a Java trust store.
//!
//! Most clients take such a file for the whole of what they trust, so it holds everything that they trusted without it.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;

use super::ca::pem;

/// Certificates to trust, each once, in the order they were added.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    known: BTreeSet<Vec<u8>>,
}

impl Bundle {
    /// Adds certificates; one that is there already stays where it is.
    pub fn add(&mut self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) {
        for certificate in certificates {
            if self.known.insert(certificate.to_vec()) {
                self.certificates.push(certificate);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// As OpenSSL and nearly everyone reads it.
    pub fn pem(&self) -> String {
        self.certificates.iter().map(|certificate| pem(certificate)).collect()
    }

    /// As Java reads it: PKCS #12 (RFC 7292), neither encrypted nor authenticated, as all of it is public and a password in an environment is none.
    pub fn java(&self) -> Vec<u8> {
        let data = |content: &[u8]| {
            yasna::construct_der(|writer| {
                writer.write_sequence(|fields| {
                    fields.next().write_oid(&oid(DATA));
                    fields.next().write_tagged(yasna::Tag::context(0), |content_of| content_of.write_bytes(content));
                });
            })
        };
        let safe = data(&self.safe_contents());
        let authenticated = yasna::construct_der(|writer| writer.write_sequence_of(|safes| safes.next().write_der(&safe)));
        yasna::construct_der(|writer| {
            writer.write_sequence(|fields| {
                fields.next().write_u8(3);
                fields.next().write_der(&data(&authenticated));
            });
        })
    }

    fn safe_contents(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence_of(|bags| {
                for (at, certificate) in self.certificates.iter().enumerate() {
                    bags.next().write_sequence(|bag| {
                        bag.next().write_oid(&oid(CERTIFICATE_BAG));
                        bag.next().write_tagged(yasna::Tag::context(0), |value| {
                            value.write_sequence(|fields| {
                                fields.next().write_oid(&oid(X509_CERTIFICATE));
                                fields.next().write_tagged(yasna::Tag::context(0), |value| value.write_bytes(certificate));
                            });
                        });
                        bag.next().write_set(|attributes| {
                            attribute(attributes.next(), FRIENDLY_NAME, |value| value.write_bmp_string(&format!("exeat-{at}")));
                            attribute(attributes.next(), TRUSTED_KEY_USAGE, |value| value.write_oid(&oid(ANY_EXTENDED_KEY_USAGE)));
                        });
                    });
                }
            });
        })
    }
}

const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const CERTIFICATE_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u64] = &[1, 2, 840, 113_549, 1, 9, 20];
/// Oracle's `trustedKeyUsage`: without it Java takes a certificate for one that belongs to a key, and trusts it for nothing.
const TRUSTED_KEY_USAGE: &[u64] = &[2, 16, 840, 1, 113_894, 746_875, 1, 1];
const ANY_EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37, 0];

fn oid(arcs: &[u64]) -> yasna::models::ObjectIdentifier {
    yasna::models::ObjectIdentifier::from_slice(arcs)
}

fn attribute(writer: yasna::DERWriter<'_>, kind: &[u64], value: impl FnOnce(yasna::DERWriter<'_>)) {
    writer.write_sequence(|fields| {
        fields.next().write_oid(&oid(kind));
        fields.next().write_set(|values| value(values.next()));
    });
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::tls::ca::certificates;
    use crate::tls::make::{Wanted, authority};

    fn bundle(names: &[&str]) -> Bundle {
        let mut bundle = Bundle::default();
        for name in names {
            let made = authority(&Wanted { name, days: 3, permit: &[], exclude: &[] }, SystemTime::now()).unwrap();
            let read = certificates(made.certificate.as_bytes()).unwrap();
            bundle.add([read[0].der().clone(), read[0].der().clone()]);
        }
        bundle
    }

    #[test]
    fn each_certificate_stands_in_it_once() {
        let bundle = bundle(&["one", "two"]);
        assert_eq!(bundle.len(), 2);
        let read = certificates(bundle.pem().as_bytes()).unwrap();
        assert_eq!(read.iter().map(|certificate| certificate.subject()).collect::<Vec<_>>(), ["CN=one", "CN=two"]);
    }

    #[test]
    fn a_java_store_holds_each_certificate_as_it_is() {
        let bundle = bundle(&["one", "two"]);
        let store = bundle.java();
        for certificate in &bundle.certificates {
            assert!(store.windows(certificate.len()).any(|window| window == &certificate[..]));
        }
        assert!(yasna::parse_der(&store, |reader| reader.read_der()).is_ok());
        // OBJECT IDENTIFIER 2.16.840.1.113894.746875.1.1, once a certificate.
        let trusted = [0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
        assert_eq!(store.windows(trusted.len()).filter(|window| *window == trusted).count(), 2);
    }
}

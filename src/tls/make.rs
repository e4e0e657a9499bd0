//! Makes a certificate authority: one self-signed P-256 root that signs leaves and nothing below them.

use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use zeroize::Zeroizing;

use super::constraints::Subtree;

/// Clocks of agents may be behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// What the authority is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The common name.
    pub name: &'a str,
    /// For how long.
    pub days: u16,
    /// What alone it may vouch for; empty for everything.
    pub permit: &'a [Subtree],
    /// What it may not vouch for.
    pub exclude: &'a [Subtree],
}

/// An authority that was made.
pub struct Made {
    /// In PEM.
    pub certificate: String,
    /// In PEM (PKCS #8).
    pub key: Zeroizing<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("certificate", &self.certificate).field("key", &"***").finish()
    }
}

/// Makes one, valid from `now`.
pub fn authority(wanted: &Wanted<'_>, now: SystemTime) -> Result<Made, rcgen::Error> {
    let Wanted { name, days, permit, exclude } = wanted;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, *name);
    params.not_before = now.checked_sub(BACKDATED).unwrap_or(now).into();
    params.not_after = (now + Duration::from_secs(u64::from(*days) * 24 * 3600)).into();
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = constraints(permit, exclude);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Made { certificate, key: Zeroizing::new(key.serialize_pem()) })
}

/// A kind that is not named would be free (RFC 5280 section 4.2.1.10), so where one kind is permitted in part the other is excluded whole.
fn constraints(permit: &[Subtree], exclude: &[Subtree]) -> Option<NameConstraints> {
    if permit.is_empty() && exclude.is_empty() {
        return None;
    }
    let is_name = |subtree: &Subtree| matches!(subtree, Subtree::Name(_));
    let mut excluded: Vec<GeneralSubtree> = exclude.iter().map(subtree).collect();
    if !permit.is_empty() && permit.iter().all(is_name) {
        let everywhere = [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())];
        excluded.extend(everywhere.map(Subtree::Network).iter().filter(|all| !exclude.contains(all)).map(subtree));
    } else if !permit.is_empty() && !permit.iter().any(is_name) && !exclude.contains(&Subtree::Name(String::new())) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    Some(NameConstraints { permitted_subtrees: permit.iter().map(subtree).collect(), excluded_subtrees: excluded })
}

fn subtree(of: &Subtree) -> GeneralSubtree {
    match of {
        Subtree::Name(name) => GeneralSubtree::DnsName(name.clone()),
        Subtree::Network(IpNet::V4(net)) => GeneralSubtree::IpAddress(CidrSubnet::V4(net.network().octets(), net.netmask().octets())),
        Subtree::Network(IpNet::V6(net)) => GeneralSubtree::IpAddress(CidrSubnet::V6(net.network().octets(), net.netmask().octets())),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::policy::host::Host;
    use crate::tls::authority::{Authority, Offer};
    use crate::tls::ca::certificates;

    #[test]
    fn what_is_made_is_a_root_that_signs_leaves_alone() {
        let now = SystemTime::now();
        let made = authority(&Wanted { name: "exeat CA", days: 365, permit: &[], exclude: &[] }, now).unwrap();
        let read = certificates(made.certificate.as_bytes()).unwrap();
        assert_eq!((read.len(), read[0].subject(), read[0].is_root(), read[0].constraints().is_empty()), (1, "CN=exeat CA", true, true));
        let days = read[0].not_after().duration_since(now).unwrap().as_secs() / (24 * 3600);
        assert!((364..=365).contains(&days));
        let (_, x509) = X509Certificate::from_der(read[0].der()).unwrap();
        let basic = x509.basic_constraints().unwrap().unwrap();
        assert_eq!((basic.critical, basic.value.ca, basic.value.path_len_constraint), (true, true, Some(0)));
        let usage = x509.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature());
        Authority::read(made.certificate.as_bytes(), made.key.as_bytes(), now).unwrap();
        assert!(!format!("{made:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_permitted_in_part_leaves_no_other_kind_free() {
        let name = |text: &str| Subtree::Name(text.to_owned());
        let net = |text: &str| Subtree::Network(text.parse().unwrap());
        type Row<'a> = (&'a [Subtree], &'a [Subtree], &'a [&'a str], &'a [&'a str]);
        let rows: [Row<'_>; 4] = [
            (&[name("a.test")], &[], &["a.test", "b.a.test"], &["b.test", "192.0.2.1", "[2001:db8::1]"]),
            (&[net("192.0.2.0/24")], &[], &["192.0.2.1"], &["a.test", "198.51.100.1", "[2001:db8::1]"]),
            (&[name("a.test"), net("192.0.2.0/24")], &[], &["a.test", "192.0.2.1"], &["b.test", "198.51.100.1", "[2001:db8::1]"]),
            (&[], &[name("bank.test")], &["a.test", "192.0.2.1"], &["bank.test", "www.bank.test"]),
        ];
        for (permit, exclude, good, bad) in rows {
            let now = SystemTime::now();
            let made = authority(&Wanted { name: "one", days: 3, permit, exclude }, now).unwrap();
            let read = Authority::read(made.certificate.as_bytes(), made.key.as_bytes(), now).unwrap();
            let mints = |host: &&str| read.server_config(&Host::parse(host).unwrap(), Offer::Both).is_ok();
            assert!(good.iter().all(mints) && !bad.iter().any(mints), "{}", read.certificate().constraints());
        }
    }
}

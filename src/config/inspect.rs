//! `[inspect]` and `[upstream]`: the certificate authority of exeat, and whom beside the system's authorities exeat believes.
//!
//! The key file must be its reader's alone: whoever else can read it can be every server there is to whoever trusts the authority.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::Config;
use super::draft::Draft;
use super::read::{Origin, path};
use crate::policy::document::Table;
use crate::policy::fault::Fault;
use crate::private::exposed;
use crate::text::trouble;
use crate::tls::authority::{Authority, AuthorityFault, Part};

/// The largest file of certificates or of a key that is read; the system's roots take 250 KiB.
const FILE_MAX: u64 = 4 << 20;

const NO_AUTHORITY: &str = "correct the path; an authority is made by `exeat ca init`";
const NO_ROOTS: &str = "correct the path, or remove ca if the origins are believed by the system's authorities";

/// `[inspect]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// The certificates of the authority; the one that belongs to the key signs.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What has been said of `[inspect]` so far.
#[derive(Debug, Default)]
pub(super) struct DraftInspect {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl DraftInspect {
    /// One without the other is a sentence: found, wanted, fix.
    pub(super) fn finish(self) -> (Option<Inspect>, Option<[&'static str; 3]>) {
        let Self { cert, key } = self;
        match (cert, key) {
            (Some(cert), Some(key)) => (Some(Inspect { cert, key }), None),
            (None, None) => (None, None),
            (None, Some(_)) => {
                (None, Some(["[inspect] without ca_cert", "the certificate of the authority", "write ca_cert = \"certs/ca.pem\""]))
            }
            (Some(_), None) => (None, Some(["[inspect] without ca_key", "the authority's key", "write ca_key = \"certs/ca.key\""])),
        }
    }
}

pub(super) fn read(root: &mut Table<'_>, origin: &Origin<'_>, draft: &mut Draft) {
    if let Some(mut table) = root.table("inspect") {
        // A variable says one of them alone, so that both are there is asked at the end.
        let inspect = &mut draft.inspect;
        inspect.cert = path(&mut table, "ca_cert", origin).or(inspect.cert.take());
        inspect.key = path(&mut table, "ca_key", origin).or(inspect.key.take());
    }
    if let Some(mut table) = root.table("upstream") {
        table.not_yet(&["proxy", "resolve"]);
        draft.upstream_ca = path(&mut table, "ca", origin).or(draft.upstream_ca.take());
    }
}

/// What of the files that `[inspect]` and `[upstream]` name would not be taken.
pub fn faults(config: &Config, now: SystemTime) -> Vec<Fault> {
    let ours = config.inspect.as_ref().and_then(|inspect| authority(inspect, now).err()).unwrap_or_default();
    let extra = config.upstream_ca.as_deref().and_then(|file| roots(file).err());
    ours.into_iter().chain(extra).collect()
}

/// Reads the authority; the faults name the files.
pub fn authority(inspect: &Inspect, now: SystemTime) -> Result<Authority, Vec<Fault>> {
    let Inspect { cert, key } = inspect;
    let holds = |file: &Path, what: &str| bytes(file, "").is_ok_and(|pem| String::from_utf8_lossy(&pem).contains(what));
    if holds(key, "BEGIN CERTIFICATE-") && holds(cert, "PRIVATE KEY-") {
        let wanted = "the certificate in ca_cert and its key in ca_key";
        return Err(vec![Fault::whole(&shown(cert), "a private key, and a certificate in ca_key", wanted, "swap ca_cert and ca_key")]);
    }
    match (bytes(cert, "a certificate in PEM"), secret(key)) {
        (Ok(cert_pem), Ok(key_pem)) => Authority::read(&cert_pem, &key_pem, now).map_err(|fault| vec![of_file(inspect, fault)]),
        (cert, key) => Err([cert.err(), key.err()].into_iter().flatten().collect()),
    }
}

/// Extra roots in PEM, at least one.
pub fn roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = bytes(file, "certificates in PEM").map_err(|fault| match fault.fix.starts_with(NO_AUTHORITY) {
        true => Fault { fix: NO_ROOTS.into(), ..fault },
        false => fault,
    })?;
    let wrong = |found: &str| {
        Fault::whole(&shown(file), found, "one certificate or several, in PEM", "write the certificates of the authorities of your servers")
    };
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| wrong("a text that is no PEM, or is cut off"))?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in &all {
        store.add(certificate.clone()).map_err(|_| wrong("a certificate that cannot be read"))?;
    }
    if all.is_empty() { Err(wrong("no certificate")) } else { Ok(all) }
}

fn of_file(inspect: &Inspect, fault: AuthorityFault) -> Fault {
    let AuthorityFault { part, found, wanted, fix } = fault;
    let file = match part {
        Part::Certificate => &inspect.cert,
        Part::Key => &inspect.key,
    };
    Fault::whole(&shown(file), found, wanted, fix)
}

/// The bytes of a file; whatever else goes by its name, a pipe or a folder or gigabytes, is a fault and keeps nobody waiting.
pub fn bytes(file: &Path, wanted: &str) -> Result<Vec<u8>, Fault> {
    open(file, wanted).and_then(|opened| contents(opened, file, wanted))
}

/// The bytes of a file that nobody else may read.
pub fn secret(file: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let wanted = "the private key of the authority, which only exeat may read";
    let opened = open(file, wanted)?;
    let found = opened.metadata().map_err(|error| unreadable(file, &error, wanted))?;
    if let Some(who) = exposed(&found) {
        let found = format!("a key that {who} (mode {:03o})", found.mode() & 0o7777);
        return Err(Fault::whole(&shown(file), found, wanted, format!("chmod 600 {}", shown(file))));
    }
    contents(opened, file, wanted).map(Zeroizing::new)
}

fn open(file: &Path, wanted: &str) -> Result<File, Fault> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(file).map_err(|error| unreadable(file, &error, wanted))?;
    let found = opened.metadata().map_err(|error| unreadable(file, &error, wanted))?;
    if !found.is_file() || found.len() > FILE_MAX {
        let what = if found.is_file() { "more than 4 MiB" } else { "no file but something else" };
        return Err(Fault::whole(&shown(file), what, wanted, "name another file"));
    }
    Ok(opened)
}

fn contents(opened: File, file: &Path, wanted: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    opened.take(FILE_MAX).read_to_end(&mut bytes).map_err(|error| unreadable(file, &error, wanted))?;
    Ok(bytes)
}

fn unreadable(file: &Path, error: &io::Error, wanted: &str) -> Fault {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let fix = if missing { NO_AUTHORITY } else { "correct its permissions" };
    Fault::whole(&shown(file), format!("a file that cannot be read ({})", trouble(error.kind())), wanted, fix)
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::make::{self, Wanted};

    #[test]
    fn what_is_wrong_with_the_files_is_told_at_once_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let inspect = Inspect { cert: folder.path().join("ca.pem"), key: folder.path().join("ca.key") };
        let said = |inspect: &Inspect| -> Vec<String> {
            let faults = authority(inspect, now).unwrap_err();
            faults.iter().map(|fault| fault.to_string().replace(&folder.path().display().to_string(), "F")).collect()
        };
        let missing = "found a file that cannot be read (not found)";
        let both = said(&inspect);
        assert!(both.len() == 2 && both[0].starts_with("F/ca.pem: ") && both[1].starts_with("F/ca.key: "), "{both:?}");
        assert!(both.iter().all(|line| line.contains("a file that cannot be read")), "{missing} {both:?}");
        let made = make::authority(&Wanted { name: "one", days: 3, permit: &[], exclude: &[] }, now).unwrap();
        std::fs::write(&inspect.cert, &made.certificate).unwrap();
        std::fs::write(&inspect.key, &*made.key).unwrap();
        std::fs::set_permissions(&inspect.key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(
            said(&inspect),
            [
                "F/ca.key: found a key that everyone on this machine may use (mode 644); wanted the private key of the authority, which only \
              exeat may read; fix: chmod 600 F/ca.key"
            ]
        );
        std::fs::set_permissions(&inspect.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(authority(&inspect, now).is_ok());
        let folder_for_key = Inspect { key: folder.path().to_owned(), ..inspect };
        assert!(said(&folder_for_key)[0].contains("no file but something else"));
    }

    #[test]
    fn extra_roots_are_at_least_one_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("extra.pem");
        let made = make::authority(&Wanted { name: "one", days: 3, permit: &[], exclude: &[] }, SystemTime::now()).unwrap();
        for (text, wanted) in [
            (String::new(), Err("no certificate")),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), Err("a certificate that cannot be read")),
            (format!("{0}{0}", made.certificate), Ok(2)),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(roots(&file).map(|all| all.len()).map_err(|fault| fault.found), wanted.map_err(str::to_owned));
        }
    }
}

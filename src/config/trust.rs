//! The files that clients are pointed at: what they trusted before and exeat's authority, in PEM and for Java.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use crate::tls::bundle::Bundle;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// PEM.
    pub pem: PathBuf,
    /// PKCS #12 without a password.
    pub java: PathBuf,
}

/// All that a client of this machine is to trust: exeat's authority first, then the extra roots that exeat itself believes, then the system's.
pub fn bundle(ours: impl IntoIterator<Item = CertificateDer<'static>>, extra: impl IntoIterator<Item = CertificateDer<'static>>) -> Bundle {
    let mut bundle = Bundle::default();
    bundle.add(ours);
    bundle.add(extra);
    bundle.add(rustls_native_certs::load_native_certs().certs);
    bundle
}

/// The folder below `state` that `serve` keeps them in.
pub fn folder(state: &Path) -> PathBuf {
    state.join("trust")
}

/// Writes both into a folder, which is made (0700) where it is not there.
pub fn write(folder: &Path, bundle: &Bundle) -> io::Result<Trust> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let trust = Trust { pem: folder.join("ca-bundle.pem"), java: folder.join("truststore.p12") };
    replace(&trust.pem, bundle.pem().as_bytes(), 0o644)?;
    replace(&trust.java, &bundle.java(), 0o644)?;
    Ok(trust)
}

/// Puts a whole file in the place of what is there: whoever reads it meanwhile has the old one or the new one.
pub fn replace(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if fs::read(file).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = file.with_file_name(format!(".{}.{}", name.to_string_lossy(), uuid::Uuid::now_v7().simple()));
    let written = create(&beside, content, mode).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // What is left of it is nobody's.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes a file that must not be there yet, through to the disk.
pub fn create(file: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    made.write_all(content)?;
    made.sync_all()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;
    use crate::tls::ca::certificates;
    use crate::tls::make::{Wanted, authority};

    #[test]
    fn clients_are_given_ours_and_the_systems_in_whole_files() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path());
        let made = authority(&Wanted { name: "one", days: 3, permit: &[], exclude: &[] }, SystemTime::now()).unwrap();
        let ours = || certificates(made.certificate.as_bytes()).unwrap().into_iter().map(|one| one.der().clone());
        let trust = write(&folder, &bundle(ours(), ours())).unwrap();
        let text = fs::read_to_string(&trust.pem).unwrap();
        assert!(text.starts_with(&made.certificate));
        let system = rustls_native_certs::load_native_certs().certs.len();
        assert!(text.matches("BEGIN").count() <= system + 1 && text.matches(&made.certificate).count() == 1);
        let names = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(names(&folder).len(), 2);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(write(&folder, &bundle(ours(), [])).unwrap(), trust);
    }

    #[test]
    fn nothing_is_half_written_and_a_file_that_is_there_is_not_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("ca.key");
        create(&file, b"one", 0o600).unwrap();
        assert_eq!(create(&file, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().permissions().mode() & 0o777), (b"one".to_vec(), 0o600));
        replace(&file, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"three");
        fs::create_dir(place.path().join("folder")).unwrap();
        fs::write(place.path().join("folder/x"), "").unwrap();
        assert!(replace(&place.path().join("folder"), b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}

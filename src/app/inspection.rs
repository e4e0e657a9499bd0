//! The certificate authority in force: read at the start, read again with the policy, told of before it ends. A broken one keeps the last good.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::config::inspect::{self, Inspect};
use crate::config::{Config, trust};
use crate::policy::Policy;
use crate::policy::allowlist::Allowlist;
use crate::policy::fault::Fault;
use crate::policy::rule::RuleRef;
use crate::secrets::Secrets;
use crate::telemetry::Metrics;
use crate::telemetry::serve::Readiness;
use crate::tls::authority::{Authority, LeafTally};
use crate::tls::ca::Certified;
use crate::tls::origin::OriginTls;

/// How long before its end an authority is told of.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often it is told.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The authority of a running exeat.
#[derive(Debug)]
pub struct Inspection {
    authority: Arc<ArcSwapOption<Authority>>,
    files: Option<Inspect>,
    extra: Vec<CertificateDer<'static>>,
    trust: PathBuf,
    secrets: Arc<Secrets>,
    held: Mutex<Held>,
    /// Counts of authorities that are in force no more.
    past: Arc<Mutex<LeafTally>>,
}

#[derive(Debug, Default)]
struct Held {
    /// What was read, as the system tells one state of a file from another.
    stamp: Option<Stamp>,
    faults: Vec<Fault>,
}

type Stamp = [Option<(u64, u64, i64, i64)>; 2];

impl Inspection {
    /// Reads the authority for the first time. One that is broken leaves no authority, so that nothing is inspected, and its faults are the caller's to tell; extra roots that are
    /// broken are the error.
    pub fn start(config: &Config, now: SystemTime) -> Result<Arc<Self>, Fault> {
        let extra = config.upstream_ca.as_deref().map(inspect::roots).transpose()?.unwrap_or_default();
        let (authority, held, past) = (Arc::default(), Mutex::default(), Arc::default());
        let (files, trust, secrets) = (config.inspect.clone(), trust::folder(&config.state), Secrets::new(config.allowlists.clone()));
        let inspection = Self { authority, files, extra, trust, secrets, held, past };
        inspection.take(now);
        Ok(Arc::new(inspection))
    }

    /// How origins are believed: as the system believes, and by the extra roots. What of the system's cannot be read is left out, as everybody does.
    pub fn origin_tls(&self) -> Result<OriginTls, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.extra.iter().cloned());
        OriginTls::new(roots)
    }

    /// The authority in force, as it is from moment to moment.
    pub fn authority(&self) -> Arc<ArcSwapOption<Authority>> {
        Arc::clone(&self.authority)
    }

    /// Where credentials are had from, and what of them could not be had.
    pub fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets)
    }

    /// Forgets which secrets could not be had that are named no longer.
    pub fn policy_changed(&self, policy: &Policy) {
        let files: Vec<_> = policy.agents().filter_map(|agent| policy.allowlist(agent)).collect();
        let named = |file: &Allowlist, place: &RuleRef| {
            file.injects.iter().any(|inject| inject.place == *place) || file.leaks.iter().any(|leaks| leaks.place == *place)
        };
        self.secrets.forget_but(|place| files.iter().any(|file| named(file, place)));
    }

    /// Reads the files again if they changed. What cannot be used is told, and changes nothing.
    pub fn read_again(&self, now: SystemTime) {
        if !self.take(now) {
            return;
        }
        let kept = if self.authority.load().is_some() { "the last good one stays" } else { "nothing is inspected" };
        for fault in self.faults() {
            tracing::warn!(%fault, kept, "the certificate authority is not in force");
        }
    }

    /// As `read_again`, and tells nobody. `false`: nothing changed.
    fn take(&self, now: SystemTime) -> bool {
        let Some(files) = &self.files else { return false };
        let stamp = stamp(files);
        if self.held.lock().stamp.as_ref() == Some(&stamp) {
            return false;
        }
        let read = inspect::authority(files, now);
        let faults = match read {
            Ok(authority) => {
                let certificate = authority.certificate();
                tracing::info!(subject = certificate.subject(), "a certificate authority is in force");
                if let Some(last) = self.authority.swap(Some(Arc::new(authority))) {
                    let mut past = self.past.lock();
                    *past = past.and(last.tally());
                }
                Vec::new()
            }
            Err(faults) => faults,
        };
        *self.held.lock() = Held { stamp: Some(stamp), faults };
        true
    }

    /// Writes what clients are pointed at.
    pub fn write_trust(&self) {
        let Some(authority) = self.authority.load_full() else { return };
        let ours = authority.certificates().iter().map(Certified::der).cloned();
        if let Err(error) = trust::write(&self.trust, &trust::bundle(ours, self.extra.iter().cloned())) {
            tracing::warn!(%error, folder = %self.trust.display(), "what clients are to trust cannot be written");
        }
    }

    /// Whether the files are as they were read.
    pub fn is_current(&self) -> bool {
        self.files.as_ref().is_none_or(|files| self.held.lock().stamp.as_ref() == Some(&stamp(files)))
    }

    /// What is wrong with the files.
    pub fn faults(&self) -> Vec<Fault> {
        self.held.lock().faults.clone()
    }

    /// Not ready is an exeat that is to inspect and cannot; one whose authority ends soon, or that keeps one, serves and says so.
    pub fn readiness(&self, now: SystemTime) -> Readiness {
        let mut readiness = Readiness { notes: self.secrets.missing(), ..Readiness::default() };
        let faults = self.faults().into_iter().map(|fault| fault.to_string());
        match self.authority.load_full() {
            None => readiness.problems.extend(faults),
            Some(authority) => {
                readiness.notes.extend(faults.map(|fault| format!("{fault}; the last good certificate authority stays in force")));
                readiness.notes.extend(ends(authority.not_after(), now));
            }
        }
        readiness
    }

    /// Tells each day that the authority ends soon, or has ended.
    pub async fn keep_telling(self: Arc<Self>, stop: CancellationToken) {
        let mut days = tokio::time::interval(DAY);
        loop {
            tokio::select! {
                _ = days.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Some(words) = self.authority.load_full().and_then(|authority| ends(authority.not_after(), SystemTime::now())) {
                tracing::warn!("{words}");
            }
        }
    }

    /// Shows when the authority ends, and how many secrets cannot be had.
    pub fn watch(&self, metrics: &Metrics) {
        let secrets = self.secrets();
        metrics.watch_secrets(move || secrets.missing_count());
        if self.files.is_none() {
            return;
        }
        let (authority, past) = (self.authority(), Arc::clone(&self.past));
        metrics.watch_leaves(move || {
            let LeafTally { hit, minted } = past.lock().and(authority.load().as_ref().map(|now| now.tally()).unwrap_or_default());
            (hit, minted)
        });
        let authority = self.authority();
        metrics.watch_authority(move || Some(authority.load_full()?.not_after().duration_since(UNIX_EPOCH).ok()?.as_secs()));
    }
}

fn ends(not_after: SystemTime, now: SystemTime) -> Option<String> {
    let fix = "make the next one with `exeat ca init --rotate`";
    match not_after.duration_since(now) {
        Err(_) => Some(format!("the certificate authority expired: nothing is inspected; {fix}")),
        Ok(left) if left < SOON => Some(format!("the certificate authority ends in {} days; {fix}", left.as_secs() / DAY.as_secs())),
        Ok(_) => None,
    }
}

fn stamp(files: &Inspect) -> Stamp {
    let Inspect { cert, key } = files;
    let of = |file: &Path| fs::metadata(file).ok().map(|found| (found.ino(), found.size(), found.mtime(), found.ctime_nsec()));
    [of(cert), of(key)]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::make::{Wanted, authority};

    const PLAIN: &str = "[inspect]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\nstate = \"state\"\n";

    fn write(folder: &Path, name: &str, days: u16, from: SystemTime) {
        let made = authority(&Wanted { name, days, permit: &[], exclude: &[] }, from).unwrap();
        trust::replace(&folder.join("ca.key"), made.key.as_bytes(), 0o600).unwrap();
        trust::replace(&folder.join("ca.pem"), made.certificate.as_bytes(), 0o644).unwrap();
    }

    fn config(folder: &Path) -> Config {
        let file = folder.join("exeat.toml");
        fs::write(&file, PLAIN.replace("state = \"state\"\n", "")).unwrap();
        let environment = [("EXEAT_STATE".to_owned(), folder.join("state").display().to_string())];
        Config::load(Some(&file), environment).unwrap()
    }

    fn subject(inspection: &Inspection) -> Option<String> {
        inspection.authority.load_full().map(|authority| authority.certificate().subject().to_owned())
    }

    #[test]
    fn a_broken_authority_keeps_the_last_good_and_a_mended_one_comes_into_force() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        write(place.path(), "one", 300, now);
        let inspection = Inspection::start(&config(place.path()), now).unwrap();
        assert_eq!((subject(&inspection).as_deref(), inspection.is_current()), (Some("CN=one"), true));
        assert_eq!(inspection.readiness(now), Readiness::default());
        fs::set_permissions(place.path().join("ca.key"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!inspection.is_current());
        inspection.read_again(now);
        assert_eq!((subject(&inspection).as_deref(), inspection.is_current()), (Some("CN=one"), true));
        let told = inspection.readiness(now);
        assert!(told.problems.is_empty() && told.notes.len() == 1 && told.notes[0].contains("the last good"), "{told:?}");
        write(place.path(), "two", 300, now);
        inspection.read_again(now);
        assert_eq!((subject(&inspection).as_deref(), inspection.readiness(now)), (Some("CN=two"), Readiness::default()));
    }

    #[test]
    fn one_that_is_broken_or_over_at_the_start_is_none_and_not_ready() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let inspection = Inspection::start(&config(place.path()), now).unwrap();
        assert_eq!((subject(&inspection), inspection.readiness(now).problems.len()), (None, 2));
        write(place.path(), "old", 3, now - 10 * DAY);
        inspection.read_again(now);
        let told = inspection.readiness(now);
        assert!(subject(&inspection).is_none() && told.problems.len() == 1 && told.problems[0].contains("expired on"), "{told:?}");
    }

    #[test]
    fn the_end_of_an_authority_is_told_for_thirty_days() {
        let (place, now) = (tempfile::tempdir().unwrap(), SystemTime::now());
        write(place.path(), "one", 40, now);
        let inspection = Inspection::start(&config(place.path()), now).unwrap();
        for (later, wanted) in [(0, None), (11, Some("ends in 28 days")), (40, Some("expired")), (41, Some("expired"))] {
            let notes = inspection.readiness(now + later * DAY + Duration::from_secs(5)).notes;
            assert_eq!(notes.len(), usize::from(wanted.is_some()), "{later}: {notes:?}");
            assert!(wanted.is_none_or(|wanted| notes[0].contains(wanted)), "{later}: {notes:?}");
        }
    }

    #[test]
    fn without_inspect_nothing_is_read_and_nothing_said() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("exeat.toml"), "").unwrap();
        let environment = [("EXEAT_STATE".to_owned(), "/nowhere/at/all".to_owned())];
        let config = Config::load(Some(&place.path().join("exeat.toml")), environment).unwrap();
        let inspection = Inspection::start(&config, SystemTime::now()).unwrap();
        inspection.write_trust();
        assert_eq!((subject(&inspection), inspection.is_current(), inspection.faults()), (None, true, Vec::new()));
        assert_eq!(inspection.readiness(SystemTime::now()), Readiness::default());
    }
}

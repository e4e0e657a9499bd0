//! Maskers as they were last made: values are had for each request, and making a masker of them takes longer.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::mask::Masker;
use super::{Secret, Secrets, Unavailable};
use crate::policy::inject::Inject;

/// As many are kept; a host has one or a few.
const KEPT_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Maskers(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Of files that are in force no longer nothing is held.
    injects: Vec<Weak<Inject>>,
    secrets: Vec<Arc<Secret>>,
    masker: Arc<Masker>,
}

impl Maskers {
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.0.lock().len()
    }
}

impl Secrets {
    /// What masks the values of these, which stand side by side in one request.
    pub fn masker(&self, masked: &[(Arc<Inject>, Arc<Secret>)]) -> Result<Arc<Masker>, Unavailable> {
        let of_these = |kept: &Kept| {
            kept.injects.len() == masked.len()
                && kept.injects.iter().zip(masked).all(|(kept, (inject, _))| kept.as_ptr() == Arc::as_ptr(inject))
        };
        let says = |kept: &Kept| kept.secrets.iter().zip(masked).all(|(kept, (_, secret))| kept == secret);
        if let Some(kept) = self.maskers.0.lock().iter().find(|one| of_these(one) && says(one)) {
            return Ok(Arc::clone(&kept.masker));
        }
        let (injects, secrets): (Vec<_>, Vec<_>) =
            masked.iter().map(|(inject, secret)| (Arc::downgrade(inject), Arc::clone(secret))).unzip();
        let masker = Arc::new(Masker::new(secrets.iter().map(Arc::as_ref))?);
        let mut all = self.maskers.0.lock();
        all.retain(|one| !of_these(one) && one.injects.iter().all(|inject| inject.strong_count() > 0));
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.push(Kept { injects, secrets, masker: Arc::clone(&masker) });
        Ok(masker)
    }
}

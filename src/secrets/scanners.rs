//! Scanners as they were last made: what they are made of is had for each request, and making one of it takes longer.

use std::sync::Arc;

use parking_lot::Mutex;

use super::scan::Scanner;
use super::{Secret, Secrets, Unavailable};
use crate::policy::leaks::Leaks;

/// As many are kept; agents have one each.
const KEPT_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Scanners(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    leaks: Arc<Leaks>,
    secrets: Vec<Arc<Secret>>,
    scanner: Arc<Scanner>,
}

impl Secrets {
    /// What looks for what an agent's guard names, with the values as they are at this moment. One that cannot be had is an error.
    pub async fn scanner(&self, leaks: &Arc<Leaks>) -> Result<Arc<Scanner>, Unavailable> {
        let mut secrets = Vec::with_capacity(leaks.secrets.len());
        for source in &leaks.secrets {
            secrets.push(self.value(source).await?);
        }
        let kept = |kept: &Kept| Arc::ptr_eq(&kept.leaks, leaks);
        if let Some(kept) = self.scanners.0.lock().iter().find(|one| kept(one) && one.secrets == secrets) {
            return Ok(Arc::clone(&kept.scanner));
        }
        let scanner = Arc::new(Scanner::new(leaks.rules.clone(), &secrets)?);
        let mut all = self.scanners.0.lock();
        // Those of files that are in force no longer are held by nobody else.
        all.retain(|one| !kept(one) && Arc::strong_count(&one.leaks) > 1);
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        all.push(Kept { leaks: Arc::clone(leaks), secrets, scanner: Arc::clone(&scanner) });
        Ok(scanner)
    }
}

//! An open way out stays open only while the answer is still allow.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::gate::{Asker, Gate};
use crate::policy::attempt::Attempt;

/// Decides an open attempt again whenever policy or approvals change, and when its approval ends.
#[derive(Debug)]
pub(super) struct Live {
    gate: Arc<Gate>,
    asker: Asker,
    until: Option<SystemTime>,
    changed: watch::Receiver<u64>,
}

impl Live {
    /// `changed` has seen what the attempt was decided by, and nothing later.
    pub(super) fn new(gate: Arc<Gate>, asker: Asker, until: Option<SystemTime>, changed: watch::Receiver<u64>) -> Self {
        Self { gate, asker, until, changed }
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn attempt(&self) -> &Attempt {
        &self.asker.attempt
    }

    /// Resolves when the answer is allow no longer.
    pub(super) async fn lost(&mut self) {
        loop {
            let left = self.until.map(|until| until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO));
            if left == Some(Duration::ZERO) && !self.decide_again() {
                return;
            }
            tokio::select! {
                moved = self.changed.changed() => if moved.is_err() {
                    // Nobody is left who could take an answer back.
                    std::future::pending::<()>().await;
                },
                () = sleep(left) => {}
            }
            if !self.decide_again() {
                return;
            }
        }
    }

    /// Whether the answer is still allow; asks again only if something changed or ended.
    pub(super) fn holds(&mut self) -> bool {
        let moved = self.changed.has_changed().unwrap_or(false);
        let ended = self.until.is_some_and(|until| until <= SystemTime::now());
        if !moved && !ended {
            return true;
        }
        self.changed.mark_unchanged();
        self.decide_again()
    }

    fn decide_again(&mut self) -> bool {
        match self.gate.still_allows(&self.asker) {
            Some(until) => {
                self.until = until;
                true
            }
            None => false,
        }
    }
}

async fn sleep(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

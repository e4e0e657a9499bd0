//! The end of a tunnel as its requests hear of it: what is cut with its tunnel is recorded as cut, and before it.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::policy::reason::Reason;

/// Whether the tunnel around a request is cut, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Over(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reached: CancellationToken,
    why: OnceLock<Reason>,
}

impl Over {
    pub(super) fn reach(&self, why: Reason) {
        self.0.why.get_or_init(|| why);
        self.0.reached.cancel();
    }

    /// Why, once it is.
    pub(super) fn why(&self) -> Option<Reason> {
        self.0.why.get().copied()
    }

    /// Resolves once it is.
    pub(super) async fn reached(&self) -> Reason {
        self.0.reached.cancelled().await;
        self.why().unwrap_or(Reason::Internal)
    }
}

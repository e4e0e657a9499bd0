//! A permit serves one attempt: it cannot be copied, and `connect` takes it away.
use std::sync::Arc;

use exeat::egress::{Permit, Upstream};

fn copy(permit: &Permit) -> Permit {
    permit.clone()
}

async fn twice(upstream: Arc<Upstream>, permit: Permit) {
    let _first = upstream.connect(permit).await;
    let _second = upstream.connect(permit).await;
}

fn main() {
    let _ = (copy, twice);
}

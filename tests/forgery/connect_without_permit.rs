//! The way out opens for a permit and for nothing else: not for a destination, a claim or a refusal.
use std::sync::Arc;

use exeat::egress::{Claim, Refusal, Upstream};
use exeat::policy::destination::Destination;

async fn by_destination(upstream: Arc<Upstream>, destination: Destination) {
    let _ = upstream.connect(destination).await;
}

async fn by_claim(upstream: Arc<Upstream>, claim: Claim) {
    let _ = upstream.connect(claim).await;
}

async fn by_refusal(upstream: Arc<Upstream>, refusal: Refusal) {
    let _ = upstream.connect(refusal).await;
}

fn main() {
    let _ = (by_destination, by_claim, by_refusal);
}

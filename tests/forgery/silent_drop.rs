//! A token that is dropped without a word is a mistake the compiler names.
#![deny(unused_must_use)]
use std::sync::Arc;

use exeat::egress::{Claim, Connected, Gate, InnerEnd, Interception, Permit, Upstream};

async fn forget(gate: Arc<Gate>, claim: Claim, upstream: Arc<Upstream>, permit: Permit) {
    gate.admit(claim).await;
    upstream.connect(permit).await;
}

async fn receipts(interception: Interception, make: fn() -> Connected) {
    make();
    interception.finish(InnerEnd::Closed).await;
}

fn main() {
    let _ = (forget, receipts);
}

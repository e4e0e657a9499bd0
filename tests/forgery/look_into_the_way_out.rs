//! A tunnel whose requests are judged one by one leads nowhere: neither before its first byte nor after it can it reach a dialer.
use std::sync::Arc;

use exeat::egress::{Interception, Unseen, Upstream};

async fn unseen(upstream: Arc<Upstream>, unseen: Unseen) {
    let _ = upstream.connect(unseen).await;
}

async fn interception(upstream: Arc<Upstream>, interception: Interception) {
    let _ = upstream.connect(interception).await;
}

fn open_up(unseen: Unseen) {
    let _ = unseen.open;
    let _ = Unseen::new;
}

fn main() {
    let _ = (unseen, interception, open_up);
}

//! A tunnel whose TLS exeat terminates leads nowhere by itself: neither it nor what it was terminated with can reach a dialer.
use std::sync::Arc;

use exeat::egress::{AgentSide, Carried, Interception, Upstream};

async fn terminated(upstream: Arc<Upstream>, carried: Carried) {
    let Carried::Tls(interception, agent, config) = carried else { return };
    let _ = upstream.connect(*interception).await;
    let _ = (agent, config);
}

async fn dialled(upstream: Arc<Upstream>, agent: AgentSide) {
    let _ = upstream.line(agent).await;
    let _ = exeat::egress::secure::secured;
}

fn made() {
    let _ = Interception::tls;
}

fn main() {
    let _ = (terminated, dialled, made);
}

//! From the gate to the fronts, for benches that connect: nothing is resolved, and nothing times out before the fronts do.

use std::net::SocketAddr;
use std::sync::Arc;

use exeat::egress::record::Recorder;
use exeat::egress::{Gate, Resolver, Upstream, UpstreamSettings};
use exeat::front::{FrontSettings, Neck, Stop, Ways};
use exeat::secrets::Secrets;
use exeat::tls::origin::OriginTls;
use http::HeaderValue;
use rustls::RootCertStore;

/// As `serve` puts them together.
pub(crate) fn ways(gate: Arc<Gate>, recorder: Arc<dyn Recorder>, front: FrontSettings) -> Arc<Ways> {
    let (stop, long) = (Stop::default(), front.idle);
    let settings = UpstreamSettings {
        connect_timeout: long,
        idle: long,
        peek: long,
        own_everywhere: Vec::new(),
        back_ends: Arc::default(),
        via: HeaderValue::from_static("1.1 exeat-bench"),
        authority: Arc::default(),
        origin_tls: Arc::new(OriginTls::new(RootCertStore::empty()).unwrap()),
        secrets: Secrets::new(None),
        stop: stop.drain.clone(),
        stop_now: stop.now.clone(),
    };
    let nameless = SocketAddr::from(([127, 0, 0, 1], 1));
    let upstream = Upstream::new(Resolver::new(&[nameless], long).unwrap(), settings);
    Ways::new(Neck { gate, upstream, via: "exeat-bench".into() }, recorder, front, stop)
}

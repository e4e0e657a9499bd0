//! A collector by gRPC over TLS, with a certificate of an authority of ours.

use std::time::{Duration, Instant};

use super::collector::{Collector, Protocol, is_here};
use super::{attempts, exporting, has_all, lines};
use crate::support::tls::Authority;

#[test]
fn a_certificate_that_is_good_brings_every_record_and_another_is_named() {
    if !is_here() {
        return;
    }
    for (name, trusted, wrong) in [
        ("localhost", true, None),
        ("other.test", true, Some("the collector cannot be spoken to: TLS failed: invalid peer certificate")),
        ("localhost", false, Some("the collector cannot be spoken to: TLS failed: invalid peer certificate")),
    ] {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        authority.write_identity(&[name], folder.path());
        let collector = Collector::secured(folder.path(), Protocol::Grpc, 0, "takes", Some(folder.path()));
        let mut p0 = exporting(&collector, Protocol::Grpc);
        p0.site.set("telemetry", "otlp", &format!("\"https://localhost:{}\"", collector.port));
        p0.site.set("telemetry", "ca", "\"ca.pem\"");
        let other = Authority::new();
        if trusted { &authority } else { &other }.write(p0.site.path());
        let proxy = p0.start();
        attempts(&p0, &proxy, 2);
        if let Some(wrong) = wrong {
            let deadline = Instant::now() + Duration::from_secs(30);
            while !proxy.stderr().contains(wrong) {
                assert!(Instant::now() < deadline, "{name}: {wrong} is not said\n{}", proxy.stderr());
                std::thread::sleep(Duration::from_millis(20));
            }
            assert_eq!(collector.received().len(), 0);
        } else {
            proxy.settled();
            let journal = lines(&p0.site.state());
            collector.until("every record", |received| has_all(received, &journal));
        }
    }
}

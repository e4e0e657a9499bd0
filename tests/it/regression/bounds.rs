//! Limits: what they count, and what they keep out of records.

use crate::support::p0::{P0, a, assert_refused, b};
use crate::support::proxy::of_kind;
use crate::support::talk::Talk;

#[test]
fn a_source_counts_only_until_it_is_identified() {
    let mut p0 = P0::new();
    p0.site.set("limits", "per_source", "4");
    p0.site.set("limits", "head_timeout", "\"20s\"");
    p0.site.set("limits", "peek", "\"20s\"");
    let proxy = p0.start();
    let mut tunnels = Vec::new();
    for _ in 0..6 {
        let mut tunnel = proxy.talk();
        assert_eq!(tunnel.connect(&p0.at_secure("api.allowed.test"), &a()).status, 200);
        tunnels.push(tunnel);
    }
    assert_eq!(proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status, 200, "agent a's tunnels cost b its place");
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limits.per_source"]), 0.0);

    let idle: Vec<Talk> = (0..4).map(|_| proxy.talk()).collect();
    let mut fifth = proxy.talk();
    assert_eq!(fifth.answer().status, 503);
    assert!(fifth.is_closed());
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limits.per_source"]), 1.0);
    drop(idle);
}

#[test]
fn a_method_longer_than_any_is_malformed_and_fills_no_record() {
    let p0 = P0::new();
    let proxy = p0.start();
    let host = p0.at_plain("plain.allowed.test");
    for (length, status) in [(32, 200), (33, 400), (4000, 400)] {
        let mut talk = proxy.talk();
        talk.send(format!("{} http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "M".repeat(length), a()));
        let answer = talk.answer();
        assert_eq!(answer.status, status, "{length}");
        if status == 400 {
            assert_refused(&answer, 400, "malformed");
        }
    }
    for record in of_kind(&proxy.settled(), "decided") {
        assert!(record["request"]["method"].as_str().is_none_or(|method| method.len() <= 40), "{record}");
    }
}

#[test]
fn a_very_long_path_is_cut_in_records() {
    let p0 = P0::new();
    let proxy = p0.start();
    let path = "/short".repeat(2000);
    assert_eq!(proxy.get(&p0.url("plain.allowed.test", &path), &a()).text(), format!("plain {path}"));
    let records = proxy.settled();
    let kept = of_kind(&records, "decided")[0]["request"]["path"].as_str().unwrap();
    assert!(kept.starts_with("/short/short") && kept.len() < 600, "{kept}");
}

//! An observed agent: what would be held or refused passes, and is recorded with what it would have got.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Way, world};
use crate::support::p0::assert_refused;
use crate::support::proxy::decided;

#[test]
fn what_passes_only_because_it_is_observed_says_what_it_would_have_got() {
    let end = jiff::Timestamp::now() + Duration::from_secs(5 * 24 * 3600);
    let keys = format!("observe_until = {end:.0}");
    let rules = "[[allow]]\nhost = \"rules.test\"\nLOCAL\n[[hold]]\nhost = \"held.test\"\nLOCAL\n[[block]]\nhost = \"blocked.test\"";
    let p0 = world(&keys, rules);
    let proxy = p0.start();
    for (host, status) in [("rules.test", 200), ("held.test", 200), ("open.test", 200), ("blocked.test", 403)] {
        assert_eq!(Way::Forward.ask(&p0, &proxy, host, ("GET /", "")).status, status, "{host}");
    }
    assert_refused(&Way::Forward.ask(&p0, &proxy, "localhost", ("GET /", "")), 403, "special-name");
    let records = proxy.settled();
    let seen = |host| {
        let record = decided(&records, host)[0];
        (record["decision"].clone(), record["reason"].clone(), record["would"].clone(), record["rule"].is_string())
    };
    assert_eq!(seen("rules.test"), (json!("allow"), json!("listed"), Value::Null, true));
    assert_eq!(seen("held.test"), (json!("allow"), json!("observed"), json!("hold"), true));
    assert_eq!(seen("open.test"), (json!("allow"), json!("observed"), json!("block"), false));
    assert_eq!(seen("blocked.test"), (json!("block"), json!("blocked"), Value::Null, true));
    assert_eq!(proxy.metric("exeat_decisions_total", &["reason=\"observed\""]), 2.0);
    let log = proxy.said(&["log", "--host", "held.test"]);
    assert!(log.contains("observed") && log.contains("would be held"), "{log}");
    assert!(proxy.said(&["log", "--host", "open.test"]).contains("would be blocked"));
}

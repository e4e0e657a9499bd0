//! Paths: where a rule looks at them, the origin sees the one normal form that was judged; where none does, the bytes as sent.

use super::{WAYS, world};
use crate::support::p0::assert_refused;

const RULES: &str = "
[[allow]]
host = \"rules.test\"
LOCAL
path = [\"/pub/**\"]
[[allow]]
host = \"open.test\"
LOCAL
";

#[test]
fn the_origin_sees_the_form_that_was_judged() {
    let p0 = world("", RULES);
    let proxy = p0.start();
    let table = [
        ("/pub/a", "/pub/a"),
        ("/pub/%61/%7Eb?x=%2e%2E//;y", "/pub/a/~b?x=%2e%2E//;y"),
        ("/priv/../pub/./b?", "/pub/b?"),
        ("/pub/%c3%a4", "/pub/%C3%A4"),
    ];
    for way in WAYS {
        for (sent, seen) in table {
            let answer = way.ask(&p0, &proxy, "rules.test", (&format!("GET {sent}"), ""));
            assert_eq!((answer.status, answer.text()), (200, format!("plain {seen}")), "{sent} {way:?}");
            assert_eq!(p0.plain.requests().last().unwrap().target(), seen);
        }
    }
}

#[test]
fn what_servers_read_in_two_ways_is_refused_where_a_rule_looks_and_untouched_where_none_does() {
    let p0 = world("", RULES);
    let proxy = p0.start();
    let sent = ["/pub/..%2fpriv", "/pub/%2e%2e/priv", "/pub/..\\priv", "/pub//a", "/pub/a;b", "/pub/..;/priv", "/pub/%252e", "/pub/a%00"];
    for way in WAYS {
        for path in sent {
            let line = format!("GET {path}");
            let before = p0.plain.requests().len();
            let refused = way.ask(&p0, &proxy, "rules.test", (&line, ""));
            assert_refused(&refused, 403, "blocked");
            assert!(refused.problem()["because"].as_str().is_some_and(|because| !because.is_empty()), "{path}");
            assert_eq!(p0.plain.requests().len(), before, "{path} {way:?}");
            assert_eq!(way.ask(&p0, &proxy, "open.test", (&line, "")).text(), format!("plain {path}"), "{way:?}");
        }
        assert_refused(&way.ask(&p0, &proxy, "rules.test", ("GET /pub/../priv", "")), 403, "unlisted");
        assert_eq!(way.ask(&p0, &proxy, "open.test", ("GET /pub/../priv", "")).text(), "plain /pub/../priv");
    }
}

//! What could undo a rule about requests: content with a safe method, and fields that ask for another method or path.

use super::{WAYS, world};
use crate::support::p0::assert_refused;

const RULES: &str = "
[[allow]]
host = \"rules.test\"
LOCAL
method = [\"GET\", \"POST\"]
[[allow]]
host = \"open.test\"
LOCAL
";

#[test]
fn a_safe_method_passes_without_content_only_where_methods_are_listed() {
    let p0 = world("", RULES);
    let proxy = p0.start();
    let table = [
        ("Content-Length: 5\r\n\r\nhello", false),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello", false),
        ("Content-Length: 00\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", false),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n", false),
        ("Content-Length: 0\r\n", true),
        ("", true),
    ];
    for way in WAYS {
        for (rest, passes) in table {
            let before = p0.plain.requests().len();
            let answer = way.ask(&p0, &proxy, "rules.test", ("GET /", rest));
            if passes {
                assert_eq!(answer.status, 200, "{rest:?} {way:?}");
            } else {
                assert_refused(&answer, 403, "blocked");
                assert!(answer.problem()["because"].as_str().is_some_and(|because| because.contains("without content")), "{rest:?}");
                assert_eq!(p0.plain.requests().len(), before, "{rest:?} {way:?}");
            }
            let mut talk = way.send(&p0, &proxy, "open.test", ("GET /", rest));
            let answers = [talk.answer().status, if rest.contains("Expect") { talk.answer().status } else { 100 }];
            assert!(answers.contains(&200), "{rest:?} {way:?} {answers:?}");
        }
        let posted = way.ask(&p0, &proxy, "rules.test", ("POST /", "Content-Length: 5\r\n\r\nhello"));
        assert_eq!((posted.status, p0.plain.requests().last().unwrap().body.clone()), (200, b"hello".to_vec()));
    }
}

#[test]
fn a_field_that_asks_for_another_method_or_path_is_refused_where_a_rule_looks() {
    let p0 = world("", RULES);
    let proxy = p0.start();
    let method = ["X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X_HTTP_Method_Override", "X-Forwarded-Method"];
    let path = ["X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-Waws-Unencoded-Url", "X-Envoy-Original-Path", "SCRIPT_NAME"];
    let single = method.map(|name| format!("{name}: DELETE\r\n")).into_iter().chain(path.map(|name| format!("{name}: /priv\r\n")));
    let both = "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /priv\r\n".to_owned();
    let fields: Vec<String> = single.chain([both]).collect();
    for way in WAYS {
        let before = p0.plain.requests().len();
        for field in &fields {
            assert_refused(&way.ask(&p0, &proxy, "rules.test", ("POST /", &format!("{field}Content-Length: 0\r\n"))), 403, "blocked");
        }
        assert_refused(&way.ask(&p0, &proxy, "rules.test", ("GET /?_method=DELETE", "")), 403, "blocked");
        assert_eq!(p0.plain.requests().len(), before);
        for field in &fields {
            assert_eq!(way.ask(&p0, &proxy, "open.test", ("POST /", &format!("{field}Content-Length: 0\r\n"))).status, 200, "{field}");
        }
    }
}

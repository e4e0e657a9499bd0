//! What a find of the leak guard makes of each decision.

use super::*;
use crate::policy::leaks::{LeakFound, LeakPlace};

const RULES: &str = r#"[[allow]]
host = "listed.example"
[[hold]]
host = "held.example"
[[block]]
host = "blocked.example"
"#;

fn guarded(found: &str, unlisted: &str, more: &str) -> Policy {
    policy(&format!("unlisted = \"{unlisted}\"\n{more}[leaks]\nfound = \"{found}\"\nsecrets = [{{ env = \"X\" }}]\n{RULES}"))
}

fn leaking(tried: &str, rule: &str, place: LeakPlace) -> Attempt {
    seen(|seen| seen.leak = Some(LeakFound { rules: [Arc::from(rule)].into(), place }), tried)
}

#[test]
fn a_find_makes_no_decision_more_lenient_and_lets_no_request_pass_unasked() {
    for (found, unlisted, host, wanted) in [
        ("block", "hold", "listed", "blocked a.toml:3"),
        ("block", "hold", "held", "blocked a.toml:3"),
        ("block", "hold", "blocked", "blocked a.toml:10"),
        ("block", "hold", "other", "blocked a.toml:3"),
        ("hold", "hold", "listed", "hold a.toml:3 this"),
        ("hold", "hold", "held", "hold a.toml:3 this"),
        ("hold", "hold", "blocked", "blocked a.toml:10"),
        ("hold", "hold", "other", "hold a.toml:3 this"),
        ("hold", "block", "other", "unlisted"),
    ] {
        let policy = guarded(found, unlisted, "");
        let tried = format!("GET http://{host}.example/");
        assert_eq!(decided_at(&policy, &leaking(&tried, "x", LeakPlace::Body), NOW), wanted, "{found} {unlisted} {host}");
    }
    let observed = guarded("hold", "hold", "observe_until = 1970-01-01T12:00:00Z\n");
    assert_eq!(decided_at(&observed, &attempt("GET http://other.example/"), NOW), "observed hold");
    assert_eq!(decided_at(&observed, &leaking("GET http://other.example/", "x", LeakPlace::Body), NOW), "hold a.toml:4 this");
    assert_eq!(decided_at(&policy(RULES), &leaking("GET http://listed.example/", "x", LeakPlace::Body), NOW), "allow a.toml:2");
}

#[test]
fn a_yes_to_a_find_is_one_to_that_find_in_that_request_alone() {
    let tried = "GET http://listed.example/a";
    let given = leaking(tried, "x", LeakPlace::Body);
    let approval = always(&given, Asking::ThisRequest);
    let plain = always(&attempt(tried), Asking::ThisRequest);
    let whole = always(&attempt(tried), Asking::EveryRequest);
    for (yes, asked, wanted) in [
        (&approval, leaking(tried, "x", LeakPlace::Body), "approved"),
        (&approval, leaking(tried, "y", LeakPlace::Body), "hold a.toml:3 this"),
        (&approval, leaking(tried, "x", LeakPlace::Header), "hold a.toml:3 this"),
        (&approval, leaking("GET http://listed.example/b", "x", LeakPlace::Body), "hold a.toml:3 this"),
        (&plain, leaking(tried, "x", LeakPlace::Body), "hold a.toml:3 this"),
        (&whole, leaking(tried, "x", LeakPlace::Body), "hold a.toml:3 this"),
    ] {
        let mut approvals = Approvals::default();
        approvals.insert(yes.clone());
        let decision = guarded("hold", "block", "").decide(&asked, &approvals, NOW);
        assert_eq!(word(&decision), wanted, "{asked:?}");
        let blocked = guarded("block", "block", "").decide(&asked, &approvals, NOW);
        assert_eq!(word(&blocked), "blocked a.toml:3", "no yes lets pass what the guard blocks");
    }
}

//! The leak guard: what may not leave is found in URL, fields and body, before the decision and after it, and told by its rule alone.

use super::*;
use crate::support::web::body::Tap;

const LEAKS: &str = "
[leaks]
found = \"FOUND\"
rules = \"leaks.toml\"
secrets = [{ file = \"token\" }]
scan = \"1KiB\"
";

const RULES: &str = "
[[rules]]
id = \"pat\"
regex = '''\\bpat_[0-9a-z]{20}\\b'''
keywords = [\"pat_\"]
";

const PAT: &str = "pat_q1w2e3r4t5y6u7i8o9p0";

/// Every request is looked at.
const SEEN: &str = "
[[allow]]
host = \"web.test\"
LOCAL
method = [\"GET\", \"POST\"]
";

fn guarded(found: &str) -> World {
    let world = World::new("", &format!("{}{}", SEEN.replace("[\"GET\", \"POST\"]", "[\"POST\"]"), LEAKS.replace("FOUND", found)));
    std::fs::write(world.allowlists().join("leaks.toml"), RULES).unwrap();
    world
}

fn post(visit: &Visit, target: &str, fields: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Whole {
    let mut request = visit.request("POST", target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    run(visit.ask(request.body(Flow::whole(body)).unwrap())).unwrap()
}

#[test]
fn what_may_not_leave_is_refused_wherever_it_stands_and_named_by_its_rule_alone() {
    let world = guarded("block");
    let proxy = world.start();
    let coded = base64(CANARY.as_bytes());
    for alpn in [H1, H2] {
        let visit = world.visit(&proxy, alpn);
        let mut answers = Vec::new();
        for (target, fields, body, rule, place) in [
            (format!("/echo?a={PAT}"), vec![], String::new(), "pat", "url"),
            (format!("/echo/{}", CANARY.replace('c', "%63")), vec![], String::new(), "secret-1", "url"),
            ("/echo".into(), vec![("x-note", PAT)], String::new(), "pat", "header"),
            ("/echo".into(), vec![("authorization", CANARY)], String::new(), "secret-1", "header"),
            ("/echo".into(), vec![], format!("a {PAT} b"), "pat", "body"),
            ("/echo".into(), vec![], format!("a {coded} b"), "secret-1", "body"),
            ("/echo".into(), vec![("content-encoding", "gzip")], "x".into(), "encoded-body", "body"),
        ] {
            let refused = post(&visit, &target, &fields, body);
            assert_eq!(refused.status, 403, "{rule} {place} {}", refused.text());
            let problem = refused.json();
            assert_eq!(problem["reason"], "blocked");
            assert!(problem["detail"].as_str().unwrap().contains(&format!("leak rule {rule} in the {place}")), "{problem}");
            answers.push(refused);
        }
        assert_eq!(post(&visit, "/echo", &[("x-note", "pat_short")], "nothing").status, 200);
        drop(visit);
        world.assert_kept(&proxy, &answers, CANARY);
        world.assert_kept(&proxy, &answers, PAT);
    }
    assert!(world.web.seen().iter().all(|seen| seen.target == "/echo"));
    let records = proxy.settled();
    let told: Vec<_> = inner(&records).iter().map(|(decided, _)| decided["leak"].clone()).take(3).collect();
    let wanted = [("pat", "url"), ("secret-1", "url"), ("pat", "header")].map(|(rule, place)| json!({"rules": [rule], "place": place}));
    assert_eq!(told, wanted);
}

/// A body whose pieces are sent as the test says.
fn streamed(visit: &Visit) -> (Tap, http::Request<Flow>) {
    let (tap, flow) = Flow::new();
    (tap, visit.request("POST", "/up").body(flow).unwrap())
}

#[test]
fn what_comes_later_in_a_body_cuts_it_before_it_leaves() {
    let world = guarded("block");
    let proxy = world.start();
    for (alpn, secret) in [(H1, PAT), (H1, CANARY), (H2, PAT), (H2, CANARY)] {
        let visit = world.visit(&proxy, alpn);
        let (tap, request) = streamed(&visit);
        let sent = async {
            tap.send(vec![b'.'; 2000]).await;
            for piece in [" a ", &secret[..7], &secret[7..], " b\n"] {
                tap.send(piece.to_owned()).await;
            }
        };
        let (answer, ()) = run(async { tokio::join!(visit.ask(request), sent) });
        drop(visit);
        // An agent that is still sending when its connection closes may miss what it was told.
        if let Ok(answer) = answer {
            assert_eq!(answer.status, 403, "{}", answer.text());
            assert!(answer.text().contains("in the body"), "{}", answer.text());
            world.assert_kept(&proxy, &[answer], secret);
        }
    }
    let records = proxy.settled();
    for (decided, ended) in inner(&records) {
        assert_eq!(
            (&decided["decision"], &ended["outcome"], &ended["reason"]),
            (&json!("allow"), &json!("cut"), &json!("blocked")),
            "{ended}"
        );
        assert_eq!(ended["leak"]["place"], "body");
        assert!(ended["bytes_up"].as_u64().unwrap() <= 2003, "{ended}");
    }
    assert_eq!(inner(&records).len(), 4);
}

#[test]
fn a_find_is_asked_about_and_a_yes_is_for_that_find_alone() {
    let world = guarded("hold");
    let proxy = world.start();
    let watcher = proxy.watch();
    let visit = world.visit(&proxy, H2);
    let ask = |target: &str, body: &str| visit.request("POST", target).body(Flow::whole(body.to_owned())).unwrap();
    let answer = |yes: bool| {
        let hold = proxy.until_held(1, 1)[0].clone();
        assert!(hold["note"].as_str().unwrap().starts_with("leak rule pat in the body"), "{hold}");
        assert!(hold["rule"].as_str().unwrap().starts_with("c.toml:"), "{hold}");
        assert!(!hold.to_string().contains(PAT), "{hold}");
        let id = hold["id"].as_str().unwrap().to_owned();
        proxy.said(&if yes { ["approve", &id, "--for", "1h"].to_vec() } else { ["deny", &id].to_vec() });
    };
    let held = |body: &str, yes: bool| {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| run(visit.ask(ask("/echo", body))).unwrap());
            answer(yes);
            waiting.join().unwrap()
        })
    };
    let body = format!("x {PAT} y");
    let passed = held(&body, true);
    let passed = Whole { body: Vec::new(), ..passed };
    assert_eq!(passed.status, 200, "{}", passed.text());
    // It holds for an hour, for this find in this request.
    assert_eq!(run(visit.ask(ask("/echo", &body))).unwrap().status, 200);
    assert_eq!(run(visit.ask(ask("/echo", "clean"))).unwrap().status, 200);
    assert!(proxy.holds().is_empty());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(visit.ask(ask("/other", &body))).unwrap());
        answer(false);
        assert_eq!(waiting.join().unwrap().status, 403);
    });
    drop((visit, watcher));
    world.assert_kept(&proxy, &[passed], PAT);
}

#[test]
fn a_guard_that_cannot_look_refuses() {
    let world = guarded("block");
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    std::fs::remove_file(world.allowlists().join("token")).unwrap();
    let refused = post(&visit, "/echo", &[], "clean");
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &json!("internal")));
    assert!(world.web.met().is_empty());
    world.secret("short");
    assert_eq!(post(&visit, "/echo", &[], "clean").status, 503);
    world.secret(CANARY);
    assert_eq!(post(&visit, "/echo", &[], "clean").status, 200);
}

#[test]
fn the_log_for_people_shows_finds_and_which_guard_lacks_its_secret() {
    let world = guarded("block");
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let found = post(&visit, "/echo", &[("x-note", PAT)], "");
    assert_eq!(found.status, 403);
    let long = format!("{}{CANARY}", "x".repeat(4096));
    let _cut = run(visit.ask(visit.request("POST", "/echo").body(Flow::whole(long)).unwrap()));
    std::fs::remove_file(world.allowlists().join("token")).unwrap();
    let missing = post(&visit, "/echo", &[], "");
    assert_eq!(missing.status, 503);
    drop(visit);
    let records = proxy.settled();
    let log = proxy.said(&["log"]);
    for wanted in
        ["found leak rule pat in the header", "found leak rule secret-1 in the body", "its file cannot be read (no such file or folder)"]
    {
        assert!(log.lines().any(|line| line.contains("web.test") && line.contains(wanted)), "{wanted} in {log}");
    }
    let (decided, ended) = *inner(&records).last().unwrap();
    let rule = decided["rule"].as_str().unwrap();
    assert!(rule.starts_with("c.toml:") && ended["secret"]["rule"] == rule, "{decided} {ended}");
    assert!(proxy.readyz().text().contains(&format!("{rule}: a secret that it names cannot be had")), "{}", proxy.readyz().text());
    world.assert_kept(&proxy, &[found, missing], CANARY);
}

//! How what goes on inside ends: each request with its own last word, before the tunnel's.

use serde_json::{Value, json};

use super::{H1, H2, HOST, OPEN, RULES, SPOKEN, World, inner, tunnels};
use crate::support::proxy::Proxy;
use crate::support::site::credentials;
use crate::support::visit::{Visit, piece};
use crate::support::web::body::Flow;
use crate::support::web::run;

/// Three answers that have begun and do not end by themselves.
async fn begun(visit: &Visit, many: usize) -> Vec<hyper::body::Incoming> {
    let mut bodies = Vec::new();
    for _ in 0..many {
        let request = visit.request("GET", "/gated/never").body(Flow::whole("")).unwrap();
        let mut body = visit.send(request).await.unwrap().into_body();
        assert_eq!(piece(&mut body).await.unwrap(), "first");
        bodies.push(body);
    }
    bodies
}

fn seq(record: &Value) -> u64 {
    record["seq"].as_u64().unwrap()
}

/// Every request and then the tunnel ended so.
#[track_caller]
fn assert_ended(proxy: &Proxy, requests: usize, outcome: &str, reason: &str) {
    let records = proxy.settled();
    let (inner, [(_, tunnel)]) = (inner(&records), &tunnels(&records)[..]) else { panic!("{records:?}") };
    assert_eq!(inner.len(), requests);
    for (_, end) in &inner {
        assert_eq!((&end["outcome"], &end["reason"]), (&json!(outcome), &json!(reason)), "{end}");
        assert!(seq(end) < seq(tunnel), "the tunnel ended first: {tunnel} {end}");
    }
    let reason = if reason == "listed" { "inspect" } else { reason };
    assert_eq!((&tunnel["outcome"], &tunnel["reason"]), (&json!(outcome), &json!(reason)), "{tunnel}");
}

fn many(alpn: &[&str]) -> usize {
    if alpn == H2 { 3 } else { 1 }
}

#[test]
fn a_freeze_cuts_the_requests_and_then_the_tunnel() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let mut bodies = run(begun(&visit, many(agent)));
        proxy.said(&["freeze", "c"]);
        for body in &mut bodies {
            assert_eq!(run(piece(body)), None);
        }
        assert_ended(&proxy, many(agent), "cut", "frozen");
    }
}

#[test]
fn a_reload_that_takes_the_rule_away_cuts_what_rests_on_it() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let mut bodies = run(begun(&visit, many(agent)));
        world.rules("c", "");
        for body in &mut bodies {
            assert_eq!(run(piece(body)), None);
        }
        assert_ended(&proxy, many(agent), "cut", "policy-changed");
    }
}

#[test]
fn a_cut_of_one_stream_is_a_reset_of_that_stream() {
    let path = "
[[allow]]
host = \"web.test\"
LOCAL
path = [\"/gated/**\"]
[[allow]]
host = \"web.test\"
LOCAL
path = [\"/page\"]
";
    let world = World::new(path);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let mut bodies = run(begun(&visit, 2));
    world.rules("c", &path.replace("/gated/**", "/gone/**"));
    for body in &mut bodies {
        assert_eq!(run(piece(body)), None);
    }
    assert_eq!(run(visit.get("/page")).unwrap().status, 200);
    let records = proxy.until("their ends", |records| records.iter().filter(|record| record["outcome"] == "cut").count() == 2);
    assert!(tunnels_open(&records), "{records:?}");
    assert_eq!(world.web.met().len(), 2, "another policy, another connection: {:?}", world.web.met());
}

fn tunnels_open(records: &[Value]) -> bool {
    let all = crate::support::proxy::decided(records, HOST);
    let tunnel = all.iter().find(|record| record["within"].is_null()).unwrap();
    !records.iter().any(|record| record["kind"] == "ended" && record["id"] == tunnel["id"])
}

#[test]
fn an_agent_that_goes_away_takes_its_requests_along() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let way = world.way(&proxy, "c", agent);
        let bodies = runtime.block_on(async {
            let visit = way.visit().await.unwrap();
            (begun(&visit, many(agent)).await, visit)
        });
        // With it goes the task of the connection: the socket is closed with nothing more said.
        drop(runtime);
        let records = proxy.settled();
        drop(bodies);
        let (inner, tunnel) = (inner(&records), tunnels(&records)[0].1);
        assert_eq!(inner.len(), many(agent));
        for (_, end) in inner {
            assert_eq!((&end["outcome"], &end["reason"]), (&json!("abandoned"), &json!("listed")), "{agent:?} {end}");
            assert!(seq(end) < seq(tunnel));
        }
        assert_eq!(tunnel["reason"], "inspect");
    }
}

#[test]
fn a_stop_ends_the_requests_and_then_the_tunnel() {
    let world = World::new(OPEN);
    let mut proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let _bodies = run(begun(&visit, 3));
    assert!(proxy.stop().success());
    let records = proxy.journal();
    let tunnel = tunnels(&records)[0].1;
    assert_eq!((&tunnel["outcome"], &tunnel["reason"]), (&json!("cut"), &json!("internal")));
    for (_, end) in inner(&records) {
        assert_eq!((&end["outcome"], &end["reason"]), (&json!("cut"), &json!("internal")));
        assert!(seq(end) < seq(tunnel), "{tunnel} {end}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_broken_off_to_the_agent() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        assert!(run(visit.get("/cut?after=10")).is_err(), "{agent:?} {origin:?}");
        let records = proxy.until("its end", |records| records.iter().any(|record| record["status"] == 200));
        let end = records.iter().find(|record| record["status"] == 200).unwrap();
        assert_eq!((&end["outcome"], &end["reason"]), (&json!("failed"), &json!("unreachable")));
    }
}

#[test]
fn no_connection_to_an_origin_serves_two_agents() {
    for alpn in [H1, H2] {
        let world = World::new(OPEN);
        let proxy = world.start();
        for agent in ["c", "c", "d"] {
            let visit = run(world.way(&proxy, agent, alpn).visit()).unwrap();
            assert_eq!(run(visit.get("/page")).unwrap().status, 200);
        }
        let by: Vec<usize> = world.web.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(by, [0, 0, 1], "{alpn:?}");
    }
}

#[test]
fn a_connection_of_one_protocol_serves_no_request_of_the_other() {
    let world = World::new(OPEN);
    let proxy = world.start();
    for alpn in [H2, H1, H2, H1] {
        assert_eq!(run(world.visit(&proxy, alpn).get("/page")).unwrap().status, 200);
    }
    let by: Vec<(usize, String)> = world.web.seen().iter().map(|seen| (seen.connection, seen.version.clone())).collect();
    let wanted = [(0, "HTTP/2.0"), (1, "HTTP/1.1"), (0, "HTTP/2.0"), (1, "HTTP/1.1")];
    assert_eq!(by, wanted.map(|(connection, version)| (connection, version.to_owned())));
}

#[test]
fn a_host_that_is_excluded_is_looked_into_no_longer() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let mut bodies = run(begun(&visit, many(agent)));
        world.rules("c", "[[allow]]\nhost = \"web.test\"\nLOCAL\nexclude = true\n");
        for body in &mut bodies {
            assert_eq!(run(piece(body)), None);
        }
        assert_ended(&proxy, many(agent), "cut", "policy-changed");
        let way = crate::support::visit::Way { tls: world.origins.trusting(agent), ..world.way(&proxy, "c", agent) };
        assert_eq!(
            run(async { way.visit().await.unwrap().get("/page").await }).unwrap().status,
            200,
            "the origin's own certificate is shown"
        );
    }
}

#[test]
fn an_agent_has_as_many_requests_open_as_its_limit_says_however_many_streams() {
    let mut world = World::new(OPEN);
    world.site.set("limits", "per_agent", "4");
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let bodies = run(begun(&visit, 3));
    super::assert_refused(&run(visit.get("/page")).unwrap(), 503, "overloaded");
    let other = run(world.way(&proxy, "d", H2).visit()).unwrap();
    assert_eq!(run(other.get("/page")).unwrap().status, 200);
    drop(bodies);
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"limits.per_agent\""]), 1.0);
}

#[test]
fn an_agent_that_is_still_sending_what_was_refused_hears_the_answer() {
    // More than the system keeps of a connection that nobody reads.
    let body = vec![b'x'; 16 << 20];
    let world = World::new(RULES);
    let proxy = world.start();
    let at = format!("{HOST}:{}", world.web.port());
    let head = |target: &str, credentials: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {}\r\n{credentials}\r\n", body.len())
    };

    let mut forward = proxy.talk();
    forward.send(head(&format!("http://{at}/echo"), &credentials("c")));
    assert!(forward.pour(&body), "reset over a request");
    let answer = forward.answer();
    assert_eq!((answer.status, answer.reason()), (403, "unlisted".to_owned()));
    assert!(forward.is_closed());

    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&at, &credentials("c")).status, 200);
    let mut inside = talk.tls(&world.ours, HOST).unwrap();
    inside.send(head("/echo", ""));
    assert!(inside.pour(&body), "reset within TLS");
    let answer = inside.answer();
    assert_eq!((answer.status, answer.reason()), (403, "unlisted".to_owned()));
    assert!(inside.is_closed());
}

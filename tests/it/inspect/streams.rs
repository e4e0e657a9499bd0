//! What flows within a request: held while others go on, streamed both ways, framed anew between the protocols.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::{H1, H2, OPEN, RULES, SPOKEN, World, assert_refused, inner, post};
use crate::support::visit::{piece, whole};
use crate::support::web::body::Flow;
use crate::support::web::routes::framed;
use crate::support::web::run;

#[test]
fn a_request_waits_for_its_answer_within_its_stream_while_others_go_on() {
    let world = World::new(RULES);
    let proxy = world.start();
    let _watcher = proxy.watch();
    let visit = world.visit(&proxy, H2);
    run(async {
        let asked = visit.send(post(&visit, "/held", "body"));
        tokio::pin!(asked);
        let meanwhile = async {
            loop {
                let page = visit.get("/page").await.unwrap();
                assert_eq!(page.status, 200);
                if let Some(hold) = proxy.holds().first() {
                    return hold["id"].as_str().unwrap().to_owned();
                }
            }
        };
        let id = tokio::select! {
            answered = &mut asked => panic!("answered before anybody said so: {answered:?}"),
            id = meanwhile => id,
        };
        assert!(world.web.seen().iter().all(|seen| seen.method == "GET"));
        proxy.said(&["approve", &id]);
        let answer = whole(asked.await.unwrap()).await.unwrap();
        assert_eq!((answer.status, &answer.json()["length"]), (200, &json!(4)));
    });
}

#[test]
fn a_stream_that_is_reset_while_it_waits_abandons_its_attempt_alone() {
    let world = World::new(RULES);
    let proxy = world.start();
    let _watcher = proxy.watch();
    let visit = world.visit(&proxy, H2);
    run(async {
        let held = visit.send(post(&visit, "/held", "body"));
        tokio::select! {
            answered = held => panic!("{answered:?}"),
            () = async { while proxy.holds().is_empty() { tokio::task::yield_now().await } } => {}
        }
    });
    let records = proxy.until("the end of what waited", |records| records.iter().any(|record| record["outcome"] == "abandoned"));
    let (decided, ended) = *inner(&records).last().unwrap();
    assert_eq!((&decided["decision"], &decided["reason"], &ended["outcome"]), (&json!("block"), &json!("pending"), &json!("abandoned")));
    assert_eq!(run(visit.get("/page")).unwrap().status, 200);
}

#[test]
fn events_and_pieces_arrive_as_they_are_sent() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        run(async {
            let request = visit.request("GET", "/sse?events=3&gate=go").body(Flow::whole("")).unwrap();
            let mut body = visit.send(request).await.unwrap().into_body();
            for index in 1..=3 {
                let event = piece(&mut body).await.unwrap();
                assert_eq!(event, Bytes::from(format!("id: {index}\ndata: event {index}\n\n")), "{agent:?} {origin:?}");
                world.web.signal("go");
            }
            assert_eq!(piece(&mut body).await, None);
        });
    }
}

#[test]
fn an_upload_flows_while_its_answer_does() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        let (tap, flow) = Flow::new();
        let request = visit.request("POST", "/exeat.Echo/Both").header("content-type", "application/grpc").header("te", "trailers");
        let asked = visit.send(request.body(flow).unwrap());
        assert!(tap.send(framed(b"one")).await);
        let answer = asked.await.unwrap();
        let mut body = answer.into_body();
        assert_eq!(piece(&mut body).await, Some(framed(b"one")));
        assert!(tap.send(framed(b"two")).await);
        assert_eq!(piece(&mut body).await, Some(framed(b"two")));
        drop(tap);
        let trailers = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    });
    assert_eq!(world.web.seen()[0].all("te"), ["trailers"]);
    drop(visit);
    let records = proxy.settled();
    let (_, end) = inner(&records)[0];
    assert_eq!((&end["outcome"], &end["bytes_up"], &end["bytes_down"]), (&json!("completed"), &json!(16), &json!(16)));
}

#[test]
fn trailers_pass_both_ways_without_what_frames_routes_or_authorises() {
    for (agent, origin) in [(H2, H2), (H2, H1), (H1, H1)] {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        let request = visit.request("GET", "/trailers").header("te", "trailers").header("connection", "te");
        let request = if agent == H2 { visit.request("GET", "/trailers").header("te", "trailers") } else { request };
        let answer = run(visit.ask(request.body(Flow::whole("")).unwrap())).unwrap();
        assert_eq!(answer.text(), "the body");
        let wanted = [("x-checked", "yes"), ("x-twice", "one"), ("x-twice", "two")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(answer.trailers, wanted, "{agent:?} {origin:?}");
        if (agent, origin) != (H2, H2) {
            continue;
        }
        let (tap, flow) = Flow::new();
        let echoed = run(async {
            let asked = visit.ask(visit.request("POST", "/echo").body(flow).unwrap());
            let fed = async {
                tap.send("body").await;
                let mut trailers = HeaderMap::new();
                for (name, value) in
                    [("authorization", "x"), ("content-length", "9"), ("host", "evil.test"), ("set-cookie", "a"), ("x-sum", "1")]
                {
                    trailers.insert(name, value.parse().unwrap());
                }
                tap.trailers(trailers).await;
            };
            tokio::join!(asked, fed).0.unwrap()
        });
        assert_eq!(echoed.json()["trailers"], json!([["x-sum", "1"]]));
    }
}

#[test]
fn answers_without_a_body_are_framed_as_such() {
    for (agent, origin) in SPOKEN {
        let world = World::speaking(OPEN, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, agent);
        for _ in 0..2 {
            let head = run(visit.ask(visit.request("HEAD", "/page").body(Flow::whole("")).unwrap())).unwrap();
            assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("8"), 0), "{agent:?} {origin:?}");
            for status in [204, 304] {
                let answer = run(visit.get(&format!("/status/{status}"))).unwrap();
                assert_eq!((answer.status, answer.body.len()), (status, 0), "{agent:?} {origin:?}");
            }
            assert_eq!(run(visit.get("/page")).unwrap().text(), "the page");
        }
        let records = proxy.until("their ends", |records| records.iter().filter(|record| record["status"] == 304).count() == 2);
        assert!(inner_ended(&records).iter().all(|outcome| outcome == "completed"), "{records:?}");
    }
}

fn inner_ended(records: &[serde_json::Value]) -> Vec<String> {
    let ended = records.iter().filter(|record| record["kind"] == "ended" && !record["status"].is_null());
    ended.map(|record| record["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_request_of_one_protocol_is_a_whole_request_of_the_other() {
    let world = World::speaking(OPEN, H1);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    let request = visit.request("POST", "/echo").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let request = request.header("proxy-authorization", "Basic x").header("authorization", "Bearer mine");
    let answer = run(visit.ask(request.body(Flow::whole("body")).unwrap())).unwrap();
    assert_eq!((answer.status, &answer.json()["length"]), (200, &json!(4)));
    let seen = &world.web.seen()[0];
    let host = format!("{}:{}", super::HOST, world.web.port());
    assert_eq!((seen.version.as_str(), seen.all("cookie"), seen.all("host")), ("HTTP/1.1", vec!["a=1; b=2"], vec![host.as_str()]));
    assert_eq!((seen.all("te").len(), seen.all("proxy-authorization").len(), seen.all("authorization")), (0, 0, vec!["Bearer mine"]));
}

#[test]
fn an_expectation_is_answered_before_the_body_comes() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let target = format!("{}:{}", super::HOST, world.web.port());
    let mut talk = proxy.talk();
    assert_eq!(talk.connect(&target, &crate::support::site::credentials("c")).status, 200);
    let mut talk = talk.tls(&world.ours, super::HOST).unwrap();
    talk.send(format!("POST /echo HTTP/1.1\r\nHost: {target}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(talk.head(), ["HTTP/1.1 100 Continue"]);
    talk.send("body");
    let answer = talk.answer_to("POST");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\"length\":4") && !answer.text().contains("expect"), "{}", answer.text());
}

#[test]
fn heads_are_bounded_and_large_ones_pass() {
    let world = World::new(OPEN);
    let proxy = world.start();
    for alpn in [H1, H2] {
        let visit = world.visit(&proxy, alpn);
        let many = run(visit.get("/headers?count=20&size=1000")).unwrap();
        assert_eq!(many.headers.iter().filter(|(name, _)| name.starts_with("x-large")).count(), 20, "{alpn:?}");
        let request = visit.request("GET", "/page").header("x-large", "v".repeat(20_000)).body(Flow::whole("")).unwrap();
        assert_eq!(run(visit.ask(request)).unwrap().status, 200);
        let request = visit.request("GET", "/page").header("x-large", "v".repeat(60_000)).body(Flow::whole("")).unwrap();
        assert!(run(visit.ask(request)).map_or(true, |answer| answer.status == 431), "{alpn:?}");
    }
}

#[test]
fn many_requests_at_once_share_one_connection_to_the_origin() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        let asked = (0..50).map(|_| visit.get("/late/go"));
        let all = futures_util::future::join_all(asked);
        let going = async {
            while world.web.seen().len() < 50 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            world.web.signal("go");
        };
        let (all, ()) = tokio::join!(all, going);
        assert!(all.into_iter().all(|answer| answer.unwrap().status == 200));
    });
    assert_eq!(world.web.met().len(), 1, "{:?}", world.web.met());
}

#[test]
fn what_may_not_be_asked_inside_is_malformed() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    for method in ["TRACE", "DEBUG"] {
        let request = visit.request(method, "/page").body(Flow::whole("")).unwrap();
        assert_refused(&run(visit.ask(request)).unwrap(), 400, "malformed");
    }
    let connect = http::Request::connect("elsewhere.test:443").body(Flow::whole("")).unwrap();
    assert_refused(&run(visit.ask(connect)).unwrap(), 400, "malformed");
}

//! What many, or much, or something hostile within one tunnel costs: as much as the limits say, and nothing once it is over.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::frames::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, RST, Raw, SETTINGS, block, frame, greet, head, heard};
use super::{H1, H2, HOST, OPEN, RULES, World, inner, post, tunnels};
use crate::support::proxy::{Proxy, of_kind};
use crate::support::site::credentials;
use crate::support::talk::Talk;
use crate::support::tls::Terms;
use crate::support::visit::{Way, piece};
use crate::support::web::body::Flow;
use crate::support::web::run;

/// More than a connection may have at once, many times over.
const MANY: u32 = 3000;

/// As many interim answers as one request may have, and those of an origin that never tires.
const INTERIM: usize = 100;
const FLOOD: usize = 500_000;

/// More than sockets and windows hold.
const UPLOAD: usize = 8 << 20;

pub(super) fn resident(proxy: &Proxy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn held_streams_beyond_what_a_connection_may_have_end_it_and_leave_nothing() {
    let mut world = World::new(RULES);
    world.site.set("hold", "wait", "\"10m\"");
    let proxy = world.start();
    let _watcher = proxy.watch();
    let head = head(&world, "POST", "/held", &[("content-length", "0")]);
    let streams = |range: std::ops::Range<u32>| -> Vec<u8> {
        range.flat_map(|at| frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + 1, &head)).collect()
    };
    let mut raw = run(Raw::new(&world, &proxy));
    assert!(run(raw.send(&streams(0..128))));
    // One question, however many wait for its answer; none of them is decided.
    proxy.until_held(1, 128);
    assert_eq!(proxy.metric("exeat_attempts_open", &[]), 1.0, "the tunnel alone");
    run(async {
        raw.send(&streams(128..MANY)).await;
        // Each is refused unprocessed, until there are too many of them.
        while let Some(frame) = raw.next().await {
            assert!(frame.kind == RST || frame.kind == GOAWAY && frame.payload[4..8] == 11u32.to_be_bytes(), "{frame:?}");
        }
    });
    let records = proxy.until("the ends of all", |records| tunnels_ended(records) && inner(records).len() == 128);
    for (decided, ended) in inner(&records) {
        assert_eq!(json!([decided["decision"], ended["outcome"]]), json!(["block", "cut"]), "{decided} {ended}");
    }
    assert_eq!((proxy.until_held(1, 0).len(), proxy.metric("exeat_attempts_open", &[])), (1, 0.0));
    assert_eq!(proxy.metric("exeat_limit_hits_total", &["limit=\"streams\""]), 1.0);
    assert_eq!(run(world.visit(&proxy, H2).get("/page")).unwrap().status, 200);
}

fn tunnels_ended(records: &[Value]) -> bool {
    of_kind(records, "decided").iter().all(|decided| of_kind(records, "ended").iter().any(|ended| ended["id"] == decided["id"]))
}

/// The admin's side of a proxy that has one.
fn admin(proxy: &Proxy, method: &str, route: &str, token: &str) -> crate::support::talk::Answer {
    let at = proxy.people_at();
    let mut talk = Talk::to(at);
    talk.send(format!("{method} /api/v1/{route} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"));
    talk.answer_to(method)
}

#[test]
fn a_person_cuts_one_stream_or_the_tunnel_with_all_of_them() {
    let mut world = World::new(OPEN);
    world.site.set("admin", "address", "\"127.0.0.1:0\"");
    let proxy = world.start();
    let token = proxy.said(&["approver", "add", "alice", "--role", "admin"]).trim().to_owned();
    let visit = world.visit(&proxy, H2);
    run(async {
        let mut bodies = Vec::new();
        for _ in 0..3 {
            let request = visit.request("GET", "/gated/never").body(Flow::whole("")).unwrap();
            let mut body = visit.send(request).await.unwrap().into_body();
            assert_eq!(piece(&mut body).await.unwrap(), "first");
            bodies.push(body);
        }
        let open: Value = serde_json::from_slice(&admin(&proxy, "GET", "tunnels", &token).body).unwrap();
        let open = open.as_array().unwrap();
        assert_eq!(open.len(), 4, "{open:?}");
        let records = proxy.journal();
        let tunnel = of_kind(&records, "decided").into_iter().find(|record| record["within"].is_null()).unwrap()["id"].clone();
        let first = of_kind(&records, "decided").into_iter().find(|record| record["within"] == tunnel).unwrap()["id"].clone();
        let cut = |id: &Value| admin(&proxy, "DELETE", &format!("tunnels/{}", id.as_str().unwrap()), &token).status;
        assert_eq!(cut(&first), 200);
        assert_eq!(piece(&mut bodies[0]).await, None);
        assert_eq!(visit.get("/page").await.unwrap().status, 200, "the others go on");
        assert_eq!(cut(&tunnel), 200);
        for body in &mut bodies[1..] {
            assert_eq!(piece(body).await, None);
        }
    });
    let records = proxy.settled();
    let ends: Vec<_> = inner(&records).iter().map(|(_, end)| json!([end["outcome"], end["reason"]])).collect();
    let (cut, whole) = (json!(["cut", "refused"]), json!(["completed", "listed"]));
    assert_eq!(ends, [cut.clone(), cut.clone(), cut.clone(), whole]);
    let (_, end) = tunnels(&records)[0];
    assert_eq!(json!([end["outcome"], end["reason"]]), cut);
}

#[test]
fn a_request_that_waits_for_its_answer_is_cut_with_its_tunnel() {
    for alpn in [H1, H2] {
        let mut world = World::new(RULES);
        world.site.set("admin", "address", "\"127.0.0.1:0\"");
        let proxy = world.start();
        let token = proxy.said(&["approver", "add", "alice", "--role", "admin"]).trim().to_owned();
        let _watcher = proxy.watch();
        let visit = world.visit(&proxy, alpn);
        run(async {
            let cut = async {
                while proxy.holds().is_empty() {
                    tokio::task::yield_now().await;
                }
                let open: Value = serde_json::from_slice(&admin(&proxy, "GET", "tunnels", &token).body).unwrap();
                let id = open[0]["id"].as_str().unwrap();
                assert_eq!(admin(&proxy, "DELETE", &format!("tunnels/{id}"), &token).status, 200);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = visit.send(post(&visit, "/held", "body")) => assert!(answer.is_err(), "{answer:?}"),
                () = cut => unreachable!(),
            }
        });
        let records = proxy.settled();
        let [(decided, end)] = inner(&records)[..] else { panic!("{records:?}") };
        assert_eq!(json!([decided["decision"], decided["reason"]]), json!(["block", "refused"]), "{decided}");
        assert_eq!(json!([end["outcome"], end["reason"]]), json!(["cut", "refused"]), "{alpn:?} {end}");
        assert!(end["ms"]["hold"].is_number() && end["seq"].as_u64() < tunnels(&records)[0].1["seq"].as_u64(), "{end}");
    }
}

#[test]
fn a_yes_for_a_time_ends_the_request_that_rests_on_it_and_not_its_tunnel() {
    let world = World::new(&RULES.replace("/held", "/**"));
    let proxy = world.start();
    let _watcher = proxy.watch();
    let visit = world.visit(&proxy, H2);
    run(async {
        let request = visit.request("POST", "/gated/never").body(Flow::whole("")).unwrap();
        let asked = visit.send(request);
        tokio::pin!(asked);
        let approve = async {
            let held = loop {
                if let Some(hold) = proxy.holds().first() {
                    break hold["id"].as_str().unwrap().to_owned();
                }
                tokio::task::yield_now().await;
            };
            proxy.said(&["approve", &held, "--for", "2s"]);
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = &mut asked => answer.unwrap(),
            () = approve => unreachable!(),
        };
        let mut body = answer.into_body();
        assert_eq!(piece(&mut body).await.unwrap(), "first");
        assert_eq!(piece(&mut body).await, None, "it is cut when the yes ends");
        assert_eq!(visit.get("/page").await.unwrap().status, 200, "the tunnel goes on");
    });
    let records = proxy.until("its end", |records| of_kind(records, "ended").iter().any(|end| end["outcome"] == "cut"));
    let end = of_kind(&records, "ended").into_iter().find(|end| end["outcome"] == "cut").unwrap();
    assert!(["expired", "policy-changed"].contains(&end["reason"].as_str().unwrap()), "{end}");
}

/// An origin that begins its answers with so many interim ones: its port.
fn interim(world: &World, alpn: &'static [&'static str], count: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let identity = world.origins.present(&Terms { alpn, ..Terms::of(&[HOST]) });
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = identity.accept();
            std::thread::spawn(move || {
                let io = rustls::StreamOwned::new(session, stream);
                let _ended = if alpn == H1 { interim_one(io, count) } else { interim_two(io, count) };
            });
        }
    });
    port
}

/// In a few large writes.
fn many_of(io: &mut impl Write, one: &[u8], count: usize) -> std::io::Result<()> {
    let some = one.repeat(100);
    (0..count / 100).try_for_each(|_| io.write_all(&some))
}

fn interim_one(mut io: impl Read + Write, count: usize) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        io.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    many_of(&mut io, b"HTTP/1.1 103 Early Hints\r\nlink: </a-style.css>; rel=preload\r\n\r\n", count)?;
    io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast")?;
    io.flush()?;
    io.read_exact(&mut [0])
}

fn interim_two(mut io: impl Read + Write, count: usize) -> std::io::Result<()> {
    greet(&mut io)?;
    loop {
        let Frame { kind, flags, stream, payload: _ } = heard(&mut io)?;
        match kind {
            SETTINGS if flags == 0 => io.write_all(&frame(SETTINGS, 1, 0, &[]))?,
            HEADERS => {
                let one = frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "103"), ("link", "</a-style.css>; rel=preload")]));
                many_of(&mut io, &one, count)?;
                io.write_all(&frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")])))?;
                io.write_all(&frame(DATA, END_STREAM, stream, b"last"))?;
            }
            _ => {}
        }
        io.flush()?;
    }
}

#[test]
fn an_origin_that_floods_with_interim_answers_gives_none_and_takes_no_memory() {
    assert_floods_bounded(&[(H1, H1), (H2, H1)]);
}

#[test]
fn nor_does_one_that_floods_with_them_over_http2() {
    assert_floods_bounded(&[(H2, H2)]);
}

/// What is spoken on both sides.
fn assert_floods_bounded(spoken: &[(&[&str], &'static [&'static str])]) {
    for &(agent, origin) in spoken {
        let world = World::new("");
        let (few, flood) = (interim(&world, origin, INTERIM), interim(&world, origin, FLOOD));
        let local = format!("port = [{few}, {flood}]\naddresses = [\"127.0.0.0/8\"]");
        world.site.agent("c", "unlisted = \"block\"", &OPEN.replace("LOCAL", &local));
        let proxy = world.start();
        let ask = |port| run(async { Way { port, ..world.way(&proxy, "c", agent) }.visit().await.unwrap().get("/page").await }).unwrap();
        let answer = ask(few);
        assert_eq!((answer.status, answer.text().as_str()), (200, "last"), "{agent:?} {origin:?}");
        let before = resident(&proxy);
        let answer = ask(flood);
        super::assert_refused(&answer, 502, "unreachable");
        assert!(answer.text().contains("gave an answer that cannot be passed on"), "{agent:?} {origin:?}: {}", answer.text());
        let grown = resident(&proxy).saturating_sub(before);
        // Kept, each would take more than 300 bytes; read at once, they took 13 MB and more.
        assert!(grown < 8_000, "{agent:?} {origin:?}: {grown} kB more for {FLOOD} interim answers");
        let records = proxy.settled();
        let ends: Vec<_> = inner(&records).iter().map(|(_, end)| json!([end["outcome"], end["reason"]])).collect();
        assert_eq!(ends, [json!(["completed", "listed"]), json!(["failed", "unreachable"])], "{agent:?} {origin:?}");
    }
}

#[test]
fn a_refused_upload_is_heard_out_so_that_its_answer_arrives() {
    let world = World::speaking(RULES, H1);
    let proxy = world.start();
    let target = format!("{HOST}:{}", world.web.port());
    let upload = |target: &str, host: &str, fields: &str| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {UPLOAD}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; UPLOAD]].concat()
    };

    let mut forward = proxy.talk();
    forward.send(upload("http://other.test/upload", "other.test", &credentials("c")));
    let mut tunnel = proxy.talk();
    assert_eq!(tunnel.connect(&target, &credentials("c")).status, 200);
    tunnel.send(upload("/upload", &target, ""));
    let mut within = proxy.talk();
    assert_eq!(within.connect(&target, &credentials("c")).status, 200);
    let mut within = within.tls(&world.ours, HOST).unwrap();
    within.send(upload("/upload", &target, ""));
    for (way, answer, over) in [
        ("forward", forward.answer(), forward.is_closed()),
        ("in a tunnel", tunnel.answer(), tunnel.is_closed()),
        ("within TLS", within.answer(), within.is_closed()),
    ] {
        assert_eq!((answer.status, answer.reason().as_str(), over), (403, "unlisted", true), "{way}");
    }
    assert!(world.web.seen().is_empty());
}

#[test]
fn refused_uploads_of_http2_are_reset_and_take_nothing_from_the_others() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    run(async {
        // Together they are many times what may wait in the connection.
        for _ in 0..10 {
            let refused = visit.request("PATCH", "/upload").body(Flow::whole("x".repeat(UPLOAD / 8))).unwrap();
            super::assert_refused(&visit.ask(refused).await.unwrap(), 403, "unlisted");
        }
        let passes = visit.ask(post(&visit, "/echo", &"y".repeat(UPLOAD / 8)));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(60), passes).await.expect("room for what passes").unwrap();
        assert_eq!((answer.status, &answer.json()["length"]), (200, &json!(UPLOAD / 8)));
    });
    assert_eq!(world.web.seen().len(), 1);
    drop(visit);
    let records = proxy.settled();
    assert_eq!((tunnels(&records).len(), inner(&records).len()), (1, 11));
}

#[test]
fn what_follows_a_refused_upload_is_no_part_of_it_and_a_request_only_once_it_is_whole() {
    let world = World::speaking(RULES, H1);
    let proxy = world.start();
    let target = format!("{HOST}:{}", world.web.port());
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let next = format!("GET /page HTTP/1.1\r\nHost: {target}\r\n\r\n");
    for (field, body) in [
        (format!("Content-Length: {}", smuggled.len()), smuggled.clone()),
        ("Transfer-Encoding: chunked".to_owned(), format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len())),
    ] {
        let mut talk = proxy.talk();
        assert_eq!(talk.connect(&target, &credentials("c")).status, 200);
        let mut inside = talk.tls(&world.ours, HOST).unwrap();
        let whole = format!("POST /upload HTTP/1.1\r\nHost: {target}\r\n{field}\r\n\r\n{body}{next}");
        inside.send(whole);
        let refused = inside.answer();
        assert_eq!((refused.status, refused.reason().as_str()), (403, "unlisted"), "{field}");
        // Then either the next one or the end, and never what stood in the body.
        if let Some(answer) = inside.try_answer("GET") {
            assert_eq!((answer.status, answer.text().as_str()), (200, "the page"), "{field}");
            assert!(inside.try_answer("GET").is_none(), "{field}");
        }
    }
    assert!(world.web.seen().iter().all(|seen| seen.target == "/page"), "{:?}", world.web.seen());
    let records = proxy.settled();
    assert!(inner(&records).iter().all(|(decided, _)| decided["request"]["path"] != "/smuggled"), "{records:?}");
}

#[test]
fn an_authority_that_is_taken_away_stays_in_force_until_exeat_is_started_anew() {
    let world = World::new(OPEN);
    let proxy = world.start();
    let visit = world.visit(&proxy, H2);
    assert_eq!(run(visit.get("/page")).unwrap().status, 200);
    for file in ["inspect.pem", "inspect.key"] {
        std::fs::remove_file(world.site.path().join(file)).unwrap();
    }
    rustix::process::kill_process(proxy.pid(), rustix::process::Signal::HUP).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !proxy.readyz().text().contains("the last good certificate authority stays in force") {
        assert!(std::time::Instant::now() < deadline, "{}", proxy.readyz().text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((proxy.readyz().status, run(visit.get("/page")).unwrap().status), (200, 200));
    assert_eq!(run(world.visit(&proxy, H1).get("/page")).unwrap().status, 200, "also for a tunnel that comes later");
    drop((visit, proxy));
    let proxy = world.start();
    assert_eq!(proxy.readyz().status, 503, "{}", proxy.readyz().text());
    match run(world.way(&proxy, "c", H2).visit()) {
        Err(crate::support::visit::Missed::Tls(_)) => {}
        other => panic!("{:?}", other.err()),
    }
    let records = proxy.settled();
    let (_, end) = *tunnels(&records).last().unwrap();
    assert_eq!((&end["outcome"], &end["reason"]), (&json!("refused"), &json!("inspect")));
}

#[test]
fn a_days_bytes_are_one_sum_over_all_streams_of_a_tunnel() {
    let limited = "
[[allow]]
host = \"web.test\"
LOCAL
path = [\"/down\"]
limits = { bytes_per_day = \"300KiB\" }
[[allow]]
host = \"web.test\"
LOCAL
path = [\"/page\"]
";
    for origin in [H1, H2] {
        let world = World::speaking(limited, origin);
        let proxy = world.start();
        let visit = world.visit(&proxy, H2);
        let carried = run(async {
            let all = (0..4).map(|_| async {
                let request = visit.request("GET", "/down?bytes=1000000").body(Flow::whole("")).unwrap();
                let mut body = visit.send(request).await.ok()?.into_body();
                let mut bytes = 0;
                while let Some(data) = piece(&mut body).await {
                    bytes += data.len();
                }
                Some(bytes)
            });
            let carried: usize = futures_util::future::join_all(all).await.into_iter().flatten().sum();
            assert_eq!(visit.get("/page").await.unwrap().status, 200, "what has no limit goes on");
            super::assert_refused(&visit.get("/down?bytes=1").await.unwrap(), 403, "budget");
            carried
        });
        drop(visit);
        let records = proxy.settled();
        let down = |(_, end): &(&Value, &Value)| end["bytes_down"].as_u64().unwrap();
        let limited: Vec<_> = inner(&records).into_iter().filter(|(decided, _)| decided["request"]["path"] == "/down").collect();
        let sum: u64 = limited.iter().map(down).sum();
        assert_eq!(sum, 300 << 10, "{origin:?}: {limited:?}");
        assert!(carried as u64 <= sum, "{carried} of {sum}");
        assert_eq!(limited.iter().filter(|(_, end)| end["outcome"] == "cut" && end["reason"] == "budget").count(), 4, "{limited:?}");
    }
}

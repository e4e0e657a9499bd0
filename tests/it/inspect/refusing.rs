//! Origins that refuse streams of HTTP/2: what they have done nothing with is sent once more, and nothing else is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::frames::{END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, RST, SETTINGS, frame, greet, heard};
use super::{H2, HOST, OPEN, World, assert_refused, inner};
use crate::support::tls::{Identity, Terms};
use crate::support::visit::{Visit, Way};
use crate::support::web::body::Flow;
use crate::support::web::run;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer,
    /// REFUSED_STREAM: nothing was done with it.
    Refuse,
    /// It may have been done.
    Cancel,
    /// GOAWAY that leaves this stream out.
    LeaveOut,
    /// GOAWAY that may have done this stream, and the end.
    TakeAndClose,
    /// An answer that is none in HTTP/2.
    Switch,
}

/// What becomes of the stream of a connection.
type Plan = fn(usize, u32) -> Deed;

/// The connection and stream of each request that came.
type Came = Arc<Mutex<Vec<(usize, u32)>>>;

fn origin(identity: &Identity, plan: Plan) -> (u16, Came) {
    let (listener, came) = (TcpListener::bind("127.0.0.1:0").unwrap(), Came::default());
    let (port, told, identity) = (listener.local_addr().unwrap().port(), Arc::clone(&came), identity.clone());
    std::thread::spawn(move || {
        for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let (told, session) = (Arc::clone(&told), identity.accept());
            std::thread::spawn(move || {
                let _ended = serve(rustls::StreamOwned::new(session, stream), |stream| {
                    told.lock().unwrap().push((connection, stream));
                    plan(connection, stream)
                });
            });
        }
    });
    (port, came)
}

fn serve(mut io: impl Read + Write, deed: impl Fn(u32) -> Deed) -> std::io::Result<()> {
    greet(&mut io)?;
    let mut answered = 0u32;
    loop {
        let Frame { kind, flags, stream, payload: _ } = heard(&mut io)?;
        match kind {
            SETTINGS if flags == 0 => io.write_all(&frame(SETTINGS, 1, 0, &[]))?,
            HEADERS => match deed(stream) {
                Deed::Answer => {
                    answered = stream;
                    io.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88]))?;
                }
                Deed::Refuse => io.write_all(&frame(RST, 0, stream, &7u32.to_be_bytes()))?,
                Deed::Cancel => io.write_all(&frame(RST, 0, stream, &8u32.to_be_bytes()))?,
                Deed::LeaveOut => io.write_all(&frame(GOAWAY, 0, 0, &[answered.to_be_bytes(), 0u32.to_be_bytes()].concat()))?,
                Deed::TakeAndClose => {
                    io.write_all(&frame(GOAWAY, 0, 0, &[stream.to_be_bytes(), 0u32.to_be_bytes()].concat()))?;
                    return io.flush();
                }
                Deed::Switch => io.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x08\x03101"))?,
            },
            _ => {}
        }
        io.flush()?;
    }
}

fn visit(world: &World, proxy: &crate::support::proxy::Proxy, port: u16) -> Visit {
    let way = Way { port, ..world.way(proxy, "c", H2) };
    run(way.visit()).unwrap_or_else(|missed| panic!("{missed:?}"))
}

fn world(plan: Plan) -> (World, u16, Came) {
    let world = World::new("");
    let (port, came) = origin(&world.origins.present(&Terms { alpn: &["h2"], ..Terms::of(&[HOST]) }), plan);
    let local = format!("port = [{port}]\naddresses = [\"127.0.0.0/8\"]");
    world.site.agent("c", "unlisted = \"block\"", &OPEN.replace("LOCAL", &local));
    (world, port, came)
}

#[test]
fn what_its_origin_did_nothing_with_is_sent_once_more_on_another_connection() {
    type Row = (Plan, u16, &'static [(usize, u32)]);
    let table: [Row; 6] = [
        (|connection, _| if connection == 0 { Deed::Refuse } else { Deed::Answer }, 200, &[(0, 1), (1, 1)]),
        (|connection, _| if connection == 0 { Deed::LeaveOut } else { Deed::Answer }, 200, &[(0, 1), (1, 1)]),
        (|_, _| Deed::Refuse, 502, &[(0, 1), (1, 1)]),
        (|_, _| Deed::Cancel, 502, &[(0, 1)]),
        (|_, _| Deed::TakeAndClose, 502, &[(0, 1)]),
        (|_, _| Deed::Switch, 502, &[(0, 1)]),
    ];
    for (row, (plan, status, wanted)) in table.into_iter().enumerate() {
        let (world, port, came) = world(plan);
        let proxy = world.start();
        let visit = visit(&world, &proxy, port);
        let answer = run(visit.get("/page")).unwrap();
        assert_eq!((answer.status, came.lock().unwrap().as_slice()), (status, wanted), "row {row}");
        if status == 502 {
            assert_refused(&answer, 502, "unreachable");
        }
        drop(visit);
        let records = proxy.settled();
        let [(_, ended)] = inner(&records)[..] else { panic!("row {row}: {records:?}") };
        assert_eq!(ended["outcome"], if status == 200 { "completed" } else { "failed" }, "row {row}");
    }
}

#[test]
fn what_has_a_body_is_not_sent_twice() {
    let (world, port, came) = world(|connection, _| if connection == 0 { Deed::Refuse } else { Deed::Answer });
    let proxy = world.start();
    let visit = visit(&world, &proxy, port);
    let request = visit.request("POST", "/echo").body(Flow::whole("body")).unwrap();
    assert_refused(&run(visit.ask(request)).unwrap(), 502, "unreachable");
    assert_eq!(*came.lock().unwrap(), [(0, 1)]);
    assert_eq!(run(visit.get("/page")).unwrap().status, 200, "what refuses is left");
}

#[test]
fn many_that_are_refused_together_share_what_takes_their_place() {
    let (world, port, came) = world(|connection, stream| if connection == 0 && stream > 1 { Deed::Refuse } else { Deed::Answer });
    let proxy = world.start();
    let visit = visit(&world, &proxy, port);
    run(async {
        assert_eq!(visit.get("/page").await.unwrap().status, 200);
        let all = futures_util::future::join_all((0..20).map(|_| visit.get("/page"))).await;
        assert!(all.into_iter().all(|answer| answer.unwrap().status == 200));
    });
    let connections = came.lock().unwrap().iter().map(|(connection, _)| *connection).max();
    assert_eq!(connections, Some(1), "{:?}", came.lock().unwrap());
}

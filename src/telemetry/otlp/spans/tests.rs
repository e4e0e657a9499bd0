#![expect(clippy::unwrap_used, reason = "tests")]

use uuid::Uuid;

use super::*;
use crate::journal::sample::{decided, ended};
use crate::policy::attempt::RequestLine;
use crate::policy::reason::Reason;

fn begun(decided: Decided) -> Begun {
    Begun { decided: Some((at(9_000), Box::new(decided))), held: false }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Name, parent, and times in milliseconds.
fn shown(spans: &[Span]) -> Vec<(&str, bool, u64, u64)> {
    let ms = |nanoseconds: u64| nanoseconds / 1_000_000;
    let own = &spans[0].span_id;
    let shown = |span: &'_ Span| (span.parent_span_id == *own, ms(span.start_time_unix_nano), ms(span.end_time_unix_nano));
    spans.iter().map(|span| (span.name.as_str(), shown(span).0, shown(span).1, shown(span).2)).collect()
}

#[test]
fn stages_lie_end_to_end_within_the_attempt() {
    let all = Millis { hold: Some(700.0), dns: Some(20.0), dial: Some(30.0), tls: Some(50.0), total: 1000.0 };
    let table = [
        (
            all,
            vec![
                ("CONNECT", false, 9000, 10_000),
                ("hold", true, 9000, 9700),
                ("dns", true, 9700, 9720),
                ("dial", true, 9720, 9750),
                ("tls", true, 9750, 9800),
            ],
        ),
        (Millis { total: 1.0, ..Millis::default() }, vec![("CONNECT", false, 9999, 10_000)]),
        (
            Millis { dial: Some(1e300), dns: Some(-4.0), total: 2.0, ..Millis::default() },
            vec![("CONNECT", false, 9998, 10_000), ("dns", true, 9998, 9998), ("dial", true, 9998, 10_000)],
        ),
    ];
    for (ms, wanted) in table {
        let spans = spans(&begun(decided(1)), &Ended { ms, ..ended(1) }, at(10_000), "x");
        assert_eq!(shown(&spans), wanted);
        let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
        assert_eq!(ids.len(), spans.len());
        assert!(spans.iter().all(|span| span.trace_id == Uuid::from_u128(1).as_bytes()), "{spans:?}");
    }
}

#[test]
fn a_span_is_named_by_a_known_method_and_an_end_alone_is_a_span_too() {
    let request = |method: &str| Some(RequestLine { method: method.into(), path: "/".into() });
    let table = [
        (begun(decided(1)), "CONNECT"),
        (begun(Decided { request: request("GET"), ..decided(1) }), "GET"),
        (begun(Decided { request: request("PROPFIND"), ..decided(1) }), "HTTP"),
        (begun(Decided { front: Front::Forward, ..decided(1) }), "HTTP"),
        (Begun::default(), "HTTP"),
    ];
    for (begun, name) in table {
        let spans = spans(&begun, &ended(1), at(10_000), "x");
        assert_eq!(shown(&spans), [(name, false, 9995, 10_000)]);
        assert_eq!(spans[0].kind, i32::from(SpanKind::Server));
    }
}

#[test]
fn what_failed_is_an_error_and_what_was_lost_began_when_it_was_decided() {
    let table = [
        (Outcome::Completed, Reason::Listed, None, 9995),
        (Outcome::Refused, Reason::Unlisted, None, 9995),
        (Outcome::Failed, Reason::Unreachable, Some("unreachable"), 9995),
        (Outcome::Lost, Reason::Listed, Some("lost"), 9000),
    ];
    for (outcome, reason, error, start) in table {
        let spans = spans(&begun(decided(1)), &Ended { outcome, reason, ..ended(1) }, at(10_000), "x");
        let status = error.map(|error| Status { message: error.to_owned(), code: 2 });
        assert_eq!((spans[0].status.clone(), shown(&spans)[0].2), (status, start), "{outcome:?}");
        let sent = Attributes::shown(&spans[0].attributes);
        assert_eq!((&sent["error.type"], &sent["network.policy.reason"]), (&error.into(), &reason.as_str().into()), "{outcome:?}");
        assert_eq!((&sent["server.address"], &sent["exeat.record.id"]), (&"api.example".into(), &"x".into()));
    }
}

#[test]
fn the_agents_own_span_and_the_tunnel_are_links() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let tunnel = AttemptId(Uuid::from_u128(9));
    let decided = Decided { trace: Some(traceparent.into()), within: Some(tunnel), ..decided(1) };
    let links = spans(&begun(decided), &ended(1), at(10_000), "x")[0].links.clone();
    let agent = Link {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes().to_vec(),
        span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes().to_vec(),
        flags: 1,
        ..Link::default()
    };
    let tunnel = Link { trace_id: trace_id(tunnel), span_id: span_id(tunnel, ""), ..Link::default() };
    assert_eq!(links, [agent, tunnel]);
    for text in [
        "",
        "00-00-00-00",
        &traceparent[..50],
        &format!("{traceparent}-00"),
        &traceparent.replace("00-4", "01-4"),
        &traceparent.to_uppercase(),
    ] {
        assert_eq!(link(text), None, "{text}");
    }
}

#[test]
fn refused_and_held_attempts_are_always_traced_and_others_by_their_id() {
    let blocked = begun(Decided { decision: Ruling::Block, ..decided(1) });
    let waited = Ended { ms: Millis { hold: Some(1.0), ..Millis::default() }, ..ended(1) };
    let table = [
        (blocked, ended(1), true),
        (begun(decided(1)), Ended { outcome: Outcome::Refused, ..ended(1) }, true),
        (begun(decided(1)), waited, true),
        (Begun { held: true, decided: None }, ended(1), true),
        (begun(decided(1)), ended(1), false),
        (Begun::default(), ended(1), false),
    ];
    for (begun, ended, traced) in table {
        assert_eq!(sampled(&begun, &ended, 0.0), traced, "{begun:?} {ended:?}");
        assert!(sampled(&begun, &ended, 1.0));
    }
    let drawn = |sample| (0..10_000).filter(|id| sampled(&Begun::default(), &ended(*id), sample)).collect::<Vec<_>>();
    let (tenth, half) = (drawn(0.1), drawn(0.5));
    assert!((900..1100).contains(&tenth.len()) && (4800..5200).contains(&half.len()), "{} {}", tenth.len(), half.len());
    assert!(tenth.iter().all(|id| half.contains(id)), "what a small share holds, a larger one holds");
}

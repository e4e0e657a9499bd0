//! What is known of a question, what stands beside it, and whose places a flood takes.

use std::net::Ipv4Addr;

use super::*;
use crate::approval::facts::{Lookalike, Similar};
use crate::approval::holds::{Holds, Limits, Weighed};
use crate::egress::hold::{Desk as _, Process};
use crate::policy::address::Addresses;
use crate::policy::approvals::Subject;
use crate::policy::attempt::{Attempt, Instance};
use crate::policy::decide::HoldTerms;
use crate::policy::host::Host;

fn to(number: u128, host: &str) -> Attempt {
    let mut attempt = attempt(number, "coder", 1);
    attempt.destination.host = Host::parse(host).unwrap();
    attempt
}

fn terms() -> HoldTerms {
    HoldTerms { rule: None, note: None, addresses: Arc::new(Addresses::public()), asking: Asking::EveryRequest }
}

#[tokio::test]
async fn a_question_tells_of_the_process_the_preset_and_what_speaks_against_it() {
    let room = Room::new();
    let process = Process { pid: 7, name: "curl".into(), executable: None, called: Some("curl".into()), user: "alice".into(), holders: 1 };
    let _asked = Arc::clone(&room.desk).ask(&to(1, "api.github.com"), &terms(), Some(process.clone()));
    let _other = room.ask(&to(2, "githud.com"));
    let holds = room.desk.holds();
    let of = |host: &str| holds.iter().find(|hold| hold.place.host == host).unwrap().clone();
    let known = of("api.github.com");
    assert_eq!((known.process, known.preset.as_deref(), known.lookalike), (Some(process), Some("copilot, github"), None));
    let like = of("githud.com");
    assert_eq!((like.process, like.preset, like.lookalike), (None, None, Some(Lookalike { of: "github.com".to_owned() })));
}

#[tokio::test]
async fn what_looks_like_a_name_that_was_approved_is_marked_from_then_on() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let waiting = room.ask_waiting(&to(1, "registry.corporate.test"));
    room.desk.answer(&waiting.hold.id, yes(Lasting::Once), "alice", None).unwrap();
    let _other = room.ask_waiting(&to(2, "registry.c0rporate.test"));
    assert_eq!(room.desk.holds()[0].lookalike, Some(Lookalike { of: "registry.corporate.test".to_owned() }));
}

#[tokio::test]
async fn questions_that_are_nearly_the_same_name_each_other_and_an_answer_covers_one() {
    let room = Room::new();
    let _person = room.desk.attach(None);
    let mut other = to(2, "api.example.com");
    other.instance = Instance("another".into());
    let (one, other) = (room.ask_waiting(&to(1, "api.example.com")), room.ask_waiting(&other));
    let _alone = room.ask_waiting(&to(3, "www.example.com"));
    let beside = |id: &str| room.desk.hold(id).unwrap().similar;
    assert_eq!(beside(&one.hold.id), Some(Similar { count: 1, ids: vec![other.hold.id.to_string()] }));
    assert_eq!(beside(&other.hold.id), Some(Similar { count: 1, ids: vec![one.hold.id.to_string()] }));
    let before = room.desk.hold(&other.hold.id).unwrap();
    room.desk.answer(&one.hold.id, yes(Lasting::For(QUIET)), "alice", None).unwrap();
    let after = room.desk.hold(&other.hold.id).unwrap();
    assert_eq!((after.similar, after.waiting, after.facts), (None, 1, before.facts));
}

#[test]
fn questions_are_alike_that_differ_in_instance_the_webs_port_or_random_labels() {
    let asked = |host: &str, port: u16| {
        let mut attempt = to(1, host);
        attempt.destination = crate::policy::destination::Destination::parse(&format!("{host}:{port}")).unwrap();
        Subject::of(&attempt)
    };
    let rows = [
        (asked("a.example.com", 443), asked("a.example.com", 80), true),
        (asked("a.example.com", 443), asked("a.example.com", 8443), false),
        (asked("a.example.com", 443), asked("b.example.com", 443), false),
        (asked("nbswy3dpeb3w64tmmq.example.com", 443), asked("7f83b1657ff1fc53b92dc1.example.com", 80), true),
        (asked("nbswy3dpeb3w64tmmq.example.com", 443), asked("nbswy3dpeb3w64tmmq.example.org", 443), false),
        (asked("a.example.com", 443), Subject { agent: agent("other"), ..asked("a.example.com", 443) }, false),
    ];
    for (one, other, alike) in rows {
        let mut groups = crate::approval::similar::Groups::default();
        groups.insert(&one, &"one".into());
        groups.insert(&other, &"other".into());
        assert_eq!(groups.beside(&one, "one").is_some(), alike, "{one:?} {other:?}");
        groups.remove(&other, "other");
        assert_eq!(groups.beside(&one, "one"), None);
    }
}

#[test]
fn one_instance_at_its_cap_costs_no_other_its_place_and_no_question_makes_room() {
    let limits = Limits { pending: PENDING, per_agent: 5, per_source: 2, total: 100 };
    let mut holds = Holds::new(limits);
    let ask = |holds: &mut Holds, number: u8, who: &str, from: &str| {
        let mut attempt = attempt(u128::from(number), who, 1);
        attempt.instance = Instance(from.into());
        attempt.destination.host = Host::Address(Ipv4Addr::new(192, 0, 2, number).into());
        match holds.weigh(&Subject::of(&attempt), attempt.id, u32::from(number), |_| false) {
            Weighed::Open(id) => {
                holds.open(id, (&attempt, &terms()), Arc::default(), now());
                "open"
            }
            Weighed::Join(_) => "join",
            Weighed::Full(limit) => limit,
        }
    };
    let rows = [
        (1, "coder", "one", "open"),
        (2, "coder", "one", "open"),
        (3, "coder", "one", "hold.per_source"),
        (1, "coder", "one", "join"),
        (4, "coder", "two", "open"),
        (5, "other", "one", "open"),
        (6, "coder", "two", "open"),
        (7, "coder", "three", "open"),
        (8, "coder", "four", "hold.per_agent"),
        (9, "other", "two", "open"),
    ];
    for (number, who, from, became) in rows {
        assert_eq!(ask(&mut holds, number, who, from), became, "{number}");
    }
    assert_eq!(holds.iter().count(), 7);
    let first =
        holds.iter().find(|question| question.subject.instance == Instance("one".into()) && question.subject.agent == agent("coder"));
    let id = Arc::clone(&first.unwrap().id);
    assert!(holds.close(&id).is_some());
    assert_eq!(ask(&mut holds, 3, "coder", "one"), "open");
}

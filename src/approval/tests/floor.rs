//! What the floor lets a person answer.

use super::*;
use crate::policy::approvals::Approval;
use crate::policy::floor::Floor;

fn floor(text: &str) -> Room {
    let room = Room::new();
    room.policy.store(Arc::new(under(Floor::parse("floor.toml", text).unwrap().0)));
    room
}

fn answered(room: &Room, reply: Reply) -> Result<Answered, AnswerError> {
    let waiting = room.ask_waiting(&attempt(1, "coder", 1));
    room.desk.answer(&waiting.hold.id, reply, "alice", None)
}

fn at(network: &str) -> Reply {
    Reply::Yes { lasting: Lasting::Once, addresses: Some(vec![network.parse().unwrap()]) }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_yes_beyond_the_floor_is_refused_in_words_that_say_what_it_gives() {
    let longer = "floor.toml lets no yes last 28801 s; answer --once, or --for 8h or less";
    let forever = "floor.toml lets no yes last without end; answer --once, or --for 8h or less";
    let always = "floor.toml lets no yes last without end; answer --once, or --for DURATION";
    let outside =
        "floor.toml opens no address in 10.0.0.0/8: `private` there lists 10.20.0.0/16; leave --address out, or write one within them";
    let none = "floor.toml opens no address in 10.0.0.1/32: `private` there lists nothing; leave --address out, or write one within them";
    let table: [(&str, Reply, Option<&str>); 10] = [
        ("max_for = \"8h\"", yes(Lasting::For(8 * HOUR + Duration::from_secs(1))), Some(longer)),
        ("max_for = \"8h\"", yes(Lasting::Always), Some(forever)),
        ("max_for = \"8h\"", yes(Lasting::For(8 * HOUR)), None),
        ("max_for = \"8h\"", yes(Lasting::Once), None),
        ("forbid = [\"always\"]", yes(Lasting::Always), Some(always)),
        ("forbid = [\"always\"]", yes(Lasting::For(300 * 24 * HOUR)), None),
        ("private = [\"10.20.0.0/16\"]", at("10.0.0.0/8"), Some(outside)),
        ("private = [\"10.20.0.0/16\"]", at("10.20.3.0/24"), None),
        ("private = []", at("10.0.0.1/32"), Some(none)),
        ("", yes(Lasting::Always), None),
    ];
    for (text, reply, wanted) in table {
        let room = floor(text);
        let _person = room.desk.attach(None);
        let said = answered(&room, reply.clone()).map_err(|error| error.to_string());
        assert_eq!(said.as_ref().err().map(String::as_str), wanted, "{text} {reply:?}");
        assert_eq!(room.kinds().len(), 1 + usize::from(wanted.is_none()), "a refused answer is written down: {text}");
        assert!(wanted.is_none() || answered(&room, Reply::No).is_ok(), "the question is gone: {text}");
    }
}

#[tokio::test]
async fn a_yes_that_the_floor_has_in_force_no_more_answers_no_question() {
    let room = floor("");
    let _person = room.desk.attach(None);
    answered(&room, yes(Lasting::Always)).unwrap();
    let given: Vec<Approval> = room.approvals.read().iter().cloned().collect();
    assert_eq!(given.len(), 1);
    room.policy.store(Arc::new(under(Floor::parse("floor.toml", "forbid = [\"always\"]").unwrap().0)));
    let mut waiting = room.ask_waiting(&attempt(2, "coder", 1));
    assert!(futures_util::FutureExt::now_or_never(waiting.word()).is_none(), "told to decide again, for the same answer");
}

//! The words of a question on the terminal, and what a line typed at it means.

use std::time::Duration;

use super::super::approve::kind;
use super::super::fit::worded;
use crate::approval::{HoldView, Lasting, PlaceView, Reply};
use crate::text::plain;

/// A yes for the run ends with the run; this outlasts any.
pub(super) const RUN: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// What is shown of a question beside the question itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// How long the attempt still waits.
    pub(super) left: Duration,
    /// How many other questions wait.
    pub(super) more: usize,
    /// How wide the terminal is.
    pub(super) columns: usize,
}

/// The question, broken between words where the terminal is narrower.
pub(super) fn question(hold: &HoldView, beside: Beside) -> String {
    let Beside { left, more, columns } = beside;
    let first = hold.request.as_ref().filter(|_| hold.place.only.is_none());
    let request = first.map(|request| format!("; first {} {}", plain(&request.method, 20), plain(&request.path, 60)));
    let note = hold.note.as_deref().map(|note| format!(" [{}]", plain(note, 200)));
    let (request, note) = (request.unwrap_or_default(), note.unwrap_or_default());
    let by = hold.process.as_ref().map(|process| format!(", by {}", plain(&process.name, 20))).unwrap_or_default();
    let requests = if hold.waiting > 1 { format!(", {} requests", hold.waiting) } else { String::new() };
    let more = if more == 0 { String::new() } else { format!(" ({more} more)") };
    let text = format!(
        "exeat: {}{}{note} for {}{by}{requests}?{more} [y]es [h]our [a]lways [n]o, {}:",
        place(&hold.place, &request),
        cautions(hold),
        hold.agent,
        spelled(left)
    );
    // The space behind the colon is the last column a prompt may take.
    format!("{} ", worded(&text, columns.saturating_sub(1)))
}

/// What a person should not overlook; port, scheme and letters stand in the destination already.
fn cautions(hold: &HoldView) -> String {
    let seen = |code: &str| ["port", "plain-http", "punycode"].contains(&code);
    let like = hold.lookalike.iter().map(|like| format!(", LOOKS LIKE {}", plain(&like.of, 253)));
    let risks = hold.risk.iter().filter(|risk| !seen(&risk.code)).map(|risk| format!(", BEWARE: {}", plain(&risk.text, 160)));
    like.chain(risks).collect()
}

/// The destination, its kind, and what about its name may deceive.
fn place(place: &PlaceView, request: &str) -> String {
    let mut marks = format!("{}{request}", kind(place));
    if let Some(unicode) = &place.unicode {
        marks.push_str(&format!(", reads {}", plain(unicode, 253)));
    }
    // One label in front of what somebody registered is read at a glance; more may look like another name.
    let deep = |part: &str| place.host.strip_suffix(part).is_some_and(|front| front.matches('.').count() > 1);
    if let Some(registrable) = place.registrable.as_deref().filter(|part| deep(part)) {
        marks.push_str(&format!(", under {}", plain(registrable, 253)));
    }
    if place.mixed_script {
        marks.push_str(", MIXED SCRIPTS");
    }
    format!("{} ({marks})", plain(&place.authority(), 270))
}

fn spelled(left: Duration) -> String {
    match left.as_millis().div_ceil(1000) {
        seconds @ 0..=120 => format!("{} s", seconds.max(1)),
        seconds => format!("{} min", seconds / 60),
    }
}

/// What a line typed at a question means; `None` where it is no answer.
pub(super) fn answer(line: &[u8]) -> Option<Reply> {
    let yes = |lasting| Some(Reply::Yes { lasting, addresses: None });
    match line.trim_ascii().to_ascii_lowercase().as_slice() {
        b"y" | b"yes" => yes(Lasting::Once),
        b"h" | b"hour" => yes(Lasting::For(HOUR)),
        b"a" | b"always" => yes(Lasting::For(RUN)),
        b"n" | b"no" => Some(Reply::No),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::approval::testing::{Room, agent, attempt};
    use crate::policy::host::Host;

    fn asked(host: &str, left: u64, more: usize, columns: usize) -> String {
        let room = Room::new();
        let _presence = room.desk.attach(Some(agent("coder")));
        let mut attempt = attempt(1, "coder", 1);
        attempt.destination.host = Host::parse(host).unwrap();
        let _waiting = room.ask_waiting(&attempt);
        let hold = room.desk.holds().remove(0);
        question(&hold, Beside { left: Duration::from_secs(left), more, columns })
    }

    #[test]
    fn a_question_says_who_asks_for_what_and_how_long_it_waits() {
        assert_eq!(
            asked("curl.example", 45, 0, 120),
            "exeat: curl.example:443 (tunnel, contents not seen) for coder? [y]es [h]our [a]lways [n]o, 45 s: "
        );
        assert_eq!(
            asked("api.example.com.evil.test", 900, 2, 200),
            "exeat: api.example.com.evil.test:443 (tunnel, contents not seen, under evil.test) for coder? (2 more) [y]es [h]our [a]lways [n]o, 15 min: "
        );
    }

    #[test]
    fn a_question_says_how_many_requests_one_answer_is_for() {
        let room = Room::new();
        let _presence = room.desk.attach(None);
        let _waiting = [1, 2].map(|number| room.ask_waiting(&attempt(number, "coder", 1)));
        let beside = Beside { left: Duration::from_millis(44_100), more: 0, columns: 200 };
        let asked = question(&room.desk.holds().remove(0), beside);
        assert_eq!(
            asked,
            "exeat: 192.0.2.1:443 (tunnel, contents not seen), BEWARE: a bare address that is not public: documentation (TEST-NET-1), RFC 5737 for coder, 2 requests? [y]es [h]our [a]lways [n]o, 45 s: "
        );
    }

    #[test]
    fn a_question_is_broken_between_words_only() {
        assert_eq!(
            asked("registry.example.org", 45, 3, 80),
            "exeat: registry.example.org:443 (tunnel, contents not seen) for coder? (3 more)\n[y]es [h]our [a]lways [n]o, 45 s: "
        );
        assert!(asked("curl.example", 45, 0, 10).lines().all(|line| !line.starts_with(' ')));
    }

    #[test]
    fn an_answer_is_a_key_or_its_word_and_anything_else_is_none() {
        let yes = |lasting| Some(Reply::Yes { lasting, addresses: None });
        let rows: [(&[u8], Option<Reply>); 14] = [
            (b"y", yes(Lasting::Once)),
            (b" Y ", yes(Lasting::Once)),
            (b"yes", yes(Lasting::Once)),
            (b"YES\r", yes(Lasting::Once)),
            (b"h", yes(Lasting::For(HOUR))),
            (b"Hour", yes(Lasting::For(HOUR))),
            (b"a", yes(Lasting::For(RUN))),
            (b"always", yes(Lasting::For(RUN))),
            (b"n", Some(Reply::No)),
            (b"No", Some(Reply::No)),
            (b"s", None),
            (b"", None),
            (b"yn", None),
            (b"\x1b[A", None),
        ];
        for (line, meant) in rows {
            assert_eq!(answer(line), meant, "{line:?}");
        }
    }
}

//! Raw bytes beyond the rows of `corpus`: what may not pass reaches no resolver and no origin, is recorded once, and ends nothing.

mod heads;
mod hygiene;
mod tunnels;

use std::time::Duration;

use crate::support::p0::P0;
use crate::support::proxy::{Proxy, of_kind};
use crate::support::talk::Answer;

/// Statuses a malformed request may get.
const MALFORMED: [u16; 7] = [400, 405, 414, 417, 431, 501, 505];

/// The proxy comes first: it is ended before its folder goes.
struct Lab {
    proxy: Proxy,
    p0: P0,
}

impl Lab {
    fn new() -> Self {
        let p0 = P0::new();
        let proxy = p0.start();
        Self { proxy, p0 }
    }

    /// Sends bytes on a connection of their own; every answer until it is closed or silent.
    fn throw(&self, bytes: &[u8]) -> Vec<Answer> {
        self.throw_and_listen(bytes, Duration::from_millis(150))
    }

    fn throw_and_listen(&self, bytes: &[u8], patience: Duration) -> Vec<Answer> {
        let mut talk = self.proxy.talk();
        talk.send(bytes);
        let mut answers: Vec<Answer> = talk.try_answer("GET").into_iter().collect();
        while !answers.is_empty() && !talk.is_quiet(patience) {
            match talk.try_answer("GET") {
                Some(answer) => answers.push(answer),
                None => break,
            }
        }
        answers
    }

    fn decisions(&self) -> usize {
        of_kind(&self.proxy.journal(), "decided").len()
    }

    /// Sends bytes that must be refused as malformed: one answer, one record, no lookup, nothing dialled, nothing held.
    fn assert_bad(&mut self, bytes: &[u8]) {
        let shown = String::from_utf8_lossy(bytes);
        let before = self.decisions();
        let dialled = self.p0.plain.connections().len() + self.p0.secure.connections().len();
        let asked = self.p0.site.dns.queries().len();
        let answers = self.throw_and_listen(bytes, Duration::from_millis(60));
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(answers.len() == 1 && MALFORMED.contains(&statuses[0]), "{shown:?} got {statuses:?}");
        assert!(!answers[0].text().contains("evil"), "{shown:?} is echoed: {}", answers[0].text());
        let records = self.proxy.until("the refusal", |records| of_kind(records, "decided").len() > before);
        let new = &of_kind(&records, "decided")[before..];
        assert!(new.len() == 1 && new[0]["reason"] == "malformed" && new[0]["decision"] == "block", "{shown:?} recorded as {new:?}");
        assert_eq!(self.p0.site.dns.queries().len(), asked, "{shown:?} asked the name server");
        assert_eq!(self.p0.plain.connections().len() + self.p0.secure.connections().len(), dialled, "{shown:?} dialled");
        assert!(of_kind(&records, "held").is_empty(), "{shown:?} was held");
        assert!(self.proxy.is_alive(), "{shown:?} ended the process");
    }
}

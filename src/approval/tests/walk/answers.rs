//! Answers of people, and what each must do and say by the model.

use super::model::{Agreed, Given, Said};
use super::rules::{Opens, PEOPLE};
use super::world::World;
use super::*;
use crate::egress::record::{Answer, Record};

/// What a person may say, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Says {
    pub(super) who: usize,
    pub(super) reply: u8,
    pub(super) opens: u8,
}

impl Says {
    fn yes(self) -> Option<Said> {
        let lasting = match self.reply {
            0 => return None,
            1 | 2 => Lasting::For(Duration::from_secs(200)),
            3 => Lasting::Always,
            _ => Lasting::Once,
        };
        let opens = match self.opens {
            0 => Opens::Wide,
            1 => Opens::Narrow,
            _ => Opens::Public,
        };
        Some(Said { by: PEOPLE[self.who], lasting, opens })
    }
}

impl World {
    pub(super) fn answer(&mut self, which: usize, says: Says) -> Result<(), TestCaseError> {
        let (id, shown) = self.shown[which].clone();
        match says.yes() {
            Some(said) => self.yes(&id, shown, said),
            None => self.no(&id, shown, PEOPLE[says.who]),
        }
    }

    fn yes(&mut self, id: &str, shown: Shown, said: Said) -> Result<(), TestCaseError> {
        let (at, pending) = (now(), self.process.desk.hold(id));
        let waited = self.waiting_at(&shown);
        let Said { by, lasting, opens } = said;
        let addresses = (opens != Opens::Public).then(|| vec![opens.spelt().parse().unwrap()]);
        let answered = self.process.desk.answer(id, Reply::Yes { lasting, addresses }, by, None);
        let answered = match answered {
            Ok(answered) => answered,
            Err(error) => return self.yes_is_none(id, (&shown, said), pending.is_some(), &error),
        };
        prop_assert!(!self.model.rules.forbid(lasting, opens), "the floor gives no {:?}", said);
        prop_assert_eq!(pending.as_ref().map(Shown::of), Some(shown.clone()), "the question is another one");
        prop_assert!(self.says(id, Answer::Yes), "it takes effect before it is recorded");
        prop_assert!(!self.yeses.contains_key(id), "answered yes twice");
        match (self.model.agrees(id, &shown, said), answered.approval) {
            (Agreed::NotYet, None) => {
                prop_assert_eq!(answered.released, 0);
                prop_assert!(self.process.desk.hold(id).is_some_and(|hold| hold.yes_by.contains(&by.to_owned())));
                self.model.said.entry(id.to_owned()).or_default().push(said);
                self.met.insert("one yes of two");
            }
            (Agreed::All(lasting, opens), Some(given)) => {
                prop_assert_eq!(&answered.addresses, &[opens.spelt()]);
                prop_assert_eq!(answered.scope.as_deref(), Some(lasting.word()));
                prop_assert_eq!(pending.map(|hold| hold.waiting), Some(answered.released));
                prop_assert!(waited.len() >= answered.released, "more are released than wait: {:?} {:?}", waited, answered);
                if answered.of.is_some() {
                    self.met.insert("two yeses");
                }
                let (released, used) = (answered.released, BTreeSet::new());
                let yes = Given { shown, lasting, opens, at, waited, released, used, over: false, comes_back: false };
                self.model.given.insert(given, yes);
                self.yeses.insert(id.to_owned(), given);
            }
            other => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }

    fn yes_is_none(&mut self, id: &str, yes: (&Shown, Said), pending: bool, error: &AnswerError) -> Result<(), TestCaseError> {
        let (shown, said) = yes;
        let agreed = self.model.agrees(id, shown, said);
        let forbidden = self.model.rules.forbid(said.lasting, said.opens);
        let due = if matches!(error, AnswerError::Floor(_)) {
            forbidden
        } else if matches!(error, AnswerError::SaidAlready { of: 2 }) {
            agreed == Agreed::SaidAlready
        } else if *error == AnswerError::NothingInCommon {
            agreed == Agreed::NothingInCommon
        } else if *error == AnswerError::Unwritable {
            self.journal.broken.load(Ordering::SeqCst)
        } else if matches!(error, AnswerError::Unkept(_)) {
            self.store.broken.load(Ordering::SeqCst)
        } else {
            !pending
        };
        prop_assert!(due, "{:?} to {:?}, {:?}: {}", said, shown, agreed, error);
        if agreed == Agreed::NothingInCommon {
            self.met.insert("nothing in common");
        }
        Ok(())
    }

    fn no(&mut self, id: &str, shown: Shown, by: &str) -> Result<(), TestCaseError> {
        let at = now();
        match self.process.desk.answer(id, Reply::No, by, None) {
            Ok(answered) => {
                prop_assert_eq!(answered.answer, Answer::No);
                prop_assert!(self.says(id, Answer::No), "it takes effect before it is recorded");
                self.denied(id, shown, at, true);
            }
            Err(AnswerError::Unrecorded | AnswerError::Unlasting(_)) => {
                let kept = !self.store.broken.load(Ordering::SeqCst);
                self.denied(id, shown, at, kept);
            }
            Err(error) => {
                prop_assert!(error == AnswerError::Unwritable || self.process.desk.hold(id).is_none(), "{error}");
            }
        }
        Ok(())
    }

    /// A no wins, also over the yes before it.
    fn denied(&mut self, id: &str, shown: Shown, at: SystemTime, kept: bool) {
        if let Some(given) = self.yeses.get(id).and_then(|by| self.model.given.get_mut(by)) {
            (given.over, given.comes_back) = (true, !kept);
        }
        self.model.deny(shown, at, kept);
    }

    /// Whether the last word of the journal is that answer.
    fn says(&self, id: &str, answer: Answer) -> bool {
        matches!(self.journal.written.lock().last(), Some(Record::Answered(last)) if last.hold == id && last.answer == answer)
    }

    /// Who may wait at a question: those of its subject. Who was told to decide again and has not done so yet counts among them.
    fn waiting_at(&self, shown: &Shown) -> BTreeSet<usize> {
        let numbers = self.waiting.iter().map(|(number, _)| *number);
        let asks = |number: &usize| {
            let of = &self.model.attempts[*number];
            shown.is_asked_by(of, false) || shown.is_asked_by(of, true)
        };
        numbers.filter(asks).collect()
    }

    pub(super) fn revoke(&mut self, which: usize) -> Result<(), TestCaseError> {
        let views = self.process.desk.approvals();
        if views.is_empty() {
            return Ok(());
        }
        let view = &views[which % views.len()];
        match self.process.desk.revoke(&view.id.to_string(), "bob") {
            Ok(_) | Err(RevokeError::Unrecorded | RevokeError::Unlasting(_)) => {
                let given = self.model.given.get_mut(&view.id);
                prop_assert!(given.is_some(), "an approval nobody gave: {view:?}");
                let given = given.unwrap();
                (given.over, given.comes_back) = (true, self.store.broken.load(Ordering::SeqCst));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }
}

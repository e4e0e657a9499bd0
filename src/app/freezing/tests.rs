use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::approval::store::Sqlite;
use crate::config::Config;
use crate::egress::record::{Ended, Ruling, Unwritable};
use crate::policy::address::Guard;
use crate::policy::attempt::AttemptId;

/// A journal in memory that takes records until it is told not to.
#[derive(Debug, Default)]
struct Journal {
    full: AtomicBool,
    written: Mutex<Vec<serde_json::Value>>,
}

impl Recorder for Journal {
    fn record(&self, record: &Record) -> Result<(), Unwritable> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Unwritable);
        }
        self.written.lock().push(serde_json::to_value(record).unwrap());
        Ok(())
    }
    fn settle(&self, _: Ended) {}
    fn limit_hit(&self, _: &'static str) {}
    fn decision_took(&self, _: Duration) {}
    fn added(&self, _: AttemptId, _: Ruling, _: Duration) {}
}

struct Room {
    standing: Standing,
    store: Arc<Sqlite>,
    freezing: Freezing,
    journal: Journal,
}

impl Room {
    /// Agents `a` and `b`, and `c` whose file is broken.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("allowlists")).unwrap();
        for (name, rest) in [("a", ""), ("b", ""), ("c", "unlisted = \"?\"\n")] {
            std::fs::write(at("allowlists").join(format!("{name}.toml")), format!("agent = \"{name}\"\n{rest}")).unwrap();
        }
        std::fs::write(at("exeat.toml"), "state = \"state\"\nallowlists = \"allowlists\"\n").unwrap();
        let config = Config::load(Some(&at("exeat.toml")), []).unwrap();
        let guard = Guard { own: Vec::new(), machine: Vec::new(), known_as: Vec::new(), never: Vec::new() };
        let standing = Standing::start(&config, guard, SystemTime::UNIX_EPOCH);
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let freezing = Freezing::kept(Arc::clone(&store) as _).unwrap();
        Self { standing, store, freezing, journal: Journal::default() }
    }

    fn freeze(&mut self, word: &str, note: Option<&str>) -> Result<bool, NotFrozen> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let freeze = Freeze { whom: whom(word), by: "alice".into(), at, note: note.map(Arc::from) };
        self.freezing.freeze(freeze, &self.standing, &self.journal)
    }

    fn thaw(&mut self, word: &str) -> Result<bool, NotThawed> {
        self.freezing.thaw(&whom(word), "bob", &self.journal)
    }

    /// Who is stopped now, and who would be after a start.
    fn stopped(&self) -> (Frozen, Frozen) {
        let again = Freezing::kept(Arc::clone(&self.store) as _).unwrap();
        (self.freezing.with(&Frozen::Nobody), again.with(&Frozen::Nobody))
    }

    fn kinds(&self) -> Vec<String> {
        let written = self.journal.written.lock();
        written.iter().map(|record| format!("{} {} {}", record["kind"], record["whom"], record["who"]).replace('"', "")).collect()
    }
}

fn agent(name: &str) -> AgentId {
    AgentId::parse(name).unwrap()
}

fn whom(word: &str) -> Whom {
    if word == "*" { Whom::Everyone } else { Whom::Agent(agent(word)) }
}

fn these(names: &[&str]) -> Frozen {
    Frozen::These(names.iter().map(|name| agent(name)).collect())
}

fn both(frozen: Frozen) -> (Frozen, Frozen) {
    (frozen.clone(), frozen)
}

#[test]
fn who_is_frozen_is_so_after_a_start_until_he_is_thawed() {
    let mut room = Room::new();
    assert_eq!(room.freeze("a", Some(" loops ")), Ok(true));
    assert_eq!(room.freeze("a", None), Ok(false));
    assert_eq!(room.stopped(), both(these(&["a"])));
    assert_eq!(room.freeze("c", None), Ok(true), "its file is broken, and it may have a good one in force");
    assert_eq!(room.freeze("*", None), Ok(true));
    assert_eq!(room.stopped(), both(Frozen::Everyone));
    assert_eq!(room.thaw("*"), Ok(true));
    assert_eq!(room.stopped(), both(these(&["a", "c"])), "each by his own name is frozen still");
    assert_eq!((room.thaw("b"), room.thaw("*"), room.thaw("c"), room.thaw("a")), (Ok(false), Ok(false), Ok(true), Ok(true)));
    assert_eq!(room.stopped(), both(Frozen::Nobody));
    let told = ["frozen a alice", "frozen c alice", "frozen * alice", "thawed * bob", "thawed c bob", "thawed a bob"];
    assert_eq!(room.kinds(), told);
    assert_eq!(room.journal.written.lock()[0]["note"], "loops");
}

#[test]
fn a_name_that_nobody_has_and_a_note_that_is_none_change_nothing() {
    let mut room = Room::new();
    let said = room.freeze("codr", None).unwrap_err().to_string();
    assert_eq!(said, "no agent is named codr, so nobody is frozen; there are a, b");
    for note in ["two\nlines", &"x".repeat(LONGEST_NOTE + 1)] {
        assert_eq!(room.freeze("a", Some(note)), Err(NotFrozen::Note));
    }
    assert_eq!((room.stopped(), room.kinds()), (both(Frozen::Nobody), Vec::<String>::new()));
}

#[test]
fn a_freeze_that_cannot_be_recorded_stops_all_the_same_and_a_thaw_does_nothing() {
    let mut room = Room::new();
    room.journal.full.store(true, Ordering::Relaxed);
    assert_eq!(room.freeze("a", None), Err(NotFrozen::Unrecorded(whom("a"))));
    assert_eq!(room.thaw("a"), Err(NotThawed::Unrecorded(whom("a"))));
    assert_eq!(room.stopped(), both(these(&["a"])));
}

#[test]
fn a_freeze_that_cannot_be_kept_stops_until_the_end_and_says_so_and_a_thaw_does_nothing() {
    let mut room = Room::new();
    assert_eq!(room.freeze("b", None), Ok(true));
    room.store.lose("freezes");
    let said = room.freeze("a", None).unwrap_err().to_string();
    assert!(said.starts_with("a is frozen, and only until this exeat ends unless the store takes it by then, which is tried again: the store in memory cannot"), "{said}");
    assert!(matches!(room.thaw("b"), Err(NotThawed::Unkept { .. })));
    assert_eq!(room.freezing.with(&Frozen::Nobody), these(&["a", "b"]));
    assert_eq!(room.kinds(), ["frozen b alice", "frozen a alice", "thawed b bob", "frozen b alice"], "the journal ends with what is so");
    assert!(matches!(room.freeze("a", None), Err(NotFrozen::Unkept { .. })), "it is tried again");
    assert_eq!(room.thaw("a"), Ok(true), "no start would bring it back");
    assert!(Freezing::kept(Arc::clone(&room.store) as _).is_err(), "nobody starts without knowing who is frozen");
}

#[test]
fn a_freeze_that_the_store_did_not_take_is_told_to_it_again() {
    let mut room = Room::new();
    room.store.break_it(true);
    assert!(matches!(room.freeze("a", None), Err(NotFrozen::Unkept { .. })));
    room.freezing.keep();
    room.store.break_it(false);
    assert_eq!(Freezing::kept(Arc::clone(&room.store) as _).unwrap().list(), []);
    room.freezing.keep();
    assert_eq!(Freezing::kept(Arc::clone(&room.store) as _).unwrap().list(), room.freezing.list());
    assert!(room.freezing.notes().all(|note| !note.contains("only until")));
    assert_eq!((room.freeze("a", None), room.thaw("a")), (Ok(false), Ok(true)));
    assert_eq!(Freezing::kept(Arc::clone(&room.store) as _).unwrap().list(), []);
}

#[test]
fn what_the_file_stops_is_stopped_beside_what_is_stopped_here() {
    let mut room = Room::new();
    room.freeze("a", Some("loops")).unwrap();
    for (file, all) in [(Frozen::Nobody, these(&["a"])), (these(&["b"]), these(&["a", "b"])), (Frozen::Everyone, Frozen::Everyone)] {
        assert_eq!(room.freezing.with(&file), all);
    }
    let since = Timestamp::from_second(60).ok();
    let here = FrozenBy { by: "alice".to_owned(), since, note: Some("loops".to_owned()), everyone: false };
    let file = FrozenBy { by: "the file freeze".to_owned(), since: None, note: None, everyone: true };
    assert_eq!(room.freezing.stops(&agent("a"), &Frozen::Everyone), [here, file.clone()]);
    assert_eq!(room.freezing.stops(&agent("b"), &these(&["b"])), [FrozenBy { everyone: false, ..file }]);
    assert_eq!(room.freezing.stops(&agent("b"), &these(&["a"])), []);
    room.freeze("*", None).unwrap();
    let notes: Vec<String> = room.freezing.notes().collect();
    assert_eq!(
        notes,
        ["everyone is frozen by alice since 1970-01-01T00:01:00Z", "agent a is frozen by alice since 1970-01-01T00:01:00Z: loops"]
    );
}

#![expect(clippy::unwrap_used, reason = "tests")]

mod damage;
mod proofs;

use tempfile::TempDir;

use super::*;
use crate::egress::record::{GapWhy, Record, Sealed, Segment, Stopped};
use crate::journal::Tree;
use crate::journal::line::{Line, VERSION};
use crate::journal::note::{Key, Signer};
use crate::journal::sample::{decided, ended};
use crate::policy::attempt::AttemptId;

/// What a writer does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An attempt that begins and ends.
    Attempt(u128),
    Seal,
    Segment,
    Stop,
}

/// A journal written by the format alone.
struct Written {
    state: TempDir,
    key: Key,
}

impl Written {
    fn new(steps: &[Step]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let key = Key::open(state.path()).unwrap();
        let written = Self { state, key };
        written.write(steps);
        written
    }

    /// Writes the slot anew.
    fn write(&self, steps: &[Step]) {
        let _ = fs::remove_dir_all(self.slot());
        fs::create_dir_all(self.slot()).unwrap();
        let mut pen = Pen { signer: self.key.signer("proxy-1"), tree: Tree::default(), segments: Vec::new(), notes: String::new() };
        pen.segment();
        for step in steps.iter().chain([&Step::Stop]) {
            match step {
                Step::Attempt(id) => {
                    [Record::Decided(decided(*id)), Record::Ended(ended(*id))].into_iter().for_each(|record| pen.line(record))
                }
                Step::Seal => pen.seal(),
                Step::Segment => {
                    pen.seal();
                    pen.segment();
                }
                Step::Stop => {
                    pen.line(Record::Stopped(Stopped {}));
                    pen.note();
                }
            }
        }
        for (number, text) in (1..).zip(&pen.segments) {
            fs::write(self.segment(number), text).unwrap();
        }
        fs::write(self.slot().join("checkpoints"), &pen.notes).unwrap();
        fs::write(self.slot().join("verifier"), format!("{}\n", pen.signer.verifier())).unwrap();
    }

    fn slot(&self) -> PathBuf {
        self.state.path().join("journal/proxy-1")
    }

    fn segment(&self, number: usize) -> PathBuf {
        self.slot().join(format!("{number:08}.jsonl"))
    }

    fn segments(&self) -> usize {
        slot::segments(&self.slot()).unwrap().len()
    }

    fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.slot().join("checkpoints")).unwrap();
        let parts: Vec<&str> = text.split_terminator("\n\n").collect();
        parts.chunks(2).map(|note| format!("{}\n\n{}\n", note[0], note[1])).collect()
    }

    fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let path = self.slot().join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, edit(text)).unwrap();
    }

    fn verify(&self) -> Verified {
        self.verify_from(&[])
    }

    fn verify_from(&self, notes: &[String]) -> Verified {
        let elsewhere = tempfile::tempdir().unwrap();
        let mut kept = Kept::default();
        if !notes.is_empty() {
            fs::write(elsewhere.path().join("kept"), notes.join("\n") + "\nexeat/").unwrap();
            kept.add(elsewhere.path()).unwrap();
        }
        verify(&Asked { path: self.state.path().to_owned(), keys: Vec::new(), kept }).unwrap()
    }

    fn sound(&self) -> Sound {
        let mut verified = self.verify();
        assert!(verified.sound(), "{verified:?}");
        verified.slots.remove(0).result.unwrap()
    }

    /// The first thing wrong: file, line, seq, and what.
    fn broken(&self) -> (String, u64, Option<u64>, String) {
        told(self.verify())
    }
}

fn told(mut verified: Verified) -> (String, u64, Option<u64>, String) {
    let Broken { file, line, seq, what, means } = verified.slots.remove(0).result.unwrap_err();
    assert!(!means.is_empty());
    (file.file_name().unwrap().to_str().unwrap().to_owned(), line, seq, what)
}

struct Pen {
    signer: Signer,
    tree: Tree,
    segments: Vec<String>,
    notes: String,
}

fn rendered(seq: u64, record: Record) -> String {
    let mut line = Vec::new();
    Line { v: VERSION, seq, at: jiff::Timestamp::UNIX_EPOCH, record }.render_into(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

impl Pen {
    fn line(&mut self, record: Record) {
        let line = rendered(self.tree.size() + 1, record);
        self.tree.push(line.trim_end().as_bytes());
        self.segments.last_mut().unwrap().push_str(&line);
    }

    fn segment(&mut self) {
        self.segments.push(String::new());
        self.line(Record::Segment(Segment { size: self.tree.size(), peaks: self.tree.peaks() }));
    }

    fn seal(&mut self) {
        let note = self.note();
        self.line(Record::Sealed(Sealed { size: self.tree.size(), root: self.tree.root().to_string(), note }));
    }

    fn note(&mut self) -> String {
        let note = self.signer.sign(self.tree.size(), self.tree.root());
        self.notes.push_str(&format!("{note}\n"));
        note
    }
}

/// Lines 1 to 10 in segment 1: heading, attempt, sealed, attempt, attempt, attempt's sealed; 11 to 14 in segment 2.
const STEPS: [Step; 5] = [Step::Attempt(1), Step::Seal, Step::Attempt(2), Step::Segment, Step::Attempt(3)];

#[test]
fn a_journal_as_written_is_sound_and_what_it_holds_is_said() {
    let written = Written::new(&STEPS);
    let sound = written.sound();
    let signer = written.key.signer("proxy-1");
    let note = written.notes().pop().unwrap();
    let opened = Verifier::parse(signer.verifier()).unwrap().open(&note).unwrap();
    let wanted = Sound {
        origin: signer.origin().into(),
        verifier: signer.verifier().into(),
        first: 1,
        last: 11,
        segments: 2,
        checkpoint: Some(Covered { size: 11, root: opened.hash().to_string(), note }),
        ..Sound::default()
    };
    assert_eq!(sound, wanted);
    for path in ["journal", "journal/proxy-1"] {
        let asked = Asked { path: written.state.path().join(path), keys: Vec::new(), kept: Kept::default() };
        assert_eq!(verify(&asked).unwrap().slots[0].result.as_ref().unwrap(), &wanted, "{path}");
    }
}

type Damage = fn(&Written);
/// File, line, seq and what is wrong.
type Told = (&'static str, u64, Option<u64>, &'static str);

const DAMAGES: [(&str, Damage, Told); 14] = [
    (
        "a byte of a record that still reads",
        |w| w.edit("00000001.jsonl", |text| text.replacen("127.0.0.1:50000", "127.0.0.1:50001", 1)),
        ("checkpoints", 1, None, "the checkpoint over 3 records has another root than those records"),
    ),
    (
        "a byte of a frame",
        |w| w.edit("00000001.jsonl", |text| text.replacen("\"v\":1", "\"v\":2", 1)),
        ("00000001.jsonl", 1, None, "this is no record"),
    ),
    ("a record removed", |w| w.edit("00000001.jsonl", |text| without(&text, 1)), ("00000001.jsonl", 2, Some(3), "seq 3 follows 1")),
    ("two records swapped", |w| w.edit("00000001.jsonl", |text| swapped(&text, 1)), ("00000001.jsonl", 2, Some(3), "seq 3 follows 1")),
    (
        "a record inserted",
        |w| w.edit("00000001.jsonl", |text| doubled(&text, 1)),
        ("00000001.jsonl", 3, Some(2), "seq 2 stands where 3 was to come"),
    ),
    (
        "the tail cut",
        |w| w.edit("00000002.jsonl", |text| without(&text, 3)),
        ("checkpoints", 13, None, "the checkpoint covers 11 records, and the log ends at seq 10"),
    ),
    (
        "the last line cut short",
        |w| w.edit("00000002.jsonl", |text| text[..text.len() - 1].to_owned()),
        ("checkpoints", 13, None, "the checkpoint covers 11 records, and the log ends at seq 10"),
    ),
    (
        "a checkpoint removed",
        |w| w.edit("checkpoints", |text| text.split_inclusive('\n').skip(6).collect()),
        ("checkpoints", 0, None, "the checkpoint over 3 records, which stands in the log, is missing here"),
    ),
    (
        "the last checkpoint removed",
        |w| w.edit("checkpoints", |text| text.split_inclusive('\n').take(12).collect()),
        ("checkpoints", 0, None, "the log was stopped in order at seq 11, and the checkpoint made then is missing here"),
    ),
    (
        "all checkpoints removed",
        |w| fs::remove_file(w.slot().join("checkpoints")).unwrap(),
        ("checkpoints", 0, None, "the checkpoint over 3 records, which stands in the log, is missing here"),
    ),
    (
        "a checkpoint of another size",
        |w| w.edit("checkpoints", |text| text.replacen("\n3\n", "\n2\n", 1)),
        ("checkpoints", 1, None, "the note here: its signature does not fit its text"),
    ),
    (
        "a segment removed",
        |w| {
            w.write(&[Step::Segment, Step::Attempt(1), Step::Segment, Step::Attempt(2)]);
            fs::remove_file(w.segment(2)).unwrap();
        },
        ("00000003.jsonl", 1, Some(7), "seq 7 follows 2"),
    ),
    (
        "the verifier removed",
        |w| fs::remove_file(w.slot().join("verifier")).unwrap(),
        ("verifier", 0, None, "it is missing; put it back, or give the key with --key"),
    ),
    ("the heading removed", |w| w.edit("00000002.jsonl", |text| without(&text, 0)), ("00000002.jsonl", 1, Some(9), "seq 9 follows 7")),
];

#[test]
fn each_kind_of_damage_is_told_with_its_place_and_what_it_is() {
    for (name, damage, wanted) in DAMAGES {
        let written = Written::new(&STEPS);
        damage(&written);
        let (file, line, seq, what) = written.broken();
        assert_eq!((file.as_str(), line, seq, what.as_str()), wanted, "{name}");
    }
}

#[test]
fn an_open_end_is_sound_and_what_is_not_covered_is_said() {
    let written = Written::new(&STEPS);
    // As a kill leaves it: no `stopped`, no last checkpoint, and a line that was begun.
    written.edit("00000002.jsonl", |text| without(&text, 3) + "{\"v\":1,\"se");
    written.edit("checkpoints", |text| text.split_inclusive('\n').take(12).collect());
    let sound = written.sound();
    assert_eq!((sound.last, sound.checkpoint.map(|covered| covered.size), sound.torn, sound.only_in_the_log), (10, Some(6), 10, false));
    // And with the kill between the line and the file.
    written.edit("checkpoints", |text| text.split_inclusive('\n').take(6).collect::<String>() + "exeat/");
    let sound = written.sound();
    assert_eq!((sound.checkpoint.map(|covered| covered.size), sound.only_in_the_log), (Some(6), true));
}

#[test]
fn checkpoints_that_were_thinned_are_no_damage_and_a_newer_one_that_is_gone_is() {
    let written = Written::new(&vec![Step::Seal; 1_100]);
    for (gone, sound) in [(0..2, true), (0..100, true), (100..101, true), (101..102, false), (1_099..1_100, false)] {
        let all = written.notes();
        let left = all.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, note)| format!("{note}\n"));
        fs::write(written.slot().join("checkpoints"), left.collect::<String>()).unwrap();
        assert_eq!(written.verify().sound(), sound, "{gone:?}");
        fs::write(written.slot().join("checkpoints"), all.iter().map(|note| format!("{note}\n")).collect::<String>()).unwrap();
    }
}

#[test]
fn segments_that_retention_took_are_no_damage() {
    let written = Written::new(&[Step::Attempt(1), Step::Segment, Step::Attempt(2), Step::Seal, Step::Attempt(3), Step::Segment]);
    let old = written.notes();
    fs::remove_file(written.segment(1)).unwrap();
    let sound = written.sound();
    // The checkpoint over the three lines before `sealed` is of what is gone.
    assert_eq!((sound.first, sound.segments, sound.earlier), (5, 2, 1));
    let verified = written.verify_from(&old);
    let sound = verified.slots[0].result.as_ref().unwrap();
    assert_eq!((verified.sound(), sound.kept, sound.kept_earlier), (true, 3, 1));
    // Peaks that are not the log's.
    written.edit("00000002.jsonl", |text| text.replacen("\"peaks\":[\"", "\"peaks\":[\"AAAA", 1).replacen("AAAA", "", 0));
    assert!(!written.verify().sound());
    let forged = Tree::from_peaks(4, &[tlog_tiles::EMPTY_HASH.to_string()]).unwrap();
    let written = Written::new(&[Step::Attempt(1), Step::Segment, Step::Attempt(2), Step::Seal]);
    fs::remove_file(written.segment(1)).unwrap();
    written.edit("00000002.jsonl", |text| {
        let start = text.find("\"peaks\":[\"").unwrap() + 10;
        let end = start + text[start..].find('"').unwrap();
        format!("{}{}{}", &text[..start], forged.peaks()[0], &text[end..])
    });
    assert_eq!(written.broken().3, "the checkpoint over 7 records has another root than those records");
}

#[test]
fn what_the_log_says_is_missing_is_said() {
    let written = Written::new(&[]);
    let gap = Gap { slot: "proxy-1".into(), first: 1, last: 9, sinks: Vec::new(), why: GapWhy::Full };
    let mut pen = Pen { signer: written.key.signer("proxy-1"), tree: Tree::default(), segments: Vec::new(), notes: String::new() };
    pen.segment();
    pen.line(Record::Gap(gap.clone()));
    pen.line(Record::Gap(Gap { slot: "proxy-2".into(), ..gap.clone() }));
    fs::write(written.segment(1), &pen.segments[0]).unwrap();
    fs::write(written.slot().join("checkpoints"), "").unwrap();
    let sound = written.sound();
    assert_eq!((sound.gaps, sound.checkpoint, sound.last), (vec![gap], None, 3));
}

#[test]
fn a_log_rewritten_or_cut_with_the_key_is_found_by_a_checkpoint_kept_elsewhere_and_only_so() {
    let written = Written::new(&STEPS);
    let kept = written.notes();
    let newest = &kept[kept.len() - 1..];
    for (steps, what) in [
        (
            vec![Step::Attempt(9), Step::Seal, Step::Attempt(2), Step::Segment, Step::Attempt(3)],
            "the checkpoint kept elsewhere over 11 records has another root than those 11 records",
        ),
        (
            vec![Step::Attempt(1), Step::Seal, Step::Attempt(2)],
            "the checkpoint kept elsewhere covers 11 records, and the log ends at seq 7",
        ),
    ] {
        written.write(&steps);
        assert!(written.verify().sound());
        assert_eq!(told(written.verify_from(newest)).3, what);
        assert!(!written.verify_from(&kept).sound());
    }
    written.write(&STEPS);
    assert!(written.verify_from(&kept).sound());
    // Begun anew by another key.
    let other = Written::new(&STEPS);
    let verified = other.verify_from(&kept);
    assert_eq!((verified.sound(), verified.strangers.len()), (false, 1));
    let by_key = |key: &Key, slot: &str| Verifier::parse(key.signer(slot).verifier()).unwrap();
    for (key, good) in
        [(by_key(&written.key, "proxy-1"), true), (by_key(&written.key, "proxy-7"), true), (by_key(&other.key, "proxy-1"), false)]
    {
        let asked = Asked { path: written.state.path().to_owned(), keys: vec![key], kept: Kept::default() };
        assert_eq!(verify(&asked).unwrap().sound(), good);
    }
}

#[test]
fn slots_that_were_swapped_are_told() {
    let written = Written::new(&STEPS);
    fs::rename(written.slot(), written.state.path().join("journal/proxy-2")).unwrap();
    let (file, _, _, what) = written.broken();
    assert_eq!((file.as_str(), what.ends_with("/proxy-1, and the slot is proxy-2")), ("verifier", true), "{what}");
}

#[test]
fn what_is_no_journal_is_told_from_an_empty_one() {
    let state = tempfile::tempdir().unwrap();
    let asked = |path: &Path| verify(&Asked { path: path.to_owned(), keys: Vec::new(), kept: Kept::default() });
    assert!(matches!(asked(state.path()), Err(NotAJournal::Nothing { .. })));
    assert!(matches!(asked(&state.path().join("missing")), Err(NotAJournal::Io { .. })));
    fs::create_dir_all(state.path().join("journal/proxy-1")).unwrap();
    assert_eq!(asked(state.path()).unwrap().slots[0].result.as_ref().unwrap(), &Sound::default());
}

fn without(text: &str, line: usize) -> String {
    text.split_inclusive('\n').enumerate().filter(|(at, _)| *at != line).map(|(_, line)| line).collect()
}

fn doubled(text: &str, line: usize) -> String {
    text.split_inclusive('\n').enumerate().flat_map(|(at, text)| std::iter::repeat_n(text, 1 + usize::from(at == line))).collect()
}

fn swapped(text: &str, line: usize) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.swap(line, line + 1);
    lines.concat()
}

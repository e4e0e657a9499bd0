#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use proptest::sample::Index;
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

#[test]
fn every_record_of_an_attempt_is_proven_and_the_proof_checks_without_the_journal() {
    let written = Written::new(&STEPS);
    let proven = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(2))).unwrap();
    assert_eq!(
        (proven.proofs.iter().map(|proof| (proof.index, proof.size)).collect::<Vec<_>>(), &proven.uncovered[..]),
        (vec![(4, 11), (5, 11)], &[][..])
    );
    let printed: String = proven.proofs.iter().map(|proof| format!("{}\n{}\n", proof.line, proof.text)).collect();
    let key = Verifier::parse(written.key.signer("proxy-1").verifier()).unwrap();
    let by = |origin: &str| (origin == key.origin()).then(|| key.clone());
    assert_eq!(check(&printed, &by).unwrap(), proven.proofs);
    assert_eq!(check(&proven.proofs[1].text, &by).unwrap(), proven.proofs[1..]);
    assert!(check(&printed, &|_| None).is_err());
    for at in 0..printed.len() {
        let mut bytes = printed.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(proofs) = check(&text, &by) {
            // Only what stands outside the proofs may change unseen: the braces of the record shown, and empty lines between.
            assert!(proofs.iter().all(|proof| proven.proofs.contains(proof)), "{at}: {text}");
        }
    }
    let unknown = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(99)));
    assert!(matches!(unknown, Err(NotProven::Unknown { .. })), "{unknown:?}");
}

#[test]
fn a_record_behind_the_last_checkpoint_is_said_to_be_uncovered() {
    let written = Written::new(&STEPS);
    written.edit("00000002.jsonl", |text| without(&text, 3));
    written.edit("checkpoints", |text| text.split_inclusive('\n').take(12).collect());
    let proven = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(3))).unwrap();
    assert_eq!((proven.proofs, proven.uncovered), (Vec::new(), vec![("proxy-1".to_owned(), 9), ("proxy-1".to_owned(), 10)]));
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        prop_oneof![6 => (0..1000_u128).prop_map(Step::Attempt), 2 => Just(Step::Seal), 2 => Just(Step::Segment), 1 => Just(Step::Stop)];
    prop::collection::vec(step, 0..24)
}

/// What is done to a journal.
#[derive(Clone, Debug)]
enum Tamper {
    Flip { file: Index, at: Index, bits: u8 },
    Remove { file: Index, line: Index },
    Double { file: Index, line: Index },
    Swap { file: Index, line: Index },
    Insert { file: Index, line: Index },
    Cut { bytes: Index },
    RemoveNote { at: Index },
    RemoveSegment { at: Index },
}

fn tamper() -> impl Strategy<Value = Tamper> {
    let any = any::<Index>;
    prop_oneof![
        8 => (any(), any(), 1..=255_u8).prop_map(|(file, at, bits)| Tamper::Flip { file, at, bits }),
        2 => (any(), any()).prop_map(|(file, line)| Tamper::Remove { file, line }),
        1 => (any(), any()).prop_map(|(file, line)| Tamper::Double { file, line }),
        1 => (any(), any()).prop_map(|(file, line)| Tamper::Swap { file, line }),
        1 => (any(), any()).prop_map(|(file, line)| Tamper::Insert { file, line }),
        1 => any().prop_map(|bytes| Tamper::Cut { bytes }),
        2 => any().prop_map(|at| Tamper::RemoveNote { at }),
        2 => any().prop_map(|at| Tamper::RemoveSegment { at }),
    ]
}

/// Does it; `false` where it leaves the meaning as it was, or does what retention does.
fn apply(written: &Written, tamper: &Tamper) -> bool {
    let segment = |file: &Index| format!("{:08}.jsonl", file.index(written.segments()) + 1);
    let line = |text: &str, line: &Index| line.index(text.lines().count());
    match tamper {
        Tamper::Flip { file, at, bits } => {
            let names = [segment(file), segment(file), "checkpoints".into(), "verifier".into()];
            let path = written.slot().join(&names[file.index(names.len())]);
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            fs::write(path, bytes).unwrap();
        }
        Tamper::Remove { file, line: at } => written.edit(&segment(file), |text| without(&text, line(&text, at))),
        Tamper::Double { file, line: at } => written.edit(&segment(file), |text| doubled(&text, line(&text, at))),
        Tamper::Swap { file, line: at } => {
            let mut done = false;
            written.edit(&segment(file), |text| {
                let at = line(&text, at);
                done = at + 1 < text.lines().count();
                if done { swapped(&text, at) } else { text }
            });
            return done;
        }
        Tamper::Insert { file, line: at } => written.edit(&segment(file), |text| {
            let at = line(&text, at);
            let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            let seq = Line::parse(lines[at].trim_end()).unwrap().seq;
            lines.insert(at, rendered(seq, Record::Ended(ended(7))));
            lines.concat()
        }),
        Tamper::Cut { bytes } => written.edit(&format!("{:08}.jsonl", written.segments()), |text| {
            let keep = bytes.index(text.len());
            text[..keep].to_owned()
        }),
        Tamper::RemoveNote { at } => {
            let mut notes = written.notes();
            let at = at.index(notes.len());
            let gone = notes.remove(at);
            fs::write(written.slot().join("checkpoints"), notes.iter().map(|note| format!("{note}\n")).collect::<String>()).unwrap();
            // Of the ends of earlier sessions nothing rests on their checkpoint, nor where the same one stands twice.
            let sealed = (1..=written.segments()).any(|number| {
                fs::read_to_string(written.segment(number))
                    .unwrap()
                    .lines()
                    .any(|line| matches!(Line::parse(line).unwrap().record, Record::Sealed(sealed) if sealed.note == gone))
            });
            return !notes.contains(&gone) && (sealed || at == notes.len());
        }
        Tamper::RemoveSegment { at } => {
            let at = at.index(written.segments());
            fs::remove_file(written.segment(at + 1)).unwrap();
            return at > 0 || written.segments() == 0;
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_changes_the_meaning_is_found_and_nothing_else_is(steps in steps(), tamper in tamper()) {
        let written = Written::new(&steps);
        let kept = written.notes();
        prop_assert!(written.verify_from(&kept).sound(), "{:?}", written.verify_from(&kept));
        let changed = apply(&written, &tamper);
        let verified = written.verify();
        prop_assert_eq!(verified.sound(), !changed, "{:?}", verified);
    }

    #[test]
    fn what_is_signed_anew_is_found_by_any_checkpoint_over_it(steps in steps(), other in steps(), at in any::<Index>()) {
        let written = Written::new(&steps);
        let kept = written.notes();
        let kept = &kept[kept.len() - 1..];
        let cut = at.index(steps.len() + 1);
        let mut forged = steps[..cut].to_vec();
        forged.extend(other);
        let before: Vec<Vec<u8>> = (1..=written.segments()).map(|number| fs::read(written.segment(number)).unwrap()).collect();
        written.write(&forged);
        let after: Vec<Vec<u8>> = (1..=written.segments()).map(|number| fs::read(written.segment(number)).unwrap()).collect();
        let same = after.concat().starts_with(&before.concat());
        prop_assert!(written.verify().sound());
        prop_assert_eq!(written.verify_from(kept).sound(), same);
    }

    #[test]
    fn every_record_of_any_journal_is_proven(steps in steps(), gone in any::<Index>()) {
        let written = Written::new(&steps);
        let gone = gone.index(written.segments());
        (1..=gone).for_each(|number| fs::remove_file(written.segment(number)).unwrap());
        let key = Verifier::parse(written.key.signer("proxy-1").verifier()).unwrap();
        let mut ids: Vec<u128> = steps.iter().filter_map(|step| if let Step::Attempt(id) = step { Some(*id) } else { None }).collect();
        ids.dedup();
        for id in ids {
            match prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(id))) {
                Ok(proven) => {
                    prop_assert!(proven.uncovered.is_empty() && !proven.proofs.is_empty());
                    for proof in &proven.proofs {
                        prop_assert_eq!(&check(&proof.text, &|_| Some(key.clone())).unwrap()[0], proof);
                    }
                }
                Err(error) => prop_assert!(gone > 0 && matches!(error, NotProven::Unknown { .. }), "{}", error),
            }
        }
    }
}

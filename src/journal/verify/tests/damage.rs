//! Damage of any kind to a journal of any shape.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

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

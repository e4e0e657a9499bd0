//! What a power failure leaves: of each file what was synced, and of the rest as much as came to the disk, or zeros in its place.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

use super::verify::{Repaired, Sound};
use super::*;

/// A disk that remembers how long each file was when it was synced, and that can be held.
#[derive(Debug, Default)]
struct Remembers {
    lengths: Mutex<BTreeMap<u64, u64>>,
    held: Mutex<()>,
}

impl Disk for Remembers {
    fn sync_lines(&self, file: &fs::File) -> io::Result<()> {
        let data = file.metadata()?;
        let _held = self.held.lock();
        self.lengths.lock().insert(data.ino(), data.len());
        Ok(())
    }
    fn sync_folder(&self, _: &fs::File) -> io::Result<()> {
        Ok(())
    }
}

/// How what was not synced is found after it.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Gone,
    Zeros,
    /// So many eighths of it came to the disk.
    Eighths(u64),
}

/// Copies the state folder as a power failure would leave it: what the newest segment and `checkpoints` have of what was not synced.
fn failed(state: &Path, disk: &Remembers, (lines, notes): (Rest, Rest)) -> tempfile::TempDir {
    let lengths = disk.lengths.lock().clone();
    let left = tempfile::tempdir().unwrap();
    fs::copy(state.join("journal.key"), left.path().join("journal.key")).unwrap();
    let (slot, there) = (state.join("journal/proxy-1"), left.path().join("journal/proxy-1"));
    fs::create_dir_all(&there).unwrap();
    let newest = *slot::segments(&slot).unwrap().last().unwrap();
    for entry in fs::read_dir(&slot).unwrap().map(|entry| entry.unwrap()) {
        let (mut bytes, number) = (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().ino());
        let name = entry.file_name().into_string().unwrap();
        if name == "checkpoints" || name == slot::segment_name(newest) {
            let synced = usize::try_from(lengths.get(&number).copied().unwrap_or(0)).unwrap().min(bytes.len());
            let whole = bytes.len();
            match if name == "checkpoints" { notes } else { lines } {
                Rest::Gone => bytes.truncate(synced),
                Rest::Zeros => bytes[synced..].fill(0),
                Rest::Eighths(eighths) => {
                    let kept = synced + (whole - synced) * usize::try_from(eighths).unwrap() / 8;
                    bytes.truncate(kept);
                }
            }
        }
        fs::write(there.join(name), bytes).unwrap();
    }
    left
}

fn sound(state: &Path) -> Result<Sound, String> {
    let asked = verify::Asked { path: state.to_owned(), keys: Vec::new(), kept: verify::Kept::default() };
    verify::verify(&asked).unwrap().slots.remove(0).result.map_err(|broken| broken.to_string())
}

#[test]
fn what_a_power_failure_leaves_is_sound_and_the_next_start_repairs_it_and_says_so() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Remembers::default()));
    let settings = Settings { disk: Arc::clone(&disk) as _, ..Settings::from(6000) };
    let journal = Journal::open(state.path(), settings).unwrap().journal;
    let (mut held, mut repaired) = (None, 0);
    for step in 0..48_u64 {
        match step % 16 {
            4 => held = Some(disk.held.lock()),
            12 => drop(held.take()),
            _ => {}
        }
        write(&journal, &Record::Decided(decided(u128::from(step))));
        if step % 3 == 0 {
            journal.turn(Instant::now() + Duration::from_secs(60 * step), &mut |_| ());
        }
        let whole = Rest::Eighths(8);
        for rest in [
            (Rest::Gone, Rest::Gone),
            (Rest::Gone, whole),
            (Rest::Zeros, whole),
            (Rest::Eighths(3), Rest::Eighths(7)),
            (Rest::Eighths(7), Rest::Zeros),
            (whole, Rest::Gone),
        ] {
            let left = failed(state.path(), &disk, rest);
            let before = sound(left.path()).unwrap_or_else(|broken| panic!("{step} {rest:?}: {broken}"));
            let opened = Journal::open(left.path(), ROOM).unwrap();
            opened.journal.stop(&mut |_| ()).unwrap();
            assert_eq!((opened.journal.slot().as_deref(), opened.skipped.len()), (Some("proxy-1"), 0), "{step} {rest:?}");
            drop(opened);
            let after = sound(left.path()).unwrap_or_else(|broken| panic!("{step} {rest:?}, after a start: {broken}"));
            let told: Vec<u64> = after.repaired.iter().map(|Repaired { seq: _, bytes }| *bytes).collect();
            assert_eq!(told, if before.torn > 0 { vec![before.torn] } else { vec![] }, "{step} {rest:?}");
            assert_eq!((after.torn, after.gaps), (0, vec![]));
            repaired += usize::from(before.torn > 0);
        }
    }
    assert!(repaired > 20, "{repaired}");
}

#[test]
fn what_was_under_a_checkpoint_and_is_torn_or_zeros_is_no_power_failure() {
    type Spoil = fn(&[u8], usize) -> Vec<u8>;
    let cases: [(Spoil, &str); 3] = [
        (|whole, at| whole[..at - 9].to_owned(), "the end of the log is cut"),
        (|whole, at| [&whole[..at - 9], &vec![0; whole.len() - at + 9]].concat(), "zeros at the end"),
        (|whole, at| [&whole[..at - 9], &[0; 9], &whole[at..]].concat(), "zeros in the middle"),
    ];
    for (spoil, what) in cases {
        for started in [false, true] {
            let state = tempfile::tempdir().unwrap();
            let journal = open(state.path());
            (1..9).for_each(|id| write(&journal, &Record::Decided(decided(id))));
            journal.stop(&mut |_| ()).unwrap();
            drop(journal);
            assert!(sound(state.path()).is_ok());
            let whole = fs::read(segment(state.path(), 1)).unwrap();
            let ends: Vec<usize> = whole.iter().enumerate().filter_map(|(at, byte)| (*byte == b'\n').then_some(at)).collect();
            fs::write(segment(state.path(), 1), spoil(&whole, ends[6])).unwrap();
            if started {
                drop(Journal::open(state.path(), ROOM).unwrap());
            }
            assert!(sound(state.path()).is_err(), "{what}");
        }
    }
}

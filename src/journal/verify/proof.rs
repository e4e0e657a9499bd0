//! Proofs that a record stands in a log: a C2SP tlog-proof each (<https://c2sp.org/tlog-proof>), the record in its `extra` line.
//!
//! Two passes: the first checks the slot and finds the records, the second keeps the few hashes the proofs need.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use tlog_tiles::tlog::Error;
use tlog_tiles::{Hash, HashReader, RecordProof, check_record, prove_record, record_hash, stored_hash_index};

use super::walk::{Ended, Extent};
use super::{Broken, Covered, Kept, NotAJournal, origin, pass, slots};
use crate::egress::record::Record;
use crate::journal::Tree;
use crate::journal::line::Line;
use crate::journal::note::Verifier;
use crate::policy::attempt::AttemptId;

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// What could be proven of an attempt.
#[derive(Debug, Default)]
pub struct Proven {
    /// A proof for each record that a checkpoint covers.
    pub proofs: Vec<Proof>,
    /// Slot and `seq` of the records that none covers yet.
    pub uncovered: Vec<(String, u64)>,
}

/// A record and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The log's origin.
    pub origin: String,
    /// What checks the checkpoint.
    pub verifier: String,
    /// The leaf's index: the record's `seq` less one.
    pub index: u64,
    /// Records the checkpoint covers.
    pub size: u64,
    /// The record's line, without its end.
    pub line: String,
    /// The tlog-proof, whole.
    pub text: String,
}

/// Why nothing can be proven.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// There is no journal.
    #[error(transparent)]
    NotAJournal(#[from] NotAJournal),
    /// The journal is not what was written.
    #[error("{broken}: {}; `exeat verify` says more", broken.means)]
    Broken {
        /// What is wrong with it.
        broken: Box<Broken>,
    },
    /// There is no such attempt.
    #[error("no record of attempt {id} is in {}; it may be older than what is kept", path.display())]
    Unknown {
        /// The attempt.
        id: AttemptId,
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Proves every record of an attempt against the newest checkpoint of its slot.
pub fn prove(path: &Path, id: AttemptId) -> Result<Proven, NotProven> {
    let mut proven = Proven::default();
    let mut broken = None;
    for (slot, folder) in slots(path)? {
        let mut lines = BTreeMap::new();
        let needle = id.to_string();
        let result = origin(&slot, &folder, &[]).and_then(|by| {
            let mut see = |index, line: &[u8]| {
                if let Some(line) = of_attempt(line, &needle, id) {
                    lines.insert(index, line);
                }
            };
            pass::check(&folder, by, &Kept::default(), &mut see)
        });
        match result {
            Err(found) if lines.is_empty() => broken = broken.or(Some(found)),
            Err(found) => return Err(NotProven::Broken { broken: Box::new(found) }),
            Ok(sound) => {
                let size = sound.checkpoint.as_ref().map_or(0, |covered| covered.size);
                let uncovered = lines.split_off(&size);
                proven.uncovered.extend(uncovered.into_keys().map(|index| (slot.clone(), index + 1)));
                if let Some(covered) = sound.checkpoint.filter(|_| !lines.is_empty()) {
                    let log = Log { origin: sound.origin, verifier: sound.verifier, covered };
                    proven.proofs.extend(log.prove(&folder, lines).map_err(|broken| NotProven::Broken { broken: Box::new(broken) })?);
                }
            }
        }
    }
    match (proven.proofs.is_empty() && proven.uncovered.is_empty(), broken) {
        (false, _) => Ok(proven),
        (true, Some(broken)) => Err(NotProven::Broken { broken: Box::new(broken) }),
        (true, None) => Err(NotProven::Unknown { id, path: path.to_owned() }),
    }
}

/// The line, if it is a record of the attempt.
fn of_attempt(line: &[u8], needle: &str, id: AttemptId) -> Option<String> {
    std::str::from_utf8(line).ok().filter(|line| line.contains(needle))?;
    let of = match Line::parse_bytes(line)?.record {
        Record::Decided(decided) => decided.id,
        Record::Ended(ended) => ended.id,
        Record::Held(held) => held.id,
        Record::Progress(progress) => progress.id,
        Record::Cut(cut) => cut.attempt,
        Record::Started(_) | Record::Stopped(_) | Record::Policy(_) | Record::Answered(_) | Record::Revoked(_) => return None,
        Record::Approver(_) => return None,
        Record::RefusedSummary(_) | Record::Gap(_) | Record::Segment(_) | Record::Sealed(_) => return None,
    };
    (of == id).then(|| String::from_utf8_lossy(line).into_owned())
}

/// A log and the checkpoint its records are proven against.
struct Log {
    origin: String,
    verifier: String,
    covered: Covered,
}

impl Log {
    fn prove(&self, folder: &Path, lines: BTreeMap<u64, String>) -> Result<Vec<Proof>, Broken> {
        let size = self.covered.size;
        let changed = || Broken::file(folder, "it changed while it was read", "something else than exeat writes there");
        let wanted = Wanted::default();
        for index in lines.keys() {
            prove_record(size, *index, &wanted).map_err(|_| changed())?;
        }
        let found = wanted.find(folder, size)?;
        let mut proofs = Vec::new();
        for (index, line) in lines {
            let hashes = prove_record(size, index, &found).map_err(|_| changed())?;
            let root = Hash::parse_hash(&self.covered.root).map_err(|_| changed())?;
            check_record(&hashes, size, root, index, record_hash(line.as_bytes())).map_err(|_| changed())?;
            let text = self.text(index, &line, &hashes);
            let (origin, verifier) = (self.origin.clone(), self.verifier.clone());
            proofs.push(Proof { origin, verifier, index, size, line, text });
        }
        Ok(proofs)
    }

    fn text(&self, index: u64, line: &str, hashes: &RecordProof) -> String {
        let hashes: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
        format!("{HEAD}\nextra {}\nindex {index}\n{hashes}\n{}", BASE64.encode(line.as_bytes()), self.covered.note)
    }
}

/// The places of hashes that were asked for, as `tlog_tiles` numbers them.
#[derive(Default)]
struct Wanted(RefCell<HashMap<u64, Option<Hash>>>);

impl HashReader for Wanted {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        self.0.borrow_mut().extend(indexes.iter().map(|index| (*index, None)));
        Ok(vec![Hash::default(); indexes.len()])
    }
}

impl Wanted {
    /// Reads the slot once more and keeps what is wanted.
    fn find(self, folder: &Path, size: u64) -> Result<Found, Broken> {
        let mut hashes = self.0.into_inner();
        let mut keep = |level, place, hash| {
            if let Some(wanted) = hashes.get_mut(&stored_hash_index(level, place)) {
                *wanted = Some(hash);
            }
        };
        let mut tree: Option<Tree> = None;
        let walked = Extent::of(folder)?.walk(|place, line| {
            let mut grown = match (tree.take(), Line::parse_bytes(line).map(|line| line.record)) {
                (Some(tree), _) => tree,
                (None, Some(Record::Segment(heading))) => Tree::from_peaks(heading.size, &heading.peaks)
                    .ok_or_else(|| place.broken(None, "it changed while it was read", "something else than exeat writes there"))?,
                (None, _) => return Err(place.broken(None, "this is no heading", "something else than exeat writes there")),
            };
            if grown.size() < size {
                grown.see_peaks(&mut keep);
                grown.push_seen(line, &mut keep);
            }
            tree = Some(grown);
            Ok(())
        });
        match walked {
            Ok(_) => Ok(Found(hashes)),
            Err(Ended::Broken(broken)) => Err(*broken),
            Err(Ended::Overtaken) => Err(Broken::file(folder, "segments vanish while they are read", "retention takes them; try again")),
        }
    }
}

/// Hashes by their places.
struct Found(HashMap<u64, Option<Hash>>);

impl HashReader for Found {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        indexes.iter().map(|index| self.0.get(index).copied().flatten().ok_or(Error::IndexesNotInTree)).collect()
    }
}

/// Why a file of proofs proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadProof {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Checks every proof in a text that `prove` printed. `by` knows the verifier of an origin.
pub fn check(text: &str, by: &dyn Fn(&str) -> Option<Verifier>) -> Result<Vec<Proof>, BadProof> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let heads: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].trim_end() == HEAD).collect();
    if heads.is_empty() {
        return Err(BadProof { line: 1, what: format!("there is no proof; one begins with a line {HEAD}") });
    }
    let mut proofs = Vec::new();
    for (at, head) in heads.iter().enumerate() {
        let end = heads.get(at + 1).copied().unwrap_or(lines.len());
        let shown = head.checked_sub(1).map(|before| lines[before].trim_end()).filter(|shown| shown.starts_with('{'));
        let proof = one(&lines[*head..end], by).map_err(|what| BadProof { line: head + 1, what })?;
        if let Some(shown) = shown.filter(|shown| *shown != proof.line) {
            return Err(BadProof { line: *head, what: format!("the record shown is not the one that is proven: {shown}") });
        }
        proofs.push(proof);
    }
    Ok(proofs)
}

/// One proof, from its first line to the next proof or the end.
fn one(lines: &[&str], by: &dyn Fn(&str) -> Option<Verifier>) -> Result<Proof, String> {
    let blank = |from: usize| lines.iter().skip(from).position(|line| *line == "\n").map(|at| from + at);
    let hashes_end = blank(0).ok_or("it is cut")?;
    let note_text = blank(hashes_end + 1).ok_or("it is cut")?;
    let note_end = blank(note_text + 1).unwrap_or(lines.len());
    let line_of = |at: usize, name: &str| {
        lines[..hashes_end]
            .get(at)
            .and_then(|line| line.strip_suffix('\n')?.strip_prefix(name))
            .ok_or(format!("{name}… was wanted in its line {}", at + 1))
    };
    let record = BASE64.decode(line_of(1, "extra ")?.as_bytes()).map_err(|_| "the extra line is not base64")?;
    let index = line_of(2, "index ")?;
    let index: u64 = index.parse().ok().filter(|number: &u64| number.to_string() == index).ok_or("the index is no number")?;
    let hashes = lines.get(3..hashes_end).unwrap_or_default().iter();
    let hashes: RecordProof =
        hashes.map(|line| Hash::parse_hash(line.trim_end_matches('\n'))).collect::<Result<_, _>>().map_err(|_| "a hash is not one")?;
    let note = lines[hashes_end + 1..note_end].concat();
    let origin = lines.get(hashes_end + 1).map_or("", |line| line.trim_end_matches('\n'));
    let by = by(origin).ok_or_else(|| format!("the key of {} is not here; give it with --key", crate::text::plain(origin, 120)))?;
    let checkpoint = by.open(&note).map_err(|error| format!("its checkpoint: {error}"))?;
    let hash = record_hash(&record);
    check_record(&hashes, checkpoint.size(), *checkpoint.hash(), index, hash).map_err(|_| {
        format!(
            "the record at index {index} is not the one the checkpoint over {} records covers, or a hash was changed",
            checkpoint.size()
        )
    })?;
    let line = String::from_utf8(record).map_err(|_| "the record is no text")?;
    let (origin, verifier) = (origin.to_owned(), by.text().to_owned());
    Ok(Proof { origin, verifier, index, size: checkpoint.size(), line, text: lines[..note_end].concat() })
}

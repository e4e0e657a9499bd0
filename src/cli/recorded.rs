//! The journal for commands that count: read a line at a time, with what is missing of it.

pub(super) mod tally;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::egress::record::{Gap, Record};
use crate::journal::{Entry, Reader};
use crate::text::plain;

/// Stretches of missing records that are told one by one.
const STRETCHES: usize = 1000;

/// Of which time.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Period {
    /// Only what was written since: 30s, 45m, 12h, 7d, 2w ago, or a time such as 2026-11-22T12:00:00Z
    #[arg(long, value_name = "AGO|TIME")]
    pub since: Option<When>,
    /// Only what was written before: as --since
    #[arg(long, value_name = "AGO|TIME")]
    pub until: Option<When>,
}

/// A point in time as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A while before the command was given.
    Ago(SignedDuration),
    /// A point in time.
    At(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
        let ago = units.iter().find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            number.parse::<i64>().ok()?.checked_mul(*seconds)
        });
        match (ago, text.parse()) {
            (Some(seconds), _) => Ok(Self::Ago(SignedDuration::from_secs(seconds))),
            (None, Ok(at)) => Ok(Self::At(at)),
            (None, Err(_)) => Err("wanted a while such as 45m or 7d, or a time such as 2026-11-22T12:00:00Z".into()),
        }
    }
}

impl When {
    pub(super) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            When::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            When::At(at) => at,
        }
    }
}

/// From when to when, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Period {
    pub(super) fn bounds(&self, now: Timestamp) -> Bounds {
        let start = self.since.map_or(Timestamp::MIN, |since| since.moment(now));
        Bounds { start, end: self.until.map_or(Timestamp::MAX, |until| until.moment(now)) }
    }
}

impl Bounds {
    pub(super) fn contain(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// What is not there to be counted. The field names are promises: `--json` prints them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Missing {
    /// Lines that cannot be read.
    pub unreadable: u64,
    /// Bytes of torn lines that were cut away.
    pub torn: u64,
    /// Records that are known to be missing, by slot and `seq`.
    pub gaps: Vec<Stretch>,
    /// How many more stretches there are.
    pub more_gaps: u64,
    #[serde(skip)]
    known: BTreeSet<Stretch>,
    #[serde(skip)]
    last: HashMap<Arc<str>, u64>,
}

/// Missing records that follow one another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Stretch {
    /// The slot.
    pub slot: String,
    /// The first one's `seq`.
    pub first: u64,
    /// The last one's.
    pub last: u64,
}

impl Missing {
    /// Nothing is.
    pub(super) fn is_none(&self) -> bool {
        self.unreadable == 0 && self.torn == 0 && self.gaps.is_empty()
    }

    /// In words, one a line; empty where nothing is missing.
    pub(super) fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut stretches: Vec<String> =
            self.gaps.iter().take(10).map(|Stretch { slot, first, last }| format!("{first} to {last} of {}", plain(slot, 80))).collect();
        let more = self.gaps.len().saturating_sub(10) as u64 + self.more_gaps;
        if more > 0 {
            stretches.push(format!("{more} stretches more"));
        }
        if !stretches.is_empty() {
            lines.push(format!("records are missing: {}", stretches.join(", ")));
        }
        if self.unreadable > 0 {
            lines.push(format!("{} that cannot be read", counted(self.unreadable, "line")));
        }
        if self.torn > 0 {
            lines.push(format!("{} of torn lines were cut away", counted(self.torn, "byte")));
        }
        lines
    }

    fn saw(&mut self, entry: &Entry, bounds: Bounds) {
        let seq = entry.line.seq;
        let before = self.last.insert(Arc::clone(&entry.slot), seq);
        if !bounds.contain(entry.line.at) {
            return;
        }
        if let Some(before) = before.filter(|before| before.saturating_add(1) < seq) {
            self.add(Stretch { slot: entry.slot.as_ref().to_owned(), first: before + 1, last: seq - 1 });
        }
        match &entry.line.record {
            // What a sink misses is in the journal all the same.
            Record::Gap(Gap { slot, first, last, sinks, why: _ }) if sinks.is_empty() => {
                self.add(Stretch { slot: slot.clone(), first: *first, last: *last });
            }
            Record::Started(started) => self.torn = self.torn.saturating_add(started.repaired.unwrap_or(0)),
            Record::Gap(_)
            | Record::Stopped(_)
            | Record::Policy(_)
            | Record::Held(_)
            | Record::Answered(_)
            | Record::Revoked(_)
            | Record::Approver(_)
            | Record::Cut(_)
            | Record::Decided(_)
            | Record::Ended(_)
            | Record::Progress(_)
            | Record::RefusedSummary(_)
            | Record::Segment(_)
            | Record::Sealed(_) => {}
        }
    }

    fn add(&mut self, stretch: Stretch) {
        if self.known.len() >= STRETCHES {
            self.more_gaps += u64::from(!self.known.contains(&stretch));
        } else if self.known.insert(stretch.clone()) {
            self.gaps.push(stretch);
        }
    }
}

/// Reads all of the journal that has to do with the time; `each` gets every line with whether it is of that time.
/// What cannot be read is named in `complaints`.
pub(super) fn each(
    state: &Path,
    bounds: Bounds,
    complaints: &mut impl Write,
    mut each: impl FnMut(&Entry, bool),
) -> anyhow::Result<Missing> {
    let mut missing = Missing::default();
    for item in open(state, bounds)? {
        match item {
            Ok(entry) => {
                missing.saw(&entry, bounds);
                each(&entry, bounds.contain(entry.line.at));
            }
            Err(line) => {
                missing.unreadable += 1;
                writeln!(complaints, "{}", shown(&line.to_string()))?;
            }
        }
    }
    Ok(missing)
}

/// A reader that leaves out what is known to be older.
pub(super) fn open(state: &Path, bounds: Bounds) -> anyhow::Result<Reader> {
    Reader::since(state, bounds.start).with_context(|| unreadable(state))
}

/// What is said where the journal's folder itself is in the way.
pub(super) fn unreadable(state: &Path) -> String {
    format!("the journal in {} cannot be read", shown(&crate::journal::folder(state).display().to_string()))
}

/// A host as records spell it.
pub(super) fn spelled(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned).unwrap_or(host)
}

/// Text as it may be shown, on a line of bearable length.
pub(super) fn shown(text: &str) -> String {
    plain(text, 2000)
}

/// Host and port as shown.
pub(super) fn place(host: &str, port: u16) -> String {
    let host = shown(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Bytes in a unit that suits them.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, (bytes % unit) * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// A number and its noun.
pub(super) fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::egress::record::{GapWhy, Started, Stopped};
    use crate::journal::{Line, Position};

    #[test]
    fn since_is_a_while_or_a_time() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let cases = [
            ("90s", "2026-11-22T11:58:30Z"),
            ("2h", "2026-11-22T10:00:00Z"),
            ("7d", "2026-11-15T12:00:00Z"),
            ("1w", "2026-11-15T12:00:00Z"),
            ("2026-11-22T13:00:00+02:00", "2026-11-22T11:00:00Z"),
        ];
        for (text, start) in cases {
            assert_eq!(text.parse::<When>().unwrap().moment(now).to_string(), start, "{text}");
        }
        for text in ["", "7", "d", "-7d", "+7d", "7 d", "7y", "yesterday", "99999999999999999999d"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
        assert_eq!("999999999999d".parse::<When>().unwrap().moment(now), Timestamp::MIN);
    }

    #[test]
    fn the_end_of_a_period_is_not_part_of_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let period = Period { since: "2h".parse().ok(), until: "1h".parse().ok() };
        let bounds = period.bounds(at("2026-11-22T12:00:00Z"));
        for (time, inside) in [("09:59:59Z", false), ("10:00:00Z", true), ("10:59:59Z", true), ("11:00:00Z", false)] {
            assert_eq!(bounds.contain(at(&format!("2026-11-22T{time}"))), inside, "{time}");
        }
    }

    #[test]
    fn what_is_missing_is_known_from_numbers_that_are_left_out_and_from_gaps() {
        let gap = |sinks: &[&str]| {
            let sinks = sinks.iter().map(ToString::to_string).collect();
            Record::Gap(Gap { slot: "proxy-9".into(), first: 1, last: 5, sinks, why: GapWhy::Full })
        };
        let stopped = || Record::Stopped(Stopped {});
        let lines = [
            ("proxy-1", 7, Record::Started(Started { version: "1".into(), pid: 1, repaired: Some(3) })),
            ("proxy-1", 8, stopped()),
            ("proxy-2", 1, gap(&[])),
            ("proxy-2", 2, gap(&[])),
            ("proxy-2", 3, gap(&["webhook"])),
            ("proxy-1", 12, stopped()),
        ];
        let mut missing = Missing { unreadable: 2, ..Missing::default() };
        let all = Period::default().bounds(Timestamp::UNIX_EPOCH);
        for (slot, seq, record) in lines {
            let line = Line { v: 1, seq, at: Timestamp::UNIX_EPOCH, record };
            let after = Position { segment: 1, offset: 5, seq };
            missing.saw(&Entry { slot: slot.into(), log: None, text: String::new(), line, after }, all);
        }
        let wanted = [
            "records are missing: 1 to 5 of proxy-9, 9 to 11 of proxy-1",
            "2 lines that cannot be read",
            "3 bytes of torn lines were cut away",
        ];
        assert_eq!(missing.told(), wanted);
        assert!(Missing::default().is_none() && Missing::default().told().is_empty());
    }
}

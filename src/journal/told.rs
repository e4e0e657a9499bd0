//! What `full` gaps told of a slot: which of its records went without a sink, so that nobody tells it again.
//!
//! Kept as `full` in the slot's folder, by whoever holds the slot. Without it a loss is told twice, never less than once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::slot::private_new;

/// Far longer than the names of all sinks.
const LONGEST: u64 = 64 << 10;

/// The first and the last line, by sink.
type Full = BTreeMap<String, (u64, u64)>;

/// Of these lines of a slot, those whose loss no `full` gap told of a sink, from the first to the last of each row of them.
pub fn untold(state: &Path, slot: &str, (sink, lost): (&str, (u64, u64))) -> Vec<(u64, u64)> {
    without(lost, read(&super::folder(state).join(slot)).get(sink).copied())
}

fn without((first, last): (u64, u64), told: Option<(u64, u64)>) -> Vec<(u64, u64)> {
    let told = told.filter(|(from, to)| from <= to && *from <= last && *to >= first);
    let rows = told.map_or([(first, last), (1, 0)], |(from, to)| [(first, from.saturating_sub(1)), (to.saturating_add(1), last)]);
    rows.into_iter().filter(|(first, last)| first <= last).collect()
}

/// Keeps that the loss of these lines is told of these sinks.
pub(super) fn keep(folder: &Path, sinks: &[String], (first, last): (u64, u64)) -> io::Result<()> {
    let mut full = read(folder);
    for sink in sinks {
        let before = full.get(sink).filter(|(_, end)| end.checked_add(1) == Some(first));
        let from = before.map_or(first, |(from, _)| *from);
        full.insert(sink.clone(), (from, last));
    }
    let draft = folder.join("full.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    private_new(&draft)?.write_all(&serde_json::to_vec(&full)?)?;
    fs::rename(&draft, folder.join("full"))
}

fn read(folder: &Path) -> Full {
    let mut text = Vec::new();
    let read = File::open(folder.join("full")).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_taken_out_and_nothing_beside_it() {
        for (lost, told, wanted) in [
            ((11, 20), None, vec![(11, 20)]),
            ((11, 20), Some((11, 20)), vec![]),
            ((11, 20), Some((1, u64::MAX)), vec![]),
            ((11, 20), Some((15, 20)), vec![(11, 14)]),
            ((11, 20), Some((1, 15)), vec![(16, 20)]),
            ((11, 20), Some((13, 15)), vec![(11, 12), (16, 20)]),
            ((11, 20), Some((1, 10)), vec![(11, 20)]),
            ((11, 20), Some((21, 30)), vec![(11, 20)]),
            ((11, 20), Some((20, 11)), vec![(11, 20)]),
        ] {
            assert_eq!(without(lost, told), wanted, "{lost:?} {told:?}");
        }
    }

    #[test]
    fn losses_that_follow_on_each_other_are_one_and_others_begin_anew() {
        let (state, sinks) = (tempfile::tempdir().unwrap(), ["a".to_owned()]);
        let folder = super::super::folder(state.path()).join("proxy-1");
        fs::create_dir_all(&folder).unwrap();
        for (lost, left) in [((5, 9), vec![(1, 4), (10, 30)]), ((10, 12), vec![(1, 4), (13, 30)]), ((20, 22), vec![(1, 19), (23, 30)])] {
            keep(&folder, &sinks, lost).unwrap();
            assert_eq!(untold(state.path(), "proxy-1", ("a", (1, 30))), left, "{lost:?}");
        }
        assert_eq!(untold(state.path(), "proxy-1", ("b", (1, 30))), [(1, 30)]);
        fs::write(folder.join("full"), "{\"a\":18446744073709551615}").unwrap();
        assert_eq!(untold(state.path(), "proxy-1", ("a", (1, 30))), [(1, 30)], "what is not of this shape tells nothing");
    }
}

//! What the journal takes of its disk, and what is left. The files of every slot count: they share `journal.max`.

use std::fs;
use std::path::{Path, PathBuf};

use prometheus::proto::MetricType::GAUGE;

use super::process::as_figure;
use super::sampled::{Figure, Sampled};

const FIGURES: &[Figure] = &[
    ("exeat_journal_bytes", "Bytes of the journal's files, of every process of this state folder.", GAUGE),
    ("exeat_journal_free_bytes", "Bytes that exeat may still write on the journal's file system.", GAUGE),
    ("exeat_journal_max_bytes", "Bytes that the journal may take: journal.max.", GAUGE),
];

pub(super) fn disk(journal: PathBuf, most: Option<u64>) -> Sampled {
    Sampled::new(FIGURES, move || vec![taken(&journal).map(as_figure), free(&journal).map(as_figure), most.map(as_figure)])
}

/// Bytes of the files in each slot's folder.
fn taken(journal: &Path) -> Option<u64> {
    let slots = fs::read_dir(journal).ok()?.filter_map(Result::ok);
    let files = slots.filter_map(|slot| fs::read_dir(slot.path()).ok()).flatten().filter_map(Result::ok);
    // One that is removed meanwhile takes nothing.
    Some(files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum())
}

fn free(journal: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(journal).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_every_slot_count_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        assert_eq!((taken(&journal), free(&journal)), (None, None));
        for (file, length) in [("proxy-1/00000001.jsonl", 10), ("proxy-1/00000002.jsonl", 20), ("proxy-2/checkpoints", 3), ("stray", 100)] {
            let path = journal.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; length]).unwrap();
        }
        assert_eq!(taken(&journal), Some(33));
        assert!(free(&journal).unwrap() > 0);
    }
}

//! What rests on the disk: who waits for which sync, and what a failed one means.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;

use super::*;

/// A disk that writes down what it is told, that can be held, and that fails when told to.
#[derive(Debug, Default)]
struct Watched {
    told: Mutex<Vec<&'static str>>,
    held: Mutex<()>,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl Watched {
    fn sync(&self, what: &'static str) -> io::Result<()> {
        let _held = self.held.lock();
        self.told.lock().push(what);
        assert!(!self.panics.load(Ordering::SeqCst), "the disk panics");
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("the medium is gone")) } else { Ok(()) }
    }

    fn took(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.told.lock())
    }
}

impl Disk for Watched {
    fn sync_lines(&self, _: &File) -> io::Result<()> {
        self.sync("lines")
    }
    fn sync_folder(&self, _: &File) -> io::Result<()> {
        self.sync("folder")
    }
}

fn open_on(state: &Path, disk: &Arc<Watched>, segment: u64) -> Journal {
    let settings = Settings { segment, durability: Durability::Disk, disk: Arc::clone(disk) as _, ..Settings::default() };
    Journal::open(state, settings).unwrap().journal
}

#[tokio::test]
async fn a_record_is_durable_once_its_lines_and_the_folders_of_its_segment_are_synced() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let journal = open_on(state.path(), &disk, ROOM);
    assert_eq!(disk.took(), Vec::<&str>::new());
    journal.durable().wait().await.unwrap();
    assert_eq!(disk.took(), ["folder", "folder", "folder", "lines"]);
    journal.durable().wait().await.unwrap();
    assert_eq!(disk.took(), Vec::<&str>::new(), "nothing is new");
    write(&journal, &Record::Decided(decided(1)));
    journal.durable().wait().await.unwrap();
    assert_eq!(disk.took(), ["lines"]);
}

#[tokio::test]
async fn a_new_segment_is_durable_with_the_one_before_it_and_its_folder() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let journal = open_on(state.path(), &disk, 4000);
    journal.durable().wait().await.unwrap();
    disk.took();
    let mut ids = 1..;
    while !segment(state.path(), 2).exists() {
        write(&journal, &Record::Decided(decided(ids.next().unwrap())));
    }
    journal.durable().wait().await.unwrap();
    assert_eq!(disk.took(), ["lines", "folder", "lines", "lines"], "the segment before, the folder, the new segment, `checkpoints`");
}

#[tokio::test]
async fn nobody_is_told_before_the_sync_returned_and_one_sync_serves_all_who_wait() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let journal = open_on(state.path(), &disk, ROOM);
    journal.durable().wait().await.unwrap();
    disk.took();
    let waiting: Vec<_> = {
        let _held = disk.held.lock();
        let waits = (1..=100).map(|id| {
            write(&journal, &Record::Decided(decided(id)));
            let mut wait = Box::pin(journal.durable().wait());
            let waker = std::task::Waker::noop();
            assert!(wait.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending(), "{id}");
            wait
        });
        waits.collect()
    };
    for wait in waiting {
        wait.await.unwrap();
    }
    let syncs = disk.took().len();
    assert!((1..=2).contains(&syncs), "one under way and one for all the others, not {syncs}");
}

#[tokio::test]
async fn a_sync_that_panics_leaves_nobody_waiting_and_nothing_recorded() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let journal = open_on(state.path(), &disk, ROOM);
    journal.durable().wait().await.unwrap();
    disk.panics.store(true, Ordering::SeqCst);
    write(&journal, &Record::Decided(decided(1)));
    assert_eq!(journal.durable().wait().await, Err(Unwritable));
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));
    assert!(journal.probe(&mut |_| ()).unwrap_err().ends_with("the thread that syncs has panicked"));
}

#[test]
fn a_sync_that_does_not_return_is_told_for_as_long_as_it_lasts() {
    let disk = Arc::new(Watched::default());
    let commit = Commit::new(Arc::clone(&disk) as _, Durability::Disk);
    let file = Arc::new(tempfile::tempfile().unwrap());
    assert_eq!(commit.hangs(Duration::ZERO), None);
    {
        let _held = disk.held.lock();
        commit.wrote(&file, Path::new("segment"));
        commit.soon();
        while commit.hangs(Duration::ZERO).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(commit.hangs(Duration::from_secs(3600)), None);
    }
    assert!(commit.wait());
    assert_eq!(commit.hangs(Duration::ZERO), None);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_recorded_until_a_new_start() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let journal = open_on(state.path(), &disk, ROOM);
    journal.durable().wait().await.unwrap();
    disk.fails.store(true, Ordering::SeqCst);
    write(&journal, &Record::Decided(decided(1)));
    assert_eq!(journal.durable().wait().await, Err(Unwritable));
    disk.fails.store(false, Ordering::SeqCst);
    disk.took();
    assert_eq!(journal.record(&Record::Decided(decided(2)), &mut |_| ()), Err(Unwritable));
    assert_eq!(journal.durable().wait().await, Err(Unwritable));
    assert_eq!(disk.took(), Vec::<&str>::new(), "a sync that failed is not tried again as if it could still tell");
    let problem = journal.probe(&mut |_| ()).unwrap_err();
    assert!(problem.ends_with("proxy-1/00000001.jsonl cannot be synced: the medium is gone"), "{problem}");
    assert_eq!(journal.healthy(), Err(problem));
    drop(journal);
    let journal = open_on(state.path(), &disk, ROOM);
    write(&journal, &Record::Decided(decided(3)));
    journal.durable().wait().await.unwrap();
    assert_eq!(told(state.path()), ["1 started", "2 decided 1", "3 ended 1 lost listed", "4 started", "5 decided 3"]);
}

#[test]
fn with_the_durability_of_the_process_checkpoints_alone_wait_for_the_disk() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let notes = || fs::read_to_string(state.path().join("journal/proxy-1/checkpoints")).unwrap_or_default().matches("\n\n").count() / 2;
    let settings = Settings { disk: Arc::clone(&disk) as _, ..Settings::from(ROOM) };
    let journal = {
        let _held = disk.held.lock();
        let journal = Journal::open(state.path(), settings).unwrap().journal;
        write(&journal, &Record::Decided(decided(1)));
        assert_eq!(journal.durable().wait().now_or_never(), Some(Ok(())));
        journal.turn(Instant::now() + Duration::from_secs(60), &mut |_| ());
        assert_eq!(notes(), 0, "its lines are not on the disk yet");
        journal
    };
    journal.keep_notes();
    // The segment and `checkpoints` for the first, and for the second, which was due meanwhile.
    assert_eq!((notes(), disk.took()), (2, vec!["folder", "folder", "folder", "lines", "lines", "lines", "lines"]));
    disk.fails.store(true, Ordering::SeqCst);
    write(&journal, &Record::Decided(decided(2)));
    journal.turn(Instant::now() + Duration::from_secs(120), &mut |_| ());
    journal.keep_notes();
    assert_eq!((notes(), journal.healthy()), (3, Ok(())), "a disk that cannot sync costs nobody anything");
    journal.stop(&mut |_| ()).unwrap();
    assert_eq!(notes(), 4);
}

#[test]
fn checkpoints_go_on_without_a_disk_that_hangs_where_no_record_rests_on_it() {
    let (file, hour) = (Arc::new(tempfile::tempfile().unwrap()), Duration::from_secs(3600));
    for (durability, patience, goes_on) in
        [(Durability::Process, Duration::ZERO, true), (Durability::Process, hour, false), (Durability::Disk, Duration::ZERO, false)]
    {
        let disk = Arc::new(Watched::default());
        let held = disk.held.lock();
        let commit = Commit::with_patience(Arc::clone(&disk) as _, durability, patience);
        commit.wrote(&file, Path::new("1.jsonl"));
        commit.soon();
        while commit.hangs(Duration::ZERO).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(commit.has(1), goes_on, "{durability:?} {patience:?}");
        drop(held);
    }
}

#[test]
fn without_a_thread_that_syncs_checkpoints_go_on_only_where_no_record_rests_on_it() {
    let file = Arc::new(tempfile::tempfile().unwrap());
    for (durability, goes_on) in [(Durability::Process, true), (Durability::Disk, false)] {
        let disk = Arc::new(Watched::default());
        disk.panics.store(true, Ordering::SeqCst);
        let commit = Commit::new(disk, durability);
        commit.wrote(&file, Path::new("1.jsonl"));
        assert_eq!((commit.wait(), commit.has(1)), (goes_on, goes_on), "{durability:?}");
    }
}

#[tokio::test]
async fn a_stop_is_on_the_disk_before_it_returns_and_its_note_only_then_in_its_place() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let notes = || fs::read_to_string(state.path().join("journal/proxy-1/checkpoints")).unwrap_or_default().matches("\n\n").count() / 2;
    let journal = open_on(state.path(), &disk, ROOM);
    assert_eq!(notes(), 0, "its lines are not on the disk yet");
    journal.durable().wait().await.unwrap();
    journal.turn(Instant::now(), &mut |_| ());
    assert_eq!(notes(), 1);
    write(&journal, &Record::Decided(decided(1)));
    disk.took();
    journal.stop(&mut |_| ()).unwrap();
    assert_eq!(disk.took().last(), Some(&"lines"));
    assert_eq!((notes(), journal.healthy()), (2, Ok(())));
    assert!(!state.path().join("journal/proxy-1/stopping").exists());
}

#[derive(Debug)]
struct Behind;

impl Followers for Behind {
    fn behind(&self, _: &str, _: u64) -> Vec<String> {
        vec!["webhook".into()]
    }
}

#[test]
fn what_a_sink_never_had_goes_only_once_the_disk_has_the_word_for_it() {
    let (state, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let settings = Settings { segment: 3000, max: 1, durability: Durability::Disk, disk: Arc::clone(&disk) as _, ..Settings::default() };
    let journal = Journal::open(state.path(), settings).unwrap().journal;
    (1..=30).for_each(|id| write(&journal, &Record::Decided(decided(id))));
    disk.fails.store(true, Ordering::SeqCst);
    journal.retain(std::time::SystemTime::now(), &Behind, &mut |_| ()).unwrap();
    assert!(segment(state.path(), 1).exists());
}

//! Syncs that fail.

use std::sync::atomic::{AtomicBool, Ordering};

use sluice_domain::{Now, Outcome, UnixMillis};
use sluice_telemetry::metrics::Registry;

use super::tests::{LIMITS, record, settings};
use super::*;
use crate::metrics::Metrics;

/// The files of the system, whose syncs fail on demand.
#[derive(Debug, Clone, Default)]
struct Failing(Arc<AtomicBool>);

#[derive(Debug)]
struct FailingFile {
    file: File,
    fails: Arc<AtomicBool>,
}

fn synced(fails: &AtomicBool) -> io::Result<()> {
    if fails.load(Ordering::Relaxed) { Err(io::Error::other("the disk is ill")) } else { Ok(()) }
}

impl Failing {
    fn file(&self, file: File) -> FailingFile {
        FailingFile { file, fails: Arc::clone(&self.0) }
    }
}

impl Disk for Failing {
    type File = FailingFile;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.make_folder(path)
    }
    fn names_in(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemDisk.names_in(path)
    }
    fn open(&self, path: &Path) -> io::Result<FailingFile> {
        SystemDisk.open(path).map(|file| self.file(file))
    }
    fn open_or_make(&self, path: &Path) -> io::Result<FailingFile> {
        SystemDisk.open_or_make(path).map(|file| self.file(file))
    }
    fn is_there(&self, path: &Path) -> bool {
        SystemDisk.is_there(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(path)
    }
}

impl DiskFile for FailingFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        DiskFile::read_at(&self.file, bytes, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        DiskFile::write_all_at(&self.file, bytes, offset)
    }
    fn length(&self) -> io::Result<u64> {
        DiskFile::length(&self.file)
    }
    fn set_length(&self, bytes: u64) -> io::Result<()> {
        DiskFile::set_length(&self.file, bytes)
    }
    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        DiskFile::preallocate(&self.file, bytes)
    }
    fn sync_bytes(&self) -> io::Result<()> {
        synced(&self.fails)?;
        DiskFile::sync_bytes(&self.file)
    }
    fn sync_everything(&self) -> io::Result<()> {
        synced(&self.fails)?;
        DiskFile::sync_everything(&self.file)
    }
}

fn open(disk: &Failing, folder: &Path, epoch: i64, registry: &Registry) -> Spool<Failing> {
    let clock = Clock::new(|| Now { wall: UnixMillis(1_000), boot_millis: 1_000 });
    let metrics = Metrics::declare(registry).spool;
    Spool::on_disk(disk.clone(), folder, Epoch(epoch), settings(), clock, metrics).unwrap()
}

fn finish(spool: &Spool<Failing>, number: usize) {
    spool.permit().unwrap().finish(record(number, Outcome::Completed));
}

fn told(log: &mut CurrentLog<Failing>) -> usize {
    log.next_batch(LIMITS).unwrap().map_or(0, |batch| batch.records.len())
}

#[tokio::test]
async fn after_a_sync_that_failed_nothing_more_is_reported_or_admitted_though_later_syncs_work() {
    let (folder, disk, registry) = (tempfile::tempdir().unwrap(), Failing::default(), Registry::new());
    let spool = open(&disk, folder.path(), 1, &registry);
    let mut log = spool.current();
    finish(&spool, 1);
    assert!(spool.work());
    assert_eq!(told(&mut log), 1);
    let open_record = spool.permit().unwrap().open(&record(2, Outcome::Orphaned)).unwrap();
    finish(&spool, 3);

    disk.0.store(true, Ordering::Relaxed);
    let _ = spool.work();
    disk.0.store(false, Ordering::Relaxed);
    assert!(!spool.is_writable());
    assert_eq!(spool.permit().unwrap_err(), SpoolFull);
    open_record.finish(record(2, Outcome::Completed));
    assert!(spool.work(), "the disk works again");
    assert_eq!(told(&mut log), 0, "nobody knows what of it is on the disk");
    assert!(!spool.is_writable(), "until the next start");
    assert!(!spool.flush().await);
    assert!(registry.render().contains("sluice_relay_spool_distrusted 1\n"), "{}", registry.render());
}

#[test]
fn the_next_start_goes_on_with_what_the_disk_has() {
    let (folder, disk, registry) = (tempfile::tempdir().unwrap(), Failing::default(), Registry::new());
    let spool = open(&disk, folder.path(), 1, &registry);
    finish(&spool, 1);
    disk.0.store(true, Ordering::Relaxed);
    let _ = spool.work();
    drop(spool);
    disk.0.store(false, Ordering::Relaxed);
    let spool = open(&disk, folder.path(), 2, &Registry::new());
    assert!(spool.is_writable());
    let mut earlier = spool.earlier().pop().unwrap();
    earlier.seek(1).unwrap();
    assert_eq!(earlier.next_batch(LIMITS).unwrap().unwrap().records.len(), 1, "the process died, the machine did not");
    finish(&spool, 2);
    assert!(spool.work());
    assert_eq!(told(&mut spool.current()), 1);
}

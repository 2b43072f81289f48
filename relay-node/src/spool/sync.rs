//! The thread beside the writer: syncs in groups, keeps the next segment ready, lets go of old ones.
//!
//! A sync that failed is not tried again. The system may have let go of the pages it could not write and call them clean, so the next sync
//! would work and prove nothing; and the records are nowhere else in memory. From there on nothing counts as synced: nothing more is
//! reported, no request is admitted (`spool_full`), the relay is not ready. Requests under way are still written, and the next start
//! recovers from what the disk then has.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sluice_domain::Now;
use tracing::{error, warn};

use super::disk::{Disk, DiskFile};
use super::segment;
use super::shared::{Asked, Bench, Shared};

/// Old records are looked for this often while anything is written, and whenever room is needed.
const LET_GO_EVERY_MILLIS: u64 = 60_000;
/// How long the thread waits before it tries again what the disk refused.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Starts the thread. It ends when the spool is stopped, after a last sync.
pub(super) fn start<D: Disk>(shared: Arc<Shared<D>>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sluice-spool".into()).spawn(move || run(&shared))
}

fn run<D: Disk>(shared: &Shared<D>) {
    let mut is_refused = false;
    loop {
        let is_last = wait_for_work(shared, is_refused);
        is_refused = !work(shared);
        if is_last {
            return;
        }
    }
}

/// One round of what the thread does. `false`: the disk refused something.
pub(super) fn work<D: Disk>(shared: &Shared<D>) -> bool {
    let mut is_refused = !sync(shared);
    if shared.is_failing() {
        is_refused |= !shared.retry();
        shared.recovered();
    }
    let must_prepare = !shared.bench.lock().writer.has_spare();
    let now = shared.clock.read();
    let is_due = now.boot_millis.saturating_sub(shared.let_go_at.load(Ordering::Relaxed)) >= LET_GO_EVERY_MILLIS;
    if must_prepare || is_due {
        shared.let_go_at.store(now.boot_millis, Ordering::Relaxed);
        let_go(shared, now);
    }
    if must_prepare {
        is_refused |= !prepare(shared);
    }
    shared.metrics.unacked_bytes.set_count(usize::try_from(shared.unacked_bytes()).unwrap_or(usize::MAX));
    !is_refused
}

/// Sleeps until there is something to do: a group is full or old enough, the next segment is missing, or the spool stops (`true`).
/// After the disk refused something it is left alone for a moment.
fn wait_for_work<D: Disk>(shared: &Shared<D>, is_refused: bool) -> bool {
    let mut bench = shared.bench.lock();
    if is_refused && bench.asked < Asked::Stop {
        shared.work.wait_for(&mut bench, RETRY_PAUSE);
    }
    let is_idle = |bench: &Bench<D>| bench.writer.unsynced() == 0 && bench.writer.has_spare() && bench.asked == Asked::Groups;
    while is_idle(&bench) && !shared.is_failing() {
        bench.is_asleep = true;
        shared.work.wait(&mut bench);
    }
    bench.is_asleep = false;
    let is_group_full = bench.writer.unsynced() >= shared.settings.sync_records;
    if !is_group_full && bench.asked == Asked::Groups {
        shared.work.wait_for(&mut bench, shared.settings.sync_interval);
    }
    let asked = bench.asked;
    if asked == Asked::Sync {
        bench.asked = Asked::Groups;
    }
    asked == Asked::Stop
}

/// `false`: the disk refused, and is asked again.
fn sync<D: Disk>(shared: &Shared<D>) -> bool {
    let mut bench = shared.bench.lock();
    let (files, mark) = bench.writer.take_unsynced();
    let has_rotated = !bench.writer.has_spare();
    drop(bench);
    if shared.is_distrusted() {
        return true;
    }
    if let Err(error) = files.iter().try_for_each(|file| file.sync_bytes()) {
        shared.distrust(&error);
        return true;
    }
    // the name of a new segment has to survive before its records are told of
    if has_rotated && !sync_folder(shared) {
        shared.bench.lock().writer.give_back(files);
        return shared.is_distrusted();
    }
    shared.metrics.syncs.increment();
    shared.synced.send_replace(mark);
    true
}

/// `false`: its names may not survive. A folder that is not there was not synced at all, and may come back.
fn sync_folder<D: Disk>(shared: &Shared<D>) -> bool {
    match shared.disk.sync_folder(&segment::epoch_folder(&shared.folder, shared.epoch)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            shared.metrics.write_errors.increment();
            error!("cannot sync the spool in {}: {error}", shared.folder.display());
            false
        }
        Err(error) => {
            shared.distrust(&error);
            false
        }
    }
}

/// `false`: the disk refused.
fn prepare<D: Disk>(shared: &Shared<D>) -> bool {
    let folder = segment::epoch_folder(&shared.folder, shared.epoch);
    let made = segment::prepare_draft(&shared.disk, &folder, shared.settings.segment_bytes)
        .and_then(|()| shared.bench.lock().writer.adopt_spare());
    let is_made = made.is_ok() && sync_folder(shared);
    match made {
        Ok(()) if is_made => shared.recovered(),
        Ok(()) => {}
        Err(error) => warn!("cannot prepare the next segment of the spool in {}: {error}", shared.folder.display()),
    }
    is_made
}

/// Removes acknowledged segments that are old, or whose space is needed; earlier epochs first.
fn let_go<D: Disk>(shared: &Shared<D>, now: Now) {
    let retention_millis = u64::try_from(shared.settings.retention.as_millis()).unwrap_or(u64::MAX);
    super::log::forget_ended(shared, now.wall, retention_millis);
    let acked = shared.acked_position();
    let folder = segment::epoch_folder(&shared.folder, shared.epoch);
    loop {
        let earlier: u64 = shared.earlier.lock().iter().map(|left| left.bytes).sum();
        let mut bench = shared.bench.lock();
        let count = bench.writer.full().count() as u64 + 2;
        let bytes = count.saturating_mul(shared.settings.segment_bytes).saturating_add(earlier);
        let is_over = bytes > shared.settings.max_bytes;
        if is_over && earlier > 0 {
            drop(bench);
            if super::log::forget_oldest_ended(shared) {
                continue;
            }
            bench = shared.bench.lock();
        }
        // the segment before the current one stays: what is open is repeated in the current one, which may not be synced yet
        let oldest = bench.writer.full().next().copied().filter(|_| count > 3);
        let may_go = oldest.filter(|full| full.end <= acked);
        let Some(full) = may_go.filter(|full| is_over || now.boot_millis.saturating_sub(full.left_at) >= retention_millis) else {
            return;
        };
        bench.writer.drop_oldest();
        drop(bench);
        if let Err(error) = shared.disk.remove(&segment::path_of(&folder, full.number)) {
            warn!("cannot remove a settled segment of the spool in {}: {error}", shared.folder.display());
        }
    }
}

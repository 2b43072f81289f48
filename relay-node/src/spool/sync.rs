//! The thread beside the writer: syncs in groups, keeps the next segment ready, lets go of old ones.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{error, warn};

use super::segment;
use super::shared::Shared;

/// How long the thread waits before it tries again what the disk refused.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Starts the thread. It ends when the spool is stopped, after a last sync.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sluice-spool".into()).spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    loop {
        let is_last = wait_for_work(shared);
        sync(shared);
        if shared.is_failing() {
            shared.retry();
            shared.recovered();
        }
        let must_prepare = !shared.bench.lock().writer.has_spare();
        if must_prepare {
            let_go(shared);
            prepare(shared);
        }
        shared.metrics.unacked_bytes.set_count(usize::try_from(shared.unacked_bytes()).unwrap_or(usize::MAX));
        if is_last {
            return;
        }
    }
}

/// Sleeps until there is something to do: a group is full or old enough, or the spool stops (`true`).
fn wait_for_work(shared: &Shared) -> bool {
    let mut bench = shared.bench.lock();
    let has_trouble = shared.is_failing() || !bench.writer.has_spare();
    if has_trouble && !bench.must_stop {
        shared.work.wait_for(&mut bench, RETRY_PAUSE);
    }
    while bench.writer.unsynced() == 0 && !bench.must_sync && !bench.must_stop && !has_trouble {
        bench.is_asleep = true;
        shared.work.wait(&mut bench);
    }
    bench.is_asleep = false;
    let is_group_full = bench.writer.unsynced() >= shared.settings.sync_records;
    if !is_group_full && !bench.must_sync && !bench.must_stop {
        shared.work.wait_for(&mut bench, shared.settings.sync_interval);
    }
    bench.must_sync = false;
    bench.must_stop
}

fn sync(shared: &Shared) {
    let (files, mark) = shared.bench.lock().writer.take_unsynced();
    let outcome = files.iter().try_for_each(|file| file.sync_data());
    match outcome {
        Ok(()) => {
            shared.metrics.syncs.increment();
            shared.synced.send_replace(mark);
        }
        Err(error) => {
            shared.metrics.write_errors.increment();
            error!("cannot sync the spool in {}: {error}", shared.folder.display());
            shared.bench.lock().writer.give_back(files);
        }
    }
}

fn prepare(shared: &Shared) {
    let folder = segment::epoch_folder(&shared.folder, shared.epoch);
    let made =
        segment::prepare_spare(&folder, shared.settings.segment_bytes).and_then(|()| segment::sync_folder(&folder));
    match made {
        Ok(()) => {
            shared.bench.lock().writer.set_spare();
            shared.recovered();
        }
        Err(error) => warn!("cannot prepare the next segment of the spool in {}: {error}", shared.folder.display()),
    }
}

/// Removes acknowledged segments that are old, or whose space is needed.
fn let_go(shared: &Shared) {
    let now = shared.clock.read();
    let retention_millis = u64::try_from(shared.settings.retention.as_millis()).unwrap_or(u64::MAX);
    super::log::forget_ended(shared, now.wall, retention_millis);
    let acked = shared.acked_position();
    let folder = segment::epoch_folder(&shared.folder, shared.epoch);
    loop {
        let mut bench = shared.bench.lock();
        let count = bench.writer.full().count() as u64 + 2;
        let is_over = count.saturating_mul(shared.settings.segment_bytes) > shared.settings.max_bytes;
        // the segment before the current one stays: what is open is repeated in the current one, which may not be synced yet
        let oldest = bench.writer.full().next().copied().filter(|_| count > 3);
        let may_go = oldest.filter(|full| full.end <= acked);
        let Some(full) = may_go.filter(|full| is_over || now.boot_millis.saturating_sub(full.left_at) >= retention_millis) else {
            return;
        };
        bench.writer.drop_oldest();
        drop(bench);
        if let Err(error) = fs::remove_file(segment::path_of(&folder, full.number)) {
            warn!("cannot remove a settled segment of the spool in {}: {error}", shared.folder.display());
        }
    }
}

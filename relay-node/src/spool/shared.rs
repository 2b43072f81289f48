//! What every handle of the spool shares: the writer under its lock, and the figures beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use sluice_billing::lease::Inherited;
use sluice_domain::{Clock, Epoch, LeaseId, Usage};
use tokio::sync::watch;
use tracing::error;

use super::cursor::{Cursor, CursorFile, FIRST_SEQ};
use super::disk::Disk;
use super::leases::{Hold, Note};
use super::recover::Left;
use super::writer::{Charges, Mark, Writer};
use super::{CrashBilling, SpoolFull, SpoolSettings, history, orphan};
use crate::metrics::SpoolMetrics;

/// Room that is set aside per request: its final record, and its repetition in the next segment.
const ROOM_BYTES: u64 = 2048;
/// Room that is never given to requests: for closings of leases.
const MARGIN_BYTES: u64 = 64 * 1024;

/// What the thread that syncs is asked to do. Ordered: a later one includes an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// Sync when a group is full or old enough.
    Groups,
    /// Sync now.
    Sync,
    /// Sync now, and end.
    Stop,
}

/// The writer, and what the thread that syncs is asked to do; beside each other because both are looked at together.
#[derive(Debug)]
pub(super) struct Bench<D: Disk> {
    pub(super) writer: Writer<D>,
    pub(super) asked: Asked,
    /// Whether the thread sleeps without a time limit.
    pub(super) is_asleep: bool,
    /// Whether the last attempt to write failed: one log line per outage.
    is_failing: bool,
}

#[derive(Debug)]
pub(super) struct Shared<D: Disk> {
    pub(super) disk: D,
    pub(super) folder: PathBuf,
    pub(super) epoch: Epoch,
    pub(super) settings: SpoolSettings,
    pub(super) clock: Clock,
    pub(super) metrics: SpoolMetrics,
    pub(super) bench: Mutex<Bench<D>>,
    pub(super) work: Condvar,
    /// How far the log is safe from a crash of the machine.
    pub(super) synced: watch::Sender<Mark>,
    /// What earlier epochs left, oldest first.
    pub(super) earlier: Mutex<Vec<Left>>,
    /// The leases they left.
    pub(super) inherited: Vec<Inherited>,
    /// The history of the database in which everything was settled.
    history: Mutex<Option<Arc<str>>>,
    cursor_file: CursorFile<D::File>,
    acked: Mutex<Acked>,
    /// Whether the control plane knows that this epoch is over.
    pub(super) has_ended: watch::Sender<bool>,
    /// Room given to requests, in bytes.
    reserved: AtomicU64,
    /// Bytes written in this epoch.
    written: AtomicU64,
    /// Bytes of this epoch that are acknowledged.
    acked_position: AtomicU64,
    /// Bytes of earlier epochs that are not acknowledged.
    earlier_bytes: AtomicU64,
    /// Bytes that can be written without asking the file system for room.
    room: AtomicU64,
    is_stalled: AtomicBool,
    /// A sync failed: nothing of this epoch counts as synced any more.
    is_distrusted: AtomicBool,
    /// When old records were last looked for, by the clock since boot.
    pub(super) let_go_at: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Acked {
    cursor: Cursor,
    position: u64,
}

impl<D: Disk> Shared<D> {
    #[expect(clippy::too_many_arguments, reason = "called once, with everything the spool is made of")]
    pub(super) fn new(
        disk: D,
        folder: &Path,
        epoch: Epoch,
        settings: SpoolSettings,
        clock: Clock,
        metrics: SpoolMetrics,
        writer: Writer<D>,
        cursor_file: CursorFile<D::File>,
        (earlier, inherited): (Vec<Left>, Vec<Inherited>),
    ) -> Self {
        let mark = writer.mark();
        let earlier_bytes = unsettled_bytes(&earlier);
        Self {
            history: Mutex::new(history::load(&disk, folder)),
            let_go_at: AtomicU64::new(clock.read().boot_millis),
            disk,
            folder: folder.to_owned(),
            epoch,
            settings,
            clock,
            metrics,
            room: AtomicU64::new(writer.room_bytes()),
            bench: Mutex::new(Bench { writer, asked: Asked::Groups, is_asleep: false, is_failing: false }),
            work: Condvar::new(),
            synced: watch::Sender::new(mark),
            earlier: Mutex::new(earlier),
            inherited,
            cursor_file,
            acked: Mutex::new(Acked { cursor: Cursor::default(), position: 0 }),
            has_ended: watch::Sender::new(false),
            reserved: AtomicU64::new(0),
            written: AtomicU64::new(0),
            acked_position: AtomicU64::new(0),
            earlier_bytes: AtomicU64::new(earlier_bytes),
            is_stalled: AtomicBool::new(false),
            is_distrusted: AtomicBool::new(false),
        }
    }

    pub(super) fn take_room(self: &Arc<Self>) -> Result<Room<D>, SpoolFull> {
        let reserved = self.reserved.fetch_add(ROOM_BYTES, Ordering::Relaxed) + ROOM_BYTES;
        let room = Room { shared: Arc::clone(self), bytes: ROOM_BYTES };
        let high_water = self.settings.max_bytes / 5 * 4;
        let fits = reserved <= self.settings.segment_bytes / 2
            && self.has_room_beyond(reserved)
            && reserved + self.unacked_bytes() <= high_water;
        if fits && self.is_writable() {
            return Ok(room);
        }
        self.metrics.full.increment();
        Err(SpoolFull)
    }

    /// Whether there is room beside so many bytes that are spoken for.
    fn has_room_beyond(&self, reserved: u64) -> bool {
        reserved + MARGIN_BYTES.min(self.settings.segment_bytes / 8) <= self.room.load(Ordering::Relaxed)
    }

    /// Whether a note may be written that the next segment can tell as well: never in the room of what must be written.
    fn may_note(&self) -> bool {
        self.has_room_beyond(self.reserved.load(Ordering::Relaxed))
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.is_stalled.load(Ordering::Relaxed) && !self.is_distrusted()
    }

    /// Whether a sync failed in this life.
    pub(super) fn is_distrusted(&self) -> bool {
        self.is_distrusted.load(Ordering::Relaxed)
    }

    /// A sync failed. The system may have let go of the pages it could not write, so a later sync that works proves nothing of them.
    pub(super) fn distrust(&self, error: &io::Error) {
        self.metrics.write_errors.increment();
        if self.is_distrusted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.metrics.distrusted.set(1.0);
        error!(
            "cannot sync the spool in {}: {error}; what was written last may not be on the disk, so nothing more is reported and no request is \
             admitted until this process is started anew",
            self.folder.display()
        );
        // whoever waits for a sync waits in vain
        self.synced.send_modify(|_| {});
    }

    pub(super) fn unacked_bytes(&self) -> u64 {
        let here = self.written.load(Ordering::Relaxed).saturating_sub(self.acked_position.load(Ordering::Relaxed));
        here + self.earlier_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn intent(&self, body: Vec<u8>) -> io::Result<u64> {
        self.with_writer(|writer| writer.intent(body, &self.clock))
    }

    pub(super) fn progress(&self, open: u64, usage: &Usage) {
        // a failed one is repeated by the next, and told by the log line of the outage
        let may_note = self.may_note();
        let _ = self.with_writer(|writer| writer.progress(open, usage, may_note, &self.clock));
    }

    pub(super) fn hold(&self, open: u64, hold: Hold) {
        // one that is lost is repeated at the beginning of the next segment, and told by the log line of the outage
        let may_note = self.may_note();
        let _ = self.with_writer(|writer| writer.hold(open, hold, may_note, &self.clock));
    }

    pub(super) fn finish(&self, open: u64, body: Vec<u8>, charges: Charges) {
        // what the disk refuses waits in the writer
        let _ = self.with_writer(|writer| writer.finish(open, body, charges, &self.clock));
    }

    pub(super) fn lease(&self, note: Note) {
        let _ = self.with_writer(|writer| writer.lease(note, &self.clock));
        self.pass_notes();
    }

    pub(super) fn void_lease(&self, lease: LeaseId) {
        let _ = self.with_writer(|writer| writer.void_lease(lease, &self.clock));
        self.pass_notes();
    }

    pub(super) fn lease_close(&self, lease: LeaseId, body: Vec<u8>) {
        let _ = self.with_writer(|writer| writer.lease_close(lease, body, &self.clock));
    }

    pub(super) fn history(&self) -> Option<Arc<str>> {
        self.history.lock().clone()
    }

    pub(super) fn note_history(&self, name: &str) -> io::Result<()> {
        let mut history = self.history.lock();
        history::store(&self.disk, &self.folder, name)?;
        *history = Some(name.into());
        Ok(())
    }

    /// A record was dropped without being finished: a bug somewhere, and money all the same.
    pub(super) fn abandon(&self, open: u64) {
        self.metrics.abandoned.increment();
        error!("a request ended without its final record; it is settled at its last progress");
        let known = self.bench.lock().writer.known_of(open);
        if let Some(orphan) = known.and_then(|known| orphan::end(known, CrashBilling::Progress)) {
            self.finish(open, orphan.body, Charges::new());
        }
    }

    /// Writes what waited for the disk, and tells whether nothing waits any more.
    pub(super) fn retry(&self) -> bool {
        self.with_writer(|writer| writer.retry(&self.clock)).is_ok()
    }

    fn with_writer<T>(&self, write: impl FnOnce(&mut Writer<D>) -> io::Result<T>) -> io::Result<T> {
        let mut bench = self.bench.lock();
        let (before, had_spare) = (bench.writer.unsynced(), bench.writer.has_spare());
        let outcome = write(&mut bench.writer);
        self.written.store(bench.writer.mark().position, Ordering::Relaxed);
        self.room.store(bench.writer.room_bytes(), Ordering::Relaxed);
        self.judge(&mut bench, outcome.as_ref().err());
        let count = bench.writer.unsynced();
        let is_due =
            before < self.settings.sync_records && count >= self.settings.sync_records || had_spare && !bench.writer.has_spare();
        let wakes = bench.is_asleep || is_due;
        if wakes {
            bench.is_asleep = false;
        }
        drop(bench);
        if wakes {
            self.work.notify_one();
        }
        outcome
    }

    fn judge(&self, bench: &mut Bench<D>, failure: Option<&io::Error>) {
        let is_failing = failure.is_some() || bench.writer.is_stalled();
        if let Some(error) = failure.filter(|_| !bench.is_failing) {
            self.metrics.write_errors.increment();
            error!("cannot write to the spool in {}: {error}; no request is admitted until it works", self.folder.display());
        }
        bench.is_failing = is_failing;
        self.is_stalled.store(is_failing, Ordering::Relaxed);
    }

    /// Clears the verdict that the disk cannot be written, once it can be again.
    pub(super) fn recovered(&self) {
        let mut bench = self.bench.lock();
        bench.is_failing = bench.writer.is_stalled();
        self.is_stalled.store(bench.is_failing, Ordering::Relaxed);
        self.room.store(bench.writer.room_bytes(), Ordering::Relaxed);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Asks for a sync now, and tells what will be safe after it.
    pub(super) fn sync_soon(&self) -> Mark {
        let mut bench = self.bench.lock();
        bench.asked = bench.asked.max(Asked::Sync);
        bench.is_asleep = false;
        let mut mark = bench.writer.mark();
        // what waits for the disk is not safe before it is written
        mark.position += bench.writer.waiting_bytes();
        drop(bench);
        self.work.notify_one();
        mark
    }

    pub(super) fn stop(&self) {
        self.bench.lock().asked = Asked::Stop;
        self.work.notify_one();
    }

    /// Everything of this epoch before a sequence is settled.
    pub(super) fn acked(&self, below: u64, position: u64) {
        let mut acked = self.acked.lock();
        if below <= acked.cursor.acked_below {
            return;
        }
        acked.cursor.acked_below = below;
        acked.position = acked.position.max(position);
        self.acked_position.store(acked.position, Ordering::Relaxed);
        if let Err(error) = self.cursor_file.store(acked.cursor) {
            error!("cannot note what is settled in {}: {error}", self.folder.display());
        }
        drop(acked);
        self.pass_notes();
    }

    /// Notes of leases are no usage. Where nothing else stands behind what is acknowledged, nothing is owed.
    fn pass_notes(&self) {
        let bench = self.bench.lock();
        let (mark, has_open) = (bench.writer.mark(), bench.writer.has_open());
        drop(bench);
        let mut acked = self.acked.lock();
        if !has_open && acked.cursor.acked_below.max(FIRST_SEQ) >= mark.seq {
            acked.position = acked.position.max(mark.position);
            self.acked_position.store(acked.position, Ordering::Relaxed);
        }
    }

    /// Whether everything written so far is settled.
    pub(super) fn is_settled(&self) -> bool {
        let written = self.bench.lock().writer.mark();
        self.acked_below() >= written.seq
    }

    /// The control plane knows that nothing follows in this epoch.
    pub(super) fn ended(&self) {
        let mut acked = self.acked.lock();
        acked.cursor.ended_at = Some(self.clock.wall());
        if let Err(error) = self.cursor_file.store(acked.cursor) {
            error!("cannot note that the epoch ended in {}: {error}", self.folder.display());
        }
        drop(acked);
        self.has_ended.send_replace(true);
    }

    /// The sequence below which this epoch is settled.
    pub(super) fn acked_below(&self) -> u64 {
        self.acked.lock().cursor.acked_below.max(FIRST_SEQ)
    }

    /// The byte below which this epoch is settled.
    pub(super) fn acked_position(&self) -> u64 {
        self.acked_position.load(Ordering::Relaxed)
    }

    /// Something of an earlier epoch is settled.
    pub(super) fn acked_earlier(&self, epoch: Epoch, settle: impl FnOnce(&mut Left)) {
        let mut earlier = self.earlier.lock();
        let Some(left) = earlier.iter_mut().find(|left| left.epoch == epoch) else { return };
        settle(left);
        let stored = CursorFile::open(&self.disk, &left.folder).and_then(|file| file.store(left.cursor));
        if let Err(error) = stored {
            error!("cannot note what is settled in {}: {error}", left.folder.display());
        }
        self.earlier_bytes.store(unsettled_bytes(&earlier), Ordering::Relaxed);
    }
}

fn unsettled_bytes(earlier: &[Left]) -> u64 {
    earlier.iter().map(Left::unsettled_bytes).sum()
}

/// Room for one request; dropping gives it back.
#[derive(Debug)]
pub(super) struct Room<D: Disk> {
    shared: Arc<Shared<D>>,
    bytes: u64,
}

impl<D: Disk> Room<D> {
    /// Takes as much as a request with an intent of this size needs.
    pub(super) fn widen(&mut self, intent_bytes: usize) {
        let needed = 2 * intent_bytes as u64 + ROOM_BYTES / 2;
        let more = needed.saturating_sub(self.bytes);
        self.shared.reserved.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }
}

impl<D: Disk> Drop for Room<D> {
    fn drop(&mut self) {
        self.shared.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

//! Reporting from the spool: the log of this epoch, and those of earlier ones.

use std::io;
use std::path::Path;

use sluice_billing::lease::Inherited;
use sluice_domain::{Epoch, Now, UnixMillis};
use tracing::{info, warn};

use super::disk::{Disk, SystemDisk};
use super::frame::HEADER_BYTES;
use super::leases::LeftLeases;
use super::reader::{Batch, BatchLimits, ReadError, Reader};
use super::recover::{self, Left};
use super::shared::Shared;
use super::{Spool, SpoolSettings, mend, segment};

/// The log of this epoch. It grows while it is read.
#[derive(Debug)]
pub struct CurrentLog<D: Disk = SystemDisk> {
    spool: Spool<D>,
    reader: Reader<D>,
}

impl<D: Disk> CurrentLog<D> {
    pub(super) fn new(spool: Spool<D>) -> Self {
        let folder = segment::epoch_folder(&spool.0.shared.folder, spool.epoch());
        let reader = Reader::new(spool.0.shared.disk.clone(), folder);
        Self { spool, reader }
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.spool.epoch()
    }

    /// Goes back, or on, to a record. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be read or is not kept any more.
    pub fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        self.reader.seek(seq)
    }

    /// The sequence below which everything is settled.
    #[must_use]
    pub fn acked_below(&self) -> u64 {
        self.spool.0.shared.acked_below()
    }

    /// The next records that are synced; `None` when there are none. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn next_batch(&mut self, limits: BatchLimits) -> Result<Option<Batch>, ReadError> {
        let synced = *self.spool.0.shared.synced.borrow();
        self.reader.next_batch(synced, limits)
    }

    /// Waits until there are synced records that were not read.
    pub async fn wait(&self) {
        let next = self.reader.next_seq();
        let mut synced = self.spool.0.shared.synced.subscribe();
        if synced.wait_for(|mark| mark.seq > next).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Everything up to the end of this batch is settled.
    pub fn acked(&self, batch: &Batch) {
        self.spool.0.shared.acked(batch.next_seq(), batch.end_position);
    }

    /// Whether everything written so far is settled.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.spool.0.shared.is_settled()
    }

    /// The control plane knows that nothing follows.
    pub fn ended(&self) {
        self.spool.0.shared.ended();
    }
}

/// The log of an earlier epoch. It has an end.
#[derive(Debug)]
pub struct EarlierLog<D: Disk = SystemDisk> {
    spool: Spool<D>,
    left: Left,
    reader: Reader<D>,
}

impl<D: Disk> EarlierLog<D> {
    pub(super) fn new(spool: Spool<D>, left: Left) -> Self {
        let reader = Reader::new(spool.0.shared.disk.clone(), left.folder.clone());
        Self { spool, left, reader }
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.left.epoch
    }

    /// The sequence below which it is settled.
    #[must_use]
    pub const fn acked_below(&self) -> u64 {
        self.left.cursor.acked_below
    }

    /// The sequence after its last record.
    #[must_use]
    pub const fn end_seq(&self) -> u64 {
        self.left.end.seq
    }

    /// Goes to a record. Blocks on the disk.
    ///
    /// # Errors
    /// When it cannot be read or is not kept any more.
    pub fn seek(&mut self, seq: u64) -> Result<(), ReadError> {
        self.reader.seek(seq)
    }

    /// Whether the control plane knew once that nothing follows.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.left.cursor.ended_at.is_some()
    }

    /// Whether records of it are lost.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.left.mended.is_damaged
    }

    /// Whether the control plane has to be asked how far it settled this log before any of it is told: recovery added to it, or nothing
    /// here knows what was settled.
    #[must_use]
    pub const fn must_ask(&self) -> bool {
        self.left.mended.added.is_some() || self.left.is_start_unknown
    }

    /// The control plane settled everything below a number, which also answers [`Self::must_ask`]. What recovery added is numbered anew
    /// when that number is among it: it settled records that are lost here. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses, or the number is absurd.
    pub fn settled_below(&mut self, below: u64) -> Result<(), ReadError> {
        let shared = &self.spool.0.shared;
        let most = shared.settings.max_bytes / HEADER_BYTES as u64;
        let compared = mend::compare(&shared.disk, &mut self.left, below, most);
        if compared.is_ok() {
            self.left.is_start_unknown = false;
            self.left.acked(below.min(self.left.end.seq), 0);
        }
        shared.acked_earlier(self.left.epoch, |left| left.clone_from(&self.left));
        compared.map_err(|source| ReadError::Io { folder: self.left.folder.clone(), source })
    }

    /// The next records; `None` at the end. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn next_batch(&mut self, limits: BatchLimits) -> Result<Option<Batch>, ReadError> {
        self.reader.next_batch(self.left.end, limits)
    }

    /// Everything up to the end of this batch is settled.
    pub fn acked(&mut self, batch: &Batch) {
        let (below, position) = (batch.next_seq(), batch.end_position);
        self.left.acked(below, position);
        self.spool.0.shared.acked_earlier(self.left.epoch, |left| left.acked(below, position));
    }

    /// Everything is settled, and the control plane knows that nothing follows.
    pub fn ended(&mut self) {
        let (end, now) = (self.left.end, self.spool.0.shared.clock.wall());
        let settle = |left: &mut Left| {
            left.acked(end.seq, end.position);
            left.cursor.ended_at = Some(now);
        };
        settle(&mut self.left);
        self.spool.0.shared.acked_earlier(self.left.epoch, settle);
    }
}

/// Recovers every epoch before this one, and removes those that were settled long ago. Says also which leases they left.
pub(super) fn recover_earlier(
    disk: &impl Disk,
    spool: &Path,
    epoch: Epoch,
    settings: SpoolSettings,
    now: Now,
) -> io::Result<(Vec<Left>, Vec<Inherited>)> {
    let (mut earlier, mut leases) = (Vec::new(), LeftLeases::default());
    for old in segment::epochs(disk, spool)?.into_iter().filter(|old| *old < epoch) {
        let mut left = recover::recover(disk, spool, old, settings.crash_billing, &mut leases)?;
        if left.cursor.ended_at.is_some() {
            leases.ended(old);
        }
        if left.end.seq > left.cursor.acked_below {
            // something was written after the end was told: a request that outlived the way down
            left.cursor.ended_at = None;
        }
        let millis = u64::try_from(settings.retention.as_millis()).unwrap_or(u64::MAX);
        if is_over(&left, now.wall, millis) {
            disk.remove_folder(&left.folder)?;
            continue;
        }
        if left.cursor.ended_at.is_none() {
            let count = left.end.seq.saturating_sub(left.cursor.acked_below);
            info!(
                node.epoch = old.0,
                records = count,
                orphans = left.orphans,
                "recovered the spool of epoch {old}: {count} records to report, {} of them of requests that were cut off",
                left.orphans
            );
        }
        earlier.push(left);
    }
    Ok((earlier, leases.inherited(now, settings.boot_id)))
}

/// Removes earlier epochs that were settled long ago.
pub(super) fn forget_ended<D: Disk>(shared: &Shared<D>, now: UnixMillis, retention_millis: u64) {
    shared.earlier.lock().retain(|left| {
        let goes = is_over(left, now, retention_millis);
        if goes && let Err(error) = shared.disk.remove_folder(&left.folder) {
            warn!("cannot remove settled records in {}: {error}", left.folder.display());
        }
        !goes
    });
}

/// Removes the oldest epoch that is settled, because its room is needed. `false`: there is none.
pub(super) fn forget_oldest_ended<D: Disk>(shared: &Shared<D>) -> bool {
    let mut earlier = shared.earlier.lock();
    let Some(place) = earlier.iter().position(|left| left.cursor.ended_at.is_some()) else { return false };
    let left = earlier.remove(place);
    drop(earlier);
    if let Err(error) = shared.disk.remove_folder(&left.folder) {
        warn!("cannot remove settled records in {}: {error}", left.folder.display());
    }
    true
}

fn is_over(left: &Left, now: UnixMillis, retention_millis: u64) -> bool {
    let since = left.cursor.ended_at.map(|ended| now.millis_since(ended));
    since.and_then(|millis| u64::try_from(millis).ok()).is_some_and(|millis| millis >= retention_millis)
}

//! The spool: what this relay owes to the ledger, on its own disk until the control plane has settled it.
//!
//! Append-only segments per epoch. A request writes its intent before the first upstream byte, its progress while it streams, and one
//! final record; a lease writes its closing. Only finals and closings are numbered and reported. Every record is written at once,
//! which survives the death of the process; it is synced within 50 ms, and always before it is reported. Who dies leaves a log that
//! the next life recovers to the first damage, ending what was open at its last progress. After a sync that failed nothing more is trusted,
//! and nothing admitted, before the next start (`sync.rs`).
//!
//! What must not live here: what a record means, and who reports it. Start reading at [`Spool`]; the format is in `frame.rs`, recovery
//! in `recover.rs`. Rules: protocol.md B4, rulings R6, R19, R20.

mod cursor;
mod disk;
mod frame;
mod history;
mod leases;
mod log;
mod mend;
mod orphan;
mod reader;
mod recover;
mod scan;
mod segment;
mod shared;
mod sync;
mod writer;

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sluice_billing::lease::{HeldLease, Inherited};
use sluice_domain::{Clock, Epoch, LeaseCharge, LeaseId, Quota, Record, RequestRecord, Usage, UserId};
use sluice_rpc::usage;

pub use self::disk::{Disk, DiskFile, SystemDisk};
pub use self::leases::BootId;
use self::leases::{Hold, Note};
pub use self::log::{CurrentLog, EarlierLog};
pub use self::orphan::CrashBilling;
pub use self::reader::{Batch, BatchLimits, ReadError};
use self::shared::{Room, Shared};
use self::writer::Mark;
use crate::metrics::SpoolMetrics;

/// How the spool is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Size of a segment, in bytes.
    pub segment_bytes: u64,
    /// The most disk it takes, in bytes.
    pub max_bytes: u64,
    /// The longest a record waits to be synced.
    pub sync_interval: Duration,
    /// Records that are synced without waiting for the interval.
    pub sync_records: usize,
    /// How long acknowledged segments are kept: a database restored to the past asks for them again.
    pub retention: Duration,
    /// What a request costs that an earlier life did not end.
    pub crash_billing: CrashBilling,
    /// Which start of the machine this is. When it is not known, only the wall clock tells how long an earlier life's leases live.
    pub boot_id: BootId,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_bytes: 1 << 30,
            sync_interval: Duration::from_millis(50),
            sync_records: 256,
            retention: Duration::from_hours(24),
            crash_billing: CrashBilling::default(),
            boot_id: BootId::default(),
        }
    }
}

/// A spool that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be used.
    #[error("cannot use spool folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("spool folder {} is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A record cannot be written.
    #[error("cannot write to the spool")]
    Write(#[source] io::Error),
}

/// No request can be admitted: its record might not fit. Answer 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the spool is full or cannot be written")]
pub struct SpoolFull;

/// What this relay owes to the ledger. Clones are the same spool; the last one dropped syncs and closes it.
#[derive(Debug)]
pub struct Spool<D: Disk = SystemDisk>(Arc<Owner<D>>);

impl<D: Disk> Clone for Spool<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Owner<D: Disk> {
    shared: Arc<Shared<D>>,
    syncing: Option<JoinHandle<()>>,
    /// Held for its lock.
    _lock: Option<File>,
}

impl Spool {
    /// The newest epoch that has records in this folder.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub fn newest_epoch(folder: &Path) -> Result<Option<Epoch>, SpoolError> {
        match segment::epochs(&SystemDisk, folder) {
            Ok(epochs) => Ok(epochs.last().copied()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SpoolError::Folder { folder: folder.to_owned(), source }),
        }
    }

    /// Recovers what earlier epochs left and begins the log of this one. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be written or belongs to another process.
    pub fn open(
        folder: &Path,
        epoch: Epoch,
        settings: SpoolSettings,
        clock: Clock,
        metrics: SpoolMetrics,
    ) -> Result<Self, SpoolError> {
        Claim::take(folder)?.open(epoch, settings, clock, metrics)
    }
}

/// The folder of a spool, for this process alone. Taken before anything beside it is written: what it guards belongs to one process.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    lock: File,
}

impl Claim {
    /// Makes the folder when it is missing, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be written or belongs to another process.
    pub fn take(folder: &Path) -> Result<Self, SpoolError> {
        fs::create_dir_all(folder).map_err(|source| SpoolError::Folder { folder: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), lock: lock(folder)? })
    }

    /// Recovers what earlier epochs left and begins the log of this one. Blocks on the disk.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(self, epoch: Epoch, settings: SpoolSettings, clock: Clock, metrics: SpoolMetrics) -> Result<Spool, SpoolError> {
        let Self { folder, lock } = self;
        let unusable = |source| SpoolError::Folder { folder: folder.clone(), source };
        let shared = Arc::new(begin(SystemDisk, &folder, epoch, settings, clock, metrics).map_err(unusable)?);
        let syncing = sync::start(Arc::clone(&shared)).map_err(unusable)?;
        Ok(Spool(Arc::new(Owner { shared, syncing: Some(syncing), _lock: Some(lock) })))
    }
}

/// Recovers what earlier epochs left and begins the log of this one.
fn begin<D: Disk>(
    disk: D,
    folder: &Path,
    epoch: Epoch,
    settings: SpoolSettings,
    clock: Clock,
    metrics: SpoolMetrics,
) -> io::Result<Shared<D>> {
    let earlier = log::recover_earlier(&disk, folder, epoch, settings, clock.read())?;
    for left in &earlier.0 {
        metrics.orphans.add(left.orphans);
        metrics.lost_bytes.add(left.lost_bytes);
    }
    let epoch_folder = segment::epoch_folder(folder, epoch);
    disk.make_folder(&epoch_folder)?;
    disk.sync_folder(folder)?;
    let writer = writer::Writer::begin(disk.clone(), epoch_folder.clone(), epoch, settings.segment_bytes)?;
    let cursor = cursor::CursorFile::open(&disk, &epoch_folder)?;
    Ok(Shared::new(disk, folder, epoch, settings, clock, metrics, writer, cursor, earlier))
}

impl<D: Disk> Spool<D> {
    /// The spool without its thread, on any disk: for the simulation, which calls [`Spool::work`] itself. The folder is there.
    ///
    /// # Errors
    /// When the disk refuses.
    #[doc(hidden)]
    pub fn on_disk(
        disk: D,
        folder: &Path,
        epoch: Epoch,
        settings: SpoolSettings,
        clock: Clock,
        metrics: SpoolMetrics,
    ) -> io::Result<Self> {
        let shared = Arc::new(begin(disk, folder, epoch, settings, clock, metrics)?);
        Ok(Self(Arc::new(Owner { shared, syncing: None, _lock: None })))
    }

    /// One round of what the thread does: syncs, prepares the next segment, lets go of old ones. `false`: the disk refused.
    #[doc(hidden)]
    #[must_use]
    pub fn work(&self) -> bool {
        sync::work(&self.0.shared)
    }

    /// Takes room for the final record of a request. Taken at admission, because the end of a request cannot wait for room.
    ///
    /// # Errors
    /// When unreported records fill the spool, the disk is full, or it cannot be written.
    pub fn permit(&self) -> Result<Permit<D>, SpoolFull> {
        self.0.shared.take_room().map(|room| Permit { spool: self.clone(), room })
    }

    /// Records that a lease is used no more. Every record that charges it must have been finished before.
    pub fn close_lease(&self, lease: LeaseId) {
        self.0.shared.lease_close(lease, usage::encode(&Record::LeaseClosed(lease)));
    }

    /// Notes how a lease stands, so that the next life can go on with it. Call it when it is new, lives longer or gives something back;
    /// what is given back must be on the disk ([`Spool::flush`]) before anybody is told. In the order of the records that charge it.
    pub fn note_lease(&self, owner: UserId, held: &HeldLease) {
        let now = self.0.shared.clock.read();
        self.0.shared.lease(Note::new(owner, held, now, self.0.shared.settings.boot_id));
    }

    /// Notes that a lease is void: the next life must not go on with it.
    pub fn void_lease(&self, lease: LeaseId) {
        self.0.shared.void_lease(lease);
    }

    /// The leases that earlier lives left behind, with what is left of them: whatever cut-off requests had set aside counts as charged.
    /// They stay theirs until they are noted here.
    #[must_use]
    pub fn inherited(&self) -> &[Inherited] {
        &self.0.shared.inherited
    }

    /// The history of the database in which everything acknowledged was settled; `None` before it was noted.
    #[must_use]
    pub fn history(&self) -> Option<Arc<str>> {
        self.0.shared.history()
    }

    /// Notes that everything kept here was told to the control plane in this history. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; then it is as before.
    pub fn note_history(&self, name: &str) -> io::Result<()> {
        self.0.shared.note_history(name)
    }

    /// Notes what an open request has set aside by now: more than its intent says. All of it, and the part of each lease.
    pub fn note_hold(&self, open: u64, held: Quota, parts: Vec<LeaseCharge>) {
        self.0.shared.hold(open, Hold { held, parts });
    }

    /// Whether it can be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.0.shared.is_writable()
    }

    /// Bytes that are not acknowledged.
    #[must_use]
    pub fn unacked_bytes(&self) -> u64 {
        self.0.shared.unacked_bytes()
    }

    /// The epoch whose records are written.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.shared.epoch
    }

    /// The log of this epoch, to report from.
    #[must_use]
    pub fn current(&self) -> CurrentLog<D> {
        CurrentLog::new(self.clone())
    }

    /// The logs of earlier epochs that are not settled to their end, oldest first.
    #[must_use]
    pub fn earlier(&self) -> Vec<EarlierLog<D>> {
        let left = self.0.shared.earlier.lock().clone();
        left.into_iter().filter(|left| left.cursor.ended_at.is_none()).map(|left| EarlierLog::new(self.clone(), left)).collect()
    }

    /// The logs of earlier epochs that are still on the disk, settled or not, oldest first: a database restored to the past asks for
    /// them again.
    #[must_use]
    pub fn retained(&self) -> Vec<EarlierLog<D>> {
        let left = self.0.shared.earlier.lock().clone();
        left.into_iter().map(|left| EarlierLog::new(self.clone(), left)).collect()
    }

    /// Waits until the control plane knows that everything of this epoch is reported.
    pub async fn ended(&self) {
        let mut has_ended = self.0.shared.has_ended.subscribe();
        let _ = has_ended.wait_for(|has_ended| *has_ended).await;
    }

    /// Waits until everything written so far is synced. `false`: that will never be known, because a sync failed.
    pub async fn flush(&self) -> bool {
        let target = self.0.shared.sync_soon();
        let mut synced = self.0.shared.synced.subscribe();
        let is_synced = |mark: &Mark| mark.position >= target.position;
        // ends early only if the spool is being closed, which syncs by itself
        synced.wait_for(|mark| is_synced(mark) || self.0.shared.is_distrusted()).await.is_ok_and(|mark| is_synced(&mark))
    }
}

impl<D: Disk> Drop for Owner<D> {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(syncing) = self.syncing.take() {
            let _ = syncing.join();
        }
    }
}

/// Room for the final record of one request; dropping gives it back.
#[derive(Debug)]
#[must_use = "a request without its permit has no room for its record"]
pub struct Permit<D: Disk = SystemDisk> {
    spool: Spool<D>,
    room: Room<D>,
}

impl<D: Disk> Permit<D> {
    /// Writes the intent: from here on the request is on record, whatever happens. Call before the first upstream byte.
    ///
    /// # Errors
    /// When the disk refuses. Nothing is on record then, and nothing may be sent.
    pub fn open(self, intent: &RequestRecord) -> Result<OpenRecord<D>, SpoolError> {
        let body = encode(Cow::Borrowed(intent));
        let Self { spool, mut room } = self;
        room.widen(body.len());
        let open = spool.0.shared.intent(body).map_err(SpoolError::Write)?;
        Ok(OpenRecord { spool, open, is_finished: false, _room: room })
    }

    /// Writes the final record of a request that nothing was sent upstream for.
    pub fn finish(self, record: RequestRecord) {
        let charges = charges_of(&record);
        self.spool.0.shared.finish(0, encode(Cow::Owned(record)), charges);
    }
}

/// A request on record that has not ended. It has to be finished: one that is dropped counts as a bug, and ends as orphaned.
#[derive(Debug)]
#[must_use = "an open record has to be finished"]
pub struct OpenRecord<D: Disk = SystemDisk> {
    spool: Spool<D>,
    open: u64,
    is_finished: bool,
    _room: Room<D>,
}

impl<D: Disk> OpenRecord<D> {
    /// Its number, for [`Spool::note_hold`].
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.open
    }

    /// Notes what the request consumed so far: what it is charged if this process dies. Call each second or 1,000 tokens of output.
    pub fn progress(&mut self, usage: &Usage) {
        self.spool.0.shared.progress(self.open, usage);
    }

    /// Writes the final record.
    pub fn finish(mut self, record: RequestRecord) {
        self.is_finished = true;
        let charges = charges_of(&record);
        self.spool.0.shared.finish(self.open, encode(Cow::Owned(record)), charges);
    }
}

impl<D: Disk> Drop for OpenRecord<D> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.spool.0.shared.abandon(self.open);
        }
    }
}

fn charges_of(record: &RequestRecord) -> writer::Charges {
    record.charges.iter().map(|charge| (charge.lease_id, charge.amount)).collect()
}

/// Bytes beyond which the texts of a record are shortened.
const MAX_RECORD_BYTES: usize = 16 * 1024;
/// Characters that are kept of each text of a record that is too long.
const SHORT_TEXT_CHARS: usize = 128;
/// Attempts that are kept of such a record.
const SHORT_ATTEMPTS: usize = 32;

/// A record as bytes. One that is absurdly long loses detail, never its figures.
fn encode(record: Cow<'_, RequestRecord>) -> Vec<u8> {
    let body = usage::encode_request(&record);
    if body.len() <= MAX_RECORD_BYTES {
        return body;
    }
    let mut request = record.into_owned();
    request.attempts.truncate(SHORT_ATTEMPTS);
    let attempts = request.attempts.iter_mut().map(|attempt| &mut attempt.error);
    let texts = [
        &mut request.upstream_model,
        &mut request.error_code,
        &mut request.path,
        &mut request.client_ip,
        &mut request.upstream_request_id,
    ];
    for text in texts.into_iter().chain(attempts) {
        if let Some((end, _)) = text.char_indices().nth(SHORT_TEXT_CHARS) {
            text.truncate(end);
        }
    }
    usage::encode_request(&request)
}

fn lock(folder: &Path) -> Result<File, SpoolError> {
    let unusable = |source| SpoolError::Folder { folder: folder.to_owned(), source };
    let path = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

#[cfg(test)]
impl Spool {
    /// Whether everything written so far is safe from a crash of the machine.
    pub(crate) fn is_synced(&self) -> bool {
        let written = self.0.shared.bench.lock().writer.mark();
        self.0.shared.synced.borrow().position >= written.position
    }
}

/// What the next life would find of leases at a moment of the wall clock, for tests of whatever notes them.
#[cfg(test)]
pub(crate) fn left_in(folder: &Path, wall_millis: u64) -> Vec<Inherited> {
    tests::left_in(folder, wall_millis)
}

/// A record for tests of whatever writes records.
#[cfg(test)]
pub(crate) fn sample_record(number: usize) -> RequestRecord {
    tests::record(number, sluice_domain::Outcome::Completed)
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;

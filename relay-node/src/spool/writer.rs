//! The end of the spool: appends records, numbers them, and moves on to the next segment.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ahash::RandomState;
use sluice_domain::{Clock, Epoch, LeaseId, Quota, Usage};
use smallvec::SmallVec;

use super::cursor::FIRST_SEQ;
use super::disk::{Disk, DiskFile};
use super::frame::{self, Frame, HEADER_BYTES, Kind};
use super::leases::{Hold, NOTE_FRAME_BYTES, Note};
use super::orphan::Known;
use super::segment::{self, FIRST_RECORD, Header};

/// The part of a segment that notes of leases may take at its beginning. Leases beyond it are not noted, and not gone on with.
const LEASES_PART: u64 = 8;

/// A place in the log of one epoch: what is before it was written, or synced, or acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Segment.
    pub(super) number: u64,
    /// Byte within the segment.
    pub(super) offset: u64,
    /// Byte counted over all segments.
    pub(super) position: u64,
    /// The next sequence.
    pub(super) seq: u64,
}

/// A segment that is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Full {
    pub(super) number: u64,
    /// Where it ends, counted over all segments.
    pub(super) end: u64,
    /// When it was left, by the clock since boot.
    pub(super) left_at: u64,
}

/// A record that could not be written yet.
#[derive(Debug)]
struct Waiting {
    kind: Kind,
    open: u64,
    body: Vec<u8>,
    charges: Charges,
}

/// What a record charges to leases.
pub(super) type Charges = SmallVec<[(LeaseId, Quota); 3]>;

impl Waiting {
    fn plain(kind: Kind, body: Vec<u8>) -> Self {
        Self { kind, open: 0, body, charges: Charges::new() }
    }
}

/// The one that writes. Everything happens under its lock.
#[derive(Debug)]
pub(super) struct Writer<D: Disk> {
    disk: D,
    folder: PathBuf,
    epoch: Epoch,
    segment_bytes: u64,
    file: Arc<D::File>,
    mark: Mark,
    next_open: u64,
    /// Requests between their intent and their final record.
    opens: HashMap<u64, Known<Arc<[u8]>>, RandomState>,
    /// Leases held, as they stand.
    leases: BTreeMap<LeaseId, Note>,
    full: VecDeque<Full>,
    /// Files with bytes that are not synced.
    dirty: Vec<Arc<D::File>>,
    unsynced: usize,
    has_spare: bool,
    /// The segment is new, and leases and open requests are not repeated in it yet.
    must_repeat: bool,
    buffer: Vec<u8>,
    /// In order; not empty only while the disk refuses to be written.
    waiting: VecDeque<Waiting>,
}

impl<D: Disk> Writer<D> {
    /// Begins the log of an epoch in an empty folder.
    pub(super) fn begin(disk: D, folder: PathBuf, epoch: Epoch, segment_bytes: u64) -> io::Result<Self> {
        segment::prepare_spare(&disk, &folder, segment_bytes)?;
        let header = Header { epoch, number: 1, first_seq: FIRST_SEQ, position: 0 };
        let file = Arc::new(segment::promote_spare(&disk, &folder, header)?);
        file.sync_everything()?;
        segment::prepare_spare(&disk, &folder, segment_bytes)?;
        disk.sync_folder(&folder)?;
        Ok(Self {
            disk,
            folder,
            epoch,
            segment_bytes,
            file,
            mark: Mark { number: 1, offset: FIRST_RECORD, position: 0, seq: FIRST_SEQ },
            next_open: 1,
            opens: HashMap::default(),
            leases: BTreeMap::new(),
            full: VecDeque::new(),
            dirty: Vec::new(),
            unsynced: 0,
            has_spare: true,
            must_repeat: false,
            buffer: Vec::with_capacity(4096),
            waiting: VecDeque::new(),
        })
    }

    /// Where the next record goes.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// Bytes that can be written without asking the file system for room.
    pub(super) fn room_bytes(&self) -> u64 {
        let repeated = self.leases.len() as u64 * NOTE_FRAME_BYTES;
        let spare = if self.has_spare { self.segment_bytes.saturating_sub(FIRST_RECORD + repeated) } else { 0 };
        self.segment_bytes.saturating_sub(self.mark.offset) + spare
    }

    /// Bytes of records that wait for the disk.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().map(|waiting| (HEADER_BYTES + waiting.body.len()) as u64).sum()
    }

    /// Whether a request is between its intent and its final record.
    pub(super) fn has_open(&self) -> bool {
        !self.opens.is_empty()
    }

    /// Whether records wait for the disk.
    pub(super) fn is_stalled(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Records since the last sync.
    pub(super) const fn unsynced(&self) -> usize {
        self.unsynced
    }

    pub(super) const fn has_spare(&self) -> bool {
        self.has_spare
    }

    /// Takes over the spare that was made beside the lock, unless one had to be made under it meanwhile.
    pub(super) fn adopt_spare(&mut self) -> io::Result<()> {
        if !self.has_spare {
            segment::adopt_draft(&self.disk, &self.folder)?;
            self.has_spare = true;
        }
        Ok(())
    }

    /// Begins a request.
    pub(super) fn intent(&mut self, body: Vec<u8>, clock: &Clock) -> io::Result<u64> {
        let open = self.next_open;
        self.write(Kind::Intent, open, &body, clock)?;
        self.next_open += 1;
        self.opens.insert(open, Known { intent: body.into(), hold: None, progress: None });
        Ok(open)
    }

    /// Notes that a request has set more aside. When the disk refuses or has no room for notes, the beginning of the next segment tells it.
    pub(super) fn hold(&mut self, open: u64, hold: Hold, may_note: bool, clock: &Clock) -> io::Result<()> {
        let Some(known) = self.opens.get_mut(&open) else { return Ok(()) };
        let body = hold.encode();
        known.hold = Some(hold);
        if may_note { self.write(Kind::Hold, open, &body, clock) } else { Ok(()) }
    }

    /// Notes how a lease stands. What the disk refuses waits here for it.
    pub(super) fn lease(&mut self, note: Note, clock: &Clock) -> io::Result<()> {
        let most = self.segment_bytes / LEASES_PART / NOTE_FRAME_BYTES;
        if self.leases.len() as u64 >= most && !self.leases.contains_key(&note.lease) {
            return Ok(());
        }
        self.leases.insert(note.lease, note);
        self.keep(Waiting::plain(Kind::Lease, note.encode().to_vec()), clock)
    }

    /// Notes that a lease is void.
    pub(super) fn void_lease(&mut self, lease: LeaseId, clock: &Clock) -> io::Result<()> {
        match self.leases.remove(&lease) {
            Some(_) => self.keep(Waiting::plain(Kind::Lease, Note::void(lease).encode().to_vec()), clock),
            None => Ok(()),
        }
    }

    /// Notes what a request consumed so far. When the disk refuses or has no room for notes, the next progress, the next segment or the
    /// final record tells it.
    pub(super) fn progress(&mut self, open: u64, usage: &Usage, may_note: bool, clock: &Clock) -> io::Result<()> {
        let Some(known) = self.opens.get_mut(&open) else { return Ok(()) };
        known.progress = Some(*usage);
        if may_note { self.write(Kind::Progress, open, &frame::encode_progress(usage), clock) } else { Ok(()) }
    }

    /// Ends a request that charges these parts of leases. `open` is 0 when there was no intent. What the disk refuses waits here for it.
    pub(super) fn finish(&mut self, open: u64, body: Vec<u8>, charges: Charges, clock: &Clock) -> io::Result<()> {
        self.opens.remove(&open);
        self.keep(Waiting { kind: Kind::Final, open, body, charges }, clock)
    }

    /// The last that is known of a request without final record.
    pub(super) fn known_of(&self, open: u64) -> Option<Known<Arc<[u8]>>> {
        self.opens.get(&open).cloned()
    }

    /// Records that a lease is used no more.
    pub(super) fn lease_close(&mut self, lease: LeaseId, body: Vec<u8>, clock: &Clock) -> io::Result<()> {
        self.leases.remove(&lease);
        self.keep(Waiting::plain(Kind::LeaseClose, body), clock)
    }

    /// Writes what waits for the disk.
    pub(super) fn retry(&mut self, clock: &Clock) -> io::Result<()> {
        while let Some(first) = self.waiting.pop_front() {
            if let Err(error) = self.write_kept(&first, clock) {
                self.waiting.push_front(first);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The files to sync, and how far the log is safe once they are.
    pub(super) fn take_unsynced(&mut self) -> (Vec<Arc<D::File>>, Mark) {
        self.unsynced = 0;
        (std::mem::take(&mut self.dirty), self.mark)
    }

    /// Takes back files whose sync failed.
    pub(super) fn give_back(&mut self, files: Vec<Arc<D::File>>) {
        self.unsynced = self.unsynced.max(1);
        for file in files {
            if !self.dirty.iter().any(|dirty| Arc::ptr_eq(dirty, &file)) {
                self.dirty.push(file);
            }
        }
    }

    /// Full segments, oldest first.
    pub(super) fn full(&self) -> impl Iterator<Item = &Full> {
        self.full.iter()
    }

    /// Forgets the oldest full segment; its file is about to go.
    pub(super) fn drop_oldest(&mut self) -> Option<Full> {
        self.full.pop_front()
    }

    /// Writes a record that must not be lost: what the disk refuses waits here, in order.
    fn keep(&mut self, record: Waiting, clock: &Clock) -> io::Result<()> {
        let written = if self.waiting.is_empty() { self.write_kept(&record, clock).map(|()| true) } else { Ok(false) };
        if !matches!(written, Ok(true)) {
            self.waiting.push_back(record);
        }
        written.map(drop)
    }

    /// What a record charges counts once it is written: where it begins a segment, the leases repeated before it must not have it yet.
    fn write_kept(&mut self, record: &Waiting, clock: &Clock) -> io::Result<()> {
        self.write(record.kind, record.open, &record.body, clock)?;
        for (lease, amount) in &record.charges {
            if let Some(note) = self.leases.get_mut(lease) {
                note.charge(*amount);
            }
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind, open: u64, body: &[u8], clock: &Clock) -> io::Result<()> {
        if body.len() > frame::MAX_BODY_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the record is too large"));
        }
        let length = (frame::HEADER_BYTES + body.len()) as u64;
        if self.mark.offset + length > self.segment_bytes {
            self.rotate(clock)?;
        }
        if self.must_repeat {
            self.repeat()?;
        }
        let seq = if kind.is_reported() { self.mark.seq } else { 0 };
        self.buffer.clear();
        Frame { kind, open, seq, body }.write(&mut self.buffer);
        self.file.write_all_at(&self.buffer, self.mark.offset)?;
        self.mark.seq += u64::from(kind.is_reported());
        self.wrote(length);
        Ok(())
    }

    fn wrote(&mut self, length: u64) {
        self.mark.offset += length;
        self.mark.position += length;
        self.unsynced += 1;
        if !self.dirty.iter().any(|dirty| Arc::ptr_eq(dirty, &self.file)) {
            self.dirty.push(Arc::clone(&self.file));
        }
    }

    /// Goes on in the next segment. Leases and requests that are open are repeated there, so that the full one can go (ruling R6).
    fn rotate(&mut self, clock: &Clock) -> io::Result<()> {
        if !self.has_spare {
            segment::prepare_spare(&self.disk, &self.folder, self.segment_bytes)?;
        }
        let header =
            Header { epoch: self.epoch, number: self.mark.number + 1, first_seq: self.mark.seq, position: self.mark.position };
        let file = segment::promote_spare(&self.disk, &self.folder, header)?;
        self.has_spare = false;
        self.full.push_back(Full { number: self.mark.number, end: self.mark.position, left_at: clock.read().boot_millis });
        self.file = Arc::new(file);
        (self.mark.number, self.mark.offset) = (header.number, FIRST_RECORD);
        self.must_repeat = true;
        Ok(())
    }

    fn repeat(&mut self) -> io::Result<()> {
        self.buffer.clear();
        for note in self.leases.values() {
            Frame { kind: Kind::Lease, open: 0, seq: 0, body: &note.encode() }.write(&mut self.buffer);
        }
        // in the order they came: a log depends on nothing but what was written
        let mut opens: Vec<_> = self.opens.iter().collect();
        opens.sort_unstable_by_key(|(open, _)| **open);
        for (open, known) in opens {
            Frame { kind: Kind::Intent, open: *open, seq: 0, body: &known.intent }.write(&mut self.buffer);
            if let Some(hold) = &known.hold {
                Frame { kind: Kind::Hold, open: *open, seq: 0, body: &hold.encode() }.write(&mut self.buffer);
            }
            if let Some(progress) = &known.progress {
                let body = frame::encode_progress(progress);
                Frame { kind: Kind::Progress, open: *open, seq: 0, body: &body }.write(&mut self.buffer);
            }
        }
        self.file.write_all_at(&self.buffer, self.mark.offset)?;
        let length = self.buffer.len() as u64;
        self.buffer.shrink_to(64 * 1024);
        self.wrote(length);
        self.must_repeat = false;
        Ok(())
    }
}

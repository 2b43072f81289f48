//! Makes the log of an earlier life whole: cuts what is damaged, ends what was left open.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sluice_domain::Epoch;
use tracing::{error, warn};

use super::cursor::{Cursor, CursorFile, FIRST_SEQ};
use super::disk::{Disk, DiskFile};
use super::frame::{Frame, Kind, decode_progress};
use super::leases::{Hold, LeftLeases};
use super::mend::{self, End, Mended};
use super::orphan::{self, CrashBilling, Known};
use super::scan::{Scan, Step};
use super::segment::{self, FIRST_RECORD, Header};
use super::writer::Mark;

/// Bytes of a segment looked at or copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// What an earlier life left behind.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) epoch: Epoch,
    pub(super) folder: PathBuf,
    pub(super) cursor: Cursor,
    /// The byte below which everything is acknowledged, at least.
    pub(super) acked_position: u64,
    /// The end of its log.
    pub(super) end: Mark,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// Requests ended here because nobody else did.
    pub(super) orphans: u64,
    /// Requests that were open where the log broke off, by number; in order.
    pub(super) ends: Vec<mend::End>,
    /// Bytes that could not be read.
    pub(super) lost_bytes: u64,
    /// Numbers that are told as gone.
    pub(super) lost_records: u64,
    /// What is known of damage.
    pub(super) mended: Mended,
    /// The oldest record that is kept comes after what the cursor says is settled, and segments go only once they are: one of both is lost.
    pub(super) is_start_unknown: bool,
}

impl Left {
    /// Everything up to a record is acknowledged.
    pub(super) fn acked(&mut self, below: u64, position: u64) {
        self.cursor.acked_below = self.cursor.acked_below.max(below);
        self.acked_position = self.acked_position.max(position);
    }

    /// Bytes that are not acknowledged.
    pub(super) const fn unsettled_bytes(&self) -> u64 {
        if self.cursor.ended_at.is_some() { 0 } else { self.end.position.saturating_sub(self.acked_position) }
    }

    fn tell_damage(&self) {
        let (epoch, bytes, records) = (self.epoch, self.lost_bytes, self.lost_records);
        if bytes > 0 || records > 0 {
            error!(
                node.epoch = epoch.0,
                lost.bytes = bytes,
                lost.records = records,
                "the spool of epoch {epoch} is damaged: {bytes} bytes could not be read, {records} records are gone; its leases stay in doubt"
            );
        }
    }
}

/// The state of a walk over the segments of one epoch.
#[derive(Debug)]
struct Walk<'a> {
    epoch: Epoch,
    opens: BTreeMap<u64, Known<Vec<u8>>>,
    /// The next sequence; `None` until the first segment says.
    seq: Option<u64>,
    position: u64,
    /// Leases, over all epochs.
    leases: &'a mut LeftLeases,
}

impl Walk<'_> {
    /// Takes a record in. `false`: it does not belong here, which is damage too.
    fn take(&mut self, frame: &Frame<'_>) -> bool {
        match frame.kind {
            Kind::Intent => {
                self.opens.insert(frame.open, Known { intent: frame.body.to_vec(), hold: None, progress: None });
            }
            Kind::Hold => {
                if let Some(open) = self.opens.get_mut(&frame.open) {
                    open.hold = Hold::decode(frame.body).or(open.hold.take());
                }
            }
            Kind::Lease => {}
            Kind::Progress => {
                if let Some(open) = self.opens.get_mut(&frame.open) {
                    open.progress = decode_progress(frame.body).or(open.progress);
                }
            }
            Kind::Final | Kind::LeaseClose => {
                if self.seq != Some(frame.seq) {
                    return false;
                }
                self.seq = Some(frame.seq + 1);
                self.opens.remove(&frame.open);
            }
        }
        self.leases.take(self.epoch, frame);
        self.position += frame.len() as u64;
        true
    }
}

/// Recovers the log of one epoch: everything up to the first damage, and a final record for every request that has none.
///
/// Doing it again changes nothing. What follows the damage is kept under another name, for people. `leases` gathers what earlier epochs
/// left and what this one did to it.
pub(super) fn recover(
    disk: &impl Disk,
    spool: &Path,
    epoch: Epoch,
    rule: CrashBilling,
    leases: &mut LeftLeases,
) -> io::Result<Left> {
    let folder = segment::epoch_folder(spool, epoch);
    segment::remove_spares(disk, &folder)?;
    let cursor = CursorFile::open(disk, &folder)?.load();
    let mut mended = mend::load(disk, &folder);
    mend::take_away(disk, &folder, &mut mended, cursor)?;
    let numbers = segment::numbers(disk, &folder)?;
    let is_start_unknown = oldest_seq(disk, &folder, &numbers)?.is_some_and(|oldest| oldest > cursor.acked_below);
    let mut walk = Walk { epoch, opens: BTreeMap::new(), seq: None, position: 0, leases };
    let mut end = Mark { seq: cursor.acked_below, ..Mark::default() };
    let (mut lost_bytes, mut acked_position) = (0, None);
    let first = first_needed(disk, &folder, &numbers, cursor)?;
    let needed = numbers.get(first..).unwrap_or_default();
    for (place, number) in needed.iter().enumerate() {
        let walked = walk_segment(disk, &folder, *number, epoch, &mut walk)?;
        acked_position = acked_position.or(walked.begins_at);
        if let Some(offset) = walked.offset {
            end = Mark { number: *number, offset, position: walk.position, seq: walk.seq.unwrap_or(FIRST_SEQ) };
        }
        if !walked.is_whole {
            let damaged = needed.get(place..).unwrap_or_default();
            lost_bytes = note_damage(disk, &folder, &mut mended, walked.offset, damaged)?;
            set_aside(disk, &folder, walked.offset, damaged)?;
            break;
        }
    }
    mended.is_damaged |= end.seq < cursor.acked_below;
    if mended.is_damaged {
        walk.leases.doubt();
    }
    let ends = ends_of(&mut walk, rule);
    let acked_position = acked_position.unwrap_or(0);
    let orphans = ends.len() as u64;
    let (bytes, lost_records) = (0, 0);
    let mut left = Left {
        epoch,
        folder,
        cursor,
        acked_position,
        end,
        bytes,
        orphans,
        ends,
        lost_bytes,
        lost_records,
        mended,
        is_start_unknown,
    };
    mend::add(disk, &mut left, numbers.last().copied().unwrap_or_default())?;
    disk.sync_folder(&left.folder)?;
    left.bytes = bytes_in(disk, &left.folder)?;
    left.tell_damage();
    Ok(left)
}

/// The number of the oldest record that is kept, when its segment can tell.
fn oldest_seq(disk: &impl Disk, folder: &Path, numbers: &[u64]) -> io::Result<Option<u64>> {
    let Some(first) = numbers.first() else { return Ok(None) };
    let header = Header::of(&disk.open(&segment::path_of(folder, *first))?)?;
    Ok(header.map(|header| header.first_seq))
}

/// The first segment with something that is not acknowledged. The last two are always needed: what is open is repeated at the
/// beginning of a segment, and that may not have reached the disk.
fn first_needed(disk: &impl Disk, folder: &Path, numbers: &[u64], cursor: Cursor) -> io::Result<usize> {
    let mut first = 0;
    for (place, number) in numbers.iter().enumerate().take(numbers.len().saturating_sub(1)) {
        let header = Header::of(&disk.open(&segment::path_of(folder, *number))?)?;
        if header.is_some_and(|header| header.first_seq <= cursor.acked_below) {
            first = place;
        }
    }
    Ok(first)
}

struct Walked {
    /// Bytes of records in the segments before it, when it says so.
    begins_at: Option<u64>,
    /// Where its good part ends; `None` when there is none.
    offset: Option<u64>,
    /// Whether it ends where writing ended.
    is_whole: bool,
}

fn walk_segment(disk: &impl Disk, folder: &Path, number: u64, epoch: Epoch, walk: &mut Walk<'_>) -> io::Result<Walked> {
    let file = disk.open(&segment::path_of(folder, number))?;
    let header = Header::of(&file)?.filter(|header| header.epoch == epoch && header.number == number);
    let follows = |header: &Header| walk.seq.is_none_or(|seq| (seq, walk.position) == (header.first_seq, header.position));
    let Some(header) = header.filter(follows) else {
        return Ok(Walked { begins_at: None, offset: None, is_whole: false });
    };
    (walk.seq, walk.position) = (Some(header.first_seq), header.position);
    let walked = |offset, is_whole| Ok(Walked { begins_at: Some(header.position), offset: Some(offset), is_whole });
    let mut scan = Scan::at(FIRST_RECORD);
    loop {
        let offset = scan.offset();
        match scan.next(&file)? {
            Step::Record(frame) if walk.take(&frame) => {}
            // zeros may also stand where records were: then others follow
            Step::End => return walked(offset, written_after(&file, offset)? == 0),
            Step::Record(_) | Step::Bad => return walked(offset, false),
        }
    }
}

/// Notes that records are lost, before what shows it is cut: how many bytes, as far as it can be told, and up to which number.
fn note_damage(disk: &impl Disk, folder: &Path, mended: &mut Mended, offset: Option<u64>, damaged: &[u64]) -> io::Result<u64> {
    let mut lost = 0;
    let mut good = offset;
    for number in damaged {
        let file = disk.open(&segment::path_of(folder, *number))?;
        lost += written_after(&file, good.take().unwrap_or(0))?;
        let first_seq = Header::of(&file)?.map_or(0, |header| header.first_seq);
        mended.lost_below = mended.lost_below.max(first_seq);
    }
    if lost > 0 {
        mended.is_damaged = true;
        mend::store(disk, folder, *mended)?;
    }
    Ok(lost)
}

/// Cuts the first of these segments after its good part, and puts what cannot be used under another name.
fn set_aside(disk: &impl Disk, folder: &Path, offset: Option<u64>, damaged: &[u64]) -> io::Result<()> {
    let mut unusable = damaged;
    if let (Some(offset), Some((number, later))) = (offset, damaged.split_first()) {
        let path = segment::path_of(folder, *number);
        let file = disk.open(&path)?;
        let written = written_after(&file, offset)?;
        if written > 0 {
            keep_tail(disk, &file, offset, written, &path.with_extension("tail.unreadable"))?;
        }
        file.set_length(offset)?;
        file.sync_everything()?;
        unusable = later;
    }
    for number in unusable {
        let path = segment::path_of(folder, *number);
        if written_after(&disk.open(&path)?, 0)? == 0 {
            disk.remove(&path)?;
            continue;
        }
        warn!("keeping an unreadable part of the spool as {}.unreadable", path.display());
        disk.rename(&path, &path.with_extension("unreadable"))?;
    }
    Ok(())
}

/// Copies what is cut off a segment into a file of its own, for people.
fn keep_tail<D: Disk>(disk: &D, file: &D::File, offset: u64, bytes: u64, path: &Path) -> io::Result<()> {
    warn!("keeping {bytes} unreadable bytes of the spool as {}", path.display());
    let tail = disk.open_or_make(path)?;
    tail.set_length(0)?;
    let mut chunk = vec![0; COPY_BYTES];
    let mut copied = 0;
    while copied < bytes {
        let count = file.read_at(&mut chunk, offset + copied)?;
        if count == 0 {
            break;
        }
        tail.write_all_at(chunk.get(..count).unwrap_or_default(), copied)?;
        copied += count as u64;
    }
    tail.set_length(bytes)?;
    tail.sync_everything()
}

/// How many bytes after a place are not the zeros of preallocation.
fn written_after(file: &impl DiskFile, mut offset: u64) -> io::Result<u64> {
    let mut chunk = vec![0; COPY_BYTES];
    let (start, mut last) = (offset, offset);
    loop {
        let count = file.read_at(&mut chunk, offset)?;
        if count == 0 {
            return Ok(last - start);
        }
        let used = chunk.get(..count).and_then(|bytes| bytes.iter().rposition(|byte| *byte != 0));
        if let Some(place) = used {
            last = offset + place as u64 + 1;
        }
        offset += count as u64;
    }
}

/// The final records of requests that have none.
///
/// What such a request had set aside is taken out of its leases: only the control plane knows what it costs.
fn ends_of(walk: &mut Walk<'_>, rule: CrashBilling) -> Vec<End> {
    let mut ends = Vec::new();
    for (open, left) in std::mem::take(&mut walk.opens) {
        let Some(orphan) = orphan::end(left, rule) else {
            error!("the spool holds an intent that this build cannot read; its lease stays in doubt");
            walk.leases.doubt();
            continue;
        };
        walk.leases.charge(&orphan.parts);
        ends.push((open, orphan.body));
    }
    ends
}

fn bytes_in(disk: &impl Disk, folder: &Path) -> io::Result<u64> {
    let length_of = |number: &u64| disk.open(&segment::path_of(folder, *number)).and_then(|file| file.length()).ok();
    Ok(segment::numbers(disk, folder)?.iter().filter_map(length_of).sum())
}

//! What recovery adds behind the good part of a log: the ends of requests that were cut off, and the gap where records are lost. A small
//! file beside the segments remembers it.
//!
//! Nothing that is added may have a number that the control plane settled as another record: it would be dropped there as known. The
//! cursor only tells a lower bound of what was settled, and may be lost, so the control plane is asked before anything added is told, and
//! what was added is numbered anew where it settled more ([`compare`]). Numbers of lost records are told as gone. The end of a request may
//! be among the lost ones and settled: the control plane knows it by its name, and drops the one added here.

use std::io;
use std::path::Path;

use sluice_domain::Epoch;

use super::cursor::Cursor;
use super::disk::{Disk, DiskFile};
use super::frame::{Frame, HEADER_BYTES, Kind};
use super::recover::Left;
use super::segment::{self, FIRST_RECORD, Header};
use super::writer::Mark;

const NAME: &str = "mended";
const DRAFT_NAME: &str = "mended.draft";
/// Six words and a checksum.
const BYTES: usize = 52;
/// Bytes written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is known of the damage to a log, and what was added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// Records are lost: nobody goes on with leases they may have charged, in no later life either.
    pub(super) is_damaged: bool,
    /// Every number below was given to a record, as far as the damage could tell.
    pub(super) lost_below: u64,
    /// Where what was added begins, as long as nobody was told of it.
    pub(super) added: Option<Mark>,
}

/// A request that is ended by recovery: its number among the open ones, and its final record.
pub(super) type End = (u64, Vec<u8>);

/// What is remembered of a log. A damaged file still tells that there was something to remember.
pub(super) fn load(disk: &impl Disk, folder: &Path) -> Mended {
    let Ok(file) = disk.open(&folder.join(NAME)) else { return Mended::default() };
    let mut bytes = [0; BYTES];
    let read = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| parse(&bytes));
    read.unwrap_or(Mended { is_damaged: true, ..Mended::default() })
}

/// Replaces what is remembered, and has it on the disk before it returns.
pub(super) fn store(disk: &impl Disk, folder: &Path, mended: Mended) -> io::Result<()> {
    let added = mended.added.unwrap_or_default();
    let words = [u64::from(mended.is_damaged), mended.lost_below, added.number, added.offset, added.position, added.seq];
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let sum = crc32fast::hash(&bytes[..48]);
    bytes[48..].copy_from_slice(&sum.to_le_bytes());
    let draft = folder.join(DRAFT_NAME);
    let file = disk.open_or_make(&draft)?;
    file.set_length(0)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_everything()?;
    disk.rename(&draft, &folder.join(NAME))?;
    disk.sync_folder(folder)
}

fn parse(bytes: &[u8; BYTES]) -> Option<Mended> {
    if crc32fast::hash(&bytes[..48]).to_le_bytes() != bytes[48..] {
        return None;
    }
    let word = |place: usize| bytes[place * 8..].first_chunk().map(|word| u64::from_le_bytes(*word));
    let added = Mark { number: word(2)?, offset: word(3)?, position: word(4)?, seq: word(5)? };
    let added = (added.number != 0).then_some(added);
    Some(Mended { is_damaged: word(0)? != 0, lost_below: word(1)?, added })
}

/// Takes away what an earlier recovery added and nobody was told of: it is added anew. What is acknowledged of it was told.
pub(super) fn take_away(disk: &impl Disk, folder: &Path, mended: &mut Mended, cursor: Cursor) -> io::Result<()> {
    let Some(added) = mended.added.take().filter(|_| cursor.acked_below <= mended.lost_below) else { return Ok(()) };
    let path = segment::path_of(folder, added.number);
    if !disk.is_there(&path) {
        return Ok(());
    }
    let file = disk.open(&path)?;
    if file.length()? > added.offset {
        file.set_length(added.offset)?;
        file.sync_everything()?;
    }
    Ok(())
}

/// Adds the ends of requests that were cut off, behind the numbers of records that are lost. Of a life that is over everything was settled:
/// there, theirs are among those numbers.
pub(super) fn add<D: Disk>(disk: &D, left: &mut Left, last_number: u64) -> io::Result<()> {
    let first = left.end.seq;
    let next = first.max(left.cursor.acked_below).max(left.mended.lost_below);
    if next > first || !left.ends.is_empty() {
        if left.end.number == 0 {
            left.end = begin(disk, &left.folder, left.epoch, last_number + 1, first)?;
        }
        (left.mended.lost_below, left.mended.added) = (next, Some(left.end));
        store(disk, &left.folder, left.mended)?;
    }
    if left.end.number == 0 {
        return Ok(());
    }
    if left.cursor.ended_at.is_some() && next > first {
        return tell_as_gone(disk, left, next.max(first + left.ends.len() as u64));
    }
    end_behind(disk, left, next)
}

/// The control plane settled everything below a number, and may be told what was added once this is done. `most` is how many lost records
/// are believed.
pub(super) fn compare<D: Disk>(disk: &D, left: &mut Left, settled_below: u64, most: u64) -> io::Result<()> {
    if let Some(added) = left.mended.added.filter(|added| settled_below > added.seq) {
        if settled_below - added.seq > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "more was settled of it than it could hold"));
        }
        left.end = added;
        left.mended.is_damaged = true;
        end_behind(disk, left, settled_below.max(left.mended.lost_below))?;
    }
    let told = Mended { added: None, ..left.mended };
    if told != left.mended {
        store(disk, &left.folder, told)?;
    }
    left.mended = told;
    Ok(())
}

/// Tells every number from the end of the log up to one as gone, and ends the requests that were cut off behind it.
fn end_behind<D: Disk>(disk: &D, left: &mut Left, next: u64) -> io::Result<()> {
    left.lost_records = next - left.end.seq;
    let mut tail = Tail::behind(disk, &left.folder, left.end)?;
    tail.gone(next, &[])?;
    for (open, body) in &left.ends {
        tail.write(*open, body)?;
    }
    left.end = tail.finish()?;
    Ok(())
}

/// Tells every number from the end of the log up to one as gone. The last of them end the open requests.
fn tell_as_gone<D: Disk>(disk: &D, left: &mut Left, until: u64) -> io::Result<()> {
    left.lost_records = until - left.end.seq;
    let mut tail = Tail::behind(disk, &left.folder, left.end)?;
    let opens: Vec<u64> = left.ends.iter().map(|(open, _)| *open).collect();
    tail.gone(until, &opens)?;
    left.end = tail.finish()?;
    Ok(())
}

/// A log of which no segment can be read goes on in a new one.
fn begin(disk: &impl Disk, folder: &Path, epoch: Epoch, number: u64, first_seq: u64) -> io::Result<Mark> {
    let file = disk.open_or_make(&segment::path_of(folder, number))?;
    Header { epoch, number, first_seq, position: 0 }.write(&file)?;
    Ok(Mark { number, offset: FIRST_RECORD, position: 0, seq: first_seq })
}

/// Writes behind the end of a log. Nothing of what was there stays behind it.
struct Tail<F> {
    file: F,
    end: Mark,
    buffer: Vec<u8>,
}

impl<F: DiskFile> Tail<F> {
    fn behind(disk: &impl Disk<File = F>, folder: &Path, end: Mark) -> io::Result<Self> {
        let file = disk.open(&segment::path_of(folder, end.number))?;
        // what lies behind the end was never part of the log; it must not look like it once something is written before it
        file.set_length(end.offset)?;
        Ok(Self { file, end, buffer: Vec::new() })
    }

    fn write(&mut self, open: u64, body: &[u8]) -> io::Result<()> {
        let frame = Frame { kind: Kind::Final, open, seq: self.end.seq, body };
        frame.write(&mut self.buffer);
        self.end.seq += 1;
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Every number up to one, as of a record that is gone. The last of them end these open requests.
    fn gone(&mut self, until: u64, opens: &[u64]) -> io::Result<()> {
        let mut opens = opens.iter();
        while self.end.seq < until {
            let is_for_open = until - self.end.seq <= opens.len() as u64;
            let open = if is_for_open { opens.next().copied().unwrap_or_default() } else { 0 };
            self.write(open, &[])?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.end.offset)?;
        let length = self.buffer.len() as u64;
        self.end.offset += length;
        self.end.position += length;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Mark> {
        self.flush()?;
        self.file.set_length(self.end.offset + HEADER_BYTES as u64)?;
        self.file.sync_everything()?;
        Ok(self.end)
    }
}

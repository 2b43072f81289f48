//! One file of the spool: a header, then records, then zeros.

use std::io;
use std::path::{Path, PathBuf};

use sluice_domain::Epoch;

use super::disk::{Disk, DiskFile};

const MAGIC: [u8; 8] = *b"SLSPOOL1";
/// Bytes of the header: magic, epoch, number, first sequence, position, checksum.
pub(super) const HEADER_BYTES: usize = 44;
/// Where the first record stands.
pub(super) const FIRST_RECORD: u64 = HEADER_BYTES as u64;
pub(super) const SPARE_NAME: &str = "spare";
/// A spare in the making. It has its own name, because the writer may have to make one at the same time.
pub(super) const DRAFT_NAME: &str = "spare.draft";

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: Epoch,
    pub(super) number: u64,
    /// Sequence of the first reported record in it, or after it.
    pub(super) first_seq: u64,
    /// Bytes of records in the segments before it.
    pub(super) position: u64,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.position.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..40]);
        bytes[40..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Writes it at the beginning of a file.
    pub(super) fn write(self, file: &impl DiskFile) -> io::Result<()> {
        file.write_all_at(&self.to_bytes(), 0)
    }

    /// Reads a header; `None` when it is damaged or was never written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let word = |place: usize| bytes[place..].first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        let sum = bytes[40..].first_chunk::<4>().map(|sum| u32::from_le_bytes(*sum))?;
        if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..40]) != sum {
            return None;
        }
        Some(Self { epoch: Epoch(word(8)?.cast_signed()), number: word(16)?, first_seq: word(24)?, position: word(32)? })
    }

    /// Reads the header of a file.
    pub(super) fn of(file: &impl DiskFile) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Self::from_bytes(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The folder of one epoch.
pub(super) fn epoch_folder(spool: &Path, epoch: Epoch) -> PathBuf {
    spool.join(format!("epoch-{:020}", epoch.0))
}

/// The epochs that have a folder, oldest first.
pub(super) fn epochs(disk: &impl Disk, spool: &Path) -> io::Result<Vec<Epoch>> {
    let names = disk.names_in(spool)?;
    let mut found: Vec<_> = names.iter().filter_map(|name| name.strip_prefix("epoch-")?.parse().ok()).map(Epoch).collect();
    found.sort_unstable();
    Ok(found)
}

/// Where a segment is.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.seg"))
}

/// The segments of an epoch by number, in order.
pub(super) fn numbers(disk: &impl Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = disk.names_in(folder)?;
    let mut found: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

/// Makes the file that becomes the next segment, all zeros and with its place on the disk taken. Only under the writer's lock.
pub(super) fn prepare_spare(disk: &impl Disk, folder: &Path, bytes: u64) -> io::Result<()> {
    prepare(disk, &folder.join(SPARE_NAME), bytes)
}

/// The same outside the writer's lock; [`adopt_draft`] follows.
pub(super) fn prepare_draft(disk: &impl Disk, folder: &Path, bytes: u64) -> io::Result<()> {
    prepare(disk, &folder.join(DRAFT_NAME), bytes)
}

/// Makes the draft the spare. Only under the writer's lock, and only when there is no spare.
pub(super) fn adopt_draft(disk: &impl Disk, folder: &Path) -> io::Result<()> {
    disk.rename(&folder.join(DRAFT_NAME), &folder.join(SPARE_NAME))
}

/// Removes what was prepared for an epoch that is over.
pub(super) fn remove_spares(disk: &impl Disk, folder: &Path) -> io::Result<()> {
    for name in [SPARE_NAME, DRAFT_NAME] {
        match disk.remove(&folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn prepare(disk: &impl Disk, path: &Path, bytes: u64) -> io::Result<()> {
    let made = disk.open_or_make(path).and_then(|file| {
        file.set_length(0)?;
        file.preallocate(bytes)
    });
    if made.is_err() {
        // half a file takes room for nothing; when even that fails, the next attempt truncates it
        let _ = disk.remove(path);
    }
    made
}

/// Turns the spare into a segment.
pub(super) fn promote_spare<D: Disk>(disk: &D, folder: &Path, header: Header) -> io::Result<D::File> {
    let spare = folder.join(SPARE_NAME);
    let file = disk.open(&spare)?;
    header.write(&file)?;
    disk.rename(&spare, &path_of(folder, header.number))?;
    Ok(file)
}

//! How far an epoch was acknowledged: a small file beside its segments.
//!
//! Losing it costs a replay, which the control plane drops; so it is written without fsync.

use std::io;
use std::path::Path;

use sluice_domain::UnixMillis;

use super::disk::{Disk, DiskFile};

const BYTES: usize = 20;
const NAME: &str = "cursor";

/// How far an epoch was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Every reported record below this sequence is settled.
    pub(super) acked_below: u64,
    /// When the control plane acknowledged that the epoch is over.
    pub(super) ended_at: Option<UnixMillis>,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { acked_below: FIRST_SEQ, ended_at: None }
    }
}

/// Sequences start here in each epoch.
pub(super) const FIRST_SEQ: u64 = 1;

/// The file a cursor is kept in.
#[derive(Debug)]
pub(super) struct CursorFile<F>(F);

impl<F: DiskFile> CursorFile<F> {
    /// Opens or makes the file of an epoch.
    pub(super) fn open(disk: &impl Disk<File = F>, folder: &Path) -> io::Result<Self> {
        disk.open_or_make(&folder.join(NAME)).map(Self)
    }

    /// What it says; the beginning, when it says nothing or is damaged.
    pub(super) fn load(&self) -> Cursor {
        let mut bytes = [0; BYTES];
        let read = self.0.read_exact_at(&mut bytes, 0).ok().and_then(|()| parse(&bytes));
        read.unwrap_or_default()
    }

    /// Replaces what it says.
    pub(super) fn store(&self, cursor: Cursor) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&cursor.acked_below.to_le_bytes());
        bytes[8..16].copy_from_slice(&cursor.ended_at.map_or(0, |at| at.0).to_le_bytes());
        let sum = crc32fast::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&sum.to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }
}

fn parse(bytes: &[u8; BYTES]) -> Option<Cursor> {
    let acked_below = u64::from_le_bytes(*bytes.first_chunk()?);
    let ended_at = i64::from_le_bytes(*bytes[8..].first_chunk()?);
    let sum = u32::from_le_bytes(*bytes[16..].first_chunk()?);
    let is_whole = crc32fast::hash(&bytes[..16]) == sum && acked_below >= FIRST_SEQ;
    is_whole.then_some(Cursor { acked_below, ended_at: (ended_at != 0).then_some(UnixMillis(ended_at)) })
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_damaged_one_is_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::open(&SystemDisk, folder.path()).unwrap();
        assert_eq!(file.load(), Cursor::default());
        let cursor = Cursor { acked_below: 42, ended_at: Some(UnixMillis(7)) };
        file.store(cursor).unwrap();
        assert_eq!(CursorFile::open(&SystemDisk, folder.path()).unwrap().load(), cursor);
        DiskFile::write_all_at(&file.0, &[9], 3).unwrap();
        assert_eq!(file.load(), Cursor::default());
    }
}

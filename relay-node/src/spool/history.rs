//! In which history of the database the spool was settled: a small file beside the epochs.
//!
//! When the control plane comes back with another one, what was acknowledged may be unknown there, and everything that is kept is told
//! again. The file is replaced only once that is done, so whoever dies on the way starts over (ruling R7).

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};

const NAME: &str = "history";
const DRAFT_NAME: &str = "history.draft";
/// The longest name of a history.
const MAX_BYTES: usize = 256;

/// What the file says: `checksum(4) length(2) name`. A damaged one is as good as none.
pub(super) fn load(disk: &impl Disk, folder: &Path) -> Option<Arc<str>> {
    let file = disk.open(&folder.join(NAME)).ok()?;
    let mut header = [0; 6];
    file.read_exact_at(&mut header, 0).ok()?;
    let sum = u32::from_le_bytes(*header.first_chunk()?);
    let length = usize::from(u16::from_le_bytes(*header[4..].first_chunk()?));
    if length > MAX_BYTES {
        return None;
    }
    let mut name = vec![0; length];
    file.read_exact_at(&mut name, header.len() as u64).ok()?;
    let name = String::from_utf8(name).ok()?;
    (crc32fast::hash(name.as_bytes()) == sum).then(|| name.into())
}

/// Replaces what it says, and has it on the disk before it returns.
pub(super) fn store(disk: &impl Disk, folder: &Path, name: &str) -> io::Result<()> {
    if name.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of the history is too long"));
    }
    let length = u16::try_from(name.len()).unwrap_or(0);
    let bytes = [&crc32fast::hash(name.as_bytes()).to_le_bytes()[..], &length.to_le_bytes(), name.as_bytes()].concat();
    let draft = folder.join(DRAFT_NAME);
    let file = disk.open_or_make(&draft)?;
    file.set_length(0)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_everything()?;
    disk.rename(&draft, &folder.join(NAME))?;
    disk.sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    #[test]
    fn a_history_reads_back_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(&SystemDisk, folder.path()), None);
        store(&SystemDisk, folder.path(), "first history").unwrap();
        store(&SystemDisk, folder.path(), "second").unwrap();
        assert_eq!(load(&SystemDisk, folder.path()).as_deref(), Some("second"));
        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(load(&SystemDisk, folder.path()), None, "cut at {cut}");
        }
        assert!(store(&SystemDisk, folder.path(), &"x".repeat(MAX_BYTES + 1)).is_err());
    }
}

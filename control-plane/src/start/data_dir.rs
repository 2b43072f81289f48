//! The data folder: there, writable, and kept.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{setting}: cannot write in the data folder {}: it belongs to uid {owner}, this process is uid {ours}; \
     either `chown {ours} {}` or run as uid {owner} (docker: --user {owner})",
    path.display(), path.display()
)]
pub struct NotWritable {
    /// The setting that names it.
    pub setting: &'static str,
    /// The folder.
    pub path: PathBuf,
    /// Uid of its owner.
    pub owner: u32,
    /// Uid of this process.
    pub ours: u32,
    /// What the system said.
    pub source: io::Error,
}

/// Makes the folder when it is missing, and sees whether a file can be written in it. `setting` is what names it.
///
/// # Errors
/// When it cannot be.
pub fn prepare(path: &Path, setting: &'static str) -> Result<(), NotWritable> {
    fs::create_dir_all(path).and_then(|()| try_write(path)).map_err(|source| not_writable(path, setting, source))
}

fn try_write(path: &Path) -> io::Result<()> {
    let probe = path.join(format!(".probe-{}", hex::encode(sluice_sealed::random::bytes::<8>())));
    fs::write(&probe, b"")?;
    fs::remove_file(probe)
}

/// Names the folder, or the nearest folder above it that is there: that is whose owner must be changed.
fn not_writable(path: &Path, setting: &'static str, source: io::Error) -> NotWritable {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    let owner = fs::metadata(there).map(|found| found.uid()).unwrap_or_default();
    NotWritable { setting, path: there.to_owned(), owner, ours: rustix::process::geteuid().as_raw(), source }
}

/// Whether what is written there is gone when the container is: it lies in the container's own layers or in memory.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_fleeting(path: &Path) -> bool {
    const OVERLAYFS: i64 = 0x794c_7630;
    const TMPFS: i64 = 0x0102_1994;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(there) = absolute.ancestors().find(|folder| folder.exists()) else { return false };
    rustix::fs::statfs(there).is_ok_and(|found| [OVERLAYFS, TMPFS].contains(&found.f_type))
}

/// Containers run on Linux.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_fleeting(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        prepare(&path, "SLUICE_DATA_DIR").unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "the probe is gone");
    }

    #[test]
    fn a_path_that_cannot_be_a_folder_is_told_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = prepare(&folder.path().join("file/data"), "SQLITE_PATH").unwrap_err();
        let text = error.to_string();
        let uid = rustix::process::geteuid().as_raw();
        assert!(text.starts_with("SQLITE_PATH: cannot write"), "{text}");
        assert!(text.contains("/file: it belongs to uid") && text.contains(&format!("this process is uid {uid}")), "{text}");
    }
}

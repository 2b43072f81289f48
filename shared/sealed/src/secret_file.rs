//! The file that keeps a generated secret: `<data>/secret.key`.
//!
//! It holds text, 64 hex digits and a line end, and is read like `CRYPTO_SECRET`. So an installation can move from the file to the
//! setting, or rotate, by copying that text.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::random;

/// Bytes beyond which a file is not a secret file.
const MAX_BYTES: u64 = 4096;

/// A secret file that cannot be used. Every text names the path.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is there, but cannot be read.
    #[error("cannot read secret file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be made.
    #[error("cannot create secret file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there, but holds no secret. It is never replaced: that would make every stored secret unreadable.
    #[error("secret file {} is empty, too large or not text; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A secret read from its file.
#[derive(Debug)]
pub struct SecretFile {
    /// The text, to be read like `CRYPTO_SECRET`.
    pub secret: SecretString,
    /// Whether this call made the file.
    pub is_new: bool,
    /// Whether other accounts of the machine may read the file: worth a warning at start.
    pub is_readable_by_others: bool,
}

impl SecretFile {
    /// Reads the file. `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or holds no secret.
    pub fn load(path: &Path) -> Result<Option<Self>, SecretFileError> {
        let read = |source| SecretFileError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        let mode = file.metadata().map_err(read)?.permissions().mode();
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        let damaged = || SecretFileError::Damaged { path: path.to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?.trim();
        if text.is_empty() || u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_BYTES) {
            return Err(damaged());
        }
        Ok(Some(Self { secret: text.into(), is_new: false, is_readable_by_others: mode & 0o077 != 0 }))
    }

    /// Reads the file, or makes it with a new secret, mode 0600. When two processes do so at once, both get the same secret.
    ///
    /// # Errors
    /// When it cannot be read or made, or holds no secret.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretFileError> {
        if let Some(found) = Self::load(path)? {
            return Ok(found);
        }
        let create = |source| SecretFileError::Create { path: path.to_owned(), source };
        let is_new = create_once(path).map_err(create)?;
        let made = Self::load(path)?.ok_or_else(|| create(io::ErrorKind::NotFound.into()))?;
        Ok(Self { is_new, ..made })
    }
}

/// Writes a fresh secret beside the path, then links it into place: the file appears whole or not at all, and never replaces one
/// that another process made meanwhile. Tells whether the file is ours.
fn create_once(path: &Path) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".secret-{}", hex::encode(random::bytes::<8>())));
    let outcome = write_draft(&draft).and_then(|()| publish(&draft, path));
    let _ = fs::remove_file(&draft);
    let is_ours = outcome?;
    File::open(folder)?.sync_all()?;
    Ok(is_ours)
}

fn write_draft(draft: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let text = Zeroizing::new(hex::encode(random::bytes::<32>()) + "\n");
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn publish(draft: &Path, path: &Path) -> io::Result<bool> {
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Some shared and removable file systems have no hard links; there, the later of two writers wins.
        Err(_) => fs::rename(draft, path).map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn the_secret_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret.key");
        assert!(SecretFile::load(&path).unwrap().is_none());
        let made = SecretFile::load_or_create(&path).unwrap();
        assert!(made.is_new && !made.is_readable_by_others);
        assert_eq!(made.secret.expose_secret().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = SecretFile::load_or_create(&path).unwrap();
        assert!(!again.is_new);
        assert_eq!(again.secret.expose_secret(), made.secret.expose_secret());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "the draft is gone");
    }

    #[test]
    fn of_many_processes_starting_at_once_all_get_the_same_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let files: Vec<SecretFile> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| SecretFile::load_or_create(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(files.iter().filter(|file| file.is_new).count(), 1);
        assert!(files.iter().all(|file| file.secret.expose_secret() == files[0].secret.expose_secret()));
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        for content in [&b""[..], b" \n", b"\xff\xfe", &[b'x'; 5000]] {
            fs::write(&path, content).unwrap();
            assert!(matches!(SecretFile::load_or_create(&path), Err(SecretFileError::Damaged { .. })));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_file_others_may_read_is_flagged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let file = SecretFile::load(&path).unwrap().unwrap();
        assert!(file.is_readable_by_others);
        assert_eq!(file.secret.expose_secret(), "secret");
    }

    #[test]
    fn a_path_that_cannot_be_made_names_itself() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = SecretFile::load_or_create(&folder.path().join("file/secret.key")).unwrap_err();
        assert!(error.to_string().ends_with("file/secret.key"), "{error}");
    }
}

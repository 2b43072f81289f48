//! The last-good file: two generations, sealed, replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use secrecy::SecretSlice;
use sluice_domain::UnixMillis;
use sluice_sealed::NodeKey;
use tracing::warn;

const NAME: &str = "last-good";
const PREVIOUS: &str = "last-good.previous";
const DRAFT: &str = "last-good.draft";
/// When revocations last reached this relay, beside the file, because it changes every few seconds and the file seldom.
const FRESH: &str = "last-good.fresh";

/// Where the last good configuration is kept for a start without control plane. It holds provider keys, so it is sealed.
#[derive(Debug, Clone)]
pub struct LastGood {
    folder: PathBuf,
    key: NodeKey,
}

impl LastGood {
    /// The files in a folder, sealed with the node's key.
    #[must_use]
    pub const fn new(folder: PathBuf, key: NodeKey) -> Self {
        Self { folder, key }
    }

    /// Replaces the file; what it held is kept as the previous generation. Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses; the files are as before then.
    pub fn save(&self, content: &[u8]) -> io::Result<()> {
        let sealed = self.key.seal(NAME, content).map_err(io::Error::other)?;
        let draft = self.folder.join(DRAFT);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        let current = self.folder.join(NAME);
        match fs::rename(&current, self.folder.join(PREVIOUS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&draft, &current)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Reads the newest generation that opens and that `read` understands. `damaged` hears of each that does not. Blocks on the disk.
    pub fn load<T>(&self, read: impl Fn(&SecretSlice<u8>) -> Result<T, String>, damaged: impl Fn()) -> Option<T> {
        for name in [NAME, PREVIOUS] {
            let path = self.folder.join(name);
            let sealed = match fs::read(&path) {
                Ok(sealed) => sealed,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    warn!("cannot read {}: {error}", path.display());
                    damaged();
                    continue;
                }
            };
            let opened = self.key.open(NAME, &sealed).map_err(|error| error.to_string());
            match opened.and_then(|content| read(&content)) {
                Ok(value) => return Some(value),
                Err(reason) => {
                    warn!("cannot use {}: {reason}", path.display());
                    damaged();
                }
            }
        }
        None
    }

    /// Notes that revocations reached this relay at that moment.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note_fresh(&self, at: UnixMillis) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.folder.join(FRESH))?;
        file.write_all(&at.0.to_le_bytes())
    }

    /// When revocations last reached this relay, as far as is known.
    #[must_use]
    pub fn fresh_at(&self) -> Option<UnixMillis> {
        let bytes = fs::read(self.folder.join(FRESH)).ok()?;
        bytes.try_into().ok().map(|bytes| UnixMillis(i64::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use sluice_domain::NodeId;

    fn files() -> (tempfile::TempDir, LastGood) {
        let folder = tempfile::tempdir().unwrap();
        let key = NodeKey::new(&"join".into(), &NodeId::parse("relay-1").unwrap());
        let files = LastGood::new(folder.path().to_owned(), key);
        (folder, files)
    }

    fn text(content: &SecretSlice<u8>) -> Result<String, String> {
        String::from_utf8(content.expose_secret().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_damaged_file_gives_way_to_the_older_generation() {
        let (folder, files) = files();
        assert_eq!(files.load(text, || {}), None);
        files.save(b"one").unwrap();
        files.save(b"two").unwrap();
        assert_eq!(files.load(text, || {}).as_deref(), Some("two"));
        let path = folder.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(files.load(text, || {}).as_deref(), Some("one"));
        fs::write(folder.path().join(PREVIOUS), b"").unwrap();
        assert_eq!(files.load(text, || {}), None);
    }

    #[test]
    fn what_is_not_understood_gives_way_too() {
        let (_folder, files) = files();
        files.save(b"one").unwrap();
        files.save(b"two").unwrap();
        let only_one =
            |content: &SecretSlice<u8>| text(content).and_then(|text| if text == "one" { Ok(text) } else { Err("later".into()) });
        assert_eq!(files.load(only_one, || {}).as_deref(), Some("one"));
    }

    #[test]
    fn nothing_readable_is_on_the_disk() {
        let (folder, files) = files();
        files.save(b"sk-upstream-canary").unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(9).any(|window| window == b"sk-upstre"));
        }
    }

    #[test]
    fn freshness_reads_back() {
        let (_folder, files) = files();
        assert_eq!(files.fresh_at(), None);
        files.note_fresh(UnixMillis(1)).unwrap();
        files.note_fresh(UnixMillis(2)).unwrap();
        assert_eq!(files.fresh_at(), Some(UnixMillis(2)));
    }
}

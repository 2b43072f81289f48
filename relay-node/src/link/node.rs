//! Who this node is: its name and its life, kept in the data folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sluice_domain::{Epoch, NodeId, UnixMillis};
use tracing::warn;

const NAME_FILE: &str = "node.id";
const EPOCH_FILE: &str = "node.epoch";

/// A node, in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// Its life.
    pub epoch: Epoch,
    /// Tells this process from any other of the same node and epoch.
    pub boot_id: String,
}

/// A data folder that cannot be used. The text is for the person who starts the relay.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file of it cannot be read or written.
    #[error("cannot use {} in the data folder", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The name in the folder is none.
    #[error("SLUICE_NODE_NAME: {} does not hold the name of this relay; set it here, or write it into that file", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
}

impl Node {
    /// Begins the next life of the node whose data folder this is; makes the folder and a name where there are none.
    ///
    /// A folder without epoch begins at the seconds of the wall clock: a node that lost its disk and kept its name must come after
    /// every life it had. `newest_spooled` is the newest epoch with records, which the next one must exceed as well.
    ///
    /// # Errors
    /// When the folder cannot be written, or holds something else under our names.
    pub fn begin(
        folder: &Path,
        chosen: Option<&NodeId>,
        newest_spooled: Option<Epoch>,
        now: UnixMillis,
    ) -> Result<Self, NodeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::File { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let id = match chosen {
            Some(id) => id.clone(),
            None => load_or_make_name(&folder.join(NAME_FILE))?,
        };
        let path = folder.join(EPOCH_FILE);
        let before = match fs::read(&path) {
            Ok(bytes) => read_epoch(&path, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&path)(error)),
        };
        let first = Epoch(now.0.div_euclid(1000).max(1));
        let epoch = before.max(newest_spooled).map_or(first, Epoch::next);
        replace(folder, &path, &epoch.to_string()).map_err(failed(&path))?;
        let boot_id = hex_of(&sluice_sealed::random::bytes::<16>());
        Ok(Self { id, epoch, boot_id })
    }
}

/// The life a file names. A damaged one is as good as none: the spool and the clock lead to a later life than any before.
fn read_epoch(path: &Path, bytes: &[u8]) -> Option<Epoch> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<i64>().ok());
    let epoch = number.filter(|number| *number > 0 && *number < i64::MAX).map(Epoch);
    if epoch.is_none() {
        warn!("{} is damaged: beginning a life after every one that is on record", path.display());
    }
    epoch
}

fn load_or_make_name(path: &Path) -> Result<NodeId, NodeError> {
    let failed = |source| NodeError::File { path: path.to_owned(), source };
    let unreadable = || NodeError::Name { path: path.to_owned() };
    match fs::read_to_string(path) {
        Ok(text) => NodeId::parse(text.trim()).map_err(|_| unreadable()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(unreadable()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = format!("relay-{}", hex_of(&sluice_sealed::random::bytes::<6>()));
            let folder = path.parent().unwrap_or(Path::new("."));
            replace(folder, path, &name).map_err(failed)?;
            NodeId::parse(&name).map_err(|_| unreadable())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Replaces a small file whole, and has it on the disk before it returns.
fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

fn hex_of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_500);

    #[test]
    fn a_node_keeps_its_name_and_each_life_comes_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let first = Node::begin(folder.path(), None, None, NOW).unwrap();
        let second = Node::begin(folder.path(), None, None, UnixMillis(0)).unwrap();
        assert_eq!(first.id, second.id);
        assert_eq!(first.epoch, Epoch(1_700_000_000));
        assert_eq!(second.epoch, first.epoch.next());
        assert_ne!(first.boot_id, second.boot_id);
        let spooled = Some(Epoch(1_800_000_000));
        assert_eq!(Node::begin(folder.path(), None, spooled, NOW).unwrap().epoch, Epoch(1_800_000_001));
    }

    #[test]
    fn a_damaged_epoch_does_not_lead_back_and_a_damaged_name_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let first = Node::begin(folder.path(), None, None, NOW).unwrap();
        for damage in [&b"\xff\xfe"[..], b"", b"-5", b"9223372036854775807", b"99999999999999999999", b"soon"] {
            fs::write(folder.path().join(EPOCH_FILE), damage).unwrap();
            let next = Node::begin(folder.path(), None, Some(first.epoch), NOW).unwrap();
            assert_eq!((&next.id, next.epoch), (&first.id, first.epoch.next()), "{damage:?}");
        }
        for damage in [&b"\xff\xfe"[..], b"", b"No Name"] {
            fs::write(folder.path().join(NAME_FILE), damage).unwrap();
            let error = Node::begin(folder.path(), None, None, NOW).unwrap_err();
            assert!(error.to_string().starts_with("SLUICE_NODE_NAME: "), "{error}");
        }
    }

    #[test]
    fn a_chosen_name_wins_and_a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = NodeId::parse("relay-1").unwrap();
        assert_eq!(Node::begin(folder.path(), Some(&chosen), None, NOW).unwrap().id, chosen);
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = Node::begin(&file, None, None, NOW).unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
}

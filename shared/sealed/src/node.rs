//! The seal of what a relay keeps on its disk.

use std::fmt;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sluice_domain::NodeId;
use zeroize::Zeroizing;

use crate::envelope::{self, Envelope, OpenError, SealError};

/// Seals the files of one relay. Made from the join secret and the node's name, so that a disk alone, or the disk of one node in
/// another, opens nothing.
#[derive(Clone)]
pub struct NodeKey(Zeroizing<[u8; 32]>);

/// The envelope's key id: a node has one key, and a new join secret makes old files unreadable, which costs a resync.
const KEY_ID: u8 = 0;

impl NodeKey {
    /// Derives the key of one node.
    #[must_use]
    pub fn new(join_secret: &SecretString, node: &NodeId) -> Self {
        let secret =
            Zeroizing::new(blake3::derive_key("sluice v1 files of a relay node", join_secret.expose_secret().as_bytes()));
        Self(Zeroizing::new(*blake3::keyed_hash(&secret, node.as_str().as_bytes()).as_bytes()))
    }

    /// Seals the content of the file with this name.
    ///
    /// # Errors
    /// When it is larger than the cipher can take.
    pub fn seal(&self, file_name: &str, content: &[u8]) -> Result<Vec<u8>, SealError> {
        envelope::seal(&self.0, KEY_ID, file_name.as_bytes(), content)
    }

    /// Opens the content of the file with this name.
    ///
    /// # Errors
    /// When it is damaged, another file's, another node's, or was sealed under another join secret.
    pub fn open(&self, file_name: &str, sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        Envelope::parse(sealed)?.open(&self.0, file_name.as_bytes()).ok_or(OpenError::Altered)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

/// What a relay shows the control plane to prove that it knows the join secret. The secret itself never travels, and the proof of
/// one node is of no use to another.
#[must_use]
pub fn join_proof(join_secret: &SecretString, node: &NodeId) -> SecretString {
    let key = Zeroizing::new(blake3::derive_key("sluice v1 join proof of a relay node", join_secret.expose_secret().as_bytes()));
    blake3::keyed_hash(&key, node.as_str().as_bytes()).to_hex().to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str, node: &str) -> NodeKey {
        NodeKey::new(&secret.into(), &NodeId::parse(node).unwrap())
    }

    #[test]
    fn a_proof_is_of_one_node_and_one_secret() {
        let proof = |secret: &str, node: &str| {
            let node = NodeId::parse(node).unwrap();
            join_proof(&secret.into(), &node).expose_secret().to_owned()
        };
        assert_eq!(proof("join", "relay-1"), proof("join", "relay-1"));
        assert_ne!(proof("join", "relay-1"), proof("join", "relay-2"));
        assert_ne!(proof("join", "relay-1"), proof("other", "relay-1"));
    }

    #[test]
    fn a_file_opens_only_on_its_node_under_its_name_with_its_join_secret() {
        let sealed = key("join", "relay-1").seal("last-good", b"channels").unwrap();
        assert_eq!(key("join", "relay-1").open("last-good", &sealed).unwrap().expose_secret(), b"channels");
        assert_eq!(key("join", "relay-2").open("last-good", &sealed).unwrap_err(), OpenError::Altered);
        assert_eq!(key("join", "relay-1").open("spool", &sealed).unwrap_err(), OpenError::Altered);
        assert_eq!(key("other", "relay-1").open("last-good", &sealed).unwrap_err(), OpenError::Altered);
        assert_eq!(key("join", "relay-1").open("last-good", b"").unwrap_err(), OpenError::Malformed);
    }
}

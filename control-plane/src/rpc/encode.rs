//! State and changes as messages. A snapshot is encoded once per version and shared by every relay that needs it.

use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use sluice_rpc::identity::{Change as Is, token_gone_to_pb, token_to_pb, user_gone_to_pb, user_to_pb};
use sluice_rpc::resource::{encode, key_to_pb, version_to_pb};
use sluice_rpc::{SNAPSHOT_CHUNK_BYTES, pb};
use sluice_snapshot::Version;
use tokio::sync::OnceCell;

use crate::publish::{Change, IdentityPage, State};

/// The latest encoded snapshot. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Encodings(Arc<Mutex<Option<Snapshot>>>);

type Chunks = Arc<[pb::SnapshotChunk]>;

#[derive(Clone)]
struct Snapshot {
    version: Version,
    chunks: Arc<OnceCell<Chunks>>,
}

impl Encodings {
    /// The chunks of a state. Many may ask at once: it is encoded once, beside the runtime.
    pub(super) async fn snapshot(&self, state: &Arc<State>) -> Chunks {
        let cell = self.cell(state.version());
        let encoded = cell.get_or_init(|| async {
            let here = Arc::clone(state);
            let encoding = tokio::task::spawn_blocking(move || Chunks::from(chunks_of(&here)));
            // a thread that is gone means a process on its way down
            encoding.await.unwrap_or_default()
        });
        Arc::clone(encoded.await)
    }

    fn cell(&self, version: &Version) -> Arc<OnceCell<Chunks>> {
        let mut latest = self.0.lock();
        if let Some(known) = latest.as_ref().filter(|known| known.version == *version) {
            return Arc::clone(&known.chunks);
        }
        let chunks = Arc::new(OnceCell::new());
        *latest = Some(Snapshot { version: version.clone(), chunks: Arc::clone(&chunks) });
        chunks
    }
}

fn chunks_of(state: &State) -> Vec<pb::SnapshotChunk> {
    let resources = state.resources().map(|versioned| encode(&versioned.resource, versioned.rev)).collect();
    let bytes = bytes::Bytes::from(pb::Snapshot { resources }.encode_to_vec());
    let crc = crc32fast::hash(&bytes);
    let count = bytes.len().div_ceil(SNAPSHOT_CHUNK_BYTES).max(1);
    let chunk = |place: usize| {
        let start = place * SNAPSHOT_CHUNK_BYTES;
        pb::SnapshotChunk {
            version: Some(version_to_pb(state.version())),
            chunk: u32::try_from(place).unwrap_or(u32::MAX),
            chunks: u32::try_from(count).unwrap_or(u32::MAX),
            bytes: bytes.slice(start..bytes.len().min(start + SNAPSHOT_CHUNK_BYTES)),
            crc,
        }
    };
    (0..count).map(chunk).collect()
}

/// A change as a message.
pub(super) fn delta(change: &Change) -> pb::Delta {
    let token = |change: &Is<_, _>| match change {
        Is::Is(token) => token_to_pb(token),
        Is::Gone { id, rev } => token_gone_to_pb(*id, *rev),
    };
    let user = |change: &Is<_, _>| match change {
        Is::Is(user) => user_to_pb(user),
        Is::Gone { id, rev } => user_gone_to_pb(*id, *rev),
    };
    pb::Delta {
        from: Some(version_to_pb(&change.from)),
        to: Some(version_to_pb(&change.to)),
        upserts: change.upserts.iter().map(|versioned| encode(&versioned.resource, versioned.rev)).collect(),
        deletes: change.deletes.iter().map(key_to_pb).collect(),
        tokens: change.tokens.iter().map(token).collect(),
        users: change.users.iter().map(user).collect(),
    }
}

/// A page of identities as a message.
pub(super) fn identities(page: &IdentityPage, last: bool, complete: bool) -> pb::IdentityPage {
    pb::IdentityPage {
        as_of_seq: page.as_of,
        tokens: page.tokens.iter().map(token_to_pb).collect(),
        users: page.users.iter().map(user_to_pb).collect(),
        last,
        complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_snapshot_is_encoded_once_for_all_who_ask_for_it_at_one_version() {
        let encodings = Encodings::default();
        let at = |seq| Arc::new(State::new(Version { lineage: "l".into(), seq }.into(), Vec::new()));
        let (one, two) = (at(1), at(1));
        let (first, second) = tokio::join!(encodings.snapshot(&one), encodings.snapshot(&two));
        assert!(Arc::ptr_eq(&first, &second));
        let later = encodings.snapshot(&at(2)).await;
        assert!(!Arc::ptr_eq(&first, &later));
        assert_eq!(later.first().and_then(|chunk| chunk.version.as_ref()).map(|version| version.seq), Some(2));
    }
}

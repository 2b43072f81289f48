//! State and changes as messages. A snapshot is encoded once per version and shared by every relay that needs it.

use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use sluice_rpc::identity::{Change as Is, token_gone_to_pb, token_to_pb, user_gone_to_pb, user_to_pb};
use sluice_rpc::resource::{encode, key_to_pb, version_to_pb};
use sluice_rpc::{SNAPSHOT_CHUNK_BYTES, pb};
use sluice_snapshot::Version;

use crate::publish::{Change, IdentityPage, State};

/// The latest encoded snapshot. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Encodings(Arc<Mutex<Option<Snapshot>>>);

#[derive(Clone)]
struct Snapshot {
    version: Version,
    chunks: Arc<[pb::SnapshotChunk]>,
}

impl Encodings {
    /// The chunks of a state.
    pub(super) fn snapshot(&self, state: &State) -> Arc<[pb::SnapshotChunk]> {
        let mut latest = self.0.lock();
        if let Some(known) = latest.as_ref().filter(|known| known.version == *state.version()) {
            return known.chunks.clone();
        }
        let chunks: Arc<[pb::SnapshotChunk]> = chunks_of(state).into();
        *latest = Some(Snapshot { version: state.version().clone(), chunks: chunks.clone() });
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

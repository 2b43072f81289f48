//! What the last-good file holds: the configuration with its hashes, the identities, and the key of their digests.

use std::sync::Arc;

use prost::Message;
use secrecy::{ExposeSecret, SecretSlice};
use sluice_domain::UnixMillis;
use sluice_rpc::identity::{self, Change};
use sluice_rpc::{pb, resource};
use sluice_snapshot::{Resource, Upsert, Version};
use zeroize::Zeroizing;

use crate::view::{ConfigState, Held};

/// The form written here. A file of another form is not read.
const FORM: u32 = 1;

/// What was kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) state: ConfigState,
    pub(super) held: Held,
    pub(super) digest_key: [u8; 32],
    pub(super) saved_at: UnixMillis,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(uint32, tag = "1")]
    form: u32,
    #[prost(message, optional, tag = "2")]
    version: Option<pb::Version>,
    #[prost(message, repeated, tag = "3")]
    entries: Vec<Entry>,
    #[prost(message, repeated, tag = "4")]
    tokens: Vec<pb::Token>,
    #[prost(message, repeated, tag = "5")]
    users: Vec<pb::User>,
    #[prost(bytes = "vec", tag = "7")]
    digest_key: Vec<u8>,
    #[prost(int64, tag = "8")]
    saved_at_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    /// Hash of the resource as it was sent, 16 bytes: what is kept here may be encoded differently.
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    resource: Option<pb::Resource>,
}

/// The content of the file.
pub(super) fn encode(
    version: &Version,
    entries: &[(u128, Arc<Resource>)],
    held: &Held,
    digest_key: [u8; 32],
    now: UnixMillis,
) -> Zeroizing<Vec<u8>> {
    let entry = |(hash, kept): &(u128, Arc<Resource>)| Entry {
        hash: hash.to_le_bytes().to_vec(),
        resource: Some(resource::encode(kept, 0)),
    };
    let file = File {
        form: FORM,
        version: Some(resource::version_to_pb(version)),
        entries: entries.iter().map(entry).collect(),
        tokens: held.tokens.iter().map(|token| identity::token_to_pb(token)).collect(),
        users: held.users.iter().map(|user| identity::user_to_pb(user)).collect(),
        digest_key: digest_key.to_vec(),
        saved_at_ms: now.0,
    };
    Zeroizing::new(file.encode_to_vec())
}

/// Reads the content of the file.
///
/// # Errors
/// Why it cannot be used, without anything of what it holds.
pub(super) fn decode(content: &SecretSlice<u8>) -> Result<Kept, String> {
    let file = File::decode(content.expose_secret()).map_err(|error| error.to_string())?;
    if file.form != FORM {
        return Err(format!("its form {} is not known to this build", file.form));
    }
    let version: Version = resource::version_from_pb(file.version);
    let upserts = file.entries.into_iter().map(upsert_of).collect::<Result<Vec<_>, String>>()?;
    let mut state = ConfigState::default();
    state.replace(version, upserts, false);
    let mut held = Held::default();
    for token in file.tokens {
        if let Ok(Change::Is(token)) = identity::token_from_pb(token) {
            held.tokens.push(Arc::new(token));
        }
    }
    for user in &file.users {
        if let Ok(Change::Is(user)) = identity::user_from_pb(user) {
            held.users.push(Arc::new(user));
        }
    }
    let digest_key = file.digest_key.try_into().map_err(|_| "its digest key is not 32 bytes".to_owned())?;
    Ok(Kept { state, held, digest_key, saved_at: UnixMillis(file.saved_at_ms) })
}

fn upsert_of(entry: Entry) -> Result<Upsert, String> {
    let hash = entry.hash.try_into().map(u128::from_le_bytes).map_err(|_| "a hash is not 16 bytes".to_owned())?;
    let kept = entry.resource.ok_or_else(|| "a resource is missing".to_owned())?;
    let upsert = resource::decode(&kept).map_err(|malformed| malformed.to_string())?;
    Ok(Upsert { hash, ..upsert })
}

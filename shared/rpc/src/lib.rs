//! Generated gRPC code and its conversions to domain types.
//!
//! The only place that knows both. A conversion validates: what it returns can be trusted, and what it refuses is refused by name so
//! that one bad resource never hides a good one.

pub mod auth;
pub mod error;
mod hidden;
pub mod identity;
pub mod resource;
pub mod usage;

#[expect(missing_docs, reason = "the comments are in the .proto files")]
#[expect(clippy::pedantic, clippy::large_enum_variant, clippy::allow_attributes, reason = "generated")]
pub mod pb {
    tonic::include_proto!("sluice.relay.v1");
}

pub use error::Malformed;

/// The largest gRPC message either side takes, in bytes: a delta of 500 large resources fits.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// The most records in one usage batch.
pub const MAX_BATCH_RECORDS: usize = 500;
/// The most bytes of records in one usage batch.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
/// The most bytes of an encoded snapshot in one chunk.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

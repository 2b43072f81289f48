//! Generated gRPC code and its conversions to domain types.
//!
//! The only place that knows both. A conversion validates: what it returns can be trusted, and what it refuses is refused by name so
//! that one bad resource never hides a good one.

#[expect(missing_docs, reason = "the comments are in the .proto files")]
#[expect(clippy::all, clippy::pedantic, reason = "generated")]
#[expect(unreachable_pub, reason = "generated")]
pub mod pb {
    tonic::include_proto!("sluice.relay.v1");
}

//! Wire protocols: OpenAI Chat and its relatives, event streams, usage: pure.
//!
//! What a request or an answer *says* is read here; nothing here opens a socket, reads a clock or knows a provider. Bytes that need
//! not change are never re-encoded: readers borrow from the body, and edits copy every value they do not replace.
//!
//! Start with [`openai::Request`] (a caller's body), then [`openai::StreamMeter`] and [`openai::Answer`] (what came back).

pub mod error;
pub mod json;
pub mod openai;
pub mod sse;

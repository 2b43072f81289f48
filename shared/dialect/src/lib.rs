//! Wire protocols: OpenAI Chat and its relatives, event streams, usage: pure.
//!
//! What a request or an answer *says* is read here; nothing here opens a socket, reads a clock or knows a provider. Bytes that need
//! not change are never re-encoded: readers borrow from the body, and edits copy every value they do not replace.
//!
//! Where caller and upstream speak the same dialect, bytes pass through and a side parser reads what has to be known. Everything else goes
//! through the [`ir`], in one hop, by the codecs. Protocols that only upstreams speak are in [`vendor`].
//!
//! Start with [`exchange::Request`] (what a caller sent), then [`exchange::Answer`] and [`exchange::StreamMeter`] (what came back).

mod arguments;
pub mod call_id;
pub mod capabilities;
pub mod chat;
pub mod codec;
mod edits;
mod embedding;
pub mod error;
pub mod exchange;
pub mod frames;
pub mod gemini;
pub mod ir;
pub mod json;
pub mod loss;
pub mod media;
pub mod messages;
pub mod node;
pub mod openai;
pub mod reasoning;
pub mod responses;
pub mod schema;
pub mod signature;
pub mod sse;
mod surface;
pub mod target;
pub mod tool_name;
pub mod vendor;

pub use surface::Surface;

//! Whole answers: [`read`] those of upstreams, [`write`] those for callers.

mod read;
mod write;

pub use read::read;
pub(in crate::messages) use read::{is_error, signature};
pub use write::write;
pub(in crate::messages) use write::{markdown, message_id, redacted, state_of_block, stop_sequence, thinking_signature};

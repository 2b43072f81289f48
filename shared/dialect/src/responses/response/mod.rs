//! Whole answers: read from upstreams, written to callers.

mod read;
mod write;

pub use read::read;
pub(super) use read::{Piece, logprobs, pieces, seconds, signature};
pub use write::write;
pub(super) use write::{Envelope, Medium, Outcome, call_state, encrypted, medium, text_state};

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables read better with values than with references")]
mod tests;

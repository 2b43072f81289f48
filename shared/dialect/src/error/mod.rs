//! Errors on the wire: rendering ours in the caller's dialect, reading an upstream's, and masking what must not be passed on.

mod render;
mod scrub;
mod translated;
mod upstream;

pub(crate) use render::failure;
pub use render::{ErrorBody, render, render_event};
pub use scrub::{MAX_MESSAGE_BYTES, scrub};
pub use upstream::UpstreamError;

#[cfg(test)]
mod tests;

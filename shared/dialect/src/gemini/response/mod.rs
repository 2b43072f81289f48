//! Whole answers: of a Gemini upstream, and for callers that speak Gemini.

pub(super) mod read;
pub(super) mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;

//! Streams: of a Gemini upstream, and for callers that speak Gemini.

mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

#[cfg(test)]
mod tests;

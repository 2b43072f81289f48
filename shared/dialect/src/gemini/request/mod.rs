//! Requests: a caller's `generateContent` body, and the one for a Gemini upstream.

mod read;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;

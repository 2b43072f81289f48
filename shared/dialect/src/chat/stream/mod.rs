//! Streams.

mod calls;
mod read;
mod write;

pub use read::Reader;
pub use write::Writer;

#[cfg(test)]
mod tests;

//! Streams: [`Reader`] of upstreams', [`Writer`] for callers.

mod read;
mod slot;
mod write;

pub use read::Reader;
pub use write::Writer;

#[cfg(test)]
mod tests;

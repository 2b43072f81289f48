//! Requests: [`read`] those of callers, [`write`] those for upstreams.

mod read;
mod write;

pub use read::read;
pub use write::write;

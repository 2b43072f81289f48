//! Streamed answers: read from upstreams, written to callers.

mod open;
mod read;
mod said;
mod write;

pub use read::Reader;
pub use write::Writer;

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables read better with values than with references")]
mod tests;

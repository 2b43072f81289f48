//! Requests: read from callers, written to upstreams.

mod read;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables read better with values than with references")]
mod tests;

//! Requests.

mod read;
mod write;

pub use read::read;
pub(crate) use write::reasoning;
pub use write::write;

#[cfg(test)]
mod tests;

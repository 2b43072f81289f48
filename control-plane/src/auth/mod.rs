//! Who acts: people by session, scripts by management token, and jobs by themselves.

mod actor;

pub use actor::{Actor, Denied, Scope};

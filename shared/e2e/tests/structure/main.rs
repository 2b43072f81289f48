//! The rules of the tree that neither compiler nor lints can see. Each test is one rule, and names who broke it.
//!
//! A rule that stands in the way of something better is changed here, in the commit that needs it, with the reason in its message.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree fails by panicking")]

mod code;
mod crates;
mod licences;
mod names;
mod tree;

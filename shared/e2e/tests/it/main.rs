//! Stories told by the real binaries.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, with words")]

mod crash;
mod lending;
mod live;
mod spend;
mod startup;

//! Stories told by the real binaries.

#![expect(clippy::expect_used, reason = "a test fails by panicking, with words")]

mod crash;
mod live;
mod spend;

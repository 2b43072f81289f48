//! Stories told by the real binaries.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, with words")]

mod crash;
mod errands;
mod faults;
mod lending;
mod limiting;
mod live;
mod replicas;
mod spend;
mod startup;

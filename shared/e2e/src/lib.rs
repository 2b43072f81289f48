//! Tests and benches against the real binaries.
//!
//! [`fleet`] starts a control plane, relays and the provider simulator as processes on free ports and can kill and restart each;
//! [`api`] speaks the management API; [`load`] drives requests and remembers what each caller saw; [`bench`] measures; [`sim`] runs the
//! state machines of both halves without processes, under faults, in virtual time. The oracle of every story about money is
//! the simulator's own log: never our own tables.

#![expect(clippy::expect_used, reason = "a test fails by panicking, with words")]

pub mod api;
pub mod bench;
pub mod faults;
pub mod fleet;
pub mod inside;
pub mod load;
pub mod oracle;
pub mod sim;

//! The store suite: what the database must keep true, on every engine of this run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod changes;
mod failing;
mod grants;
mod ground;
mod notifying;
mod opening;
mod publishing;
mod reconciling;
mod restoring;
mod settling;
mod streaming;
mod upkeep;
mod wallets;

//! Stories of one relay: a real server on a real port, the provider simulator behind it, and a ledger that grants from balances.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken assumption must end the test at once")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod body;
mod bounds;
mod caller;
mod clouds;
mod counting;
mod dialects;
mod endpoints;
mod errands;
mod held;
mod holds;
mod ledger;
mod limits;
mod mapped;
mod media;
mod misbehaviour;
mod money;
mod policies;
mod recorder;
mod relay;
mod responses;
mod retry;
mod routes;
mod secrets;
mod shaping;
mod spark;
mod stream;
mod suffixes;
mod vendors;
mod written;
mod wrong;

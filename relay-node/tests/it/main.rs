//! Stories of one relay: a real server on a real port, the provider simulator behind it, and a ledger that grants from balances.

mod body;
mod caller;
mod ledger;
mod money;
mod recorder;
mod relay;
mod retry;
mod routes;
mod stream;

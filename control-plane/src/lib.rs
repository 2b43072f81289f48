//! The control plane: users, tokens, channels, prices, the ledger and the console.
//!
//! It owns the database and the truth; relays know only what it pushes. Cut by feature with the same file names everywhere: `mod.rs`
//! holds a feature's operations (authorise → decide → write → poke), `rules.rs` its pure decisions, `store.rs` its SQL, `api.rs` its
//! routes, `jobs.rs` what runs by itself.

pub mod app;
pub mod audit;
pub mod auth;
pub mod balances;
pub mod channels;
pub mod config;
pub mod db;
pub mod errands;
pub mod groups;
pub mod http;
pub mod jobs;
pub mod leases;
pub mod metrics;
pub mod models;
pub mod nodes;
pub mod notifications;
pub mod pricing;
pub mod providers;
pub mod publish;
#[doc(hidden)]
pub mod pure;
pub mod reconciliation;
pub mod rpc;
pub mod settings;
pub mod settlement;
pub mod start;
pub mod tokens;
pub mod usage;
pub mod users;
pub mod wallet;
